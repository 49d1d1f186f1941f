"""Which items people are asked to label: drawn by the run's seed, the two answers in a shuffled order, some of them twice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from batchtrial.errors import RunStateMissing
from batchtrial.keys import digest
from batchtrial.phases.tables.answer_marks import answer_marks, of_these_answers
from batchtrial.reading.run_tables import Pairs, RunTables
from batchtrial.state.labels import Label

DRAWN: Final = 100
TWICE_EVERY: Final = 5


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
