"""The parts of a study protocol, each a block of its file: what it holds and what makes it valid on its own.

How parts must agree with each other, and reading the file, is in `protocol.py`.
"""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
WindowName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]

ESCALATION = "escalation"
REPEAT = "repeat"


class Part(BaseModel):
    """A part of the protocol: no key but its own, and nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tier(Part):
    """One rung of the treatment ladder; its place in the list is its rank."""

    name: Word
    label: str
    short_label: str
    is_repeat_failure: bool = False
    description: str = ""


class Episodes(Part):
    """How treatment records become tier episodes."""

    planned_stage_days: int = Field(ge=0)
    citation: str


class Threshold(Part):
    """A responder rule: improvement of at least `value`, improvement in percent, or a final score at least as good."""

    name: Word
    kind: Literal["change", "percent_change", "final"]
    value: float
    citation: str


class Instrument(Part):
    """A questionnaire score or a timed walking test.

    A walking test `is_fixed_time` where everybody is meant to walk until the limit, as in the six-minute walk: metres
    are then what it measures, and the limit censors nothing.
    """

    name: Word
    label: str
    short_label: str
    kind: Literal["score", "walking"]
    unit: str
    minimum: float
    maximum: float
    is_integer: bool = False
    better: Literal["lower", "higher"]
    is_after_treatment_only: bool = False
    between_group_threshold: float | None = None
    time_limit_s: float | None = Field(default=None, gt=0)
    minimum_distance_m: float | None = Field(default=None, gt=0)
    is_fixed_time: bool = False
    units: dict[str, float] = {}
    citation: str
    thresholds: tuple[Threshold, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.minimum >= self.maximum:
            raise ValueError("minimum must lie below maximum")
        if self.kind == "walking" and (self.time_limit_s is None or self.minimum_distance_m is None):
            raise ValueError("a walking test needs time_limit_s and minimum_distance_m")
        if self.is_fixed_time and self.kind != "walking":
            raise ValueError("is_fixed_time is for a walking test")
        if self.units and self.units.get(self.unit) != 1.0:
            raise ValueError(f"units must list {self.unit} = 1.0, the unit that values are stored in")
        return self

    @property
    def unit_factors(self) -> dict[str, float]:
        """Factor to the standard unit for every unit that a release may use."""
        return self.units or {self.unit: 1.0}


class Days(Part):
    """A span of days from time zero, both ends included."""

    first_day: int
    last_day: int
    citation: str

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.first_day > self.last_day:
            raise ValueError("first_day must not come after last_day")
        return self


class Window(Days):
    """A follow-up visit: the record nearest to `nominal_day` counts."""

    name: WindowName
    label: str
    nominal_day: int

    @model_validator(mode="after")
    def _holds_its_nominal_day(self) -> Self:
        if not self.first_day <= self.nominal_day <= self.last_day:
            raise ValueError("nominal_day must lie between first_day and last_day")
        return self


class Relapse(Part):
    """Return of a symptom after a response: the score is back to within `margin` of its baseline at a later visit."""

    name: Word
    label: str
    instrument: Word
    threshold: Word
    margin: float = Field(ge=0)
    citation: str


class Endpoint(Part):
    """A time-to-event endpoint: the first of these treatments, events or relapses after time zero.

    `repeat_tiers` are tiers whose repeat counts in this endpoint once it comes more than `repeat_after_days` after
    time zero, whatever the tier's own `is_repeat_failure` says. Relapses count on the day of the visit that saw them.
    """

    name: Word
    label: str
    treatments: tuple[Word, ...] = ()
    events: tuple[Word, ...] = ()
    repeat_tiers: tuple[Word, ...] = ()
    repeat_after_days: int = Field(default=0, ge=0)
    relapses: tuple[Word, ...] = ()
    within_days: int | None = Field(default=None, gt=0)
    is_descriptive: bool = False
    is_harm: bool = False
    is_negative_control: bool = False
    citation: str


class Competing(Part):
    """Events that compete with every endpoint."""

    events: tuple[Word, ...]
    citation: str


class PrimaryOutcome(Part):
    """An outcome at one visit window."""

    outcome: Word
    window: WindowName


class Primary(Part):
    """What the study asks first."""

    endpoint_horizon_days: int = Field(gt=0)
    horizons_days: tuple[int, ...]
    outcomes: tuple[PrimaryOutcome, ...]
    secondary_outcomes: tuple[PrimaryOutcome, ...] = ()
    strategy: Literal["treatment policy"] = "treatment policy"
    multiplicity: str
    citation: str

    @property
    def questions(self) -> tuple[PrimaryOutcome, ...]:
        """What is asked of outcomes at a window: the primary ones, then the secondary ones."""
        return self.outcomes + self.secondary_outcomes

    @property
    def all_horizons_days(self) -> tuple[int, ...]:
        """The days at which incidence and restricted time are summed up, the primary one among them, rising."""
        return tuple(sorted({self.endpoint_horizon_days, *self.horizons_days}))


class Covariate(Part):
    """A characteristic known before time zero, used for case-mix adjustment."""

    name: Word
    label: str
    kind: Literal["numeric", "boolean", "categorical"]
    levels: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _levels_fit(self) -> Self:
        if (self.kind == "categorical") != bool(self.levels):
            raise ValueError("levels are listed for a categorical covariate, and only for one")
        return self


class EffectModifier(Part):
    """A characteristic known before time zero that may change an effect; it splits patients into two groups.

    A number is split at `above`, a category by `level` against all others, a yes/no by itself.
    """

    name: Word
    label: str
    column: Word
    above: float | None = None
    level: str | None = None
    citation: str

    @model_validator(mode="after")
    def _splits_one_way(self) -> Self:
        if self.above is not None and self.level is not None:
            raise ValueError("an effect modifier is split by above or by level, not by both")
        return self


class Sensitivity(Part):
    """The one specification of the sensitivity analysis: every combination of these choices that a method offers.

    An empty list keeps every choice of its kind.
    """

    estimators: tuple[str, ...] = ()
    populations: tuple[str, ...] = ()
    missing_data: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    thresholds: tuple[Word, ...] = ()
    citation: str = "Specification curve: Simonsohn, Simmons and Nelson 2020, Nat Hum Behav 4:1208"


class LiteratureMatch(Part):
    """Which figure of the study stands beside which published figures.

    Published rows are found by `instrument`, any of `measures`, and `kind`; where `tiers` are given, for these alone.
    The study's own figure is that of an `outcome` (with a `threshold` for responders), of an `endpoint`, or of a
    `covariate` (one `level` of it for a share). `stand_in` says what differs where the two are not the same thing.
    """

    instrument: str
    measures: tuple[str, ...] = Field(min_length=1)
    kind: Literal["mean", "mean change", "difference", "share", "responders", "incidence"]
    tiers: tuple[Word, ...] = ()
    outcome: Word | None = None
    threshold: Word | None = None
    endpoint: Word | None = None
    covariate: Word | None = None
    level: str | None = None
    stand_in: str = ""

    @model_validator(mode="after")
    def _names_one_figure(self) -> Self:
        if sum(name is not None for name in (self.outcome, self.endpoint, self.covariate)) != 1:
            raise ValueError("name one of outcome, endpoint and covariate")
        needed = {"incidence": self.endpoint, "share": self.covariate and self.level, "responders": self.threshold}
        if self.kind in needed and needed[self.kind] is None:
            raise ValueError("an incidence needs an endpoint, a share a covariate and level, responders a threshold")
        return self


class Literature(Part):
    """The outside view: published figures to set beside the study's own."""

    file: str = Field(pattern=r"^[a-z0-9_-]+\.csv$")
    months_apart: float = Field(ge=0)
    population_caveats: dict[str, str] = {}
    matches: tuple[LiteratureMatch, ...] = ()
    citation: str


