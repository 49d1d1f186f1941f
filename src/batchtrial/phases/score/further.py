"""Scores by metrics that were added to a table of scores that is there: its columns are taken as they stand, and only what is new is computed.

What a table was made from says whether it may be: the same answers, items and settings, but for metrics by name that the config lists behind its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import overload

import numpy as np
import polars as pl

from batchtrial.config.metric_sources import own_paths
from batchtrial.config.model import Config
from batchtrial.phases.base import Worker
from batchtrial.phases.build.questions import Questions
from batchtrial.phases.prepare.metrics import answer_rules, scorers
from batchtrial.phases.score.part import ITEMS_AT_ONCE, Scored, columns_read, facts_of, facts_wanted, mean_of_samples
from batchtrial.phases.score.told import WRONG, told
from batchtrial.phases.tables.arm_table import write_part
from batchtrial.phases.tables.columns import SCORES
from batchtrial.scoring import Asked, Scorer
from batchtrial.scoring.metrics.base import Numbers, Rows
from batchtrial.state.files import PreparedManifest
from batchtrial.state.layout import RunLayout


def with_fewer(config: Config) -> Iterator[Config]:
    """The config without the last of its metrics, without the last two, and so on; none where a metric of the user's own may lose an answer."""
    if not own_paths(config):
        yield from (config.model_copy(update={"metrics": config.metrics[:n]}) for n in range(len(config.metrics) - 1, -1, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherPart:
    """Scores a part by the metrics that are new.

    config: with those alone. scores: the table that is there; before: what was found when it was made, in the first part of the table. user: columns
    of all metrics, in order. target: the table to write.
    """

    layout: RunLayout
    config: Config
    prepared: PreparedManifest | None
    answers: Path
    scores: Path
    before: Scored
    samples: int
    first_item: int
    n_items: int
    user: tuple[str, ...]
    target: Path

    def __call__(self, worker: Worker) -> Scored:
        """Write the table and return what was found. Raises Stopped."""
        return further_parts([self], worker)[0]


def further_parts(parts: Sequence[FurtherPart], worker: Worker) -> list[Scored]:
    """Write the tables of parts about the same items, one for each arm; the items are read once. Raises Stopped."""
    one = parts[0]
    by_set = scorers(one.config, one.prepared)
    with Questions(one.layout, one.first_item, one.n_items) as questions:
        sets = questions.datasets(one.first_item, one.n_items)
        items = cache(lambda: questions.asked(one.first_item, one.n_items))  # many metrics look at answers alone
        for part in parts:
            write_part(_with_further(part, by_set, sets, items, worker), part.target)
    return [part.before for part in parts]


class _Asked(Sequence[Asked]):
    """What some answers are to, read when a metric asks for it."""

    def __init__(self, places: Sequence[int], items: Callable[[], Sequence[Asked]]) -> None:
        self._places, self._items = places, items

    def of(self, numbers: Sequence[int]) -> _Asked:
        """Some of them."""
        return _Asked([self._places[number] for number in numbers], self._items)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Asked: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Asked]: ...

    def __getitem__(self, at: int | slice) -> Asked | Sequence[Asked]:
        if isinstance(at, slice):
            return _Asked(self._places[at], self._items)
        return self._items()[self._places[at]]


def _with_further(
    part: FurtherPart, by_set: Mapping[str, Scorer], sets: pl.Series, items: Callable[[], Sequence[Asked]], worker: Worker
) -> pl.DataFrame:
    """The rows that are there, with the columns of the metrics that are new."""
    k, wanted, frames = part.samples, facts_wanted(by_set), list[pl.DataFrame]()
    answers = pl.scan_parquet(part.answers).slice(part.first_item * k, part.n_items * k).select(columns_read(wanted)).collect()
    known = pl.scan_parquet(part.scores).slice(part.first_item, part.n_items).collect()
    for begin in range(0, part.n_items, ITEMS_AT_ONCE):
        worker.check()
        n = min(ITEMS_AT_ONCE, part.n_items - begin)
        rows = answers.slice(begin * k, n * k)
        texts = told(rows, answer_rules(part.config)).texts
        asked = _Asked(range(begin, begin + n), items)
        found = _named(texts, facts_of(rows, wanted), sets.slice(begin, n), asked, by_set)
        columns = [pl.Series(name, found.get(name, np.full(n * k, np.nan)), nan_to_null=True) for name in _columns(by_set)]
        is_answered = pl.Series("answered", [text is not None for text in texts])
        frames.append(pl.DataFrame(columns) if k == 1 else mean_of_samples(pl.DataFrame([*columns, is_answered]), k, _columns(by_set)))
        worker.step(n * k)
    new = pl.concat(frames)
    return known.drop(new.columns, strict=False).hstack(new).select(*SCORES, *part.user)


def _columns(by_set: Mapping[str, Scorer]) -> list[str]:
    return sorted({column for scorer in by_set.values() for metric in scorer.named for column in metric.columns})


def _named(
    texts: Sequence[str | None], facts: Mapping[str, Numbers], sets: pl.Series, asked: _Asked, by_set: Mapping[str, Scorer]
) -> dict[str, Numbers]:
    """Of every answer to some items, in request order, by column."""
    found, k = dict[str, Numbers](), len(texts) // len(asked)
    for name in sets.unique(maintain_order=True):
        places = [item * k + sample for item in (sets == name).arg_true().to_list() for sample in range(k)]
        here = [texts[place] for place in places]
        rows = Rows(
            texts=[None if text is WRONG else text for text in here],
            items=asked.of([place // k for place in places]),
            facts={fact: values[places] for fact, values in facts.items()},
            worst=[number for number, text in enumerate(here) if text is WRONG],
        )
        for metric in by_set[name].named:
            for column, values in metric.of(rows).items():
                found.setdefault(column, np.full(len(texts), np.nan))[places] = values
    return found
