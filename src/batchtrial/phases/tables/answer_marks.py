"""Marks of pairs of answers, by which a label knows what it is about: the same item may have other answers in another run, or once prompts change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import polars as pl

from batchtrial.config.expand import Arm
from batchtrial.keys import digest
from batchtrial.state.labels import Label
from batchtrial.state.layout import RunLayout

NO_MARK: Final = "-"
"""Of a pair that is not there; no label has it."""


def answer_marks(layout: RunLayout, control: Arm, treatment: Arm, places: Iterable[int]) -> dict[int, str]:
    """Mark of the first answers of both arms to each of these items, by place; none for an item that an arm has no row of."""
    wanted = sorted(set(places))
    before, after = (_texts(layout, arm, wanted) for arm in (control, treatment))
    return {place: digest((before[place], after[place]), 16) for place in wanted if place in before and place in after}


def _texts(layout: RunLayout, arm: Arm, places: list[int]) -> Mapping[int, str]:
    table = pl.scan_parquet(layout.arm(arm.name).answers).filter(pl.col("place").is_in(places), pl.col("sample") == 0)
    return dict(table.select("place", pl.col("text").fill_null("")).collect().iter_rows())


def of_these_answers(layout: RunLayout, control: Arm, treatment: Arm, labels: Sequence[Label]) -> list[Label]:
    """Labels of this trial's items that can be about the answers it has now: a prompt may have changed since, or a label come from another run."""
    marked = {one.item_key for one in labels if one.about}
    if not marked:
        return list(labels)
    items = pl.read_parquet(layout.items, columns=["place", "item_key"]).cast({"item_key": pl.String})
    places = {key: place for place, key in items.filter(pl.col("item_key").is_in(marked)).iter_rows()}
    marks = answer_marks(layout, control, treatment, places.values())
    return [one for one in labels if one.is_about(marks.get(places.get(one.item_key, -1), NO_MARK))]
