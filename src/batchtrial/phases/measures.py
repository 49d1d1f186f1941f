"""The measures of an answer: what the columns of per_item_scores.csv mean and how a sentence calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["open", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure. column: in per_item_scores.csv. is_binary: one answer scores 0 or 1. kinds: questions that have it."""

    name: str
    column: str
    label: str
    higher_is_better: bool
    is_binary: bool
    kinds: tuple[Kind, ...] = ("open", "closed")
    note: str = ""


BUILT_IN: Final[Mapping[str, Measure]] = {
    one.name: one
    for one in (
        Measure(name="em", column="em", label="exact match", higher_is_better=True, is_binary=True),
        Measure(name="f1", column="f1", label="token F1", higher_is_better=True, is_binary=False),
        Measure(
            name="abstained", column="abstain_rate", label="abstention rate", higher_is_better=False, is_binary=True,
            note="abstaining is right on unanswerable questions and wrong on others",
        ),
        Measure(
            name="false_answer", column="false_answer_rate", label="false answers on unanswerable questions", higher_is_better=False,
            is_binary=True, kinds=("open",),
        ),
        Measure(
            name="unsupported", column="unsupported_rate", label="unsupported answers (word-overlap heuristic)", higher_is_better=False,
            is_binary=True, kinds=("open",), note="a heuristic that compares words, not meaning",
        ),
    )
}  # fmt: skip
"""In the order of tables."""

ALIASES: Final[Mapping[str, str]] = {one.column: one.name for one in BUILT_IN.values()}
"""Column names are accepted where the config asks for a measure."""

SCORE_COLUMNS: Final = (
    "abstain_rate",
    "abstain_rate_std",
    "condition",
    "em",
    "em_std",
    "f1",
    "f1_std",
    "false_answer_rate",
    "false_answer_rate_std",
    "item_key",
    "temp",
    "type",
    "unsupported_rate",
    "unsupported_rate_std",
    "n_samples",
    "n_lost",
    "overlap",
    "dataset",
    "cluster",
)
"""Fixed columns of per_item_scores.csv; a user's measures follow by name."""
RATES: Final = ("em", "f1", "abstain_rate", "false_answer_rate", "unsupported_rate")


def user_measure(name: str) -> Measure:
    """A user's own measure: any number, more is better."""
    return Measure(name=name, column=name, label=name, higher_is_better=True, is_binary=False)
