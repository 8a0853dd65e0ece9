"""Scores of questionnaires from their items, with the missing-item rule of each; no wording of an item is held here.

Which columns hold the items is the business of a reader's mapping.
"""

from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True)
class Scale:
    """How the items of a questionnaire become its score.

    Attributes:
        items: how many items it has.
        lowest, highest: the answers that an item admits.
        least_answered: with fewer items answered there is no score.
        is_percent: 100 times the sum over the highest sum that the answered items allow; else the mean of those.
        only: items (counted from 1) that admit these answers alone.
        citation: where the rule is from.
    """

    items: int
    lowest: int
    highest: int
    least_answered: int
    citation: str
    is_percent: bool = False
    only: dict[int, tuple[int, ...]] = field(default_factory=dict)


_ZCQ = "Zurich Claudication Questionnaire: the published scoring program (zcq.ado) [seen]"
SCALES = {
    "odi": Scale(
        10, 0, 5, 8, "Oswestry Disability Index 2.1a: Fairbank and Pynsent 2000; 8 of 10 items [unverified]", True
    ),
    "zcq_symptom": Scale(7, 1, 5, 5, _ZCQ, only={7: (1, 3, 5)}),
    "zcq_function": Scale(5, 1, 4, 4, _ZCQ),
    "zcq_satisfaction": Scale(6, 1, 4, 5, _ZCQ),
}


def item_numbers(items: list[pl.Expr]) -> list[pl.Expr]:
    """Items as numbers; what is no number becomes not-a-number, which no item admits, and an empty item null."""
    return [
        pl.when(item.is_not_null()).then(item.cast(pl.Float64, strict=False).fill_null(float("nan"))) for item in items
    ]


def is_impossible(scale: Scale, items: list[pl.Expr]) -> pl.Expr:
    """Whether an item has an answer that it does not admit."""
    wrong = []
    for place, item in enumerate(item_numbers(items), 1):
        admitted = scale.only.get(place, tuple(range(scale.lowest, scale.highest + 1)))
        wrong.append((item.is_not_null() & ~item.is_in([float(answer) for answer in admitted])).fill_null(False))
    return pl.any_horizontal(wrong)


def answered(items: list[pl.Expr]) -> pl.Expr:
    """How many items have an answer."""
    return pl.sum_horizontal([item.is_not_null().cast(pl.Int32) for item in items])


def score(scale: Scale, items: list[pl.Expr]) -> pl.Expr:
    """The score; null where too few items are answered or one has an impossible answer."""
    total = pl.sum_horizontal(item_numbers(items))
    count = answered(items)
    value = 100 * total / (scale.highest * count) if scale.is_percent else total / count
    return pl.when(~is_impossible(scale, items) & (count >= scale.least_answered)).then(value)
