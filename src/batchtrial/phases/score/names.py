"""Which numbers the user's metrics give, found out by scoring an answer of each set before any table is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

import polars as pl

from batchtrial.config.expand import Arm
from batchtrial.phases.base import Work
from batchtrial.phases.build.questions import Questions
from batchtrial.phases.prepare.metrics import check_names, scorers
from batchtrial.phases.prepare.slow_metrics import SlowCalls
from batchtrial.records import AnswerState
from batchtrial.scoring import Scorer
from batchtrial.scoring.user_metrics import MetricFailed, contained

_TRIED: Final = 100
"""Answers of a set on which a metric that may fail is tried for its names."""


@dataclass(frozen=True, slots=True)
class Names:
    """The scorer of each set, with the names that its metrics give."""

    by_set: Mapping[str, Scorer]

    @classmethod
    def found(cls, work: Work, arms: Sequence[Arm]) -> Self:
        """From complete answers of these arms. Raises ConfigError."""
        may_fail = work.config.metric_errors == "lost"
        by_set = scorers(work.config, work.view.prepared)
        with Questions(work.layout) as questions, SlowCalls(work.config.metric_seconds, work.progress.note, work.stop.check) as slow:
            for name, scorer in by_set.items():
                if not scorer.needs_items:
                    check_names(scorer)
                    continue
                for place, text in _answers(work, arms, name, _TRIED if may_fail else 1):
                    item = questions.read(place, 1)[0]
                    with contained():
                        for metric in scorer.own:
                            with suppress(*((MetricFailed,) if may_fail else ())), slow.watched(metric.path, item.key):
                                metric(item, text or "")
                    if all(metric.names for metric in scorer.own):
                        break
                check_names(scorer)
        return cls(by_set)

    @property
    def by_metric(self) -> dict[str, frozenset[str]]:
        """Names by the metric's path."""
        return {metric.path: frozenset(metric.names) for scorer in self.by_set.values() for metric in scorer.own}

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the user's own in the tables of scores, in order."""
        own = (
            name
            for scorer in self.by_set.values()
            for metric in scorer.own
            for name in metric.names
            if metric is not scorer.main or name not in ("em", "f1")
        )
        return tuple(sorted({*own, *(column for scorer in self.by_set.values() for metric in scorer.named for column in metric.columns)}))


def _answers(work: Work, arms: Sequence[Arm], dataset: str, n: int) -> Iterator[tuple[int, str | None]]:
    """(place, text) of a few complete answers to questions of a set."""
    places = pl.scan_parquet(work.layout.items).filter(pl.col("dataset") == dataset).select("place")
    for arm in {arm.name: arm for arm in arms}.values():
        answers = pl.scan_parquet(work.layout.arm(arm.name).answers).filter(pl.col("answer_state") == AnswerState.COMPLETE.value)
        yield from answers.select("place", "text").join(places, on="place", how="semi", maintain_order="left").head(n).collect().iter_rows()
