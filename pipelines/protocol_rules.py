"""The parts of a study protocol that say what its data and results are held to, and how it came to be as it is.

What is studied is in `protocol_parts.py`.
"""

from datetime import date
from typing import Literal, Self

from pydantic import Field, model_validator

from pipelines.protocol_parts import Part, require_unique


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
