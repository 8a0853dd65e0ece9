"""Snapshots made by hand for the report's tests: patients drawn with a fixed seed, result tables by plain arithmetic.

The layout is that of `analysis.*`, `outcomes.*`, `quality.*` and `results.*`; the numbers are no findings, only
plausible enough that sentences and figures can be looked at.
"""

from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from reports.sites_made import FEW_ANSWERED, MANY_FAILURES, with_sites

from pipelines.analyses.completeness import completeness_trend
from pipelines.models.multistate import state_occupation, time_in_state
from pipelines.protocol import Protocol, load_protocol
from pipelines.reports import Study, report_of
from pipelines.reports.content import Document
from pipelines.resources import default_protocol_file

Read = Callable[[str], pl.DataFrame]

SHARES = {"conservative": 0.34, "esi": 0.27, "mild": 0.1, "laminectomy": 0.18, "fusion": 0.11}
BASELINE_PAIN = {"conservative": 5.8, "esi": 7.0, "mild": 7.0, "laminectomy": 6.6, "fusion": 6.6}
DROP = {"conservative": 1.1, "esi": 1.6, "mild": 2.3, "laminectomy": 3.1, "fusion": 3.0}
WALK = {"conservative": 430.0, "esi": 350.0, "mild": 280.0, "laminectomy": 300.0, "fusion": 320.0}
GAIN = {"conservative": 1.1, "esi": 1.15, "mild": 1.5, "laminectomy": 2.0, "fusion": 1.9}
HAZARD = {"conservative": 0.22, "esi": 0.26, "mild": 0.12, "laminectomy": 0.05, "fusion": 0.05}


