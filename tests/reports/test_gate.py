"""What the gate prints of counts, shares, estimates and curves."""

import polars as pl
import pytest

from pipelines.protocol import Protocol
from pipelines.reports import keys
from pipelines.reports.gate import Gate
from pipelines.reports.ledger import DisclosureError
from pipelines.reports.tables import Snapshot


def gate(protocol: Protocol, **sizes: int) -> Gate:
    """A gate over a release that knows nothing but its patients by tier."""
    subjects = pl.DataFrame({"tier": [tier for tier, n in sizes.items() for _ in range(n)]})

    def read(table: str) -> pl.DataFrame:
        if table == "analysis.subjects":
            return subjects
        raise LookupError(table)

    return Gate(Snapshot(read), protocol)


def test_counts_print_exact_small_or_zero(protocol: Protocol) -> None:
    release = gate(protocol, conservative=1200, esi=7)
    assert release.count(keys.patients("conservative")).text == "≈1,200"  # else the total would give the 7 away
    assert release.count(keys.patients("esi")).text == "<11"
    assert release.count(keys.patients("esi")).is_withheld
    assert release.count(keys.patients("mild")).text == "0"


def test_a_share_needs_both_counts(protocol: Protocol) -> None:
    release = gate(protocol, conservative=90, esi=30)
    assert release.share(keys.patients("esi"), keys.patients()).text == "25\u202f%"
    assert release.count_and_share(keys.patients("esi"), keys.patients()).text == "30 (25\u202f%)"
    assert release.fraction(keys.patients("esi"), keys.patients()).text == "30/120"
    small = gate(protocol, conservative=90, esi=4)
    assert small.share(keys.patients("esi"), keys.patients()).text == "<11"
    assert small.drawn_share(keys.patients("esi"), keys.patients()) is None


def test_an_estimate_rests_on_enough_patients_or_is_not_shown(protocol: Protocol) -> None:
    release = gate(protocol, conservative=90, esi=4)
    assert release.number(3.14, 1, keys.patients("conservative")).text == "3.1"
    assert release.number(3.14, 1, keys.patients("conservative"), keys.patients("esi")).text == "n <11"
    assert release.drawn(3.14159, 2, keys.patients("conservative")) == 3.14
    assert release.drawn(3.14159, 2, keys.patients("esi")) is None
    assert release.drawn(None, 2, keys.patients("conservative")) is None
    assert release.text("3.1 (2.0 to 4.2)", keys.patients("esi")).text == "n <11"


def test_what_the_release_does_not_know_is_a_dash(protocol: Protocol) -> None:
    assert gate(protocol, esi=30).count(keys.seen("nrs_leg", "12m", "esi")).text == "–"


def test_what_was_not_entered_for_printing_is_refused(small_cohort, protocol: Protocol) -> None:  # type: ignore[no-untyped-def]
    release = Gate(Snapshot(small_cohort.read), protocol)
    hidden = next(key for key, count in release.decisions.ledger.counts.items() if count.role == "hidden")
    with pytest.raises(DisclosureError, match="not entered for printing"):
        release.count(hidden)


def test_a_curve_of_a_small_tier_has_no_cut(protocol: Protocol) -> None:
    release = gate(protocol, conservative=90, esi=4)
    times = pl.DataFrame(
        {
            "endpoint": ["treatment_failure"] * 4,
            "tier": ["esi"] * 4,
            "time_days": [10.0, 20, 30, 800],
            "status": [1, 1, 0, 0],
        }
    )
    assert release.cuts(times, "treatment_failure", "esi").is_empty


def test_another_threshold_is_obeyed(protocol: Protocol) -> None:
    looser = protocol.with_overrides({"disclosure.minimum_count": 5})
    assert gate(looser, conservative=90, esi=7).count(keys.patients("esi")).text == "7"
    assert gate(looser, conservative=90, esi=4).count(keys.patients("esi")).text == "<5"