class MissingData(Part):
    """What the weights that make up for missed visits are given.

    `earlier visits`: tier, covariates and what was last recorded of the outcome itself and of each primary score;
    `baseline`: tier and covariates alone.
    """

    dropout_weights: Literal["earlier visits", "baseline"] = "earlier visits"
    citation: str = "Weights given the recorded past: Robins, Rotnitzky & Zhao 1995, JASA 90:106 [unverified]"


class TargetTrial(Part):
    """The trial that a contrast emulates (Hernán and Robins 2016)."""

    eligibility: str
    strategies: str
    time_zero: str
    outcome: str
    estimand: str
    follow_up: str


class Contrast(Part):
    """A comparison of two tiers between which a patient could have been given either."""

    name: Word
    tier: Word
    reference: Word
    endpoint: Word | None = None
    strata: tuple[Word, ...] = ()
    target_trial: TargetTrial


class Diagnostics(Part):
    """Limits that an analysis must keep to be shown."""

    smd_maximum: float = Field(gt=0)
    variance_ratio_minimum: float = Field(gt=0)
    variance_ratio_maximum: float = Field(gt=0)
    effective_sample_size_minimum: float = Field(ge=0)
    effective_sample_size_fraction: float = Field(ge=0, le=1)
    events_per_arm_minimum: int = Field(ge=1)
    subjects_per_arm_minimum: int = Field(ge=2)
    crossover_maximum: float = Field(gt=0, le=1)
    negative_control_alpha: float = Field(gt=0, lt=1)
    completeness_target: float = Field(gt=0, le=1)
    citation: str


