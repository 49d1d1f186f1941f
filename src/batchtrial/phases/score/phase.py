"""score: predictions in, scores per item and arm out.

Writes per_item_scores.csv, one row per (item, condition, temperature) with the items in the run's order. Only answers are scored: a request that
never succeeded, or whose answer was cut off, refused or is none, is counted as lost and is no wrong answer unless the plan says so. The samples of
an item are averaged inside the item and condition.
"""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, chain, compress, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from batchtrial.config.expand import Trial, TrialArm
from batchtrial.errors import ConfigError, RunStateMissing
from batchtrial.phases.answer_rules import answer_rules
from batchtrial.phases.base import View, Work, digest_of, over_trials
from batchtrial.phases.build.index import load_index
from batchtrial.phases.columns import RATES, SCORE_COLUMNS
from batchtrial.phases.parse.predictions import STRETCH, arms_in_order, read_stretch, schema
from batchtrial.phases.prepare.metrics import check_names, metric_names, own_paths, scorers
from batchtrial.phases.prepare.slow_metrics import SlowCalls
from batchtrial.phases.published import Sink, publishing
from batchtrial.phases.score.questions import Questions
from batchtrial.phases.score.record import Languages, changed, code_of, remarks, scoring_record
from batchtrial.phases.score.told import WRONG, Told, lost_to, told, wrong
from batchtrial.records import KEY_SEPARATOR, AnswerState, Verdict
from batchtrial.scoring import Scorer, Scores
from batchtrial.scoring.scorer import Failures, Watch
from batchtrial.scoring.standing import AnswerRules
from batchtrial.scoring.user_metrics import MetricFailed, contained
from batchtrial.state.store import encode_json, write_bytes

FORM: Final = 2
STAGE: Final = "scored"
_TRIED: Final = 100  # answers of a set on which a metric that may fail is tried for its names


def user_names(
    by_set: Mapping[str, Scorer], index: pl.DataFrame, questions: Questions, predictions: Path, *, slow: SlowCalls, may_fail: bool
) -> tuple[str, ...]:
    """Names of the numbers that the user's metrics give, found out by scoring an answer of each set. Raises ConfigError.

    may_fail: a metric may fail on some answers, so that the next ones are tried.
    """
    for name, scorer in by_set.items():
        if not scorer.needs_items:
            continue
        some = (
            pl.scan_csv(predictions, schema=schema())
            .filter(pl.col("dataset") == name, pl.col("answer_state") == AnswerState.COMPLETE.value)
            .head(_TRIED if may_fail else 1)
            .collect()
        )
        for item_id, text in some.select("item_id", "response_text").iter_rows():
            place = index.select(((pl.col("dataset") == name) & (pl.col("item_id") == item_id)).arg_true().first()).item()
            item = questions.read(place, place + 1)[0]
            with contained():
                for metric in scorer.own:
                    with suppress(*((MetricFailed,) if may_fail else ())), slow.watched(metric.path, item.key):
                        metric(item, text or "")
            if all(metric.names for metric in scorer.own):
                break
        check_names(scorer)
    own = {
        name for scorer in by_set.values() for metric in scorer.own for name in metric.names if metric is not scorer.main or name not in ("em", "f1")
    }
    return tuple(sorted(own))


