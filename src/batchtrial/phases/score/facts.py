"""What metrics by name may know of an answer beside its text."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from batchtrial.records import AnswerState
from batchtrial.scoring import Scorer
from batchtrial.scoring.metrics.base import Numbers
from batchtrial.scoring.metrics.texts import REFUSED

_DECLINED = (AnswerState.REFUSED.value, AnswerState.FILTERED.value)


def wanted_facts(scorers: Iterable[Scorer]) -> tuple[str, ...]:
    """What the metrics of these scorers need, in order."""
    return tuple(sorted({fact for scorer in scorers for metric in scorer.named for fact in metric.facts}))


def facts_of(answers: pl.DataFrame, wanted: Iterable[str]) -> dict[str, Numbers]:
    """Each as a column, NaN where it is unknown. answers: rows of an arm's table."""
    made = {REFUSED: pl.col("answer_state").is_in(_DECLINED).cast(pl.Float64)}
    found = answers.select(made.get(fact, pl.col(fact).cast(pl.Float64)).fill_null(float("nan")).alias(fact) for fact in wanted)
    return {fact: found[fact].to_numpy() for fact in wanted}
