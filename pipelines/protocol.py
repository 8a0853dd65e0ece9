"""The study protocol: read from TOML, validated and hashed.

Every choice that a researcher would argue about is a field here. What is done with a choice belongs in `sql/` and in
the rooms; nothing here reads data. How SQL sees the protocol is in `protocol_tables.py`.
"""

import hashlib
import json
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
WindowName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]

ESCALATION = "escalation"
REPEAT = "repeat"


class ProtocolError(ValueError):
    """The protocol cannot be used; the message names the key and how to mend it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tier(_Part):
    """One rung of the treatment ladder; its place in the list is its rank."""

    name: Word
    label: str
    short_label: str
    is_repeat_failure: bool = False
    description: str = ""


class Episodes(_Part):
    """How treatment records become tier episodes."""

    planned_stage_days: int = Field(ge=0)
    citation: str


class Threshold(_Part):
    """A responder rule: improvement of at least `value`, improvement in percent, or a final score at least as good."""

    name: Word
    kind: Literal["change", "percent_change", "final"]
    value: float
    citation: str


class Instrument(_Part):
    """A questionnaire score or a timed walking test."""

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
    units: dict[str, float] = {}
    citation: str
    thresholds: tuple[Threshold, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.minimum >= self.maximum:
            raise ValueError("minimum must lie below maximum")
        if self.kind == "walking" and (self.time_limit_s is None or self.minimum_distance_m is None):
            raise ValueError("a walking test needs time_limit_s and minimum_distance_m")
        if self.units and self.units.get(self.unit) != 1.0:
            raise ValueError(f"units must list {self.unit} = 1.0, the unit that values are stored in")
        return self

    @property
    def unit_factors(self) -> dict[str, float]:
        """Factor to the standard unit for every unit that a release may use."""
        return self.units or {self.unit: 1.0}


class Days(_Part):
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


class Relapse(_Part):
    """Return of a symptom after a response: the score is back to within `margin` of its baseline at a later visit."""

    name: Word
    label: str
    instrument: Word
    threshold: Word
    margin: float = Field(ge=0)
    citation: str


class Endpoint(_Part):
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


class Competing(_Part):
    """Events that compete with every endpoint."""

    events: tuple[Word, ...]
    citation: str


class PrimaryOutcome(_Part):
    """An outcome at one visit window."""

    outcome: Word
    window: WindowName


class Primary(_Part):
    """What the study asks first."""

    endpoint_horizon_days: int = Field(gt=0)
    horizons_days: tuple[int, ...]
    outcomes: tuple[PrimaryOutcome, ...]
    secondary_outcomes: tuple[PrimaryOutcome, ...] = ()
    strategy: Literal["treatment policy"] = "treatment policy"
    multiplicity: str
    citation: str


class Covariate(_Part):
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


class EffectModifier(_Part):
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


class Sensitivity(_Part):
    """The one specification of the sensitivity analysis: every combination of these choices that a method offers.

    An empty list keeps every choice of its kind.
    """

    estimators: tuple[str, ...] = ()
    populations: tuple[str, ...] = ()
    missing_data: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    thresholds: tuple[Word, ...] = ()
    citation: str = "Specification curve: Simonsohn, Simmons and Nelson 2020, Nat Hum Behav 4:1208"


class LiteratureMatch(_Part):
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


class Literature(_Part):
    """The outside view: published figures to set beside the study's own."""

    file: str = Field(pattern=r"^[a-z0-9_-]+\.csv$")
    months_apart: float = Field(ge=0)
    population_caveats: dict[str, str] = {}
    matches: tuple[LiteratureMatch, ...] = ()
    citation: str


class TargetTrial(_Part):
    """The trial that a contrast emulates (Hernán and Robins 2016)."""

    eligibility: str
    strategies: str
    time_zero: str
    outcome: str
    estimand: str
    follow_up: str


class Contrast(_Part):
    """A comparison of two tiers between which a patient could have been given either."""

    name: Word
    tier: Word
    reference: Word
    endpoint: Word | None = None
    strata: tuple[Word, ...] = ()
    target_trial: TargetTrial


class Diagnostics(_Part):
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


