"""The register: names stand for one content, and its file is never half written."""

import json
from pathlib import Path

import pytest

from pipelines.releases import Home, Register, Release, ReleaseError
from pipelines.releases.home import find_home

SPRING = Release("spring", "/data/spring", "a" * 64, "lss")


def test_a_home_without_a_register_knows_no_release(tmp_path: Path) -> None:
    register = Register(Home(tmp_path / "home"))
    assert register.releases() == {}
    with pytest.raises(ReleaseError, match="it knows none yet.*lss run RELEASE_DIR"):
        register.find("spring")
    assert not (tmp_path / "home").exists()


def test_releases_come_back_in_the_order_of_their_registration(tmp_path: Path) -> None:
    register = Register(Home(tmp_path))
    register.add(SPRING)
    register.add(Release("autumn", "/data/autumn", "b" * 64, "lss"))
    register.add(Release("spring", "/moved/spring", "a" * 64, "other", "/p.toml"))
    assert list(register.releases()) == ["spring", "autumn"]
    assert register.find("spring").folder == "/moved/spring"
    assert register.find("spring").protocol_file == "/p.toml"


def test_a_name_cannot_be_given_to_other_content(tmp_path: Path) -> None:
    register = Register(Home(tmp_path))
    register.add(SPRING)
    before = register.home.register_file.read_bytes()
    with pytest.raises(ReleaseError, match="other content.*another name in its manifest"):
        register.add(Release("spring", "/data/spring", "c" * 64, "lss"))
    assert register.home.register_file.read_bytes() == before


def test_a_damaged_register_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "register.json").write_text(json.dumps({"releases": [{"name": "spring"}]}))
    with pytest.raises(ReleaseError, match=r"register\.json cannot be read; move it away"):
        Register(Home(tmp_path)).releases()


def test_the_home_is_the_one_named_else_the_environment_s_else_where_we_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSS_HOME", str(tmp_path / "by-environment"))
    assert find_home("named").path == tmp_path / "named"
    assert find_home().path == tmp_path / "by-environment"
    monkeypatch.delenv("LSS_HOME")
    assert find_home().path == tmp_path / "lss-home"


@pytest.mark.parametrize("name", ["../up", "a/b", "", "a..b", ".hidden", "x" * 61])
def test_no_name_leads_out_of_the_home(tmp_path: Path, name: str) -> None:
    with pytest.raises(ReleaseError, match="holds letters, digits"):
        Home(tmp_path).snapshot_file(name, "lss")


def test_what_a_killed_registration_left_is_removed_by_the_next(tmp_path: Path) -> None:
    register = Register(Home(tmp_path))
    register.add(SPRING)
    left = tmp_path / "register.json.77.partial"
    left.write_bytes(b"half")
    register.add(SPRING)
    assert not left.exists()
    assert list(register.releases()) == ["spring"]
