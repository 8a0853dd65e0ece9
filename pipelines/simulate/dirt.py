"""Flaws of a real extract, put into clean rows: only the record is wrong, never what happened to the patient.

Flaws strike at random, so that they cost precision and no validity. Most are extra rows or empty cells; rows that are
spoilt are assessments. How often each kind occurs is a multiple of the setting `dirt`.
"""

from collections.abc import Callable

import numpy as np
import polars as pl

Flaw = Callable[[dict[str, pl.DataFrame], float, np.random.Generator], None]

_FEET, _MILES, _KILOMETRES = 0.3048, 1609.344, 1000.0


def with_flaws(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    """The four tables with flaws at rate `dirt` (0: unchanged), extra rows in their places, sorted as before."""
    if dirt <= 0:
        return tables
    spoilt = dict(tables)
    for flaw in _FLAWS:
        flaw(spoilt, dirt, rng)
    return spoilt


# ------------------------------------------------------------------------------------------------------------- helpers


def _some(rows: pl.DataFrame, share: float, rng: np.random.Generator) -> pl.Series:
    return pl.Series(rng.random(rows.height) < min(share, 1.0))


def _change(rows: pl.DataFrame, chosen: pl.Series, **columns: pl.Expr) -> pl.DataFrame:
    return rows.with_columns(
        pl.when(chosen).then(value).otherwise(pl.col(name)).cast(rows.schema[name]).alias(name)
        for name, value in columns.items()
    )


def _in_place(patients: pl.DataFrame, extra: pl.DataFrame) -> pl.DataFrame:
    numbered = pl.concat([patients, extra]).with_columns(
        pl.col("patient_id")
        .replace_strict(patients["patient_id"], pl.int_range(patients.height, eager=True))
        .alias("at")
    )
    return numbered.sort("at", maintain_order=True).drop("at")


# -------------------------------------------------------------------------------------------------------- empty cells


def _covariates_missing(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> None:
    rows = tables["patients"]
    for column, factor in (
        ("bmi", 2.0), ("smoking", 1.5), ("symptom_months", 1.5), ("stenosis_grade", 1.5), ("depression", 1.0),
        ("education", 4.0), ("insurance", 2.0), ("comorbidity_count", 0.5),
    ):  # fmt: skip
        rows = _change(rows, _some(rows, factor * dirt, rng), **{column: pl.lit(None)})
    tables["patients"] = rows


def _cells_missing(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> None:
    rows = tables["treatments"]
    rows = _change(rows, _some(rows, 2 * dirt, rng), surgeon_id=pl.lit(None))
    tables["treatments"] = _change(rows, _some(rows, 2 * dirt, rng), levels_treated=pl.lit(None))
    rows = tables["assessments"]
    tables["assessments"] = _change(rows, _some(rows, 0.5 * dirt, rng), mode=pl.lit(None))


def _assessments_lost(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> None:
    rows = tables["assessments"]
    tables["assessments"] = rows.filter(~_some(rows, dirt, rng))


# ----------------------------------------------------------------------------------------------------- patients' rows


def _patients_twice(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> None:
    rows = tables["patients"]
    again = rows.filter(_some(rows, 0.3 * dirt, rng))
    contradicted = rows.filter(_some(rows, 0.05 * dirt, rng)).with_columns(pl.col("age_years") - 3)
    tables["patients"] = _in_place(rows, pl.concat([again, contradicted]))


def _patients_impossible(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> None:
    rows = tables["patients"]
    rows = _change(rows, _some(rows, 0.05 * dirt, rng), bmi=pl.col("bmi") * 10)
    rows = _change(rows, _some(rows, 0.05 * dirt, rng), smoking=pl.lit("sometimes"))
    tables["patients"] = _change(rows, _some(rows, 0.05 * dirt, rng), sex=pl.lit("F"))


# --------------------------------------------------------------------------------------------------- treatments' rows


def _treatments_extra(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> None:
    rows = tables["treatments"]
    again = rows.filter(_some(rows, 0.3 * dirt, rng))
    coded = {"tier": pl.lit(None, pl.String), "code_system": pl.lit("CPT")}
    imaging = _copies(rows, 0.3 * dirt, "x", rng).with_columns(code=pl.lit("72148"), **coded)
    nothing = _copies(rows, 0.1 * dirt, "y", rng).with_columns(
        tier=pl.lit(None, pl.String), code=pl.lit(None, pl.String), code_system=pl.lit(None, pl.String)
    )
    unknown = _copies(rows, 0.1 * dirt, "z", rng).with_columns(patient_id=_stranger())
    misspelt = _copies(rows, 0.1 * dirt, "w", rng).with_columns(
        tier=pl.lit("laminektomy"), code=pl.lit(None, pl.String), code_system=pl.lit(None, pl.String)
    )
    after = _after_death(tables, 4 * dirt, rng).select(
        pl.concat_str("patient_id", pl.lit("-t99")).alias("treatment_id"),
        "patient_id",
        "day",
        tier=pl.lit("conservative"),
        code=pl.lit(None, pl.String),
        code_system=pl.lit(None, pl.String),
        site_id=pl.lit("site-01"),
        surgeon_id=pl.lit(None, pl.String),
        levels_treated=pl.lit(None, pl.Int64),
        planned_stage=pl.lit(False),
    )
    extra = pl.concat([again, imaging, nothing, unknown, misspelt, after])
    tables["treatments"] = pl.concat([rows, extra.select(rows.columns)])


def _copies(rows: pl.DataFrame, share: float, letter: str, rng: np.random.Generator) -> pl.DataFrame:
    return rows.filter(_some(rows, share, rng)).with_columns(pl.col("treatment_id") + letter)


def _stranger() -> pl.Expr:
    """A pseudonym that no patient has: the prefix of another system."""
    return "SX-" + pl.col("patient_id").str.slice(3)


def _after_death(tables: dict[str, pl.DataFrame], share: float, rng: np.random.Generator) -> pl.DataFrame:
    """A day of care thirty days after death, for a share of those who died: billing lags, or the wrong patient."""
    deaths = tables["events"].filter(pl.col("event") == "death")
    ends = tables["patients"].select("patient_id", "administrative_end_day").unique("patient_id", maintain_order=True)
    late = deaths.filter(_some(deaths, share, rng)).join(ends, on="patient_id", how="left", maintain_order="left")
    day = pl.col("day") + 30
    return late.filter(day <= pl.col("administrative_end_day")).select("patient_id", day=day)


# -------------------------------------------------------------------------------------------------- assessments' rows


def _assessments_twice(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> None:
    rows = tables["assessments"]
    again = rows.filter(_some(rows, 0.3 * dirt, rng))
    scores = rows.filter(pl.col("instrument") == "nrs_back")
    contradicted = scores.filter(_some(scores, 0.5 * dirt, rng)).with_columns(
        value=pl.when(pl.col("value") > 4).then(pl.col("value") - 2).otherwise(pl.col("value") + 2)
    )
    tables["assessments"] = pl.concat([rows, again, contradicted])


def _assessments_impossible(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> None:
    rows = tables["assessments"]
    pain = rows["instrument"].is_in(["nrs_leg", "nrs_back"])
    rows = _change(rows, pain & _some(rows, 0.3 * dirt, rng), value=pl.lit(11.0))
    rows = _change(rows, pain & _some(rows, 0.2 * dirt, rng), value=pl.col("value").clip(1, 9) - 0.5)
    rows = _change(rows, (rows["instrument"] == "odi") & _some(rows, 0.3 * dirt, rng), value=pl.lit(112.0))
    rows = _change(rows, pain & _some(rows, 0.1 * dirt, rng), unit=pl.lit("mm"))
    tables["assessments"] = rows


def _walks_in_other_units(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> None:
    """Distances in feet, miles or kilometres: unusual, but right."""
    rows = tables["assessments"]
    for unit, factor, digits, share in (("ft", _FEET, 0, 3.0), ("mi", _MILES, 4, 1.0), ("km", _KILOMETRES, 3, 1.0)):
        walks = (rows["unit"] == "m") & _some(rows, share * dirt, rng)
        rows = _change(rows, walks, value=(pl.col("value") / factor).round(digits), unit=pl.lit(unit))
    tables["assessments"] = rows


def _walks_incomplete(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> None:
    rows = tables["assessments"]
    walks = rows["duration_s"].is_not_null()
    rows = _change(rows, walks & _some(rows, 0.5 * dirt, rng), duration_s=pl.lit(None))
    rows = _change(rows, walks & _some(rows, 0.3 * dirt, rng), stop_reason=pl.lit(None))
    rows = _change(rows, walks & _some(rows, 0.3 * dirt, rng), stop_reason=pl.lit("tired"))
    rows = _change(rows, walks & _some(rows, 0.2 * dirt, rng), duration_s=pl.col("duration_s") * 60)
    tables["assessments"] = _change(rows, walks & _some(rows, 0.1 * dirt, rng), mode=pl.lit("phone"))


def _assessments_astray(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> None:
    rows = tables["assessments"]
    stranger = rows.filter(_some(rows, 0.05 * dirt, rng)).with_columns(patient_id=_stranger())
    ends = tables["patients"].select("patient_id", "administrative_end_day").unique("patient_id", maintain_order=True)
    late = rows.filter(_some(rows, 0.05 * dirt, rng)).join(ends, on="patient_id", how="left", maintain_order="left")
    late = late.with_columns(day=pl.col("administrative_end_day") + 7).unique(
        ["patient_id", "instrument"], maintain_order=True
    )
    after = _after_death(tables, 4 * dirt, rng).with_columns(
        instrument=pl.lit("nrs_leg"), value=pl.lit(5.0), unit=pl.lit("points"), mode=pl.lit("phone"),
        duration_s=pl.lit(None, pl.Int64), stop_reason=pl.lit(None, pl.String),
    )  # fmt: skip
    tables["assessments"] = pl.concat([rows, stranger, late.select(rows.columns), after.select(rows.columns)])


# ------------------------------------------------------------------------------------------------------- events' rows


def _events_extra(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> None:
    rows = tables["events"]
    again = rows.filter(_some(rows, 2 * dirt, rng))
    unknown = rows.filter(_some(rows, 0.3 * dirt, rng)).with_columns(event=pl.lit("fall"))
    stranger = rows.filter(_some(rows, 0.3 * dirt, rng)).with_columns(patient_id=_stranger())
    after = _after_death(tables, 4 * dirt, rng).with_columns(event=pl.lit("readmission"))
    tables["events"] = pl.concat([rows, again, unknown, stranger, after])


def _in_patients_order(tables: dict[str, pl.DataFrame], dirt: float, rng: np.random.Generator) -> None:
    """Move the extra rows to the patient's other rows; of rows on one day they come last."""
    place = dict(zip(tables["patients"]["patient_id"], range(tables["patients"].height), strict=True))
    for name in ("treatments", "assessments", "events"):
        at = ("SM-" + pl.col("patient_id").str.slice(3)).replace_strict(place, default=-1, return_dtype=pl.Int64)
        tables[name] = tables[name].with_columns(at=at).sort("at", "day", maintain_order=True).drop("at")


_FLAWS: tuple[Flaw, ...] = (
    _covariates_missing,
    _cells_missing,
    _assessments_lost,
    _treatments_extra,
    _assessments_impossible,
    _walks_in_other_units,
    _walks_incomplete,
    _assessments_twice,
    _assessments_astray,
    _events_extra,
    _patients_impossible,
    _patients_twice,
    _in_patients_order,
)
