"""Rows of the table `patients`."""

import numpy as np
import polars as pl

from pipelines.simulate.block import Block

_SEX = pl.Series(["female", "male", "other"])
_SMOKING = pl.Series(["never", "former", "current"])
_GRADES = pl.Series(["A", "B", "C", "D"])
_INSURANCE = pl.Series(["public", "private", "none"])
_EDUCATION = pl.Series(["school", "college", "university"])
_PENSION_AGE = 65


def patient_rows(block: Block, rng: np.random.Generator) -> pl.DataFrame:
    """One row a patient in order of enrolment; `site_sequence` counts within the block."""
    p, f = block.patients, block.follow_up
    is_pensioner = p.age_years >= _PENSION_AGE
    insurance = np.where(is_pensioner, 0, np.digitize(rng.random(p.size), [0.25, 0.93]))
    frame = pl.DataFrame(
        {
            "patient_id": block.patient_id,
            "site_id": block.site_names.gather(block.home_site),
            "enrolment_year": f.enrolment_year,
            "age_years": p.age_years.astype(np.int64),
            "sex": _SEX.gather(np.where(p.sex_other, 2, np.where(p.female, 0, 1))),
            "bmi": p.bmi,
            "smoking": _SMOKING.gather(np.where(p.current_smoker, 2, np.where(p.former_smoker, 1, 0))),
            "comorbidity_count": p.comorbidity_count.astype(np.int64),
            "diabetes": p.diabetes,
            "depression": p.depression,
            "opioid_use": p.opioid_use,
            "prior_lumbar_surgery": p.prior_lumbar_surgery,
            "spondylolisthesis": p.spondylolisthesis,
            "stenosis_grade": _GRADES.gather(p.stenosis_grade.astype(np.int64)),
            "stenotic_levels": p.stenotic_levels.astype(np.int64),
            "symptom_months": p.symptom_months.astype(np.int64),
            "last_contact_day": f.last_contact_day,
            "administrative_end_day": f.administrative_end_day,
            "back_dominant": p.nrs_back > p.nrs_leg,
            "workers_comp": (rng.random(p.size) < 0.15) & ~is_pensioner,
            "insurance": _INSURANCE.gather(insurance),
            "education": _EDUCATION.gather(p.education),
        }
    )
    return frame.with_columns(site_sequence=pl.int_range(1, pl.len() + 1).over("site_id"))
