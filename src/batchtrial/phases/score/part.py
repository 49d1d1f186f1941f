"""One part's answers as scores: what any process can work out from the arm's table and the prepared items alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl

from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.phases.base import Worker
from batchtrial.phases.build.questions import Questions
from batchtrial.phases.prepare.metrics import answer_rules, scorers
from batchtrial.phases.prepare.slow_metrics import SlowCalls
from batchtrial.phases.score.told import WRONG, told, wrong
from batchtrial.phases.tables.arm_table import write_part
from batchtrial.phases.tables.columns import NUMBERS, RATES, SCORES
from batchtrial.records import AnswerState, Outcome
from batchtrial.scoring import Gold, Scorer, Scores
from batchtrial.scoring.language import are_foreign
from batchtrial.scoring.metrics.base import Numbers
from batchtrial.scoring.metrics.texts import REFUSED
from batchtrial.scoring.metrics.usage import COST
from batchtrial.scoring.scorer import Failures
from batchtrial.state.files import PreparedManifest
from batchtrial.state.layout import RunLayout

ITEMS_AT_ONCE: Final = 10_000
CALLS_AT_ONCE: Final = 64
"""Items between two words about how far it is, where a metric of the user's own is called."""
_DECLINED: Final = (AnswerState.REFUSED.value, AnswerState.FILTERED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePart:
    """Scores a part: the rows of an arm's table that are about so many items from `first_item` on, `samples` to each.

    names: of the numbers that each of the user's metrics gives; user: all of them, in order. target: the table to write.
    """

    layout: RunLayout
    config: Config
    prepared: PreparedManifest | None
    answers: Path
    samples: int
    first_item: int
    n_items: int
    names: Mapping[str, frozenset[str]]
    user: tuple[str, ...]
    target: Path

    def __call__(self, worker: Worker) -> Scored:
        """Write the table and return what was found. Raises Stopped, ConfigError."""
        return score_parts([self], worker)[0]


@dataclass(slots=True)
class Scored:
    """What was found while a part, or an arm, was scored. n_foreign: answers that are not mainly English."""

    n_answers: int = 0
    n_foreign: int = 0
    failures: Failures = field(default_factory=Failures)

    def add(self, other: Scored) -> None:
        """Count these too."""
        self.n_answers += other.n_answers
        self.n_foreign += other.n_foreign
        self.failures.extend(other.failures)

    def to_json(self) -> dict[str, Any]:
        """As the arm's record has it."""
        return {
            "answers": self.n_answers,
            "not_english": self.n_foreign,
            "failures": {path: {"n": n, "samples": self.failures.samples[path]} for path, n in self.failures.counts.items()},
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The same, read again."""
        told = record["failures"]
        failures = Failures({path: one["n"] for path, one in told.items()}, {path: one["samples"] for path, one in told.items()})
        return cls(record["answers"], record["not_english"], failures)


def score_parts(parts: Sequence[ScorePart], worker: Worker) -> list[Scored]:
    """Write the tables of parts about the same items, one for each arm, and return what was found; the items are read and prepared once.

    Raises Stopped, ConfigError.
    """
    one = parts[0]
    with Questions(one.layout, one.first_item, one.n_items) as questions, SlowCalls(one.config.metric_seconds, worker.note, worker.check) as slow:

        def watch(metric: str, item: str) -> AbstractContextManager[None]:
            worker.check()
            return slow.watched(metric, item)

        by_set = scorers(one.config, one.prepared, watch=watch)
        for scorer in by_set.values():
            for metric in scorer.own:
                metric.names.update(one.names.get(metric.path, ()))
        read = questions.read if any(scorer.needs_items for scorer in by_set.values()) else questions.asked
        arms = [_Arm.of(part, by_set) for part in parts]
        for first in range(one.first_item, one.first_item + one.n_items, ITEMS_AT_ONCE):
            worker.check()
            n = min(ITEMS_AT_ONCE, one.first_item + one.n_items - first)
            sets = questions.datasets(first, n)
            golds = _golds(read(first, n), sets, by_set)
            for arm in arms:
                arm.score(first, sets, golds, worker)
    for arm in arms:
        write_part(pl.concat(arm.frames), arm.part.target)
    return [arm.found for arm in arms]


def _golds(items: Sequence[Any], sets: pl.Series, by_set: Mapping[str, Scorer]) -> list[Gold]:
    """What an answer to each item is compared with. sets: of each item, the set that it is of."""
    golds: list[Any] = [None] * len(items)
    for name in sets.unique():
        own = (sets == name).arg_true().to_list()
        for item, gold in zip(own, by_set[name].prepare_golds([items[item] for item in own]), strict=True):
            golds[item] = gold
    return golds


@dataclass(frozen=True, slots=True)
class _Arm:
    """One arm's part while its answers are scored, some thousands at a time. frames: rows of its table so far."""

    part: ScorePart
    by_set: Mapping[str, Scorer]
    found: Scored = field(default_factory=Scored)
    frames: list[pl.DataFrame] = field(default_factory=list)

    @classmethod
    def of(cls, part: ScorePart, by_set: Mapping[str, Scorer]) -> Self:
        """Before the first answer."""
        found = Scored()
        if part.config.metric_errors == "lost":
            by_set = {name: replace(scorer, failures=found.failures) for name, scorer in by_set.items()}
        return cls(part, by_set, found)

    def score(self, first: int, sets: pl.Series, golds: Sequence[Gold], worker: Worker) -> None:
        """Score the answers to items from `first` on. sets, golds: of each of the items. Raises Stopped, ConfigError."""
        k, wanted = self.part.samples, facts_wanted(self.by_set)
        answers = pl.scan_parquet(self.part.answers).slice(first * k, len(golds) * k).select(columns_read(wanted)).collect()
        at_once = CALLS_AT_ONCE if any(scorer.needs_items for scorer in self.by_set.values()) else ITEMS_AT_ONCE
        for begin in range(0, len(golds), at_once):
            worker.check()
            here = golds[begin : begin + at_once]
            rows = answers.slice(begin * k, len(here) * k)
            read = told(rows, answer_rules(self.part.config))
            texts = [text for text in read.texts if text is not None]
            self.found.n_answers += len(texts)
            self.found.n_foreign += int(are_foreign(texts).sum())
            scores = _scores(read.texts, facts_of(rows, wanted), sets.slice(begin, len(here)), here, self.by_set)
            place = pl.int_range(first + begin, first + begin + len(here), dtype=pl.Int32, eager=True).alias("place")
            frame = averaged(scores, k, self.part.user).with_columns(place, read.lost_to(scores.abstained, k))
            self.frames.append(frame.select(*SCORES, *self.part.user))
            worker.step(rows.height)


def facts_wanted(by_set: Mapping[str, Scorer]) -> list[str]:
    """What metrics by name want to know of an answer beside its text."""
    return sorted({fact for scorer in by_set.values() for metric in scorer.named for fact in metric.facts})


def columns_read(wanted: Sequence[str]) -> list[str]:
    """Columns of an arm's answers that are read for scoring."""
    return sorted({"outcome", "answer_state", "text", *(set(wanted) - {REFUSED})})


def facts_of(rows: pl.DataFrame, wanted: Sequence[str]) -> dict[str, Numbers]:
    """What metrics by name want to know of an answer beside its text, NaN where it is unknown."""
    is_there = pl.col("outcome") == Outcome.SUCCEEDED.value  # a request that brought nothing cost nothing, and is no cheaper answer
    made = {REFUSED: pl.col("answer_state").is_in(_DECLINED).cast(pl.Float64), COST: pl.when(is_there).then(pl.col(COST).cast(pl.Float64))}
    found = rows.select(made.get(fact, pl.col(fact).cast(pl.Float64)).fill_null(float("nan")).alias(fact) for fact in wanted)
    return {fact: found[fact].to_numpy() for fact in wanted}


def _scores(
    texts: Sequence[str | None], facts: Mapping[str, Numbers], sets: pl.Series, golds: Sequence[Gold], by_set: Mapping[str, Scorer]
) -> Scores:
    """Of every answer to some items, in request order."""
    scores, k = Scores.lost(len(texts)), len(texts) // len(golds)
    for name in sets.unique(maintain_order=True):
        scorer, own = by_set[name], (sets == name).arg_true().to_list()
        places = [item * k + sample for item in own for sample in range(k)]
        here = [texts[place] for place in places]
        asked = [golds[item] for item in own for _ in range(k)]
        worst = [number for number, text in enumerate(here) if text is WRONG]
        for number in worst:
            scores.numbers[:, places[number]] = wrong(asked[number])
        chosen = [number for number, text in enumerate(here) if text is not None and text is not WRONG]
        scored = scorer.score_all([asked[number] for number in chosen], [text for text in here if text is not None and text is not WRONG])
        chosen = [places[number] for number in chosen]
        scores.numbers[:, chosen] = scored.numbers
        for place, custom in zip(chosen, scored.custom, strict=True):
            scores.custom[place] = custom
        if scorer.named:
            seen = [None if text is WRONG else text for text in here]
            of = {fact: values[places] for fact, values in facts.items()}
            for column, values in scorer.score_named(asked, seen, of, worst).items():
                scores.named.setdefault(column, np.full(len(texts), np.nan))[places] = values
    return scores


def averaged(scores: Scores, k: int, user: Sequence[str]) -> pl.DataFrame:
    """One row per item from k samples each: means over the samples that were answered, their standard deviation (k - 1 below), and counts.

    An item has no number of a further metric that failed on one of its answered samples: of the rest it would be a mean that nobody declared.

    Raises ConfigError when a user's metric gives a name that it did not give for an empty answer.
    """
    columns = [pl.Series(name, numbers, nan_to_null=True) for name, numbers in zip(NUMBERS, scores.numbers, strict=True)]
    columns += [
        pl.Series(name, scores.named[name], nan_to_null=True)
        if name in scores.named
        else pl.Series(name, [custom.get(name) for custom in scores.custom], dtype=pl.Float64, strict=False)
        for name in user
    ]
    for custom in scores.custom if user else ():
        if not custom.keys() <= set(user):
            extra = sorted(custom.keys() - set(user))[0]
            raise ConfigError(
                f"a metric of yours returns {extra!r} for some answers only", where="metrics", hint="return the same names for every answer"
            )
    flat = pl.DataFrame(columns)
    answered = flat["abstain_rate"].is_not_null().alias("answered")
    if k == 1:
        counts = pl.DataFrame({"n_samples": answered.cast(pl.Int64), "n_lost": (~answered).cast(pl.Int64)})
        return flat.hstack(counts).with_columns(pl.lit(None, dtype=pl.Float64).alias(f"{name}_std") for name in RATES)
    item = pl.Series("item", np.repeat(np.arange(flat.height // k), k))
    return (
        flat.with_columns(item, answered)
        .group_by("item", maintain_order=True)
        .agg(
            *(pl.col(name).mean() for name in flat.columns if name not in user),
            *_means(user),
            *(pl.col(name).std().alias(f"{name}_std") for name in RATES),
            pl.col("answered").sum().cast(pl.Int64).alias("n_samples"),
            (~pl.col("answered")).sum().cast(pl.Int64).alias("n_lost"),
        )
        .drop("item")
    )


def mean_of_samples(flat: pl.DataFrame, k: int, user: Sequence[str]) -> pl.DataFrame:
    """The columns `user` of k samples each, with a column `answered`, as one row per item."""
    item = pl.Series("item", np.repeat(np.arange(flat.height // k), k))
    return flat.with_columns(item).group_by("item", maintain_order=True).agg(*_means(user)).select(user)


def _means(user: Sequence[str]) -> list[pl.Expr]:
    is_failed = [(pl.col("answered") & pl.col(name).is_null()).any() for name in user]
    return [pl.when(failed).then(None).otherwise(pl.col(name).mean()).alias(name) for name, failed in zip(user, is_failed, strict=True)]
