"""Scores of ODI and ZCQ from items, each worked out on paper by the rule that the scale cites."""

import polars as pl
import pytest

from pipelines.ingest.questionnaires import SCALES, is_impossible, score


def scored(name: str, answers: str) -> tuple[float | None, bool]:
    """Answers as digits, a point where an item is empty; `x` stands for text and `h` for half a point."""
    given = {".": None, "x": "often", "h": "1.5"}
    row = {f"i{place}": [given.get(answer, answer)] for place, answer in enumerate(answers)}
    frame = pl.DataFrame(row, schema=dict.fromkeys(row, pl.String))
    items = [pl.col(name) for name in row]
    result = frame.select(value=score(SCALES[name], items), wrong=is_impossible(SCALES[name], items))
    return result.row(0)


@pytest.mark.parametrize(("name", "answers", "value"), [
    ("odi", "2222222222", 40.0),      # 20 of 50
    ("odi", "555555555.", 100.0),     # 45 of 45
    ("odi", "12345012..", 45.0),      # 18 of 40: eight answered are enough
    ("odi", "0000000000", 0.0),
    ("odi", "1234501...", None),      # seven are not
    ("zcq_symptom", "3334443", 24 / 7),
    ("zcq_symptom", "33344..", 17 / 5),   # two may be missing
    ("zcq_symptom", "3334...", None),
    ("zcq_symptom", "1111111", 1.0),      # the floor
    ("zcq_symptom", "5555555", 5.0),
    ("zcq_function", "1234.", 2.5),       # one may be missing
    ("zcq_function", "123..", None),
    ("zcq_satisfaction", "11222.", 8 / 5),
    ("zcq_satisfaction", "1122..", None),
])  # fmt: skip
def test_scores_on_paper(name: str, answers: str, value: float | None) -> None:
    found, wrong = scored(name, answers)
    assert found == (None if value is None else pytest.approx(value))
    assert not wrong


@pytest.mark.parametrize(("name", "answers"), [
    ("odi", "2222222226"), ("odi", "222222222x"), ("odi", "222222222h"),
    ("zcq_symptom", "3333332"), ("zcq_symptom", "3333334"),  # item 7 admits 1, 3 and 5 alone
    ("zcq_symptom", "0333333"), ("zcq_function", "12345"), ("zcq_satisfaction", "011111"),
])  # fmt: skip
def test_an_answer_that_the_item_does_not_admit_gives_no_score(name: str, answers: str) -> None:
    assert scored(name, answers) == (None, True)


def test_items_and_ranges_fit_the_instruments_of_the_protocol(protocol) -> None:
    """The lowest and highest answers give the instrument's own range."""
    for name, scale in SCALES.items():
        lowest, highest = (scored(name, str(answer) * scale.items)[0] for answer in (scale.lowest, scale.highest))
        assert (lowest, highest) == (protocol.instrument(name).minimum, protocol.instrument(name).maximum)
