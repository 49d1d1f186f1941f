"""One part's answers as scores: what any process can work out from the arm's table and the prepared items alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.phases.base import Worker
from batchtrial.phases.build.questions import Questions
from batchtrial.phases.prepare.metrics import answer_rules, scorers
from batchtrial.phases.prepare.slow_metrics import SlowCalls
from batchtrial.phases.score.facts import facts_of, wanted_facts
from batchtrial.phases.score.told import WRONG, Told, told, wrong
from batchtrial.phases.tables.arm_table import write_part
from batchtrial.phases.tables.columns import NUMBERS, RATES, SCORES
from batchtrial.scoring import Scorer, Scores
from batchtrial.scoring.language import are_foreign
from batchtrial.scoring.metrics.base import Numbers
from batchtrial.scoring.metrics.texts import REFUSED
from batchtrial.scoring.scorer import Failures
from batchtrial.state.files import PreparedManifest
from batchtrial.state.layout import RunLayout

ITEMS_AT_ONCE: Final = 4096
CALLS_AT_ONCE: Final = 64
"""Items between two words about how far it is, where a metric of the user's own is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreJob:
    """A part to score: the rows of an arm's table that are about so many items from `first_item` on, `samples` to each.

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
    def from_json(cls, record: Mapping[str, Any]) -> Scored:
        """The same, read again."""
        told = record["failures"]
        failures = Failures({path: one["n"] for path, one in told.items()}, {path: one["samples"] for path, one in told.items()})
        return cls(record["answers"], record["not_english"], failures)


def score_part(job: ScoreJob, worker: Worker) -> Scored:
    """Write the part's table and return what was found. Raises Stopped, ConfigError."""
    found = Scored()
    n_rows = job.n_items * job.samples
    with Questions(job.layout, job.first_item, job.n_items) as questions, SlowCalls(job.config.metric_seconds, worker.note, worker.check) as slow:

        def watch(metric: str, item: str) -> AbstractContextManager[None]:
            worker.check()
            return slow.watched(metric, item)

        failures = found.failures if job.config.metric_errors == "lost" else None
        by_set = scorers(job.config, job.prepared, failures=failures, watch=watch)
        for scorer in by_set.values():
            for metric in scorer.own:
                metric.names.update(job.names.get(metric.path, ()))
        read = {"outcome", "answer_state", "text", *(set(wanted_facts(by_set.values())) - {REFUSED})}
        answers = pl.scan_parquet(job.answers).slice(job.first_item * job.samples, n_rows).select(sorted(read)).collect()
        frames = list(_stretches(job, worker, answers, questions, by_set, found))
    write_part(pl.concat(frames), job.target)
    return found


def _stretches(
    job: ScoreJob, worker: Worker, answers: pl.DataFrame, questions: Questions, by_set: Mapping[str, Scorer], found: Scored
) -> Iterator[pl.DataFrame]:
    """The scores of some items after others."""
    rules = answer_rules(job.config)
    at_once = CALLS_AT_ONCE if any(scorer.needs_items for scorer in by_set.values()) else ITEMS_AT_ONCE
    for begin in range(0, job.n_items, at_once):
        worker.check()
        first, n = job.first_item + begin, min(at_once, job.n_items - begin)
        rows = answers.slice(begin * job.samples, n * job.samples)
        here = told(rows, rules)
        texts = [text for text in here.texts if text is not None]
        found.n_answers += len(texts)
        found.n_foreign += int(are_foreign(texts).sum())
        facts = facts_of(rows, wanted_facts(by_set.values()))
        scores = _scores(job, here, facts, questions, by_set, first, n)
        place = pl.int_range(first, first + n, dtype=pl.Int32, eager=True).alias("place")
        lost = here.lost_to(scores.abstained, job.samples)
        yield averaged(scores, job.samples, job.user).with_columns(place, lost).select(*SCORES, *job.user)
        worker.step(n * job.samples)


def _scores(
    job: ScoreJob, here: Told, facts: Mapping[str, Numbers], questions: Questions, by_set: Mapping[str, Scorer], first: int, n: int
) -> Scores:
    """Of every answer to the items first .. first + n, in request order."""
    scores = Scores.lost(len(here.texts))
    read = questions.read if any(scorer.needs_items for scorer in by_set.values()) else questions.asked
    items, datasets = read(first, n), questions.datasets(first, n)
    for name in datasets.unique(maintain_order=True):
        scorer, own = by_set[name], (datasets == name).arg_true().to_list()
        golds = [gold for gold in scorer.prepare_golds([items[item] for item in own]) for _ in range(job.samples)]
        places = [item * job.samples + sample for item in own for sample in range(job.samples)]
        texts = [here.texts[place] for place in places]
        for place, text, gold in zip(places, texts, golds, strict=True):
            if text is WRONG:
                scores.numbers[:, place] = wrong(gold)
        is_there = [text is not None and text is not WRONG for text in texts]
        scored = scorer.score_all(list(compress(golds, is_there)), [text for text in texts if text is not None and text is not WRONG])
        chosen = list(compress(places, is_there))
        scores.numbers[:, chosen] = scored.numbers
        if scorer.named:
            worst = [place for place, text in enumerate(texts) if text is WRONG]
            named = scorer.score_named(
                golds, [None if text is WRONG else text for text in texts], {fact: values[places] for fact, values in facts.items()}, worst
            )
            for column, values in named.items():
                scores.named.setdefault(column, np.full(len(here.texts), np.nan))[places] = values
        for place, custom in zip(chosen, scored.custom, strict=True) if job.user else ():
            scores.custom[place] = custom
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
            *(pl.when((pl.col("answered") & pl.col(name).is_null()).any()).then(None).otherwise(pl.col(name).mean()).alias(name) for name in user),
            *(pl.col(name).std().alias(f"{name}_std") for name in RATES),
            pl.col("answered").sum().cast(pl.Int64).alias("n_samples"),
            (~pl.col("answered")).sum().cast(pl.Int64).alias("n_lost"),
        )
        .drop("item")
    )
