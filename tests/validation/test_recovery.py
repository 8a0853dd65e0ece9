"""A small recovery study: simulated cohorts through ingest, SQL and analyses, held against the generator's truth."""

import polars as pl
import pytest

from pipelines.assets.in_memory import derived_frames
from pipelines.protocol import load_protocol
from pipelines.resources import default_protocol_file
from pipelines.validation.recovery import judge_recovery, run_recovery

# One cohort of 2,000 leaves a weighted difference in leg pain a standard deviation of about 0.25 points; three standard
# errors of the mean of three cohorts are 0.43. Confounding by indication moves the crude differences by about 1 point.
TOLERANCE = 0.43
CONFOUNDED = ["esi_vs_conservative", "laminectomy_vs_mild"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_weighting_recovers_the_truth_that_the_crude_comparison_misses() -> None:
    found = run_recovery(derived_frames, load_protocol(default_protocol_file()), 2000, [1, 2, 3])
    judged = judge_recovery(found).filter(quantity="leg pain at 12 months")
    errors = {
        method: judged.filter(pl.col("contrast").is_in(CONFOUNDED), method=method)["mean_error"].abs().to_list()
        for method in ("adjusted", "unadjusted")
    }
    assert len(errors["adjusted"]) == len(errors["unadjusted"]) == len(CONFOUNDED)
    assert max(errors["adjusted"]) < TOLERANCE
    assert min(errors["unadjusted"]) > TOLERANCE