@dataclass(frozen=True, slots=True)
class Desk:
    """What is needed to score any stretch of items."""

    index: pl.DataFrame
    questions: Questions
    scorer_by_set: Mapping[str, Scorer]
    user: tuple[str, ...]
    rules: AnswerRules
    predictions: Path
    arms: tuple[tuple[TrialArm, tuple[int, ...]], ...]  # with the bytes of predictions.csv between which the rows of each stretch of items stand
    languages: Languages

    def rows(self, stretch: int) -> pl.DataFrame:
        """per_item_scores rows of a stretch of items: item by item, each with its arms in order."""
        begin = stretch * STRETCH
        items = self.index.slice(begin, STRETCH)
        told = [self._told(number, stretch, items["item_id"]) for number in range(len(self.arms))]
        scores = self._scores(begin, items["dataset"], [one.texts for one in told])
        facts = items.select(
            pl.int_range(begin, begin + items.height).alias("place"),
            pl.concat_str("dataset", "item_id", separator=KEY_SEPARATOR).alias("item_key"),
            pl.col("kind").alias("type"),
            "dataset",
            "cluster",
        )
        frames = [
            averaged(one, arm.samples, self.user)
            .hstack(facts)
            .with_columns(lost_to(told[number].lost_to_metric(one.numbers[0]), arm.samples, items.height))
            .with_columns(pl.lit(number).alias("arm"), pl.lit(arm.condition).alias("condition"), pl.lit(arm.temp, dtype=pl.Float64).alias("temp"))
            for number, ((arm, _), one) in enumerate(zip(self.arms, scores, strict=True))
        ]
        return pl.concat(frames).sort("place", "arm").select(*SCORE_COLUMNS, *self.user)

    def _told(self, number: int, stretch: int, item_ids: pl.Series) -> Told:
        """The arm's answers to the items of a stretch, in request order."""
        arm, bounds = self.arms[number]
        answers = read_stretch(self.predictions, bounds[stretch], bounds[stretch + 1], "item_id", "outcome", "answer_state", "response_text")
        if not answers["item_id"].gather_every(arm.samples).equals(item_ids):
            raise RunStateMissing("predictions.csv is not in the order of the index", where=arm.name, hint="run with --from_step parse")
        return told(answers, self.rules)

    def _scores(self, begin: int, datasets: pl.Series, texts: Sequence[Sequence[str | None]]) -> list[Scores]:
        """Scores of every arm's answers to the items from `begin` on, in their order; of all arms together, since a scorer likes many at once."""
        for (arm, _), own in zip(self.arms, texts, strict=True):
            self.languages.add(arm.stem, own)
        answers = list(chain.from_iterable(texts))
        arm_begins = [0, *accumulate(map(len, texts))]
        k = [arm.samples for arm, _ in self.arms]
        scores = Scores.lost(len(answers))
        read = self.questions.read if any(scorer.needs_items for scorer in self.scorer_by_set.values()) else self.questions.asked
        items = read(begin, begin + len(datasets))
        for name in datasets.unique(maintain_order=True):
            scorer, numbers = self.scorer_by_set[name], (datasets == name).arg_true().to_numpy()
            golds = scorer.prepare_golds([items[number] for number in numbers.tolist()])
            there = [(np.array(numbers)[:, None] * n + (first + np.arange(n))).ravel().tolist() for first, n in zip(arm_begins, k, strict=False)]
            places = list(chain.from_iterable(there))
            asked = [answers[place] for place in places]
            is_there = [text is not None and text is not WRONG for text in asked]
            # Of each arm the golds again, each once for every sample.
            of_each = list(chain.from_iterable(golds if n == 1 else [gold for gold in golds for _ in range(n)] for n in k))
            for place, text, gold in zip(places, asked, of_each, strict=True) if any(text is WRONG for text in asked) else ():
                if text is WRONG:
                    scores.numbers[:, place] = wrong(gold)
            places = list(compress(places, is_there))
            found = scorer.score_all(list(compress(of_each, is_there)), [text for text in asked if text is not None and text is not WRONG])
            scores.numbers[:, places] = found.numbers
            for place, custom in zip(places, found.custom, strict=True) if self.user else ():
                scores.custom[place] = custom
        return [Scores(scores.numbers[:, first:end], scores.custom[first:end]) for first, end in pairwise(arm_begins)]


_NUMBERS: Final = ("em", "f1", "abstain_rate", "false_answer_rate", "unsupported_rate", "overlap")
"""Columns of the numbers of Scores."""


