"""The real trial through the same job, unchanged: what it publishes and what its report holds back.

Expected numbers: Ashar et al. 2022 as published (means, responders); ANCOVA by R 4.2.2 (lm with sandwich 3.0.2, HC3).
The analyses alone are held against more of R in tests/analyses/test_real_trial.py.
"""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
from pypdf import PdfReader


def _helper() -> ModuleType:
    spec = importlib.util.spec_from_file_location("real_trial", Path(__file__).resolve().parents[1] / "real_trial.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


trial = _helper()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not trial.is_present(), reason=trial.ABSENT),
]


@pytest.fixture(scope="module")
def published(lss, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The exported results and the PDF report of the trial."""
    base = tmp_path_factory.mktemp("trial")
    folder = trial.write_release(base / "release")
    run = lss("run", folder, "--protocol", trial.PROTOCOL, home=base / "home")
    assert run.code == 0, run.err
    export = lss("export", "back-pain-trial", base / "out", home=base / "home")
    assert export.code == 0, export.err
    return base / "out", run.path("pdf")


def _table(published: tuple[Path, Path], name: str, **where: str) -> pl.DataFrame:
    return pl.read_parquet(published[0] / f"{name}.parquet").filter(**where)


def test_pain_after_treatment_is_as_published(published: tuple[Path, Path]) -> None:
    means = _table(published, "trajectories", outcome="pain_average", window="post")
    found = {tier: round(mean, 2) for tier, mean in means.select("tier", "estimate").rows()}
    assert found == {"prt": 1.18, "placebo": 2.84, "usual_care": 3.13}


def test_patients_nearly_free_of_pain_are_as_published(published: tuple[Path, Path]) -> None:
    counted = _table(published, "responders", threshold="nearly_pain_free", method="missing as non-response")
    found = {tier: (responders, n) for tier, responders, n in counted.select("tier", "responders", "subjects").rows()}
    assert found == {"prt": (33, 50), "placebo": (10, 51), "usual_care": (5, 50)}


@pytest.mark.parametrize(
    ("outcome", "tier", "estimate", "std_error"),
    [
        ("pain_average", "prt", -2.22014603740869, 0.249932835112216),
        ("pain_average", "placebo", -0.488010831979751, 0.258282638330697),
        ("odi", "prt", -12.3727122798441, 1.41713839782952),
        ("odi", "placebo", -1.67626329757539, 1.27321275009468),
    ],
)
def test_ancova_is_that_of_r(
    published: tuple[Path, Path], outcome: str, tier: str, estimate: float, std_error: float
) -> None:
    row = _table(
        published, "contrasts", outcome=outcome, tier=tier, reference="usual_care", method="ANCOVA (HC3), baseline only"
    )
    assert row.select("estimate", "std_error").row(0) == pytest.approx((estimate, std_error), rel=1e-8)


def test_stages_that_the_trial_cannot_feed_say_not_applicable(published: tuple[Path, Path]) -> None:
    for name in ("cumulative_incidence", "survival_curves", "restricted_times", "hazard_ratios", "walking_curves"):
        assert _table(published, name).is_empty(), name
    text = "".join(page.extract_text() for page in PdfReader(published[1]).pages)
    assert "not applicable" in text.lower()


def test_the_report_shows_no_count_of_one_to_ten(published: tuple[Path, Path]) -> None:
    text = "".join(page.extract_text() for page in PdfReader(published[1]).pages)
    assert "<11" in text
    assert re.findall(r"\b(?:[1-9]|10)\s*(?:/|of)\s*5[01]\b", text) == []
