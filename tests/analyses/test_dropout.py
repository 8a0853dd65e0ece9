"""Weights for missed visits, on patients whose answer can be worked out on paper."""

import polars as pl
import pytest

from pipelines.analyses.covariates import complete_subjects
from pipelines.analyses.dropout import BASELINE, EARLIER, NO_WEIGHTS, dropout_weights, history, weigh
from pipelines.analyses.rows import HYPOTHETICAL
from pipelines.analyses.weighted_effects import score_differences
from pipelines.protocol import Protocol

# tier, leg pain at 6 months, patients, how many of them were seen at 12 months, leg pain at 12 months of those seen
CELLS = [
    ("esi", 3, 40, 28, 2.0),
    ("esi", 8, 40, 20, 7.0),
    ("mild", 3, 40, 28, 1.0),
    ("mild", 8, 40, 20, 5.0),
]
WALKS = {
    "episode_id": pl.String,
    "tier": pl.String,
    "instrument": pl.String,
    "visit_window": pl.String,
    "is_observed": pl.Boolean,
    "is_escalated_before": pl.Boolean,
    "distance_m": pl.Float64,
    "baseline_distance_m": pl.Float64,
}


@pytest.fixture(scope="module")
def narrow(protocol: Protocol) -> Protocol:
    """Leg pain at 12 months, MILD against injection, smoking the only covariate."""
    return protocol.with_overrides(
        {
            "literature": None,
            "covariates": [c.model_dump() for c in protocol.covariates if c.name == "smoking"],
            "contrasts": [c.model_dump() for c in protocol.contrasts if c.name == "mild_vs_esi"],
            "primary.outcomes": [{"outcome": "nrs_leg", "window": "12m"}],
            "primary.secondary_outcomes": [],
        }
    )


@pytest.fixture(scope="module")
def frames() -> dict[str, pl.DataFrame]:
    """Patients of `CELLS`, half of whom smoke; all have a baseline of 6 and were seen at 6 months."""
    rows = []
    for tier, before, patients, seen, after in CELLS:
        for n in range(patients):
            name = f"{tier}-{before}-{n:02d}"
            value = after + (0.5 if n % 4 < 2 else -0.5) if n < seen else None
            rows.append((name, tier, "6m", 3, float(before), True, "current" if n % 2 else "never"))
            rows.append((name, tier, "12m", 4, value, n < seen, "current" if n % 2 else "never"))
    names = ["episode_id", "tier", "visit_window", "window_rank", "value", "is_observed", "smoking"]
    table = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    scores = table.drop("smoking").with_columns(
        patient_id=pl.col("episode_id"),
        site_id=pl.lit("s"),
        instrument=pl.lit("nrs_leg"),
        baseline_value=pl.lit(6.0),
        is_escalated_before=pl.lit(False),
        is_due=pl.lit(True),
        is_alive=pl.lit(True),
    )
    subjects = table.select("episode_id", "tier", "smoking", patient_id="episode_id", site_id=pl.lit("s"))
    return {
        "analysis.subjects": subjects.unique("episode_id", maintain_order=True),
        "analysis.scores": scores,
        "analysis.walking_tests": pl.DataFrame(schema=WALKS),
    }


def test_those_seen_stand_for_those_who_were_alike_at_the_visit_before(
    frames: dict[str, pl.DataFrame], narrow: Protocol
) -> None:
    """Half of those in pain at 6 months stay away, of the others 12 in 40. Smoking and tier say nothing about it.

    Injection: (40 × 2 + 40 × 7) / 80 = 4.5; MILD: (40 × 1 + 40 × 5) / 80 = 3. Those seen alone would give
    (28 × 2 + 20 × 7) / 48 = 4.083 and (28 × 1 + 20 × 5) / 48 = 2.667, a difference of −1.417.
    """
    found = {}
    for given in (EARLIER, BASELINE):
        chosen = narrow.with_overrides({"missing_data.dropout_weights": given})
        rows = score_differences(frames, chosen).filter(
            pl.col("population") == "overlap",
            pl.col("strategy") == "treatment policy",
            pl.col("variance") == "weights estimated",
            pl.col("window") == "12m",
        )
        found[given] = rows["estimate"].item()
    assert found[EARLIER] == pytest.approx(-1.5, abs=1e-6)
    assert found[BASELINE] == pytest.approx(-17 / 12, abs=1e-6)


