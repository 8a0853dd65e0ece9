"""What leaves an asset when something goes wrong: our sentence, and nothing of what caused it."""

from collections.abc import Callable

import pytest

from pipelines.assets.errors import StageError, plain_errors
from pipelines.assets.study import flat
from pipelines.ingest import ReleaseRefused
from pipelines.warehouse import WarehouseError


def _raise(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        try:
            raise ValueError("SENTINEL-42")
        except ValueError:
            raise error  # noqa: B904 - with what caused it still attached, as a careless library leaves it

    return fail


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (ValueError("SENTINEL-42"), StageError, "making x: ValueError in a library"),
        (ReleaseRefused("the file is missing"), ReleaseRefused, "the file is missing"),
        (WarehouseError("making x: refused"), WarehouseError, "making x: refused"),
        (OSError(28, "SENTINEL-42", "SENTINEL-42"), StageError, "making x: No space left on device"),
        (MemoryError("SENTINEL-42"), StageError, "making x: the memory did not suffice; give LSS_MEMORY_LIMIT or a .*"),
        (RuntimeError("Query interrupted"), KeyboardInterrupt, ""),
    ],
)
def test_an_error_leaves_as_our_sentence_cut_off_from_its_cause(
    raised: Exception, kind: type[BaseException], said: str
) -> None:
    with pytest.raises(kind, match=f"^{said}$") as caught, plain_errors("making x"):
        _raise(raised)()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_error_in_our_own_code_is_located_by_file_and_line() -> None:
    said = r"^reading: AttributeError in assets/study\.py, line \d+$"
    with pytest.raises(StageError, match=said), plain_errors("reading"):
        flat(None)  # type: ignore[arg-type]


def test_the_original_is_shown_on_standard_error_on_request_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StageError), plain_errors("making x"):
        raise ValueError("SENTINEL-42")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("LSS_DEBUG", "1")
    with pytest.raises(StageError), plain_errors("making x"):
        raise ValueError("SENTINEL-42")
    assert "ValueError: SENTINEL-42" in capsys.readouterr().err


def test_nested_overrides_become_keys_joined_by_points() -> None:
    nested = {"primary": {"endpoint_horizon_days": 365}, "analysis_set": "full", "disclosure.minimum_count": 20}
    assert flat(nested) == {
        "primary.endpoint_horizon_days": 365,
        "analysis_set": "full",
        "disclosure.minimum_count": 20,
    }
