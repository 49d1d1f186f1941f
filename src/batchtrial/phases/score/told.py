"""What of an arm's answers is scored: the text of each, and why there is none, by the declared rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.records import AnswerState, Outcome
from batchtrial.scoring import Gold
from batchtrial.scoring.score_columns import NUMBERS
from batchtrial.scoring.standing import AnswerRules
from batchtrial.scoring.thinking import MAY_HOLD_MARKS


class _Wrong(str):
    """Of a type of its own, so that no answer of a model can be taken for it."""

    __slots__ = ()


METRIC: Final = "metric"
"""Why an answer is lost that the metric of its set failed on."""
WRONG: Final = _Wrong("")
"""Stands in the place of an answer that is declared to count as wrong."""


@dataclass(frozen=True, slots=True)
class Told:
    """Answers in request order. texts: what is scored, None where nothing is; lost: place -> why nothing is."""

    texts: list[str | None]
    lost: dict[int, str]

    def lost_to(self, abstained: NDArray[np.float64], samples: int) -> pl.Series:
        """Column `lost_to`: for each item why samples were lost, with how many, as `cut:2 errored:1`; null where none was.

        abstained: of each answer, NaN where its set's own metric failed on it.
        """
        failed = (place for place in np.flatnonzero(np.isnan(abstained)).tolist() if self.texts[place] is not None)
        by_item: dict[int, Counter[str]] = {}
        for place, why in (self.lost | dict.fromkeys(failed, METRIC)).items():
            by_item.setdefault(place // samples, Counter())[why] += 1
        shown = {item: " ".join(f"{why}:{n}" for why, n in sorted(counts.items())) for item, counts in by_item.items()}
        return pl.Series("lost_to", map(shown.get, range(len(self.texts) // samples)), dtype=pl.String)


def told(answers: pl.DataFrame, rules: AnswerRules) -> Told:
    """Of rows of an arm's table. answers: columns outcome, answer_state, text."""
    is_plain = (pl.col("outcome") == Outcome.SUCCEEDED.value) & (pl.col("answer_state") == AnswerState.COMPLETE.value)
    needs_rules = pl.lit(True) if rules.strip_thinking not in ("auto", "off") else pl.col("text").str.contains(MAY_HOLD_MARKS)
    found = answers.select(pl.when(is_plain).then("text").alias("text"), (~is_plain.fill_null(False) | needs_rules.fill_null(True)).alias("is_odd"))
    texts: list[str | None] = found["text"].to_list()
    lost: dict[int, str] = {}
    places = found["is_odd"].arg_true()
    rows = answers.select("outcome", "answer_state", "text")[places]
    for place, (outcome, state, text) in zip(places.to_list(), rows.iter_rows(), strict=True):
        if outcome != Outcome.SUCCEEDED:
            texts[place], lost[place] = None, outcome
            continue
        treated, answer = rules.scored(AnswerState(state), text or "")
        texts[place] = None if treated == "lost" else WRONG if treated == "wrong" else answer
        if treated == "lost":
            lost[place] = state
    return Told(texts, lost)


def wrong(gold: Gold) -> list[float]:
    """Numbers of Scores of an answer that counts as wrong."""
    return [one.wrong(gold.golds is None, gold.is_unjudged) for one in NUMBERS]


def read_lost(shown: str) -> Counter[str]:
    """The counts of a value of the column."""
    parts = (part.rpartition(":") for part in shown.split())
    return Counter({why: int(n) for why, _, n in parts})
