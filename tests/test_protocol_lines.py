"""Lines of settings in a protocol file, on a page whose lines can be counted."""

import tomllib

from pipelines.protocol_lines import lines_of
from pipelines.resources import default_protocol_file

PAGE = """name = "study"
[[instruments]]
name = "pain"
[[instruments.thresholds]]
name = "mcid"   # a comment
value = 2
[[instruments.thresholds]]
name = "pass"
[[instruments]]
name = "walk"
[[instruments.thresholds]]
name = "mcid"
[primary]
outcomes = [
  { outcome = "pain", window = "12m" },
  { outcome = "walk", window = "12m" },
]
limit = 0.5
"""


def test_members_of_arrays_are_found_by_name_and_belong_to_the_member_above() -> None:
    lines = lines_of(PAGE)
    assert lines["name"] == 1
    assert lines["instruments.pain"] == 2
    assert lines["instruments.pain.thresholds.mcid"] == 4
    assert lines["instruments.pain.thresholds.mcid.value"] == 6
    assert lines["instruments.pain.thresholds.pass"] == 7
    assert lines["instruments.walk"] == 9
    assert lines["instruments.walk.thresholds.mcid"] == 11
    assert "instruments.walk.thresholds.pass" not in lines


def test_members_written_in_one_line_are_found_by_outcome() -> None:
    lines = lines_of(PAGE)
    assert lines["primary.outcomes"] == 14
    assert lines["primary.outcomes.pain"] == 15
    assert lines["primary.outcomes.walk"] == 16
    assert lines["primary.limit"] == 18


def test_every_named_member_of_the_bundled_protocol_has_a_line() -> None:
    text = default_protocol_file().read_text(encoding="utf-8")
    document, lines = tomllib.loads(text), lines_of(text)
    for array in ("tiers", "instruments", "windows", "endpoints", "covariates", "contrasts", "effect_modifiers"):
        for member in document[array]:
            key = f"{array}.{member['name']}"
            assert member["name"] in " ".join(text.splitlines()[lines[key] - 1 : lines[key] + 1]), key
