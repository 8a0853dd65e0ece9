"""What the simulated cohort should look like: figures of the literature with their sources.

A `target` is a figure that the settings were chosen to meet (calibration table of the literature synthesis; where it
says judgement, none was seen). A `check` is a published figure that was not used: it shows how far the cohort carries.
Both are held against a simulated cohort in `calibration.py`; neither is a finding of this project.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Target:
    """One line of the calibration table: five tiers' figures (or one of all patients) and their source."""

    measure: str
    statistic: str
    values: tuple[float | None, ...]
    source: str
    role: Literal["target", "check"] = "target"


TARGETS = (
    Target("age_years", "mean", (70.5, 68, 76, 69, 64), "boot camp, LESS, Medicare PILD, NORDSTEN, QOD and SCOAP"),
    Target("age_years", "sd", (8, 10, 7, 8, 10), "Japan 3-year cohort, LESS, judgement, NORDSTEN, SCOAP"),
    Target("female", "percent", (57, 55, 57, 46, 63), "boot camp, LESS, Medicare PILD, NORDSTEN, SCOAP"),
    Target("bmi", "mean", (28, 29.5, 30, 28.5, 31), "NORDSTEN, judgement, judgement, QOD, QOD"),
    Target("bmi", "sd", (5, 6, 6, 4.5, 6), "NORDSTEN; judgement"),
    Target("spondylolisthesis", "percent", (25, 28, 20, 22, 75), "judgement; fusion SCOAP"),
    Target("nrs_leg_baseline", "mean", (5.8, 7.2, 7.0, 6.5, 6.6), "DaneSpine, LESS, judgement, NORDSTEN-DS"),
    Target("nrs_leg_baseline", "sd", (2.1, 1.9, 1.9, 2.1, 2.2), "LESS, NORDSTEN-DS; judgement"),
    Target("nrs_back_baseline", "mean", (5.3, 6.0, 6.5, 6.0, 7.0), "DaneSpine; judgement"),
    Target("nrs_back_baseline", "sd", (None, None, None, 2.3, 2.1), "judgement"),
    Target("odi_baseline", "mean", (36, 42, 52, 42, 46), "ODI re-measurement study, NORspine, ENCORE"),
    Target("odi_baseline", "sd", (15, 15, 15, 16, 15), "ODI re-measurement study, NORspine"),
    Target("zcq_symptom_baseline", "mean", (2.9, 3.2, 3.5, 3.3, 3.3), "judgement"),
    Target("zcq_function_baseline", "mean", (2.3, 2.5, 2.7, 2.6, 2.6), "judgement"),
    Target("eq5d_3l_baseline", "mean", (0.55, 0.48, 0.42, 0.40, 0.38), "DaneSpine, Norwegian cohort of 70 and older"),
    Target("spwt_baseline", "median", (400, 330, 250, 300, 330), "boot camp, SPWT validity study"),
    Target("spwt_baseline", "sd of log", (1.0,) * 5, "SPWT validity study"),
    Target("odi_change_12m", "mean", (-5, -6, -17, -17, -20), "DaneSpine, MOTION, QOD"),
    Target("odi_change_12m", "sd", (18,) * 5, "QOD"),
    Target("nrs_leg_change_12m", "mean", (-1.2, -1.8, -3.0, -3.2, -3.4), "DaneSpine, NORspine; judgement"),
    Target("nrs_leg_change_6w", "mean", (None, -2.8, None, None, None), "LESS"),
    Target("spwt_12m", "ratio of geometric means", (1.5, 1.15, 1.9, 1.9, 1.7), "Rainville; MOTION (optimistic)"),
    Target("escalation_12m", "percent", (12, 18, 6, 4, 4), "Minetama, LESS, Medicare PILD, SPORT, Deyo"),
    Target("escalation_24m", "percent", (20, 27, 10, 7, 7), "Minetama, LESS, Medicare PILD, SPORT, Deyo"),
    Target("visit_12m", "percent returned", (70, 70, 78, 76, 80), "NORspine, DaneSpine, QOD"),
    Target("harm_90_days", "percent", (None, None, 1.9, 5.8, None), "Medicare PILD"),
    Target("odi_within_person", "sd", (8.2,), "ODI re-measurement study"),
    Target("death_a_year_at_70", "percent", (1.75,), "recalled: 1.5 to 2 % a year"),
    Target("spwt_at_limit_baseline", "percent", (6,), "Rainville"),
    Target("odi_12m", "intraclass correlation", (0.02,), "judgement: 0.01 to 0.03"),
    Target("odi_with_nrs_leg", "correlation", (0.45,), "judgement"),
    Target("odi_with_spwt", "correlation", (-0.35,), "judgement; self-reported walking 0.83 with SPWT"),
    *(
        Target(measure, statistic, values, source, "check")
        for measure, statistic, values, source in (
            ("odi_12m", "mean", (None, None, None, 23.3, 20.6), "FinSpine, 2025"),
            ("odi_change_24m", "mean", (None, None, -14.6, -15.2, -25.8), "MOTION, 24 months; QOD, 24 months"),
            ("odi_improved_30_percent_12m", "percent", (None, None, None, 68, 72), "NORspine, matched pairs, 2020"),
            ("odi_improved_10_12m", "percent", (None, 27.1, 58.0, None, None), "ENCORE, recalled"),
            ("odi_improved_12_8_24m", "percent", (None, None, None, 56.0, 73.3), "QOD, 24 months"),
            ("odi_improved_15_12m", "percent", (None, None, None, None, 58.7), "SCOAP"),
            ("odi_at_most_22_12m", "percent", (None, None, None, None, 42.5), "SCOAP"),
            ("nrs_leg_improved_2_12m", "percent", (None, 27.1, 57.3, None, None), "ENCORE, recalled"),
            ("nrs_leg_12m", "mean", (None, None, None, 3.6, 3.0), "NORspine, matched pairs, 2017"),
            ("nrs_back_12m", "mean", (None, None, None, 3.9, 3.3), "NORspine, matched pairs, 2017"),
            ("spwt_improved_30_percent_12m", "percent", (81, None, None, None, None), "boot camp trial"),
            ("spwt_at_limit_12m", "percent", (46,), "Rainville, at 3 months, selected patients"),
            ("comorbidity_count", "ratio, MILD to laminectomy", (5.7 / 4.8,), "Medicare PILD"),
            ("escalation_24m", "ratio, with to without earlier surgery", (17.2 / 10.6,), "Deyo 2011, at 4 years"),
            ("visit_24m", "percent returned", (85.5,), "QOD study cohort, 24 months"),
        )
    ),
)