class Sites(_Part):
    """How treating sites are watched: limits of a signal, what is shown of a site, and the charts in order of time.

    A signal is a count beyond limits that hold `signal_level` of ordinary sites; fewer patients than
    `minimum_subjects` or a reliability below `reliability_minimum` withhold ranks and shrunken estimates, never a
    signal. Patient-reported figures of a site with a response below `response_minimum` are withheld.
    """

    signal_level: float = Field(default=0.998, gt=0.5, lt=1)
    warning_level: float = Field(default=0.95, gt=0.5, lt=1)
    winsorised_share: float = Field(default=0.1, ge=0, lt=0.5)
    minimum_subjects: int = Field(default=30, ge=1)
    reliability_minimum: float = Field(default=0.7, ge=0, le=1)
    response_minimum: float = Field(default=0.6, ge=0, le=1)
    cusum_odds_ratio: float = Field(default=2.0, gt=1)
    cusum_run_length: int = Field(default=10_000, ge=100, le=100_000)
    citation: str = (
        "99.8 % limits, additive over-dispersion, 10 % winsorised: Spiegelhalter 2005; reliability 0.7: Adams 2009; "
        "odds ratio 2 and a run length near 10,000: Steiner 2000 [unverified]"
    )


class Disclosure(_Part):
    """What may leave: counts from 1 to `minimum_count` − 1 never do."""

    minimum_count: int = Field(ge=2)
    percent_decimals: int = Field(ge=0, le=2)
    citation: str


QuasiIdentifier = Literal[
    "age_band", "sex", "site_id", "tier", "enrolment_year", "enrolment_quarter", "bmi", "smoking", "insurance",
    "education", "workers_comp", "prior_lumbar_surgery",
]  # fmt: skip


class Anonymity(_Part):
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
        _require_unique("quasi_identifiers", list(self.quasi_identifiers))
        return self


class ExplainedChange(_Part):
    """A change between releases that has a known reason; without a group it speaks for all groups."""

    release: str
    quantity: str
    group: str | None = None
    reason: str


class ReleaseChanges(_Part):
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


class Amendment(_Part):
    """A change of the protocol, with its reason."""

    version: str
    change: str
    reason: str


