"""The numbers of a scored answer: columns of scores.parquet and per_item_scores.csv. A column is added here, in one row.

Each is averaged over an item's samples; what follows from that (its place in the tables, its spread) follows from the row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
NAN: Final = float("nan")


class Judged(NamedTuple):
    """What is known of n answers before the numbers are. matches: EM and F1 before the rules on abstaining, shape (2, n).

    is_unanswerable, is_open, is_unjudged: of the question (no answer is right; it has a passage; nothing says what is right). abstained: of the
    answer. overlap: share of its words that stand in the passage, NaN where none was looked for. threshold: below it an answer is unsupported.
    """

    matches: Numbers
    is_unanswerable: Flags
    is_open: Flags
    is_unjudged: Flags
    abstained: Flags
    overlap: Numbers
    threshold: float


class Number(NamedTuple):
    """A column. of: its numbers; wrong: what it says of an answer that is declared to count as wrong, given is_unanswerable and is_unjudged.

    has_spread: whether the standard deviation over an item's samples stands in a column beside it.
    """

    name: str
    of: Callable[[Judged], Numbers]
    wrong: Callable[[bool, bool], float] = lambda is_unanswerable, is_unjudged: NAN
    has_spread: bool = True


def _matched(row: int) -> Callable[[Judged], Numbers]:
    """EM or F1: on an unanswerable question abstaining is right, on any other it is wrong."""
    return lambda one: np.where(one.is_unanswerable, one.abstained, np.where(one.abstained & ~one.is_unjudged, 0, one.matches[row]))


def _not_right(is_unanswerable: bool, is_unjudged: bool) -> float:
    return NAN if is_unjudged else 0.0


NUMBERS: Final = (
    Number("em", _matched(0), wrong=_not_right),
    Number("f1", _matched(1), wrong=_not_right),
    Number("abstain_rate", lambda one: one.abstained.astype(np.float64), wrong=lambda is_unanswerable, is_unjudged: 0.0),
    Number(
        "false_answer_rate",
        lambda one: np.where(one.is_unanswerable, ~one.abstained, NAN),
        wrong=lambda is_unanswerable, is_unjudged: 1.0 if is_unanswerable else NAN,
    ),
    Number("unsupported_rate", lambda one: np.where(one.is_open, one.overlap < one.threshold, NAN)),
    Number("overlap", lambda one: one.overlap, has_spread=False),
)
"""The first six are the fields of an ItemScore, in its order."""
ABSTAINED: Final = [one.name for one in NUMBERS].index("abstain_rate")
"""NaN there alone where nobody could score the answer at all."""
