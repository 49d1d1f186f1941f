"""Which items people are asked to label: drawn by the run's seed, the two answers in a shuffled order, some of them twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from batchtrial.errors import ConfigError, RunStateMissing
from batchtrial.keys import digest
from batchtrial.phases.tables.answer_marks import answer_marks, of_these_answers
from batchtrial.reading.run_tables import Pairs, RunTables
from batchtrial.state.labels import Label

DRAWN: Final = 100
TWICE_EVERY: Final = 5
THEIR_OWN: Final = "import the labels into their own run"


class Drawn(NamedTuple):
    """One item to label. is_flipped: the treatment's answer stands first. mark: of its two answers."""

    key: str
    place: int
    is_repeat: bool
    is_flipped: bool
    mark: str


def drawn(tables: RunTables, pairs: Pairs, n: int = DRAWN) -> list[Drawn]:
    """The first complete pairs of the run's order, which is a shuffle by its seed; every fifth of them once more at the end, the other way round.

    They begin in the middle: the page shows the first ones in its table, with their arms named, before anybody labels.
    """
    column = next((one.column for one in pairs.metrics if one.is_total), pairs.metrics[0].column)
    control, treatment = pairs.scores[column]
    places = np.flatnonzero(~(np.isnan(control) | np.isnan(treatment)))[:n].tolist()
    keys = tables.items.keys(places)
    seed, marks = str(tables.config.seed), answer_marks(tables.layout, pairs.control, pairs.treatment, places)
    flips = [int(digest((seed, "label", pairs.trial.slug, key), 8), 16) % 2 == 1 for key in keys]
    once = [Drawn(key, place, False, is_flipped, marks.get(place, "")) for key, place, is_flipped in zip(keys, places, flips, strict=True)]
    again = [one._replace(is_repeat=True, is_flipped=not one.is_flipped) for one in once[::TWICE_EVERY]]
    return once[len(once) // 2 :] + once[: len(once) // 2] + again


def of_this_run(tables: RunTables, labels: Iterable[Label]) -> list[Label]:
    """Labels that can be about the answers that the run has now, in their order."""
    found = list(labels)
    for slug, temp in dict.fromkeys((one.trial, one.temp) for one in found if one.about):
        mine = [one for one in found if (one.trial, one.temp) == (slug, temp)]
        try:
            pairs = tables.pairs(slug, temp)
            kept = of_these_answers(tables.layout, pairs.control, pairs.treatment, mine)
        except RunStateMissing:  # of a trial that the run does not have, or has not scored
            kept = [one for one in mine if not one.about]
        gone = {(one.who, one.id) for one in mine} - {(one.who, one.id) for one in kept}
        found = [one for one in found if (one.who, one.id) not in gone]
    return found


def check_known(tables: RunTables, labels: Iterable[Label], source: str) -> None:
    """Raises ConfigError for a label of an item or a trial that the run does not have: it would be kept and never count. source: what brings them."""
    given = [label for label in labels if not label.undo]
    slugs, items = {trial.slug for trial in tables.trials}, sorted({label.item_key for label in given})
    there = {key for key, place in zip(items, places_of(tables, items), strict=True) if place is not None}
    for label in given:
        for what, value, known in (("trial", label.trial, slugs), ("item", label.item_key, there)):
            if value not in known:
                raise ConfigError(f"the run has no {what} {value!r}", where=f"{source}, label {label.id}", hint=THEIR_OWN)


def check_theirs(tables: RunTables, labels: Iterable[Label], source: str) -> None:
    """As `check_known`; and for one that is about other answers than the run has now."""
    given = [label for label in labels if not label.undo]
    check_known(tables, given, source)
    theirs = {label.id for label in of_this_run(tables, given)}
    if (other := next((label for label in given if label.id not in theirs), None)) is not None:
        raise ConfigError("the label is about other answers than the run has", where=f"{source}, label {other.id}", hint=THEIR_OWN)


def places_of(tables: RunTables, keys: Sequence[str]) -> list[int | None]:
    """Places of items by their keys; None for one that the run does not have."""
    by_key = {}
    for place in tables.items.places_of(keys).tolist():
        by_key[tables.items.read([place])[0].key] = place
    return [by_key.get(key) for key in keys]