class Cohort:
    """Patients and what happened to them, and the tables a snapshot would hold."""

    def __init__(self, patients: int, seed: int = 7, protocol: Protocol | None = None, sites: int = 8) -> None:
        self.protocol = protocol or load_protocol(default_protocol_file())
        self.rng = np.random.default_rng(seed)
        self.n = patients
        tiers = list(SHARES)
        self.tier = self.rng.choice(tiers, patients, p=list(SHARES.values()))
        self.patient = np.array([f"P{i:06d}" for i in range(patients)])
        self.site = self.rng.choice([f"S{i:02d}" for i in range(1, sites + 1)], patients)
        self.answers = (self.site != FEW_ANSWERED) | (np.random.default_rng(seed + 1).random(patients) < 0.55)
        visits = np.random.default_rng(seed + 2)
        self.year = visits.choice(np.arange(2019, 2025), patients)
        self.last_due = np.where(visits.random(patients) < 0.02, 3, np.where(visits.random(patients) < 0.7, 5, 4))
        self.last_alive = np.where(visits.random(patients) < 0.04, visits.integers(1, 5, patients), 5)
        self.tables: dict[str, pl.DataFrame] = {}
        self._subjects()
        self._scores()
        self._walks()
        self._times()
        self._bookkeeping()
        self._results()

    def read(self, table: str) -> pl.DataFrame:
        """The reader that a report is given."""
        return self.tables[table]

    # --------------------------------------------------------------------------------------------------------- patients

    def _subjects(self) -> None:
        rng, n = self.rng, self.n
        surgical = np.isin(self.tier, ["laminectomy", "fusion"])
        frame = pl.DataFrame(
            {
                "episode_id": [f"{p}-1" for p in self.patient],
                "patient_id": self.patient,
                "site_id": self.site,
                "tier": self.tier,
                "enrolment_year": self.year,
                "enrolment_quarter": pl.Series([None] * n, dtype=pl.Int64),
                "age_years": np.clip(rng.normal(70, 9, n), 40, 89).round(),
                "sex": rng.choice(["female", "male"], n, p=[0.56, 0.44]),
                "bmi": rng.normal(29, 5, n).round(1),
                "smoking": rng.choice(["never", "former", "current"], n, p=[0.5, 0.36, 0.14]),
                "comorbidity_count": rng.poisson(1.8, n),
                "diabetes": rng.random(n) < 0.21,
                "depression": rng.random(n) < 0.18,
                "opioid_use": rng.random(n) < 0.2 + 0.1 * surgical,
                "prior_lumbar_surgery": rng.random(n) < 0.14,
                "spondylolisthesis": rng.random(n) < np.where(self.tier == "fusion", 0.72, 0.23),
                "stenosis_grade": rng.choice(["A", "B", "C", "D"], n, p=[0.1, 0.3, 0.42, 0.18]),
                "stenotic_levels": rng.integers(1, 4, n),
                "symptom_months": rng.lognormal(3, 0.8, n).round(),
                "prior_tiers": rng.integers(0, 3, n),
                "waiting_days": np.round(30 * np.arange(n) % 365),
                "nrs_leg_baseline": np.clip(rng.normal([BASELINE_PAIN[t] for t in self.tier], 2), 0, 10).round(),
                "nrs_back_baseline": np.clip(rng.normal(6, 2.2, n), 0, 10).round(),
                "odi_baseline": np.clip(rng.normal(43, 15, n), 0, 100).round(),
            }
        )
        bmi = pl.when(pl.Series(rng.random(n) < 0.03)).then(None).otherwise(pl.col("bmi")).alias("bmi")
        self.tables["analysis.subjects"] = frame.with_columns(bmi)

    def _scores(self) -> None:
        pieces = []
        for name, spread in (("nrs_leg", 2.2), ("nrs_back", 2.2), ("odi", 15.0)):
            base = self.tables["analysis.subjects"][f"{name}_baseline"].to_numpy().astype(float)
            scale = 1.0 if name != "odi" else 6.0
            for k, window in enumerate(self.protocol.windows):
                fall = np.array([DROP[t] for t in self.tier]) * scale * (0.8 + 0.07 * k)
                value = np.clip(base - fall + self.rng.normal(0, spread, self.n), 0, 10 if scale == 1 else 100).round()
                observed = (self.rng.random(self.n) < 0.9 - 0.07 * k) & self.answers
                pieces.append(
                    pl.DataFrame(
                        {
                            "episode_id": [f"{p}-1" for p in self.patient],
                            "patient_id": self.patient,
                            "site_id": self.site,
                            "tier": self.tier,
                            "instrument": name,
                            "visit_window": window.name,
                            "window_rank": k + 1,
                            "baseline_value": base,
                            "value": np.where(observed, value, np.nan),
                            "is_observed": observed,
                            "is_due": self.last_due > k,
                            "is_alive": self.last_alive > k,
                            "is_escalated_before": False,
                        }
                    ).with_columns(pl.col("value").fill_nan(None))
                )
        self.tables["analysis.scores"] = pl.concat(pieces)

    def _walks(self) -> None:
        n, pieces = self.n, []
        speed = self.rng.normal(0.95, 0.18, n).clip(0.3)
        base_s = np.array([WALK[t] for t in self.tier]) / 0.95 * self.rng.lognormal(0, 1.0, n)
        reasons = ["claudication", "back_pain", "fatigue", "balance", "choice"]
        for k, window in enumerate(self.protocol.windows):
            gain = np.array([GAIN[t] for t in self.tier])
            seconds = base_s * gain * self.rng.lognormal(0, 0.5, n)
            observed = (self.rng.random(n) < 0.82 - 0.07 * k) & self.answers
            capped = seconds >= 1800
            stop = np.where(capped, "time_limit", self.rng.choice(reasons, n, p=[0.68, 0.1, 0.12, 0.05, 0.05]))
            pieces.append(
                pl.DataFrame(
                    {
                        "episode_id": [f"{p}-1" for p in self.patient],
                        "patient_id": self.patient,
                        "site_id": self.site,
                        "tier": self.tier,
                        "instrument": "spwt",
                        "visit_window": window.name,
                        "window_rank": k + 1,
                        "baseline_distance_m": np.minimum(base_s, 1800) * speed,
                        "is_baseline_at_cap": base_s >= 1800,
                        "distance_m": np.where(observed, np.minimum(seconds, 1800) * speed, np.nan),
                        "duration_s": np.where(observed, np.minimum(seconds, 1800), np.nan),
                        "is_at_cap": capped & observed,
                        "stop_reason": pl.Series(np.where(observed, stop, "")).replace("", None),
                        "is_observed": observed,
                        "is_due": self.last_due > k,
                        "is_alive": self.last_alive > k,
                        "is_escalated_before": False,
                    }
                ).with_columns(pl.col("distance_m", "duration_s").fill_nan(None))
            )
        self.tables["analysis.walking_tests"] = pl.concat(pieces)

    def _times(self) -> None:
        pieces = []
        aside = np.random.default_rng(17)
        for endpoint in (*self.protocol.endpoints, *self.protocol.supplementary_endpoints):
            rng = aside if endpoint in self.protocol.supplementary_endpoints else self.rng
            factor = {"harm_90_days": 0.6, "opioid_start": 0.5, "negative_control": 0.2}.get(endpoint.name, 1.0)
            event = rng.exponential(365.25 / np.array([HAZARD[t] * factor for t in self.tier]))
            event = np.where(self.site == MANY_FAILURES, event / 2.5, event)
            death = rng.exponential(365.25 / 0.025, self.n)
            end = rng.uniform(500, 1500, self.n)
            if endpoint.within_days:
                end = np.minimum(end, endpoint.within_days)
            time = np.minimum(np.minimum(event, death), end)
            status = np.where(time == event, 1, np.where(time == death, 2, 0))
            pieces.append(
                pl.DataFrame(
                    {
                        "episode_id": [f"{p}-1" for p in self.patient],
                        "patient_id": self.patient,
                        "site_id": self.site,
                        "tier": self.tier,
                        "endpoint": endpoint.name,
                        "time_days": np.ceil(time),
                        "status": status,
                    }
                )
            )
        self.tables["analysis.time_to_event"] = pl.concat(pieces) if pieces else pl.DataFrame()

    # ------------------------------------------------------------------------------------------------------ bookkeeping

    def _bookkeeping(self) -> None:
        t, order = self.tables, list(self.protocol.tier_names)
        sizes = {name: int((self.tier == name).sum()) for name in order}
        steps = [
            ("all tier episodes", 0),
            ("first tier after enrolment", 40),
            ("starts within follow-up", 3),
            ("has follow-up after the start", 14),
        ]
        rows, later = [], {name: sum(extra for _, extra in steps[1:]) for name in order}
        for step, (rule, excluded) in enumerate(steps, 1):
            for k, name in enumerate(order):
                out = excluded if step == 1 or k % 2 == 0 else excluded + 12
                extra = sum((e if k % 2 == 0 else e + 12) for _, e in steps[step:])
                rows.append((step, name, out if step > 1 else 0, sizes[name] + extra, rule))
        del later
        t["outcomes.attrition"] = pl.DataFrame(
            rows, schema=["step", "tier", "excluded", "remaining", "rule"], orient="row"
        )
        moves = []
        for k, name in enumerate(order):
            left = sizes[name]
            for higher in order[k + 1 :]:
                moved = int(sizes[name] * 0.3 / 2 ** (order.index(higher) - k))
                left -= moved
                moves.append((name, higher, moved))
            moves.append((name, "none", left))
        t["outcomes.crossover"] = pl.DataFrame(moves, schema=["from_tier", "to_tier", "patients"], orient="row")
        both = pl.concat([t["analysis.scores"], t["analysis.walking_tests"]], how="diagonal_relaxed").filter(
            pl.col("is_due") & pl.col("is_alive")
        )
        t["outcomes.completeness"] = both.group_by("site_id", "tier", "instrument", "visit_window").agg(
            expected=pl.len(), observed=pl.col("is_observed").sum()
        )
        t["quality.ingest_counts"] = pl.DataFrame(
            {
                "table_name": ["patients", "treatments", "assessments", "events"],
                "rows_read": [self.n + 21, 2 * self.n + 40, 9 * self.n, self.n],
                "rows_accepted": [self.n, 2 * self.n, 9 * self.n - 55, self.n - 4],
                "rows_quarantined": [21, 40, 55, 4],
            }
        )
        t["quality.row_rules"] = pl.DataFrame(
            {
                "rule": ["patients.duplicate", "treatments.orphan", "assessments.out_of_range", "events.after_death"],
                "table_name": ["patients", "treatments", "assessments", "events"],
                "severity": ["error"] * 4,
                "reason": [
                    "The same patient stands twice",
                    "No patient of this key",
                    "The value lies outside the instrument's range",
                    "The event lies after death",
                ],
                "violations": [21, 40, 55, 4],
            }
        )
        t["quality.checks"] = pl.DataFrame(
            {
                "check_name": ["episodes_grain", "visits_in_windows", "completeness_reconciles", "walking_units"],
                "target": ["outcomes.episodes", "outcomes.visits", "outcomes.completeness", "staging.assessments"],
                "kind": ["grain", "range", "reconciliation", "range"],
                "is_blocking": [True, True, True, False],
                "verdict": ["passed", "passed", "failed", "not applicable"],
                "violations": [0, 0, 2, 0],
                "rows_examined": [self.n, 5 * self.n, 400, 0],
                "meaning": [
                    "One row per patient and tier",
                    "Each visit lies inside its window",
                    "Observed never exceeds expected",
                    "Walking distance is stored in metres",
                ],
            }
        )
        t["raw.release"] = pl.DataFrame(
            {
                "release": ["2026q3"],
                "source": ["simulated"],
                "deidentification": ["synthetic"],
                "linkage": ["all payers"],
                "data_use_agreement": [""],
                "manifest_sha256": ["ab" * 32],
            }
        )

    # ---------------------------------------------------------------------------------------------------------- results

    def _results(self) -> None:
        self.tables["results.table_one"] = self._table_one()
        self.tables["results.trajectories"] = self._trajectories()
        self.tables["results.responders"] = self._responders()
        self.tables["results.walking_curves"] = self._walking_curves()
        self.tables["results.stop_reasons"] = self._stop_reasons()
        self.tables["results.cumulative_incidence"] = self._incidence()
        self.tables["results.contrasts"] = self._contrasts()
        self.tables["results.literature"] = self._literature()
        self.tables["results.sensitivity"] = self._sensitivity()
        self.tables["results.subgroups"] = self._subgroups()
        self.tables["results.restricted_times"] = self._times_lost()
        self.tables["results.hazard_ratios"] = self._hazard_ratios()
        self.tables["results.diagnostics"] = self._diagnostics()
        self.tables["results.balance"] = self._balance()
        self.tables["results.propensity_overlap"] = self._overlap()
        self.tables["results.missing_patterns"] = self._patterns()
        self.tables["results.completeness_trend"] = completeness_trend(self.tables, self.protocol)
        self.tables |= self._choices()
        self._ladder()
        self._relapses()
        self._hazards()
        self.tables["results.log_rank"] = pl.DataFrame(
            {"endpoint": ["treatment_failure"], "strata": [None], "statistic": [81.2], "df": [4], "p_value": [1e-12]}
        )
        self.tables["results.gray_test"] = pl.DataFrame(
            {"endpoint": ["treatment_failure"] * 2, "cause": ["event", "death"], "statistic": [80.1, 5.2], "df": [4, 4],
             "p_value": [2e-12, 0.27]}
        )  # fmt: skip
        self.tables["results.parametric_fits"] = self._distributions()
        self.tables["results.imputation"] = pl.DataFrame(
            {"covariate": ["bmi", "bmi", "sex"], "tier": ["esi", "mild", "esi"], "missing": [3, 0, 0],
             "subjects": [40, 40, 40], "rule": ["median of a number", None, None]}
        )  # fmt: skip
        self.tables = with_sites(self.tables, self.protocol, self.n)
        for name, frame in list(self.tables.items()):
            if name.startswith("results."):
                stamp = [pl.lit("2026q3").alias("release"), pl.lit(self.protocol.hash).alias("protocol_hash")]
                self.tables[name] = frame.select(*stamp, pl.all())

    def _table_one(self) -> pl.DataFrame:
        rows: list[dict[str, Any]] = []
        subjects = self.tables["analysis.subjects"]
        for covariate in self.protocol.covariates:
            for tier in self.protocol.tier_names:
                column = subjects.filter(pl.col("tier") == tier)[covariate.name]
                known = column.drop_nulls()
                common = {"variable": covariate.name, "tier": tier, "subjects": column.len()}
                if covariate.kind == "numeric":
                    values = {
                        "mean": known.mean(), "sd": known.std(), "median": known.median(),
                        "lower quartile": known.quantile(0.25), "upper quartile": known.quantile(0.75),
                    }  # fmt: skip
                    rows += [
                        common | {"level": None, "statistic": k, "value": v, "count": known.len()}
                        for k, v in values.items()
                    ]
                else:
                    levels = covariate.levels or ("true",)
                    for level in levels:
                        count = int((known.cast(pl.String).str.to_lowercase() == level).sum())
                        share = count / known.len()
                        rows.append(common | {"level": level, "statistic": "share", "value": share, "count": count})
                missing = column.null_count()
                rows.append(
                    common | {"level": None, "statistic": "missing", "value": missing / column.len(), "count": missing}
                )
        return pl.DataFrame(rows, infer_schema_length=None)

    def _by_window(self, frame: pl.DataFrame) -> list[tuple[str, str, pl.DataFrame]]:
        order = self.protocol.tier_names
        return [
            (window.name, tier, frame.filter((pl.col("visit_window") == window.name) & (pl.col("tier") == tier)))
            for window in self.protocol.windows
            for tier in order
        ]

    def _trajectories(self) -> pl.DataFrame:
        rows: list[dict[str, Any]] = []
        due = (pl.col("is_due") & pl.col("is_alive")) | pl.col("is_observed")

        def add(outcome: str, tier: str, window: str, method: str, values: np.ndarray, expected: int) -> None:
            n = len(values)
            mean = float(values.mean()) if n else float("nan")
            error = float(values.std(ddof=1) / sqrt(n)) if n > 1 else 0.0
            low, high = mean - 1.96 * error, mean + 1.96 * error
            if method == "geometric mean distance":
                mean, low, high = (float(np.exp(x)) for x in (mean, low, high))
            if method.startswith("share"):
                low, high = max(0.0, low), min(1.0, high)
            rows.append({"outcome": outcome, "tier": tier, "window": window, "method": method, "subjects": n,
                         "estimate": mean, "std_error": error, "ci_low": low, "ci_high": high, "status": "estimable",
                         "reason": None, "expected": expected})  # fmt: skip

        for name in ("nrs_leg", "nrs_back", "odi"):
            frame = self.tables["analysis.scores"].filter(pl.col("instrument") == name)
            for tier in self.protocol.tier_names:
                once = frame.filter((pl.col("tier") == tier) & (pl.col("window_rank") == 1))
                add(name, tier, "baseline", "observed mean", once["baseline_value"].to_numpy(), once.height)
            for window, tier, part in self._by_window(frame.filter(due)):
                add(name, tier, window, "observed mean", part["value"].drop_nulls().to_numpy(), part.height)
        walks = self.tables["analysis.walking_tests"]
        for tier in self.protocol.tier_names:
            once = walks.filter((pl.col("tier") == tier) & (pl.col("window_rank") == 1))
            metres = once["baseline_distance_m"].to_numpy()
            add("spwt", tier, "baseline", "geometric mean distance", np.log(np.maximum(metres, 1)), once.height)
            add(
                "spwt",
                tier,
                "baseline",
                "share at the time limit",
                once["is_baseline_at_cap"].to_numpy() * 1.0,
                once.height,
            )
        for window, tier, part in self._by_window(walks.filter(due)):
            seen = part.filter("is_observed")
            logs = np.log(np.maximum(seen["distance_m"].to_numpy(), 1))
            add("spwt", tier, window, "geometric mean distance", logs, part.height)
            add("spwt", tier, window, "share at the time limit", seen["is_at_cap"].to_numpy() * 1.0, part.height)
        rows += [
            row | {"method": "MMRM, adjusted mean", "estimate": 4.5, "ci_low": 4.2, "ci_high": 4.8}
            for row in rows
            if (row["outcome"], row["method"]) == ("nrs_leg", "observed mean") and row["window"] in ("6m", "12m")
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    def _responders(self) -> pl.DataFrame:
        rows = []
        for name in ("nrs_leg", "nrs_back", "odi"):
            frame = self.tables["analysis.scores"].filter((pl.col("instrument") == name) & pl.col("is_observed"))
            for threshold in self.protocol.instrument(name).thresholds:
                fall = pl.col("baseline_value") - pl.col("value")
                rule = {
                    "change": fall >= threshold.value,
                    "percent_change": 100 * fall >= threshold.value * pl.col("baseline_value"),
                    "final": pl.col("value") <= threshold.value,
                }[threshold.kind]
                for window, tier, part in self._by_window(frame):
                    eligible = part.filter(pl.col("baseline_value") > 0)
                    rows.append((name, threshold.name, window, tier, eligible.filter(rule).height, eligible.height))
        walks = self.tables["analysis.walking_tests"].filter(pl.col("is_observed") & ~pl.col("is_baseline_at_cap"))
        for window, tier, part in self._by_window(walks):
            hits = part.filter(pl.col("distance_m") >= 1.3 * pl.col("baseline_distance_m")).height
            rows.append(("spwt", "percent_30", window, tier, hits, part.height))
        frame = pl.DataFrame(
            rows, schema=["outcome", "threshold", "window", "tier", "responders", "subjects"], orient="row"
        )
        p, n = pl.col("estimate"), pl.col("subjects")
        reach = 1.96 * (p * (1 - p) / n + 1.96**2 / (4 * n**2)).sqrt() / (1 + 1.96**2 / n)
        middle = (p + 1.96**2 / (2 * n)) / (1 + 1.96**2 / n)
        return frame.with_columns(estimate=pl.col("responders") / n, method=pl.lit("observed")).with_columns(
            ci_low=middle - reach, ci_high=middle + reach, status=pl.lit("estimable"), reason=pl.lit(None, pl.String)
        )

    def _walking_curves(self) -> pl.DataFrame:
        pieces = []
        for window, tier, part in self._by_window(self.tables["analysis.walking_tests"].filter("is_observed")):
            for curve, column in (("distance", "distance_m"), ("time", "duration_s")):
                at = part[column].to_numpy()
                stopped = ~part["is_at_cap"].to_numpy()
                pieces.append(
                    _product_limit(at, stopped).with_columns(
                        instrument=pl.lit("spwt"), visit_window=pl.lit(window), tier=pl.lit(tier), curve=pl.lit(curve)
                    )
                )
        return pl.concat(pieces)

    def _stop_reasons(self) -> pl.DataFrame:
        walks = self.tables["analysis.walking_tests"].filter("is_observed")
        keys = ["instrument", "visit_window", "tier"]
        counts = walks.group_by(*keys, "stop_reason").agg(walks=pl.len())
        return counts.join(walks.group_by(keys).agg(subjects=pl.len()), on=keys).with_columns(
            estimate=pl.col("walks") / pl.col("subjects")
        )

    def _incidence(self) -> pl.DataFrame:
        pieces = []
        frame = self.tables["analysis.time_to_event"]
        for endpoint in self.protocol.endpoints:
            for tier in self.protocol.tier_names:
                part = frame.filter((pl.col("endpoint") == endpoint.name) & (pl.col("tier") == tier))
                for number, cause in ((1, "event"), (2, "death")):
                    curve = _aalen_johansen(part["time_days"].to_numpy(), part["status"].to_numpy(), number)
                    pieces.append(curve.with_columns(
                        endpoint=pl.lit(endpoint.name), tier=pl.lit(tier), weighting=pl.lit("unweighted"),
                        cause=pl.lit(cause), status=pl.lit("estimable")))  # fmt: skip
        return pl.concat(pieces)

    def _contrasts(self) -> pl.DataFrame:
        rows: list[dict[str, Any]] = []
        rng = np.random.default_rng(3)
        for contrast in self.protocol.contrasts:
            endpoint = contrast.endpoint
            asked = [(p.outcome, p.window, "mean difference", True) for p in self.protocol.primary.outcomes]
            asked += [(p.outcome, p.window, "mean difference", False) for p in self.protocol.primary.secondary_outcomes]
            asked += [
                (str(endpoint), str(h), "incidence difference", h == 730) for h in self.protocol.primary.horizons_days
            ]
            for outcome, window, measure, is_primary in asked:
                size = {"odi": 5.0}.get(outcome, 0.9)
                if outcome == "spwt":
                    measure = "distance ratio"
                for method, shift in (("unadjusted", 1.6), ("overlap weighting", 1.0)):
                    estimate = float(rng.normal(-0.6, 0.5)) * size * shift
                    error = 0.28 * size
                    if measure == "incidence difference":
                        estimate, error = estimate * 0.12, 0.035
                    low, high = estimate - 1.96 * error, estimate + 1.96 * error
                    if measure == "distance ratio":
                        estimate, low, high = (float(np.exp(-x * 0.35)) for x in (estimate, high, low))
                    withheld = (
                        contrast.name == "laminectomy_vs_mild" and method != "unadjusted" and outcome != "nrs_back"
                    )
                    adjusted = method != "unadjusted"
                    p = float(min(1, 2 * np.exp(-abs(estimate / error))))
                    rows.append({
                        "outcome": outcome, "window": window, "method": method,
                        "population": "overlap" if adjusted else "all", "strategy": "treatment policy",
                        "variance": "weights estimated" if adjusted else "model",
                        "tier": contrast.tier, "reference": contrast.reference,
                        "estimate": None if withheld else estimate, "std_error": None if withheld else error,
                        "ci_low": None if withheld else low, "ci_high": None if withheld else high,
                        "p_value": None if withheld else p,
                        "p_adjusted": None if withheld or not is_primary or not adjusted else min(1.0, 4 * p),
                        "subjects": int(np.isin(self.tier, [contrast.tier, contrast.reference]).sum()),
                        "is_primary": is_primary and adjusted, "status": "withheld" if withheld else "estimable",
                        "reason": "effective sample size 38 of the 50 required" if withheld else None,
                        "contrast": contrast.name, "measure": measure,
                    })  # fmt: skip
        schema = {"contrast": pl.String, "reason": pl.String, "threshold": pl.String}
        made = [*rows, *self._risks(), *self._other_estimators()]
        rows = [row | {"trace": f"C-{number:08x}"} for number, row in enumerate(made)]
        return pl.DataFrame(rows, infer_schema_length=None, schema_overrides=schema)

    def _other_estimators(self) -> list[dict[str, Any]]:
        """Leg pain by each estimator, a difference of one point; the MMRM at two visits; one contrast withheld."""
        rows = []
        for contrast in self.protocol.contrasts:
            withheld = contrast.name == "laminectomy_vs_mild"
            for method, population, variance, window, error, df in (
                ("propensity-weighted", "overlap", "weights fixed", "12m", 0.34, None),
                ("propensity-weighted", "overlap", "weights estimated", "12m", 0.25, None),
                ("ANCOVA (HC3), covariate-adjusted", "ate", "model", "12m", 0.24, 812.0),
                ("ANCOVA (HC3), baseline only", "ate", "model", "12m", 0.23, 830.0),
                ("doubly robust (AIPW), complete cases", "ate", "model", "12m", 0.26, None),
                ("MMRM", "ate", "model", "6m", 0.3, 93.4),
                ("MMRM", "ate", "model", "12m", 0.28, 801.7),
            ):
                numbers = {"estimate": -1.0, "std_error": error, "ci_low": -1.5, "ci_high": -0.5, "p_value": 0.001}
                rows.append(
                    (dict.fromkeys(numbers) if withheld else numbers)
                    | {"outcome": "nrs_leg", "window": window, "method": method, "population": population,
                       "strategy": "treatment policy", "variance": variance, "tier": contrast.tier,
                       "reference": contrast.reference, "df": None if withheld else df, "p_adjusted": None,
                       "subjects": 900, "is_primary": False, "status": "withheld" if withheld else "estimable",
                       "reason": "effective sample size 38 of the 50 required" if withheld else None,
                       "contrast": contrast.name, "measure": "mean difference"}
                )  # fmt: skip
        return rows

    def _distributions(self) -> pl.DataFrame:
        """Three distributions of the time to each contrast's event, the second one best; one contrast without any."""
        rows = []
        for contrast in self.protocol.contrasts:
            for distribution, aic in (("weibull", 1234.4), ("log-normal", 1228.6), ("log-logistic", 1230.2)):
                labels = {"endpoint": contrast.endpoint, "contrast": contrast.name, "distribution": distribution}
                if contrast.name == "fusion_vs_laminectomy":
                    rows.append(labels | {"status": "not estimable", "reason": "an arm has fewer than 10 events"})
                    continue
                numbers = {"estimate": 1.4, "ci_low": 1.1, "ci_high": 1.8, "aic": aic, "status": "estimable"}
                rows.append(labels | numbers | {"reason": None, "trace": f"P-{len(rows):08x}"})
        return pl.DataFrame(rows, infer_schema_length=None)

    def _sensitivity(self) -> pl.DataFrame:
        """Two ways to answer, an E-value and a tipping point for leg pain, made up around a difference of one point."""
        rows = []
        for number, contrast in enumerate(self.protocol.contrasts):
            place = {"outcome": "nrs_leg", "window": "12m", "contrast": contrast.name, "status": "estimable"}
            traces = [{"trace": f"R-e{number:05d}{kind}"} for kind in range(3)]
            for estimator, missing, value, note in (
                ("propensity weighting", "dropout weights", -1.0, "primary"),
                ("ANCOVA", "complete cases", -0.8, None),
            ):
                rows.append(
                    place
                    | {"analysis": "specification", "estimate": value, "ci_low": value - 0.5, "ci_high": value + 0.5,
                       "note": note, "measure": "mean difference", "estimator": estimator, "population": "overlap",
                       "missing_data": missing, "strategy": "treatment policy", "variance": "model"}
                )  # fmt: skip
            rows.append(
                place
                | {"analysis": "second opinion; mixed model", "estimate": -0.9, "ci_low": -1.5, "ci_high": -0.3,
                   "measure": "mean difference", "estimator": "mixed model", "population": "ate",
                   "missing_data": "likelihood, missing at random", "strategy": "treatment policy", "variance": "model"}
                | traces[0]
            )  # fmt: skip
            rows.append(
                place | {"analysis": "E-value", "estimate": 2.1, "ci_low": 1.4, "measure": "risk ratio"} | traces[1]
            )
            rows.append(
                place
                | traces[2]
                | {"analysis": "tipping point", "estimate": 1.5, "ci_low": -0.6, "ci_high": 0.01,
                   "note": "shift of the tier's missing values at which the conclusion falls", "measure": "shift"}
            )  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None)

    def _subgroups(self) -> pl.DataFrame:
        """Smokers gain less than others, for every contrast."""
        rows = [
            {"outcome": "nrs_leg", "window": "12m", "contrast": contrast.name, "modifier": "current_smoker",
             "group": group, "estimate": value, "ci_low": value - 0.6, "ci_high": value + 0.6, "p_interaction": 0.04,
             "status": "estimable"}
            for contrast in self.protocol.contrasts
            for group, value in (("yes", -0.2), ("no", -1.1))
        ]  # fmt: skip
        return pl.DataFrame(rows)

    def _literature(self) -> pl.DataFrame:
        """A made-up published figure of every kind for every tier, beside the cohort's own."""
        made = [
            self._beside("responders", self.tables["results.responders"], "odi", "percent_30", "12m"),
            self._beside("responders", self.tables["results.responders"], "odi", "mcid", "24m"),
            self._beside("mean", self.tables["results.trajectories"], "odi", None, "12m"),
        ]
        scores = self.tables["analysis.scores"].filter(
            (pl.col("instrument") == "odi") & (pl.col("visit_window") == "12m") & pl.col("is_observed")
        )
        change = (pl.col("value") - pl.col("baseline_value")).drop_nulls()
        reach = 1.96 * change.std() / change.len().sqrt()
        changes = scores.group_by("tier").agg(
            estimate=change.mean(), ci_low=change.mean() - reach, ci_high=change.mean() + reach,
            subjects=change.len().cast(pl.Int64),
        )  # fmt: skip
        made.append(changes.with_columns(kind=pl.lit("mean change"), outcome=pl.lit("odi"), window=pl.lit("12m")))
        shares = self.tables["results.table_one"].filter((pl.col("variable") == "sex") & (pl.col("level") == "female"))
        made.append(
            shares.select("tier", "subjects", estimate="value", threshold="level", outcome="variable").with_columns(
                kind=pl.lit("share"), window=pl.lit("baseline")
            )
        )
        curves = self.tables["results.cumulative_incidence"].filter(
            (pl.col("endpoint") == "decompression_or_fusion")
            & (pl.col("time_days") <= 730)
            & (pl.col("cause") == "event")
        )
        ends = curves.sort("time_days").group_by("tier", maintain_order=True).last()
        made.append(
            ends.select("tier", "estimate", "ci_low", "ci_high").with_columns(
                kind=pl.lit("incidence"), outcome=pl.lit("decompression_or_fusion"), window=pl.lit("730 days")
            )
        )
        rows = pl.concat(made, how="diagonal_relaxed").with_columns(
            study=pl.lit("Made-up registry"), year=pl.lit(2020), design=pl.lit("registry"),
            published=pl.lit("disability"),
            funding=pl.when(pl.col("tier") == "mild").then(pl.lit("industry")), reference=pl.lit(None, pl.String),
            months=pl.when(pl.col("window") == "baseline").then(0.0).otherwise(12.0), published_subjects=pl.lit(200),
            published_estimate=pl.col("estimate") * 1.1, published_sd=pl.lit(None, pl.Float64),
            published_low=pl.lit(None, pl.Float64), published_high=pl.lit(None, pl.Float64), months_apart=pl.lit(0.0),
            unit=pl.lit("points"), status=pl.lit("estimable"), reason=pl.lit(None, pl.String),
            stand_in=pl.lit("a stand-in"), population=pl.lit("another country"), caveat=pl.lit(None, pl.String),
            citation=pl.lit("Nobody's Journal 2020"),
        )  # fmt: skip
        unmatched = rows.head(1).with_columns(
            status=pl.lit("no counterpart"), reason=pl.lit("the published arm is none of the study's tiers"),
            tier=pl.lit("spacer"),
        )  # fmt: skip
        return pl.concat([rows, unmatched])

    def _beside(self, kind: str, table: pl.DataFrame, outcome: str, threshold: str | None, window: str) -> pl.DataFrame:
        mine = table.filter((pl.col("outcome") == outcome) & (pl.col("window") == window))
        mine = mine if threshold is None else mine.filter(pl.col("threshold") == threshold)
        kept = ["outcome", "window", "tier", "subjects", "estimate", "ci_low", "ci_high"]
        return mine.select(kept).with_columns(kind=pl.lit(kind), threshold=pl.lit(threshold, pl.String))

    def _times_lost(self) -> pl.DataFrame:
        """Differences in time lost: 30 days less in every tier, 40 before adjustment; Holm keeps two of four."""
        rows: list[dict[str, Any]] = []
        for k, contrast in enumerate(self.protocol.contrasts):
            for adjustment, weighting, variance, value in (
                ("unadjusted", "unweighted", "model", -40.0),
                ("propensity weights", "overlap", "weights estimated", -30.0),
            ):
                rows.append({
                    "endpoint": contrast.endpoint, "tier": contrast.tier, "reference": contrast.reference,
                    "weighting": weighting, "tau_days": 730.0, "measure": "difference", "cause": "event",
                    "estimate": value, "std_error": 10.0, "ci_low": value - 20, "ci_high": value + 20, "p_value": 0.003,
                    "p_adjusted": [0.01, 0.04, 0.2, 0.3][k % 4] if weighting == "overlap" else None,
                    "contrast": contrast.name, "adjustment": adjustment, "variance": variance, "subjects": 100,
                    "status": "estimable", "reason": None,
                })  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None)

    def _hazard_ratios(self) -> pl.DataFrame:
        rows: list[dict[str, Any]] = []
        for contrast in self.protocol.contrasts:
            for adjustment, value in (("unadjusted", 0.6), ("covariates", 0.7)):
                rows.append({
                    "endpoint": contrast.endpoint, "view": "index", "model": "cause-specific", 
                    "weighting": "unweighted",
                    "variance": "robust", "term": "tier", "tier": contrast.tier, "reference": contrast.reference,
                    "estimate": value, "log_std_error": 0.1, "ci_low": value / 1.2, "ci_high": value * 1.2,
                    "p_value": 0.001, "subjects": 100, "events": 40, "status": "estimable", "reason": None,
                    "contrast": contrast.name, "adjustment": adjustment,
                })  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"reason": pl.String})

    def _ladder(self) -> None:
        """Who failed moves up: the one nearest to the next tier, or to the second next; then death or the end."""
        order, rng = list(SHARES), np.random.default_rng(11)
        times = self.tables["analysis.time_to_event"]
        rows: list[tuple[str, str, float, float, str, str]] = []
        for row in (
            times.filter(pl.col("endpoint") == "treatment_failure").iter_rows(named=True) if times.height else ()
        ):
            place, day = order.index(row["tier"]), row["time_days"]
            if row["status"] != 1 or place == len(order) - 1:
                last = "death" if row["status"] == 2 else "censor"
                rows.append((row["patient_id"], row["tier"], 0.0, day, row["tier"], last))
                continue
            upper = order[min(place + int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2])), len(order) - 1)]
            rows.append((row["patient_id"], row["tier"], 0.0, day, row["tier"], upper))
            dies = rng.random() < 0.08
            rows.append((row["patient_id"], row["tier"], day, day + 400, upper, "death" if dies else "censor"))
        names = ["patient_id", "index_tier", "start_days", "stop_days", "from_state", "to_state"]
        stays = pl.DataFrame(rows, schema=names, orient="row")
        self.tables["analysis.transitions"] = stays
        if stays.is_empty():
            return
        asked = ("patient_id", "start_days", "stop_days", "from_state", "to_state", [*order, "death"])
        curves = state_occupation(stays, *asked, group="index_tier")
        self.tables["results.ladder_occupation"] = curves.rename({"group": "tier", "time": "time_days"})
        spent = time_in_state(stays, *asked, group="index_tier", tau=730.0).rename({"group": "tier"})
        self.tables["results.ladder_times"] = spent.with_columns(tau_days=pl.lit(730.0))

    def _relapses(self) -> None:
        """Three of five respond; four in ten of them are seen to relapse at the first, second or third visit after."""
        rng = np.random.default_rng(19)
        responds, relapses = rng.random(self.n) < 0.6, rng.random(self.n) < 0.4
        visit = rng.choice([91.0, 274.0, 640.0], self.n)
        rows = [
            {"relapse": rule.name, "tier": tier, "status": int(back), "time_upper_days": float(day) if back else None}
            for rule in self.protocol.relapses
            for tier, back, day, asked in zip(self.tier, relapses, visit, responds, strict=True)
            if asked
        ]
        self.tables["analysis.symptom_relapses"] = pl.DataFrame(rows)
        ends = ((0.0, 91.0, 0.87), (91.0, 274.0, 0.73), (300.0, 400.0, 0.66), (274.0, 640.0, 0.6))
        self.tables["results.relapse_curves"] = pl.DataFrame(
            [{"relapse": rule.name, "tier": tier, "lower_days": low, "upper_days": high, "estimate": free,
              "status": "estimable"}
             for rule in self.protocol.relapses for tier in SHARES for low, high, free in ends]
        )  # fmt: skip

    def _hazards(self) -> None:
        """Curves with death censored, and a ratio that falls from 1 to 0.4 over two years."""
        pieces = []
        times = self.tables["analysis.time_to_event"]
        for (endpoint, tier), part in times.group_by("endpoint", "tier", maintain_order=True) if times.height else ():
            curve = _product_limit(part["time_days"].to_numpy(), (part["status"] == 1).to_numpy())
            pieces.append(
                curve.rename({"at": "time_days"}).with_columns(
                    std_error=(pl.col("ci_high") - pl.col("ci_low")) / 3.92,
                    endpoint=pl.lit(endpoint),
                    tier=pl.lit(tier),
                    weighting=pl.lit("unweighted"),
                )
            )
        self.tables["results.survival_curves"] = pl.concat(pieces) if pieces else pl.DataFrame()
        days = [round(30.4375 * month) for month in range(1, 24)] + [730]
        rows = [
            {"endpoint": contrast.endpoint, "contrast": contrast.name, "adjustment": "unadjusted",
             "time_days": float(day), "tier": contrast.tier, "reference": contrast.reference,
             "estimate": 0.4 ** (day / 730), "ci_low": 0.4 ** (day / 730) / 1.4, "ci_high": 0.4 ** (day / 730) * 1.4,
             "status": "estimable"}
            for contrast in self.protocol.contrasts for day in days
        ]  # fmt: skip
        self.tables["results.hazard_ratios_over_time"] = pl.DataFrame(rows)
        self.tables["results.proportional_hazards"] = pl.DataFrame(
            [{"contrast": c.name, "adjustment": a, "term": "tier", "p_value": 0.02, "status": "estimable"}
             for c in self.protocol.contrasts for a in ("unadjusted", "covariates")]
        )  # fmt: skip

    def _diagnostics(self) -> pl.DataFrame:
        rows = []
        for contrast in self.protocol.contrasts:
            bad = contrast.name == "laminectomy_vs_mild"
            rows += [
                (contrast.name, None, "balance of modelled terms", 0.04, 0.1, "passed"),
                (contrast.name, None, "effective sample size", 38.0 if bad else 96.0, 50.0,
                 "failed" if bad else "passed"),
                (contrast.name, None, "negative control", 0.41, 0.05, "passed"),
                (contrast.name, "nrs_leg", "crossover", 0.2, 0.5, "passed"),
            ]  # fmt: skip
        columns = ["contrast", "outcome", "check", "value", "threshold", "verdict"]
        window = pl.when(pl.col("check") == "crossover").then(pl.lit("12m"))
        return pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None).with_columns(window=window)

    def _balance(self) -> pl.DataFrame:
        """Differences drawn at random for every term of a model, a square and two products."""
        rng, rows = np.random.default_rng(5), []
        numbers = [c.name for c in self.protocol.covariates if c.kind == "numeric"]
        terms = [
            f"{c.name}[T.{level}]" if level else c.name
            for c in self.protocol.covariates
            for level in (c.levels[1:] or ("",))
        ]
        left_out = [f"I({numbers[0]}**2)", f"{numbers[0]}:{numbers[1]}", ":".join(terms[-2:])] if numbers[1:] else []
        for contrast in self.protocol.contrasts:
            for term in [*terms, *left_out]:
                rows.append((contrast.name, "unweighted", term, float(rng.normal(0, 0.3)), term in terms))
                rows.append((contrast.name, "overlap", term, float(rng.normal(0, 0.02)), term in terms))
        names = ["contrast", "weighting", "covariate", "smd", "is_modelled"]
        frame = pl.DataFrame(rows, schema=names, orient="row")
        return frame.with_columns(variance_ratio=1 + pl.col("smd") / 4, ks=pl.col("smd").abs() / 2)

    def _overlap(self) -> pl.DataFrame:
        """Preference scores drawn anew for both arms of each contrast, in ten bins."""
        rng, pieces = np.random.default_rng(11), []
        edges = np.linspace(0, 1, 11)
        for contrast in self.protocol.contrasts:
            for arm, shape in ((contrast.tier, (3.0, 1.6)), (contrast.reference, (1.6, 3.0))):
                scores = rng.beta(*shape, int((self.tier == arm).sum()))
                counted = np.histogram(scores, edges)[0]
                pieces.append(
                    pl.DataFrame({"low": edges[:-1].round(1), "high": edges[1:].round(1), "subjects": counted}).select(
                        pl.lit(contrast.name).alias("contrast"), pl.lit(contrast.tier).alias("tier"),
                        pl.lit(contrast.reference).alias("reference"), pl.lit(arm).alias("arm"), pl.all(),
                        share=pl.col("subjects") / max(len(scores), 1),
                    )
                )  # fmt: skip
        return pl.concat(pieces) if pieces else pl.DataFrame()

    def _patterns(self) -> pl.DataFrame:
        """Visits kept and missed, from the visits themselves, of patients all of whose visits were due."""
        both = pl.concat(
            [self.tables["analysis.scores"], self.tables["analysis.walking_tests"]], how="diagonal_relaxed"
        )
        kept = (
            both.sort("window_rank")
            .group_by("instrument", "tier", "episode_id", maintain_order=True)
            .agg(
                pattern=pl.col("is_observed").cast(pl.Int8).cast(pl.String).str.join(""),
                is_due=(pl.col("is_due") & pl.col("is_alive")).all(),
            )
            .filter("is_due")
        )
        return kept.group_by("instrument", "tier", "pattern").agg(subjects=pl.len()).rename({"instrument": "outcome"})

    def _choices(self) -> dict[str, pl.DataFrame]:
        """The choice among all tiers and the weights for missed visits, made up."""
        tiers, first = self.protocol.tier_names, self.protocol.tier_names[0]
        odds = [
            {"tier": tier, "reference": first, "term": term, "estimate": 1.3, "log_std_error": 0.1, "ci_low": 1.07,
             "ci_high": 1.58, "status": "estimable", "reason": None}
            for term in ("age_years", "sex[T.male]", "diabetes") for tier in tiers[1:]
        ]  # fmt: skip
        scores = [
            {"tier": tier, "score_of": of, "subjects": int((self.tier == tier).sum()),
             "mean": 0.4 if of == tier else 0.15, "status": "estimable"}
            for tier in tiers for of in tiers
        ]  # fmt: skip
        alike = [
            {"weighting": way, "tier": a, "reference": b, "covariate": term,
             "smd": 0.3 if way == "unweighted" else 0.01, "variance_ratio": 1.1, "ks": 0.1}
            for way in ("unweighted", "overlap") for k, a in enumerate(tiers) for b in tiers[:k]
            for term in ("age_years", "diabetes")
        ]  # fmt: skip
        worth = [
            {"population": "overlap", "tier": tier, "subjects": int((self.tier == tier).sum()),
             "effective_sample_size": 0.6 * int((self.tier == tier).sum()), "status": "estimable"}
            for tier in tiers
        ]  # fmt: skip
        dropout = [
            {"outcome": asked.outcome, "window": asked.window, "strategy": "treatment policy", "tier": tier,
             "given": "earlier visits", "effective_sample_size": 0.5 * int((self.tier == tier).sum())}
            for asked in self.protocol.primary.outcomes for tier in tiers
        ]  # fmt: skip
        made = {"treatment_choice": odds, "choice_scores": scores, "choice_balance": alike, "choice_weights": worth,
                "dropout_weights": dropout}  # fmt: skip
        return {f"results.{name}": pl.DataFrame(rows) for name, rows in made.items()}

    def _risks(self) -> list[dict[str, Any]]:
        """Risk differences and ratios of responding and numbers needed to treat, made up but the same for all."""
        rows = []
        for contrast in self.protocol.contrasts:
            for asked in self.protocol.primary.outcomes + self.protocol.primary.secondary_outcomes:
                for threshold in self.protocol.instrument(asked.outcome).thresholds:
                    for way in ("missing made up for by weights", "missing as non-response"):
                        for measure, value in (("risk difference", 0.2), ("risk ratio", 1.8),
                                               ("number needed to treat", 5.0)):  # fmt: skip
                            rows.append({
                                "outcome": asked.outcome, "window": asked.window, "threshold": threshold.name,
                                "method": f"propensity-weighted, {way}", "population": "overlap", "measure": measure,
                                "strategy": "composite: escalation is non-response", "variance": "weights estimated",
                                "tier": contrast.tier, "reference": contrast.reference, "contrast": contrast.name,
                                "estimate": value, "std_error": 0.05, "ci_low": 0.5 * value, "ci_high": 1.5 * value,
                                "p_value": 0.01, "p_adjusted": None, "is_primary": False, "status": "estimable",
                                "reason": None, "subjects": 100,
                            })  # fmt: skip
        return rows