def averaged(scores: Scores, k: int, user: Sequence[str]) -> pl.DataFrame:
    """One row per item from k samples each: means over the samples that were answered, their standard deviation (k - 1 below), and counts.

    Raises ConfigError when a user's metric gives a name that it did not give for an empty answer.
    """
    columns = [pl.Series(name, numbers, nan_to_null=True) for name, numbers in zip(_NUMBERS, scores.numbers, strict=True)]
    columns += [pl.Series(name, [custom.get(name) for custom in scores.custom], dtype=pl.Float64, strict=False) for name in user]
    for custom in scores.custom if user else ():
        if not custom.keys() <= set(user):
            extra = sorted(custom.keys() - set(user))[0]
            raise ConfigError(
                f"a metric of yours returns {extra!r} for some answers only", where="metrics", hint="return the same names for every answer"
            )
    flat = pl.DataFrame(columns)
    answered = flat["em"].is_not_null().alias("answered")
    if k == 1:
        counts = pl.DataFrame({"n_samples": answered.cast(pl.Int64), "n_lost": (~answered).cast(pl.Int64)})
        stds = [pl.lit(None, dtype=pl.Float64).alias(f"{name}_std") for name in RATES]
        return flat.hstack(counts).with_columns(stds)
    item = pl.Series("item", [place for place in range(flat.height // k) for _ in range(k)])
    return (
        flat.with_columns(item, answered)
        .group_by("item", maintain_order=True)
        .agg(
            *(pl.col(name).mean() for name in flat.columns),
            *(pl.col(name).std().alias(f"{name}_std") for name in RATES),
            pl.col("answered").sum().cast(pl.Int64).alias("n_samples"),
            (~pl.col("answered")).sum().cast(pl.Int64).alias("n_lost"),
        )
        .drop("item")
    )


def as_csv(frame: pl.DataFrame, *, header: bool) -> bytes:
    """Rows in the form of every table that we write: absent values empty, line ends as in predictions.csv."""
    out = io.BytesIO()
    frame.write_csv(out, include_header=header, line_terminator="\r\n")
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class Score:
    """The phase."""

    name: str = "score"

    def inputs(self, view: View, trial: Trial) -> str | None:
        """Digest of the predictions, the items and the settings of scoring; None while nothing is parsed."""
        parsed = view.stage_artifacts_digest(trial, "parsed")
        if parsed is None or view.prepared is None or view.build is None:
            return None
        config = view.config
        names = metric_names(config, view.prepared)
        own = code_of(config, view.trial_layout(trial))
        given = [FORM, parsed, view.prepared.sha256, view.build.index.sha256, names, config.metrics, config.unsupported.model_dump()]
        given.append(asdict(answer_rules(config)))
        if config.answers.abstention_phrases:  # what earlier versions scored without it is still as asked for
            given.append(config.answers.abstention_phrases)
        if own:
            given.append([own, config.metric_errors])
        return digest_of(given)

    def trial_verdict(self, view: View, trial: Trial) -> Verdict:
        found = view.stage_verdict(trial, STAGE, self.inputs(view, trial), needs="parse")
        edited = changed(view.config, view.trial_layout(trial)) if found.status == "stale" else ""
        return replace(found, reason=f"{trial.slug}: {edited}") if edited else found

    def verdict(self, view: View) -> Verdict:
        return over_trials(self, view)

    def run(self, work: Work) -> None:
        """Score every trial that is due. Raises Stopped, ConfigError, RunStateMissing."""
        index: pl.DataFrame | None = None
        for trial, inputs in work.due(self):
            index = load_index(work.layout.index) if index is None else index
            with Questions.load(work.layout, index) as questions, cycles_collected_by_hand():
                _run_trial(work, trial, inputs, index, questions)


@contextmanager
def cycles_collected_by_hand() -> Iterator[None]:
    """Cyclic garbage is looked for when `gc.collect` is called, and what is there now is not looked through.

    Neither the item table nor scoring makes cycles; to look for them every few hundred tuples takes a tenth of the time.
    """
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def _run_trial(work: Work, trial: Trial, inputs: str, index: pl.DataFrame, questions: Questions) -> None:
    layout, config = work.view.trial_layout(trial), work.config
    edited = changed(config, layout)
    if edited:
        work.progress.note(f"note: {edited}; {trial.slug} is scored again")
    failures = Failures() if config.metric_errors == "lost" else None
    with ExitStack() as tasks:
        slow = tasks.enter_context(SlowCalls(config.metric_seconds, work.progress.note, work.stop.check))
        by_set = scorers(config, work.view.prepared, failures=failures, watch=_watch(work, trial, index.height, tasks, slow))
        desk = Desk(
            index=index,
            questions=questions,
            scorer_by_set=by_set,
            user=user_names(by_set, index, questions, layout.predictions, slow=slow, may_fail=failures is not None),
            rules=answer_rules(config),
            predictions=layout.predictions,
            arms=stretches(trial, json.loads(layout.account.read_bytes())["predictions"]),
            languages=Languages(),
        )
        with work.progress.task(f"score {trial.slug}", index.height) as step, publishing(work, layout.scores) as out:
            _write(desk, out, work, step)
    record = scoring_record(config, layout, by_set, failures, desk.languages)
    write_bytes(layout.scoring, encode_json(record), hook=work.hook)
    for line in remarks(record):
        work.progress.note(f"note: {trial.slug}: {line}")
    work.publish(trial, STAGE, inputs, [layout.scores, layout.scoring])


def _watch(work: Work, trial: Trial, n_items: int, tasks: ExitStack, slow: SlowCalls) -> Watch | None:
    """Around each call of a user's metric: looks for a stop, tells how far it is, and names a slow one. None when there is no such metric."""
    own = own_paths(work.config)
    if not own:
        return None
    n_calls = n_items * sum(arm.samples for arm in arms_in_order(trial)) * len(own)
    step = tasks.enter_context(work.progress.task(f"{', '.join(own)} on {trial.slug}", n_calls))

    def watch(metric: str, item: str) -> AbstractContextManager[None]:
        work.stop.check()
        step(1)
        return slow.watched(metric, item)

    return watch


def stretches(trial: Trial, record: Mapping[str, Any]) -> tuple[tuple[TrialArm, tuple[int, ...]], ...]:
    """Each arm with the bytes between which its stretches stand; the last one of an arm ends where the next arm begins."""
    arms = arms_in_order(trial)
    begins = [record["stretches_begin"][arm.stem] for arm in arms]
    ends = [*(each[0] for each in begins[1:]), record["bytes"]]
    return tuple((arm, (*each, end)) for arm, each, end in zip(arms, begins, ends, strict=True))


def _write(desk: Desk, out: Sink, work: Work, step: Callable[[int], None]) -> None:
    for stretch in range(-(-desk.index.height // STRETCH)):
        work.stop.check()
        rows = desk.rows(stretch)
        out.write(as_csv(rows, header=stretch == 0))
        gc.collect()  # a user's metric may make cycles
        step(rows.height // len(desk.arms))


phase = Score()
