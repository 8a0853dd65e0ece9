"""The study protocol: read from TOML, validated and hashed.

Every choice that a researcher would argue about is a field of one of its parts: `protocol_parts.py` holds what is
studied, `protocol_rules.py` what data and results are held to. What is done with a choice belongs in `sql/` and in the
rooms; nothing here reads data. How SQL sees the protocol is in `protocol_tables.py`.
"""

import hashlib
import json
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pipelines.protocol_parts import (
    ESCALATION,
    REPEAT,
    Competing,
    Contrast,
    Covariate,
    Days,
    EffectModifier,
    Endpoint,
    Episodes,
    Instrument,
    Literature,
    LiteratureMatch,
    MissingData,
    Part,
    Primary,
    Relapse,
    Sensitivity,
    Tier,
    Window,
    require_unique,
)
from pipelines.protocol_rules import Amendment, Anonymity, Diagnostics, Disclosure, Records, ReleaseChanges, Sites


class ProtocolError(ValueError):
    """The protocol cannot be used; the message names the key and how to mend it."""


class Protocol(Part):
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
    missing_data: MissingData = MissingData()
    diagnostics: Diagnostics
    sites: Sites = Sites()
    disclosure: Disclosure
    anonymity: Anonymity = Field(default_factory=Anonymity)
    records: Records = Records()
    release_changes: ReleaseChanges = ReleaseChanges()
    amendments: tuple[Amendment, ...] = ()

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for key in ("tiers", "instruments", "windows", "covariates", "effect_modifiers", "contrasts"):
            require_unique(key, [part.name for part in getattr(self, key)])
        timed = (*self.endpoints, *self.supplementary_endpoints)
        require_unique("endpoints", [e.name for e in timed] + [r.name for r in self.relapses])
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
        for primary in self.primary.questions:
            _require_known("primary.outcomes.outcome", primary.outcome, {i.name for i in self.instruments})
            _require_known("primary.outcomes.window", primary.window, {w.name for w in self.windows})
        for match in self.literature.matches if self.literature else ():
            self._require_known_match(match)
        _require_no_overlap(self.windows)
        _require_order(self.amendments, self.version)
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
        """The endpoint of that name, a supplementary one too."""
        return next(e for e in (*self.endpoints, *self.supplementary_endpoints) if e.name == name)

    def horizons(self, endpoint: Endpoint) -> tuple[int, ...]:
        """The days at which an endpoint is summed up: the study's horizons, or the end of the endpoint's own window."""
        return (endpoint.within_days,) if endpoint.within_days is not None else self.primary.all_horizons_days

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


def _require_known(key: str, name: str, known: set[str]) -> None:
    if name not in known:
        raise ValueError(f"key {key} names {name}, which the protocol does not define; use one of {sorted(known)}")


def _require_no_overlap(windows: tuple[Window, ...]) -> None:
    for earlier, later in pairwise(windows):
        if later.first_day <= earlier.last_day:
            raise ValueError(
                f"windows {earlier.name} and {later.name} overlap or are out of order; a day belongs to one"
            )


def _require_order(amendments: tuple[Amendment, ...], version: str) -> None:
    """Amendments stand in order of their dates, each version once, and the last one led to the protocol's version."""
    require_unique("amendments", [amendment.version for amendment in amendments])
    for earlier, later in pairwise(amendments):
        if later.date < earlier.date:
            raise ValueError(f"amendments {earlier.version} and {later.version} are not in order of their dates")
    if amendments and amendments[-1].version != version:
        raise ValueError(
            f"the last of amendments led to version {amendments[-1].version}, but key version says {version}; "
            "both are the same"
        )