class Sites(Part):
    """How treating sites are watched: limits of a signal, what is shown of a site, and the charts in order of time.

    A signal is a count beyond limits that hold `signal_level` of ordinary sites; fewer patients than
    `minimum_subjects` or a reliability below `reliability_minimum` withhold ranks and shrunken estimates, never a
    signal. Patient-reported figures of a site with a response below `response_minimum` are withheld. With at least
    `cluster_minimum` sites the primary contrasts have limits clustered by site beside them.
    """

    signal_level: float = Field(default=0.998, gt=0.5, lt=1)
    warning_level: float = Field(default=0.95, gt=0.5, lt=1)
    winsorised_share: float = Field(default=0.1, ge=0, lt=0.5)
    minimum_subjects: int = Field(default=30, ge=1)
    reliability_minimum: float = Field(default=0.7, ge=0, le=1)
    response_minimum: float = Field(default=0.6, ge=0, le=1)
    cluster_minimum: int = Field(default=10, ge=5)
    cusum_odds_ratio: float = Field(default=2.0, gt=1)
    cusum_run_length: int = Field(default=10_000, ge=100, le=100_000)
    citation: str = (
        "99.8 % limits, additive over-dispersion, 10 % winsorised: Spiegelhalter 2005; reliability 0.7: Adams 2009; "
        "odds ratio 2 and a run length near 10,000: Steiner 2000 [unverified]"
    )


class Disclosure(Part):
    """What may leave: counts from 1 to `minimum_count` − 1 never do."""

    minimum_count: int = Field(ge=2)
    percent_decimals: int = Field(ge=0, le=2)
    citation: str


QuasiIdentifier = Literal[
    "age_band", "sex", "site_id", "tier", "enrolment_year", "enrolment_quarter", "bmi", "smoking", "insurance",
    "education", "workers_comp", "prior_lumbar_surgery",
]  # fmt: skip


class Anonymity(Part):
    """k-anonymity: how many patients must share what an outsider could know of them, and what follows if fewer do.

    `tier` is the first one since enrolment; an age band has `age_band_years` years, and 90 or older is its own.
    `class_words` are words that this study's classes of insurance and education hold beside the usual ones: the guard
    refuses a release whose classes hold any other, since it may name a person or a place.
    """

    quasi_identifiers: tuple[QuasiIdentifier, ...] = Field(
        default=("age_band", "sex", "site_id", "tier", "enrolment_year"), min_length=1
    )
    age_band_years: int = Field(default=5, ge=1, le=50)
    minimum_group: int = Field(default=5, ge=2)
    action: Literal["warn", "block"] = "warn"
    class_words: tuple[str, ...] = ()
    citation: str = "k of 5 for data that stay inside: common practice [unverified]"

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        require_unique("quasi_identifiers", list(self.quasi_identifiers))
        return self


class Records(Part):
    """How events are read out of coded records, in days; only readers of such records (OMOP) ask.

    Opioids count as in use with an exposure in the `opioid_lookback_days` up to entry. They are started, by who was
    not using them, on the first day from which exposures within `opioid_window_days` supply `opioid_supply_days`. A
    complication coded again within `same_event_days` of its last record is the same one.
    """

    opioid_lookback_days: int = Field(default=180, ge=0)
    opioid_supply_days: int = Field(default=90, ge=1)
    opioid_window_days: int = Field(default=180, ge=1)
    same_event_days: int = Field(default=90, ge=0)
    citation: str = (
        "Chronic use as 90 days of supply within 180, so that a course after an operation is none: design of this "
        "study; half a year without opioids for a new user, and 90 days for a complication that is coded again: design "
        "of this study"
    )


class ExplainedChange(Part):
    """A change between releases that has a known reason; without a group it speaks for all groups."""

    release: str
    quantity: str
    group: str | None = None
    reason: str


class ReleaseChanges(Part):
    """How far a release may differ from the one before it without an explanation.

    Counts may fall or grow by a fraction of the value before, and by less than `minimum_records` in any case; patients
    and treatments may be gone or told otherwise up to a share; the share of quarantined rows may move by a fraction;
    estimates may move by standard errors.
    """

    fall_fraction: float = Field(default=0.02, ge=0, le=1)
    growth_fraction: float = Field(default=0.5, ge=0)
    minimum_records: int = Field(default=11, ge=1)
    gone_fraction: float = Field(default=0.01, ge=0, le=1)
    told_otherwise_fraction: float = Field(default=0.02, ge=0, le=1)
    quarantine_fraction: float = Field(default=0.02, ge=0, le=1)
    standard_errors: float = Field(default=3.0, gt=0)
    explained: tuple[ExplainedChange, ...] = ()
    citation: str = ""


class Amendment(Part):
    """A change of the protocol after its first version: `version` is the one that it led to.

    `data_seen` says whether results of this study had been looked at when the change was made; one made after that
    makes what it touches exploratory.
    """

    date: date
    version: str
    change: str
    reason: str
    data_seen: bool


def require_unique(key: str, names: list[str]) -> None:
    """Raise ValueError when a name stands twice."""
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"{key} names {min(repeated)} twice; each name stands once")