def _product_limit(at: np.ndarray, stopped: np.ndarray) -> pl.DataFrame:
    times = np.unique(at)
    risk = np.array([(at >= t).sum() for t in times])
    events = np.array([((at == t) & stopped).sum() for t in times])
    estimate = np.cumprod(1 - events / np.maximum(risk, 1))
    error = estimate * np.sqrt(np.cumsum(events / np.maximum(risk * (risk - events), 1)))
    return pl.DataFrame(
        {"at": times, "at_risk": risk * 1.0, "estimate": estimate, "ci_low": np.clip(estimate - 1.96 * error, 0, 1),
         "ci_high": np.clip(estimate + 1.96 * error, 0, 1), "subjects_at_risk": risk}
    )  # fmt: skip


def _aalen_johansen(time: np.ndarray, status: np.ndarray, cause: int) -> pl.DataFrame:
    times = np.unique(time)
    risk = np.array([(time >= t).sum() for t in times])
    hits = np.array([((time == t) & (status == cause)).sum() for t in times])
    any_hit = np.array([((time == t) & (status > 0)).sum() for t in times])
    free = np.concatenate([[1.0], np.cumprod(1 - any_hit / risk)[:-1]])
    estimate = np.cumsum(free * hits / risk)
    error = np.sqrt(np.maximum(estimate * (1 - estimate), 0) / np.maximum(risk, 1))
    return pl.DataFrame(
        {"time_days": times, "at_risk": risk * 1.0, "estimate": estimate, "std_error": error,
         "ci_low": np.clip(estimate - 1.96 * error, 0, 1), "ci_high": np.clip(estimate + 1.96 * error, 0, 1),
         "events": hits * 1.0, "subjects_at_risk": risk}
    )  # fmt: skip


