"""The parts of a study protocol that say what is studied, each a block of its file and valid on its own.

What data and results are held to is in `protocol_rules.py`; how parts must agree with each other, and reading the file,
in `protocol.py`.
"""

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


def require_unique(key: str, names: list[str]) -> None:
    """Raise ValueError when a name stands twice."""
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"{key} names {min(repeated)} twice; each name stands once")
