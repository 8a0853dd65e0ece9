"""State occupation and time in state: a ladder computed on paper, R's survfit, and a plain recursion beside ours."""

import numpy as np
import polars as pl
import pytest

from pipelines.models import _occupation
from pipelines.models._frames import ModelInputError
from pipelines.models.multistate import state_occupation, time_in_state

COLUMNS = ("id", "start", "stop", "from", "to")
STATES = ["care", "surgery", "dead"]

# Four patients on a ladder: 1 has surgery at 2 and dies at 4; 2 is censored at 3; 3 dies at 5; 4 has surgery at 3 and
# is censored at 6. By hand: the chance to leave care is 1/4 at 2 and 1/3 at 3; to die after surgery 1/2 at 4; to die
# from care 1/1 at 5.
LADDER = pl.DataFrame(
    {
        "id": [1, 1, 2, 3, 4, 4],
        "start": [0, 2, 0, 0, 0, 3],
        "stop": [2, 4, 3, 5, 3, 6],
        "from": ["care", "surgery", "care", "care", "care", "surgery"],
        "to": ["surgery", "dead", None, "dead", "surgery", None],
    }
)


def test_ladder_by_hand():
    curve = state_occupation(LADDER, *COLUMNS, STATES)
    wide = curve.pivot(on="state", index="time", values="estimate").sort("time")
    assert wide["time"].to_list() == [0, 2, 3, 4, 5, 6]
    assert wide["care"].to_list() == pytest.approx([1, 3 / 4, 1 / 2, 1 / 2, 0, 0])
    assert wide["surgery"].to_list() == pytest.approx([0, 1 / 4, 1 / 2, 1 / 4, 1 / 4, 1 / 4])
    assert wide["dead"].to_list() == pytest.approx([0, 0, 0, 1 / 4, 3 / 4, 3 / 4])
    at_risk = curve.filter(pl.col("state") == "surgery")["at_risk"].to_list()
    assert at_risk == [0, 0, 1, 2, 1, 1]


def test_time_in_state_by_hand():
    spent = time_in_state(LADDER, *COLUMNS, STATES, tau=6)
    assert spent["estimate"].to_list() == pytest.approx([2 + 0.75 + 0.5 + 0.5, 0.25 + 0.5 + 0.25 + 0.25, 0.25 + 0.75])
    assert spent["estimate"].sum() == pytest.approx(6)


def test_follow_up_that_ends_before_tau_is_not_estimable():
    spent = time_in_state(LADDER, *COLUMNS, STATES, tau=7)
    assert spent["status"].unique().to_list() == ["not estimable: follow-up of a group ends before tau"]
    assert spent["estimate"].null_count() == 3


def plain_recursion(frame: pl.DataFrame, states: list[str], tau: float):
    """The definition, subject by subject and time by time (Andersen et al. 1993, section IV.4, influence of T)."""
    times = sorted(frame["stop"].unique().to_list())
    rows = frame.to_dicts()
    subjects = {name: i for i, name in enumerate(sorted(frame["id"].unique().to_list()))}
    number = {name: i for i, name in enumerate(states)}
    first = [row for row in rows if row["start"] == 0]
    p = np.zeros(len(states))
    for row in first:
        p[number[row["from"]]] += 1 / len(first)
    U = np.zeros((len(subjects), len(states)))
    for row in first:
        U[subjects[row["id"]]] = (np.eye(len(states))[number[row["from"]]] - p) / len(first)
    probability, variance, area = [p], [(U**2).sum(axis=0)], U * min(times[0], tau)
    for i, time in enumerate(times):
        T = np.eye(len(states))
        risk = [row for row in rows if row["start"] < time <= row["stop"]]
        size = {s: sum(row["from"] == s for row in risk) for s in states}
        ends = [(row, row["to"] if row["stop"] == time and row["to"] else row["from"]) for row in risk]
        for row, to in ends:
            T[number[row["from"]]] += (
                np.eye(len(states))[number[to]] - np.eye(len(states))[number[row["from"]]]
            ) / size[row["from"]]
        U = U @ T
        for row, to in ends:
            s = number[row["from"]]
            U[subjects[row["id"]]] += p[s] * (np.eye(len(states))[number[to]] - T[s]) / size[row["from"]]
        p = p @ T
        probability.append(p)
        variance.append((U**2).sum(axis=0))
        until = times[i + 1] if i + 1 < len(times) else max(tau, time)
        area = area + U * (min(until, tau) - min(time, tau))
    return np.array(probability), np.sqrt(variance), np.sqrt((area**2).sum(axis=0))