class Protocol(_Part):
    """A whole study protocol."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
    version: str
    title: str
    analysis_set: Literal["core", "full"] = "core"
    condition: str
    tiers: tuple[Tier, ...] = Field(min_length=2)
    episodes: Episodes
    instruments: tuple[Instrument, ...] = Field(min_length=1)
    baseline: Days
    windows: tuple[Window, ...] = Field(min_length=1)
    endpoints: tuple[Endpoint, ...] = ()
    supplementary_endpoints: tuple[Endpoint, ...] = ()
    relapses: tuple[Relapse, ...] = ()
    competing: Competing
    primary: Primary
    covariates: tuple[Covariate, ...] = ()
    effect_modifiers: tuple[EffectModifier, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    literature: Literature | None = None
    sensitivity: Sensitivity = Sensitivity()
    diagnostics: Diagnostics
    sites: Sites = Sites()
    disclosure: Disclosure
    anonymity: Anonymity = Field(default_factory=Anonymity)
    release_changes: ReleaseChanges = ReleaseChanges()
    amendments: tuple[Amendment, ...] = ()

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for key in ("tiers", "instruments", "windows", "covariates", "effect_modifiers", "contrasts"):
            _require_unique(key, [part.name for part in getattr(self, key)])
        timed = (*self.endpoints, *self.supplementary_endpoints)
        _require_unique("endpoints", [e.name for e in timed] + [r.name for r in self.relapses])
        tiers = {tier.name for tier in self.tiers}
        endpoints = {endpoint.name for endpoint in self.endpoints}
        for contrast in self.contrasts:
            _require_known(f"contrasts.{contrast.name}.tier", contrast.tier, tiers)
            _require_known(f"contrasts.{contrast.name}.reference", contrast.reference, tiers)
            if contrast.endpoint:
                _require_known(f"contrasts.{contrast.name}.endpoint", contrast.endpoint, endpoints)
            for stratum in contrast.strata:
                _require_known(f"contrasts.{contrast.name}.strata", stratum, {c.name for c in self.covariates})
        for endpoint in timed:
            for treatment in endpoint.treatments:
                _require_known(f"endpoints.{endpoint.name}.treatments", treatment, tiers | {ESCALATION, REPEAT})
            for tier in endpoint.repeat_tiers:
                _require_known(f"endpoints.{endpoint.name}.repeat_tiers", tier, tiers)
            for relapse in endpoint.relapses:
                _require_known(f"endpoints.{endpoint.name}.relapses", relapse, {r.name for r in self.relapses})
        for rule in self.relapses:
            _require_known(f"relapses.{rule.name}.instrument", rule.instrument, {i.name for i in self.instruments})
            known = {t.name for t in self.instrument(rule.instrument).thresholds}
            _require_known(f"relapses.{rule.name}.threshold", rule.threshold, known)
        for primary in self.primary.outcomes + self.primary.secondary_outcomes:
            _require_known("primary.outcomes.outcome", primary.outcome, {i.name for i in self.instruments})
            _require_known("primary.outcomes.window", primary.window, {w.name for w in self.windows})
        for match in self.literature.matches if self.literature else ():
            self._require_known_match(match)
        _require_no_overlap(self.windows)
        return self

    def _require_known_match(self, match: LiteratureMatch) -> None:
        key = "literature.matches"
        for tier in match.tiers:
            _require_known(f"{key}.tiers", tier, {tier.name for tier in self.tiers})
        if match.endpoint:
            _require_known(f"{key}.endpoint", match.endpoint, {endpoint.name for endpoint in self.endpoints})
        if match.covariate:
            _require_known(f"{key}.covariate", match.covariate, {covariate.name for covariate in self.covariates})
        if match.outcome:
            _require_known(f"{key}.outcome", match.outcome, {instrument.name for instrument in self.instruments})
            if match.threshold:
                known = {threshold.name for threshold in self.instrument(match.outcome).thresholds}
                _require_known(f"{key}.threshold", match.threshold, known)

    # ------------------------------------------------------------------------------------------------ looking things up

    @property
    def tier_names(self) -> tuple[str, ...]:
        """Tiers in ladder order."""
        return tuple(tier.name for tier in self.tiers)

    def instrument(self, name: str) -> Instrument:
        """The instrument of that name."""
        return next(i for i in self.instruments if i.name == name)

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint of that name."""
        return next(e for e in self.endpoints if e.name == name)

    def tier(self, name: str) -> Tier:
        """The tier of that name."""
        return next(t for t in self.tiers if t.name == name)

    @property
    def hash(self) -> str:
        """SHA-256 of the protocol's content: two files that say the same have the same hash."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def with_overrides(self, overrides: dict[str, Any]) -> "Protocol":
        """A copy with other values for some keys (`"primary.endpoint_horizon_days": 365`), validated like a file.

        Raises:
            ProtocolError: a key does not exist or a value does not fit.
        """
        content = self.model_dump(mode="json")
        for key, value in overrides.items():
            *parents, last = key.split(".")
            part: Any = content
            for parent in parents:
                part = part.get(parent) if isinstance(part, dict) else None
            if not isinstance(part, dict) or last not in part:
                raise ProtocolError(f"the protocol has no key {key}; name one that stands in the protocol file")
            part[last] = value
        return _validated(content, "the overrides")


def load_protocol(path: Path) -> Protocol:
    """Read and validate a protocol file.

    Raises:
        ProtocolError: the file is missing, is not TOML, or a key is missing, unknown or out of range; the message is
            one sentence that names the key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProtocolError(f"there is no protocol file at {path}; name an existing file") from None
    except (UnicodeDecodeError, OSError):
        raise ProtocolError(f"the protocol file {path} cannot be read as UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ProtocolError(f"the protocol file {path} is not valid TOML: {error}") from None
    return _validated(content, path.name)


def _validated(content: dict[str, Any], source: str) -> Protocol:
    try:
        return Protocol.model_validate(content)
    except ValidationError as error:
        raise ProtocolError(_sentence(error, content, source)) from None


def _sentence(error: ValidationError, content: dict[str, Any], source: str) -> str:
    """The first problem as one sentence with the key's path, list entries by their name."""
    problem = error.errors()[0]
    steps: list[str] = []
    part: Any = content
    for step in problem["loc"]:
        part = part[step] if _has(part, step) else None
        name = part.get("name") if isinstance(part, dict) and isinstance(step, int) else None
        steps.append(str(name if name else step))
    message = str(problem["msg"]).removeprefix("Value error, ")
    key = ".".join(steps)
    wording = {"missing": "is missing; add it", "extra_forbidden": "is not a key of the protocol; remove or rename it"}
    said = wording.get(problem["type"], f"does not fit: {message[:1].lower()}{message[1:]}")
    return f"{source}: {f'key {key} ' if key else ''}{said if key else message}"


def _has(part: Any, step: Any) -> bool:
    if isinstance(part, dict):
        return step in part
    return isinstance(part, list) and isinstance(step, int) and step < len(part)


def _require_unique(key: str, names: list[str]) -> None:
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"{key} names {min(repeated)} twice; each name stands once")


def _require_known(key: str, name: str, known: set[str]) -> None:
    if name not in known:
        raise ValueError(f"key {key} names {name}, which the protocol does not define; use one of {sorted(known)}")


def _require_no_overlap(windows: tuple[Window, ...]) -> None:
    for earlier, later in pairwise(windows):
        if later.first_day <= earlier.last_day:
            raise ValueError(
                f"windows {earlier.name} and {later.name} overlap or are out of order; a day belongs to one"
            )
