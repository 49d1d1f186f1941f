"""One run's tables, read without its lock while it may be live: tables are replaced whole, so that what is read is never half written.

A `RunTables` holds the numbers of a run in memory and leaves its texts where they lie. `is_current` says whether the files are still those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.config.arm_labels import labels_of_arms
from batchtrial.config.expand import Arm, Trial, TrialArm, arms_of, expand
from batchtrial.config.model import Config
from batchtrial.errors import RunStateMissing
from batchtrial.phases.analyse.paired import without_rounding
from batchtrial.phases.base import arms_in_order
from batchtrial.phases.judge.scores import Judged
from batchtrial.phases.score.record import read_record
from batchtrial.providers.base import calls_as_answers
from batchtrial.reading.config import config_of_run
from batchtrial.reading.items import Items
from batchtrial.reading.judgements import judged_pairs
from batchtrial.reading.looks import BETWEEN, is_between_looks
from batchtrial.reading.metrics import Metric, metrics_of, score_columns
from batchtrial.reading.texts import Texts
from batchtrial.records import RawResult
from batchtrial.state.files import PreparedManifest, load
from batchtrial.state.form import refuse_earlier
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import read_json

Floats = NDArray[np.float64]
Mark = tuple[int, int, int]
DecodeOf = Callable[[str], Callable[[bytes], RawResult]]
"""backend -> what reads a result line of its."""
MOST_OTHERS: Final = 45


def mark_of(path: Path) -> Mark | None:
    """What tells a file from the one that replaces it; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The pairs of one trial at one temperature, one place per item in the run's order, as far as both arms were asked.

    scores: column -> (control, treatment), NaN where an arm has none; of each judge under its name. lost: (control, treatment), the share of samples
    that never came. judged: what each judge said of them.
    """

    trial: Trial
    temp: float
    control: TrialArm
    treatment: TrialArm
    samples: int
    metrics: tuple[Metric, ...]
    scores: dict[str, tuple[Floats, Floats]]
    lost: tuple[Floats, Floats]
    lost_to: tuple[pl.Series, pl.Series]
    judged: dict[str, Judged] = field(default_factory=dict)

    def metric(self, name: str) -> Metric:
        """The metric of that name, or the first."""
        return next((one for one in self.metrics if one.name == name), self.metrics[0])


@dataclass(slots=True)
class RunTables:
    """The tables of a run. decode_of: what reads result lines; None: texts come out of the tables, which takes longer where they lie apart."""

    layout: RunLayout
    config: Config
    trials: tuple[Trial, ...]
    decode_of: DecodeOf | None = None
    _marks: dict[Path, Mark | None] = field(default_factory=dict)
    _pairs: dict[tuple[str, float], Pairs] = field(default_factory=dict)
    _answers: dict[tuple[str, str], pl.Series] = field(default_factory=dict)
    _texts: dict[str, Texts] = field(default_factory=dict)
    _scores: dict[tuple[str, str], Floats] = field(default_factory=dict)
    _items: Items | None = None

    @classmethod
    def of(cls, layout: RunLayout, decode_of: DecodeOf | None = None) -> RunTables:
        """The run by its folder. Raises RunStateMissing when it has no config, items or answers yet, StateError for one of the earlier system."""
        layout.check_there()
        refuse_earlier(layout)
        config = config_of_run(layout)
        prepared = load(PreparedManifest, layout.prepared_manifest)
        if prepared is None or not layout.items.exists():
            raise RunStateMissing(
                f"run {layout.run_id} has no table of items yet", where=str(layout.root), hint="`batchtrial resume` goes on with the run"
            )
        found = cls(layout, config, expand(config, prepared.sha256), decode_of)
        found._marks = {path: mark_of(path) for path in found._files()}
        return found

    def _files(self) -> list[Path]:
        arms = [self.layout.arm(arm.name) for arm in arms_of(self.trials)]
        trials = [self.layout.trial(trial.slug) for trial in self.trials]
        return [
            self.layout.items,
            self.layout.effective_config,
            self.layout.judgements,
            *(path for arm in arms for path in (arm.answers, arm.answers_record, arm.scores, arm.scores_record)),
            *(path for trial in trials for path in (trial.scoring, trial.significance)),
        ]

    def is_current(self) -> bool:
        """Whether the files are those that were read."""
        return all(mark_of(path) == mark for path, mark in self._marks.items())

    def __enter__(self) -> RunTables:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files that stand open."""
        for one in self._texts.values():
            one.close()
        if self._items is not None:
            self._items.close()

    @property
    def items(self) -> Items:
        """The run's items."""
        if self._items is None:
            self._items = Items(self.layout)
        return self._items

    def ready(self) -> list[tuple[Trial, float]]:
        """Trials and temperatures whose arms both have scores."""
        found = []
        for trial in self.trials:
            names = {arm.name for arm in arms_in_order(trial)}
            for temp in trial.temps:
                pair = [trial.arm(condition, temp) for condition in ("control", "treatment")]
                if all(arm is not None and arm.name in names and self.has_scores(arm) for arm in pair):
                    found.append((trial, temp))
        return found

    def others(self) -> list[tuple[Trial, float]]:
        """Every two arms that no trial compares, as trials that nobody declared; none where there are more than `MOST_OTHERS`."""
        found = self._undeclared()
        return found if len(found) <= MOST_OTHERS else []

    def n_unlisted(self) -> int:
        """How many pairs of arms `others` leaves out."""
        n = len(self._undeclared())
        return n if n > MOST_OTHERS else 0

    def _undeclared(self) -> list[tuple[Trial, float]]:
        names = labels_of_arms(self.config, self.trials)
        declared = {frozenset(arm.name for arm in trial.arms if arm.at == temp) for trial in self.trials for temp in trial.temps}
        own = {(arm.at, arm.name): arm for trial in self.trials for arm in trial.arms if self.has_scores(arm)}
        found = []
        for control, treatment in combinations(own.values(), 2):
            if control.at == treatment.at and control.name != treatment.name and frozenset((control.name, treatment.name)) not in declared:
                found.append((_undeclared(control, treatment, names[control.name], names[treatment.name]), control.at))
        return found

    def has_scores(self, arm: Arm) -> bool:
        """Whether it has answers, and scores of just these: between two publications new answers lie beside scores of those before."""
        files = self.layout.arm(arm.name)
        if not (files.answers.exists() and files.scores.exists()):
            return False
        try:
            known = read_json(files.scores_record)
            return (
                "answers_table" not in known or known["answers_table"] == read_json(files.answers_record)["table"]
            )  # earlier versions said nothing of them
        except (OSError, ValueError, TypeError, KeyError):  # without its record a table counts for nothing
            return False

    def arms(self) -> tuple[Arm, ...]:
        """Every arm that has answers and scores of them, once."""
        return tuple(arm for arm in arms_of(self.trials) if self.has_scores(arm))

    @property
    def n_asked(self) -> int:
        """The first items of the run's order that any arm was asked about: fewer than there are where planned looks ended it early."""
        return max((self.n_answers(arm) // arm.samples for arm in self.arms()), default=0)

    def withheld(self, trial: Trial) -> str:
        """Why no interval is shown of a trial, or of two arms that no trial compares: one of a sequential plan goes on; "" when nothing keeps it."""
        slugs = [trial.slug] if trial in self.trials else [one.slug for one in self.trials]
        return BETWEEN if is_between_looks(self.layout, *slugs) else ""

    def pairs(self, slug: str, temp: float) -> Pairs:
        """The pairs of a trial. Raises RunStateMissing when there is no such trial, or not both of its arms have scores."""
        known = self._pairs.get((slug, temp))
        if known is None:
            trial = next((trial for trial, at in (*self.ready(), *self.others()) if trial.slug == slug and at == temp), None)
            if trial is None:
                raise RunStateMissing(
                    f"there are no pairs of {slug!r} at temperature {temp:g} yet", where=str(self.layout.root), hint="the run has not been scored"
                )
            known = self._pairs[slug, temp] = self._made(trial, temp)
        return known

    def _made(self, trial: Trial, temp: float) -> Pairs:
        control, treatment = trial.arm("control", temp), trial.arm("treatment", temp)
        if control is None or treatment is None:
            raise RunStateMissing(f"{trial.slug} has one arm only: there is nothing to compare", where=str(self.layout.root))
        tables = [pl.scan_parquet(self.layout.arm(arm.name).scores) for arm in (control, treatment)]
        columns = score_columns(sorted({name for table in tables for name in table.collect_schema().names()}))
        frames = [_read(table, columns) for table in tables]
        n = min(self.items.n, *(frame.height for frame in frames))
        arms = [{name: frame[name].head(n).cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in (*columns, "n_lost")} for frame in frames]
        scores = {name: (arms[0][name], arms[1][name]) for name in columns}
        judges = judged_pairs(self.layout, self.config, trial, temp, n)
        scores |= {name: (one.control, one.treatment) for name, one in judges.items()}
        scores = {name: (before, without_rounding(after, before)) for name, (before, after) in scores.items()}
        scored = trial.slug if trial in self.trials else self.trials[0].slug  # every arm is scored by the same rules
        samples = self.config.samples_for(temp)
        sets = sorted(self.items.datasets.unique().cast(pl.String).to_list())
        return Pairs(
            trial=trial,
            temp=temp,
            control=control,
            treatment=treatment,
            samples=samples,
            metrics=metrics_of(self.config, read_record(self.layout.trial(scored)), scores, judges, samples, sets),
            scores=scores,
            lost=(arms[0]["n_lost"] / samples, arms[1]["n_lost"] / samples),
            lost_to=(frames[0]["lost_to"].head(n), frames[1]["lost_to"].head(n)),
            judged=judges,
        )

    def scores(self, arm: Arm, column: str) -> Floats:
        """A column of an arm's scores, by place of the item; NaN where it has none, and nothing where the arm has no such column."""
        if (arm.name, column) not in self._scores:
            table = pl.scan_parquet(self.layout.arm(arm.name).scores)
            has_it = column in table.collect_schema().names()
            values = table.select(pl.col(column).cast(pl.Float64)).collect()[column] if has_it else pl.Series(dtype=pl.Float64)
            self._scores[arm.name, column] = values.fill_null(float("nan")).to_numpy()
        return self._scores[arm.name, column]

    def n_answers(self, arm: Arm) -> int:
        """The rows of an arm's answers: one a sample, those of an item beside each other."""
        n: int = pl.scan_parquet(self.layout.arm(arm.name).answers).select(pl.len()).collect().item()
        return n

    def answers(self, arm: Arm, column: str) -> pl.Series:
        """A column of an arm's answers."""
        if (arm.name, column) not in self._answers:
            self._answers[arm.name, column] = pl.scan_parquet(self.layout.arm(arm.name).answers).select(column).collect()[column]
        return self._answers[arm.name, column]

    def texts(self, arm: Arm) -> Texts:
        """The texts of an arm's answers, read when they are asked for."""
        if arm.name not in self._texts:
            decode = None if self.decode_of is None else self.decode_of(arm.backend)
            decode = calls_as_answers(decode) if decode is not None and arm.offers_tools else decode
            self._texts[arm.name] = Texts(self.layout, self.layout.arm(arm.name).answers, decode)
        return self._texts[arm.name]


def _undeclared(control: TrialArm, treatment: TrialArm, before: str, after: str) -> Trial:
    arms = (replace(control, condition="control"), replace(treatment, condition="treatment"))
    return Trial(slug=f"{after}-vs-{before}", model=treatment.model, prompt_set=after, against=before, temps=(control.at,), arms=arms)


def _read(table: pl.LazyFrame, columns: list[str]) -> pl.DataFrame:
    missing = [name for name in columns if name not in table.collect_schema().names()]
    filled = table.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in missing)
    return filled.select(*columns, "n_lost", "lost_to").collect()
