"""What a simulated cohort looks like: every number of the generator, and named scenarios that change some of them.

The numbers are simulator settings, not findings. Nothing here draws or computes.
"""

import tomllib
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.resources import data_folder

TIERS = ("conservative", "esi", "mild", "laminectomy", "fusion")
SHIPPED_SCENARIOS = "scenarios.toml"
DEFAULT_SCENARIO = "default"

Share = Annotated[float, Field(ge=0, le=1)]


class SettingsError(ValueError):
    """The settings cannot be used; the message names the key and how to mend it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PerTier(_Part):
    """One number a tier, in ladder order."""

    conservative: float
    esi: float
    mild: float
    laminectomy: float
    fusion: float

    @property
    def values(self) -> tuple[float, ...]:
        """The five numbers in ladder order."""
        return tuple(getattr(self, tier) for tier in TIERS)


def _tiers(*numbers: float) -> PerTier:
    return PerTier(**dict(zip(TIERS, numbers, strict=True)))


class Indication(_Part):
    """Who gets which tier: mean of each covariate among the patients of a tier, at `confounding` = 1.

    Age, sex, body mass index, spondylolisthesis and the baseline scores are the calibration targets of registries and
    trials (SPORT, NORDSTEN, QOD, SCOAP, DaneSpine, LESS, ENCORE, Medicare claims); the others are judgements in the
    direction that the literature reports.
    """

    share: PerTier = _tiers(0.25, 0.23, 0.15, 0.22, 0.15)
    age_years: PerTier = _tiers(70.5, 68, 76, 69, 64)
    female: PerTier = _tiers(0.57, 0.55, 0.57, 0.46, 0.63)
    bmi: PerTier = _tiers(28, 29.5, 30, 28.5, 31)
    current_smoker: PerTier = _tiers(0.12, 0.13, 0.09, 0.12, 0.13)
    comorbidity_count: PerTier = _tiers(1.8, 2.0, 2.4, 1.9, 1.8)
    diabetes: PerTier = _tiers(0.20, 0.22, 0.26, 0.20, 0.20)
    depression: PerTier = _tiers(0.20, 0.24, 0.22, 0.20, 0.25)
    opioid_use: PerTier = _tiers(0.16, 0.26, 0.27, 0.26, 0.30)
    prior_lumbar_surgery: PerTier = _tiers(0.08, 0.13, 0.11, 0.13, 0.18)
    spondylolisthesis: PerTier = _tiers(0.25, 0.28, 0.20, 0.22, 0.75)
    stenosis_grade: PerTier = _tiers(1.3, 1.4, 1.8, 1.9, 1.7)  # A = 0 … D = 3
    stenotic_levels: PerTier = _tiers(1.6, 1.7, 1.9, 1.8, 1.6)
    symptom_months: PerTier = _tiers(26, 30, 36, 34, 38)
    prior_tiers: PerTier = _tiers(0.7, 1.0, 1.4, 1.3, 1.4)
    nrs_leg: PerTier = _tiers(5.8, 7.2, 7.0, 6.5, 6.6)
    nrs_back: PerTier = _tiers(5.3, 6.0, 6.5, 6.0, 7.0)
    odi: PerTier = _tiers(36, 42, 52, 42, 46)


class Effects(_Part):
    """Change from the latent baseline at 12 months under each tier, before effect modification.

    They are set so that the change seen among the patients of a tier meets the calibration targets; `walking` and
    `speed` are logarithms of multipliers of the time to stop and of walking speed.
    """

    nrs_leg: PerTier = _tiers(-1.02, -1.18, -3.70, -3.42, -4.29)
    nrs_back: PerTier = _tiers(-0.60, -0.79, -2.95, -2.11, -3.67)
    odi: PerTier = _tiers(-3.96, -4.26, -17.99, -18.06, -24.32)
    walking: PerTier = _tiers(0.322, 0.027, 0.698, 0.570, 0.532)
    speed: PerTier = _tiers(0.03, 0.02, 0.05, 0.05, 0.04)


class Hazards(_Part):
    """When care escalates or is repeated: Weibull cumulative hazard (yearly_rate × years) ** shape × exp(x).

    `kind`: `weibull` as the tiers' shapes say, `proportional` with one shape for all, `crossing` with shapes that make
    the hazards of neighbours cross, `equal` with conservative care's hazards and next steps for every tier.
    """

    kind: Literal["weibull", "proportional", "crossing", "equal"] = "weibull"
    yearly_rate: PerTier = _tiers(0.0927, 0.0767, 0.0211, 0.0105, 0.0060)
    shape: PerTier = _tiers(0.87, 0.73, 0.75, 0.75, 0.75)
    frailty: float = Field(default=0.5, ge=0)
    death_at_70: float = Field(default=0.0175, ge=0)  # a year
    perioperative_death: PerTier = _tiers(0, 0, 0.0005, 0.0035, 0.0035)
    harm_90_days: PerTier = _tiers(0.005, 0.011, 0.015, 0.056, 0.100)
    opioid_start: PerTier = _tiers(0.11, 0.13, 0.10, 0.10, 0.11)  # a year, among patients not using opioids
    negative_control: float = Field(default=0.12, ge=0)  # a year, whatever the tier


class FollowUpPlan(_Part):
    """Who is seen, and when."""

    dropout: Literal["none", "mcar", "mar", "mnar"] = "mar"
    return_12_months: PerTier = _tiers(0.70, 0.70, 0.78, 0.76, 0.80)
    earlier_pain: float = 0.0  # under `mar`: log odds of staying away per point of leg pain last recorded
    unscheduled_share: Share = 0.10
    before_next_tier_share: Share = 0.5
    walking_test_share: Share = 0.85  # visits in the clinic, where walking can be tested
    loss_a_year: float = Field(default=0.03, ge=0, lt=1)
    first_cut_day: int = Field(default=600, gt=0)  # data cut in the days of the last patient enrolled
    accrual_days: int = Field(default=1460, ge=0)


class Sites(_Part):
    """Where care is given."""

    count: int = Field(default=12, ge=1, le=999)
    spread: float = Field(default=0.15, ge=0)  # standard deviation of a site's effect, in residual standard deviations
    poor_site: bool = True
    hard_case_site: bool = True
    elsewhere_share: Share = 0.04


class Settings(_Part):
    """All settings of the generator."""

    indication: Indication = Indication()
    confounding: float = Field(default=1.0, ge=0)
    unmeasured: float = Field(default=0.0, ge=0)
    effects: Effects = Effects()
    effect_scale: float = 1.0
    effect_modification: float = Field(default=1.0, ge=0)
    hazards: Hazards = Hazards()
    hazard_scale: float = Field(default=1.0, ge=0)
    log_time_shift: float = 0.0  # moves every walking time, and with it the share at the ceiling
    follow_up: FollowUpPlan = FollowUpPlan()
    sites: Sites = Sites()
    dirt: Share = 0.005  # rate of flaws in the records; see `dirt.py`
    code_share: Share = 0.3  # treatments that come as a code instead of a tier


def settings_from(settings: Settings | str | None) -> Settings:
    """The settings themselves, or those of a named scenario (None: the default scenario).

    Raises:
        SettingsError: there is no scenario of that name, or one of its keys does not fit.
    """
    if isinstance(settings, Settings):
        return settings
    name = settings or DEFAULT_SCENARIO
    scenarios = _scenarios()
    if name not in scenarios:
        raise SettingsError(f"there is no scenario named so; known are {', '.join(scenarios)}")
    try:
        return Settings.model_validate({key: value for key, value in scenarios[name].items() if key != "title"})
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise SettingsError(f"scenario {name}, key {key}: {problem['msg']}; mend {SHIPPED_SCENARIOS}") from None


def scenario_names() -> tuple[str, ...]:
    """Names of the scenarios that travel with the package."""
    return tuple(_scenarios())


@lru_cache(maxsize=1)
def _scenarios() -> dict[str, dict[str, Any]]:
    content = tomllib.loads((data_folder() / SHIPPED_SCENARIOS).read_text(encoding="utf-8"))
    return {name: dict(part) for name, part in content.items()}