@pytest.fixture(scope="session")
def protocol() -> Protocol:
    """The bundled protocol."""
    return load_protocol(default_protocol_file())


@pytest.fixture(scope="session")
def large_cohort() -> Cohort:
    """Four thousand patients: little is small."""
    return Cohort(4000)


@pytest.fixture(scope="session")
def small_cohort() -> Cohort:
    """Three hundred patients: much is small."""
    return Cohort(300)


@pytest.fixture(scope="session")
def earlier_cohort() -> Cohort:
    """Of nearly the same size as the small one, so that most counts of the two differ by few."""
    return Cohort(290)


@pytest.fixture(scope="session")
def large_study(large_cohort: Cohort, protocol: Protocol) -> Study:
    """The large cohort with its gate."""
    return Study(large_cohort.read, protocol)


@pytest.fixture(scope="session")
def small_study(small_cohort: Cohort, protocol: Protocol) -> Study:
    """The small cohort with its gate."""
    return Study(small_cohort.read, protocol)


@pytest.fixture(scope="session")
def large_document(large_study: Study) -> Document:
    """The report of the large cohort."""
    return report_of(large_study)


@pytest.fixture(scope="session")
def small_document(small_study: Study) -> Document:
    """The report of the small cohort."""
    return report_of(small_study)