def test_what_the_weights_were_given_is_recorded(frames: dict[str, pl.DataFrame], narrow: Protocol) -> None:
    rows = dropout_weights(frames, narrow).filter(strategy="treatment policy")
    assert rows.select("tier", "expected", "subjects", "given", "reason").rows() == [
        ("esi", 80, 48, EARLIER, None),
        ("mild", 80, 48, EARLIER, None),
    ]
    # 28 weights of 10/7 and 20 of 2: (40 + 40)² / (400/7 + 80) = 140/3, on average 80 / 48
    assert rows["effective_sample_size"].to_list() == pytest.approx([140 / 3] * 2, rel=1e-6)
    assert rows["mean_weight"].to_list() == pytest.approx([80 / 48] * 2, rel=1e-6)


def test_the_rungs_below_are_named(frames: dict[str, pl.DataFrame], narrow: Protocol) -> None:
    """A history that tells exactly who comes cannot weigh anyone; tier and case mix alone then do."""
    subjects = complete_subjects(frames["analysis.subjects"], narrow)
    here = frames["analysis.scores"].filter(visit_window="12m").with_columns(is_expected=pl.lit(True))
    told = here.select("episode_id", last_nrs_leg=pl.col("is_observed").cast(pl.Float64))
    found = weigh(here, subjects, narrow, told)
    assert (found.given, str(found.reason).startswith("given earlier visits: separation")) == (BASELINE, True)
    few = weigh(here.filter(pl.col("is_observed") | pl.col("episode_id").str.ends_with("39")), subjects, narrow, told)
    assert (few.given, few.reason) == (NO_WEIGHTS, "fewer than 5 visits missed, or kept")
    assert few.visits["dropout_weight"].unique().to_list() == [1.0]


def test_the_last_value_before_a_window_is_used_and_none_after_escalation(narrow: Protocol) -> None:
    """One patient seen at 6 weeks (5), 3 months (4, after an operation) and 6 months (1); ten others at 6 weeks (9)."""
    visits = [("a", "6w", 5.0, False), ("a", "3m", 4.0, True), ("a", "6m", 1.0, True)]
    visits += [(f"b{n}", "6w", 9.0, False) for n in range(10)]
    scores = pl.DataFrame(
        visits, schema=["episode_id", "visit_window", "value", "is_escalated_before"], orient="row"
    ).with_columns(
        instrument=pl.lit("nrs_leg"), tier=pl.lit("esi"), is_observed=pl.lit(True), baseline_value=pl.lit(7.0)
    )
    past = history({"analysis.scores": scores, "analysis.walking_tests": pl.DataFrame(schema=WALKS)}, narrow)

    def last(window: str, strategy: str = "treatment policy") -> object:
        return past.before("nrs_leg", window, strategy).filter(episode_id="a")["last_nrs_leg"].item()

    assert [last("6w"), last("3m"), last("6m"), last("12m")] == [7.0, 5.0, 4.0, 1.0]
    assert last("12m", HYPOTHETICAL) == 5.0
    # a baseline that is a covariate stands in the model already
    covariate = {"name": "nrs_leg_baseline", "label": "Leg pain", "kind": "numeric"}
    with_baseline = narrow.with_overrides({"covariates": [covariate]})
    tables = {"analysis.scores": scores, "analysis.walking_tests": pl.DataFrame(schema=WALKS)}
    assert history(tables, with_baseline).before("nrs_leg", "6w").is_empty()