def wanderers(seed: int, subjects: int, states: list[str]) -> pl.DataFrame:
    """Subjects who wander between states, some entering late, with ties and states that empty."""
    rng = np.random.default_rng(seed)
    rows = []
    for name in range(subjects):
        clock = 0 if rng.random() < 0.8 else int(rng.integers(1, 6))
        state = states[int(rng.integers(0, 2))]
        for _ in range(int(rng.integers(1, 6))):
            stop = clock + int(rng.integers(1, 8))
            to = None if rng.random() < 0.25 else states[int(rng.integers(0, len(states)))]
            rows.append({"id": name, "start": clock, "stop": stop, "from": state, "to": to})
            clock, state = stop, to or state
            if to is None or to == states[-1]:
                break
    return pl.DataFrame(rows, schema={"id": int, "start": int, "stop": int, "from": str, "to": str})


@pytest.mark.parametrize(("seed", "subjects"), [(1, 6), (2, 15), (3, 40), (4, 80), (5, 200)])
@pytest.mark.parametrize("longest", [3, 131_072])
def test_running_sums_equal_the_plain_recursion(seed, subjects, longest, monkeypatch):
    monkeypatch.setattr(_occupation, "MAX_STRETCH", longest)
    states = ["a", "b", "c", "d"]
    frame = wanderers(seed, subjects, states)
    tau = float(frame["stop"].max())
    probability, error, area_error = plain_recursion(frame, states, tau)
    curve = state_occupation(frame, *COLUMNS, states)
    assert curve["estimate"].to_numpy().reshape(-1, 4) == pytest.approx(probability, abs=1e-12)
    assert curve["std_error"].to_numpy().reshape(-1, 4) == pytest.approx(error, abs=1e-7)
    spent = time_in_state(frame, *COLUMNS, states, tau=tau)
    assert spent["std_error"].to_numpy() == pytest.approx(area_error, rel=1e-7, abs=1e-9)


def test_order_of_rows_does_not_matter():
    frame = wanderers(6, 50, ["a", "b", "c", "d"])
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=3)
    states = ["a", "b", "c", "d"]
    assert state_occupation(frame, *COLUMNS, states).equals(state_occupation(shuffled, *COLUMNS, states))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": [0, 1, 0, 0, 0, 3]}, "before the subject's row before them has ended"),
        ({"from": ["care", "care", "care", "care", "care", "surgery"]}, "in another state"),
        ({"to": ["moon", "dead", None, "dead", "surgery", None]}, "not among those listed"),
    ],
)
def test_contradictory_rows_are_refused(change, message):
    frame = LADDER.with_columns(**{name: pl.Series(values) for name, values in change.items()})
    with pytest.raises(ModelInputError, match=message):
        state_occupation(frame, *COLUMNS, STATES)


def test_a_subject_in_two_groups_is_refused():
    frame = LADDER.with_columns(arm=pl.Series(["x", "y", "x", "x", "y", "y"]))
    with pytest.raises(ModelInputError, match="another group"):
        state_occupation(frame, *COLUMNS, STATES, group="arm")


def test_occupation_and_time_match_r_survfit(stays, r_estimates):
    states = ["care", "injection", "surgery", "dead"]
    curve = state_occupation(stays, *COLUMNS, states, group="arm")
    for row in r_estimates["stays"]:
        of_row = [pl.col(key) == row[key] for key in ("group", "state")]
        ours = curve.filter(*of_row, pl.col("time") <= row["time"]).to_dicts()[-1]
        assert ours["estimate"] == pytest.approx(row["estimate"], rel=1e-8)
        assert ours["std_error"] == pytest.approx(row["std_error"], rel=1e-6)
    spent = time_in_state(stays, *COLUMNS, states, group="arm", tau=30)
    for row in r_estimates["stay_time"]:
        group, state = row["row"].removeprefix("arm=").split(", ")
        ours = spent.filter(pl.col("group") == group, pl.col("state") == state).to_dicts()[0]
        assert ours["estimate"] == pytest.approx(row["estimate"], rel=1e-8)
        assert ours["std_error"] == pytest.approx(row["std_error"], rel=1e-6)