@pytest.fixture(scope="session")
def three_arm_protocol(tmp_path_factory: pytest.TempPathFactory) -> Protocol:
    """A trial of three arms with pain and ODI, no failure events and no walking test."""
    path: Path = tmp_path_factory.mktemp("protocol") / "trial.toml"
    path.write_text(THREE_ARMS, encoding="utf-8")
    return load_protocol(path)


THREE_ARMS = """
name = "three-arm-trial"
version = "1.0.0"
title = "A trial of three arms in back pain"
condition = "chronic back pain"
endpoints = []
contrasts = []
[[tiers]]
name = "usual"
label = "Usual care"
short_label = "Usual care"
[[tiers]]
name = "placebo"
label = "Open placebo"
short_label = "Placebo"
[[tiers]]
name = "therapy"
label = "Therapy"
short_label = "Therapy"
[episodes]
planned_stage_days = 0
citation = "none"
[[instruments]]
name = "nrs_back"
label = "Back pain (NRS, 0-10)"
short_label = "Back pain"
kind = "score"
unit = "points"
minimum = 0
maximum = 10
better = "lower"
citation = "trial"
thresholds = [{ name = "pain_free", kind = "final", value = 1, citation = "trial" }]
[baseline]
first_day = -60
last_day = 0
citation = "trial"
[[windows]]
name = "post"
label = "After treatment"
nominal_day = 30
first_day = 20
last_day = 60
citation = "trial"
[competing]
events = ["death"]
citation = "none"
[primary]
endpoint_horizon_days = 365
horizons_days = [365]
outcomes = [{ outcome = "nrs_back", window = "post" }]
multiplicity = "none"
citation = "trial"
[diagnostics]
smd_maximum = 0.1
variance_ratio_minimum = 0.5
variance_ratio_maximum = 2
effective_sample_size_minimum = 50
effective_sample_size_fraction = 0.25
events_per_arm_minimum = 10
subjects_per_arm_minimum = 11
crossover_maximum = 0.5
negative_control_alpha = 0.05
completeness_target = 0.8
citation = "none"
[disclosure]
minimum_count = 11
percent_decimals = 0
citation = "none"
"""
