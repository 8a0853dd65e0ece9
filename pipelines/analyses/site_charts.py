"""Sites over their patients in order: `results.site_cusum`, the risk-adjusted CUSUM beside the VLAD.

Belongs here: which order a release gives, and charts cut into blocks. Does not belong here: the charts' statistics.

The order is `site_sequence` (order of enrolment at the site) or, where a release may tell them, the enrolment
quarter; patients treated elsewhere than enrolled have no place in either. Without an order there is no chart. Charts
are computed patient by patient, but told in blocks that each hold at least the protocol's minimum count of patients
with the event and of patients without it, so that no step gives one patient's outcome away.
"""

import hashlib

import numpy as np
import polars as pl

from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import stacked
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE
from pipelines.analyses.site_cases import Cases, cases
from pipelines.models._frames import ModelInputError
from pipelines.models.cusum import control_limit, in_control_run_length, risk_adjusted_cusum, vlad
from pipelines.protocol import Protocol

NO_ORDER = "not applicable: the release gives no order of patients within a site"
RUN_LENGTH_CHAINS = 500


def site_cusum(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Blocks of each site's chart for the endpoints; one row that says so where there is no order."""
    pieces = []
    for found in cases(tables, protocol):
        if found.response is not None:
            continue
        ordered, order = _in_order(found.rows)
        if ordered.is_empty():
            row = {"indicator": found.indicator, "status": NOT_ESTIMABLE, "reason": NO_ORDER}
            pieces.append(pl.DataFrame([row]))
        else:
            pieces.append(_charts(found, ordered, order, protocol))
    return stacked(pieces)


def _in_order(rows: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    for name, words in (("site_sequence", "order of enrolment"), ("enrolment_quarter", "enrolment quarter")):
        if name in rows.columns and rows[name].null_count() < rows.height:
            kept = rows.filter(pl.col(name).is_not_null())
            kept = kept.filter("is_enrolling_site") if "is_enrolling_site" in kept.columns else kept
            return kept.sort("site_id", name, "episode_id"), words
    return rows.clear(), ""


def _charts(found: Cases, ordered: pl.DataFrame, order: str, protocol: Protocol) -> pl.DataFrame:
    asked = protocol.sites
    seed = int(hashlib.sha256(found.indicator.encode()).hexdigest()[:8], 16)
    risks = ordered["risk"].to_numpy()
    try:
        limit = control_limit(risks, asked.cusum_odds_ratio, asked.cusum_run_length, seed, RUN_LENGTH_CHAINS)
    except ModelInputError as error:
        return pl.DataFrame([{"indicator": found.indicator, "status": NOT_ESTIMABLE, "reason": str(error)}])
    run = in_control_run_length(
        risks, asked.cusum_odds_ratio, limit, seed + 1, 2 * asked.cusum_run_length, RUN_LENGTH_CHAINS
    )
    pieces = []
    for (site,), part in ordered.group_by("site_id", maintain_order=True):
        cuts = _cuts(part["event"].to_numpy(), protocol.disclosure.minimum_count)
        if not len(cuts):
            continue
        chart = risk_adjusted_cusum(part, "event", "risk", asked.cusum_odds_ratio, limit)
        line = vlad(part, "event", "risk", asked.signal_level)
        block = np.searchsorted(cuts, np.arange(part.height), side="left")
        told = (
            chart.join(line, on="number")
            .with_columns(pl.Series("block", block), observed=part["event"].cum_sum())
            .group_by("block", maintain_order=True)
            .agg(
                pl.col("number", "observed", "expected", "vlad", "ci_low", "ci_high", "cusum").last(),
                highest=pl.col("cusum").max(),
                signals=pl.col("is_signal").sum(),
            )
        )
        pieces.append(told.with_columns(site_id=pl.lit(str(site))))
    if not pieces:
        why = "no site has enough patients with and without the event for a block"
        return pl.DataFrame([{"indicator": found.indicator, "status": NOT_ESTIMABLE, "reason": why}])
    return pl.concat(pieces).with_columns(
        indicator=pl.lit(found.indicator),
        order=pl.lit(order),
        control_limit=pl.lit(limit),
        run_length=pl.lit(run.mean),
        run_length_error=pl.lit(run.std_error),
        signal=pl.when(pl.col("signals") > 0).then(pl.lit("signal for review: CUSUM")),
        status=pl.lit(ESTIMABLE),
    )


def _cuts(event: np.ndarray, minimum: int) -> np.ndarray:
    """Places of the last patients of blocks with enough events and enough non-events; a rest joins the last block."""
    cuts, events, others = [], 0, 0
    for place, happened in enumerate(event):
        events, others = events + int(happened), others + int(not happened)
        if min(events, others) >= minimum:
            cuts.append(place)
            events = others = 0
    if cuts:
        cuts[-1] = len(event) - 1
    return np.array(cuts, dtype=int)
