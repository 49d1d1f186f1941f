"""A run as Python sees it: tables, results, costs and how it stands, read without its lock at any moment of its life."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from batchtrial.archive.look import run_at
from batchtrial.errors import RunStateMissing
from batchtrial.names import is_url
from batchtrial.reading import frames, results
from batchtrial.reading.as_published import named_damage
from batchtrial.reading.declared_plan import DeclaredPlan, declared_plan
from batchtrial.reading.inventory import RunReader, RunSummary
from batchtrial.reading.judgements import judgements_frame
from batchtrial.reading.run_tables import RunTables
from batchtrial.state.form import refuse_earlier
from batchtrial.state.layout import EXPERIMENTS, PREFIX, RunLayout

if TYPE_CHECKING:
    import polars as pl

    from batchtrial.config.expand import Arm


def open_run(path: str | os.PathLike[str]) -> Run:
    """The run in this folder, of this name under `./experiments`, or archived at an address such as `s3://BUCKET/run_ID.zip`.

    Raises RunStateMissing, StateError for one of the earlier system, StoreFailed.
    """
    layout = run_at(path) if isinstance(path, str) and is_url(path) else layout_at(path)
    layout.check_there()
    refuse_earlier(layout)
    return Run(layout)


def layout_at(path: str | os.PathLike[str]) -> RunLayout:
    """Where the run lies: the folder itself, or a name under `./experiments`; from the root, since a process may change its folder meanwhile.

    Raises RunStateMissing for a folder that is none of a run.
    """
    folder = Path(path).absolute()
    is_name = Path(path).parts == (str(path),) and not folder.is_dir()
    named = RunLayout.of(EXPERIMENTS.absolute(), str(path)) if is_name else None
    layout = named if named is not None and named.root.is_dir() else RunLayout(folder)
    if folder.is_dir() and not folder.name.startswith(PREFIX) and not layout.has_traces():
        raise RunStateMissing(f"the folder holds no run: {folder}", hint="`batchtrial status` lists the runs there are")
    return layout


class Run:
    """A run, read when something is asked of it, so that one which is under way shows what it has by then. `open_run` makes it."""

    def __init__(self, layout: RunLayout) -> None:
        self._layout = layout
        self._known: RunTables | None = None

    @property
    def run_id(self) -> str:
        """Its name."""
        return self._layout.run_id

    @property
    def path(self) -> Path:
        """Its folder."""
        return self._layout.root

    @property
    def status(self) -> RunSummary:
        """How it stands now: `standing`, `phase`, `outcomes`, `money`, `problems` and more, whatever a live run does to its files."""
        return RunReader(self._layout).look()

    @property
    def plan(self) -> DeclaredPlan:
        """What it was declared to show before any result existed, and what was changed since."""
        return declared_plan(self._layout)

    @property
    def trials(self) -> pl.DataFrame:
        """A row a trial and temperature: `trial, model, tried, against, control, treatment, temp, is_scored`; control and treatment are arms."""
        return self._read(frames.trials_frame)

    @property
    def arms(self) -> pl.DataFrame:
        """A row an arm: `arm, label, backend, model, temp, samples, system, has_answers, has_scores`."""
        return self._read(frames.arms_frame)

    def items(self, *, whole: bool = False) -> pl.DataFrame:
        """A row an item, in the run's order: `place, item_key, dataset, item_id, kind, cluster, question, references`.

        whole: with `context`, `unanswerable` and every column of its source as `x.NAME`.
        """
        return self._read(lambda tables: frames.items_frame(tables, is_whole=whole))

    def answers(self, *arms: str, texts: bool = True) -> pl.DataFrame:
        """A row a request: `arm, item_key, place, sample, outcome, answer_state, finish_reason`, tokens, `usd`, ids, `error`, `text`.

        arms: names or labels; none: every arm that has answers. texts: with the answers' texts, which take most of the room.
        """
        return self._read(lambda tables: frames.answers_frame(tables, self._chosen(arms, "answers"), has_texts=texts))

    def scores(self, *arms: str) -> pl.DataFrame:
        """A row an item and arm: `arm, item_key, place`, each metric by its name, `n_samples`, `n_lost`, `lost_to`.

        A score is a mean over samples, null where the metric is not defined or no answer came. A judge of single answers and a panel of such are
        metrics too. arms: as of `answers`.
        """
        return self._read(lambda tables: frames.scores_frame(tables, self._chosen(arms, "scores")))

    def pairs(self, a: str = "control", b: str = "treatment") -> pl.DataFrame:
        """A row an item: `place, item_key, dataset, item_id, kind, cluster`, and `METRIC_a`, `METRIC_b` of every metric that either arm has.

        a, b: names or labels of arms; `control` and `treatment` where the run has one trial. `n_lost_a`, `n_lost_b` count samples without an answer.
        A judge of pairs gives each arm its share of wins, where it saw these two.
        """
        return self._read(lambda tables: frames.pairs_frame(tables, frames.arm_named(tables, a), frames.arm_named(tables, b)))

    @property
    def judgements(self) -> pl.DataFrame:
        """A row a judgement: `judge, item_key, place, sample, arm, other, repeat, state, verdict, reason`.

        Of a pair there is a row an order, `arm`'s answer first; `verdict` is then 1 where the first wins, 0 where the second does, 0.5 for a tie.
        state: `judged`, `unparseable` or `lost`; `no_answer` or `identical` where nobody was asked.
        """
        return self._read(lambda tables: judgements_frame(tables.layout, tables.config))

    @property
    def tests(self) -> pl.DataFrame:
        """A row a comparison of the reports: its metric and questions, both arms' values, `difference`, `low`, `high`, `p_adjusted`, `verdict`.

        Empty while nothing is compared yet, and between two planned looks. `is_judges_word`: a judge says so, and no labels correct it.
        """
        return results.comparisons_frame(self._layout, self._tables.trials)

    @property
    def costs(self) -> pl.DataFrame:
        """A row a trial and arm: requests, tokens, `usd`; null where that is not known."""
        return results.costs_frame(self._layout, self._tables.trials)

    @property
    def _tables(self) -> RunTables:
        """The tables behind the frames. Raises RunStateMissing while nothing is prepared."""
        known = self._known
        if known is None or not known.is_current():
            known = self._known = RunTables.of(self._layout)
        return known

    def _read(self, frame_of: Callable[[RunTables], pl.DataFrame]) -> pl.DataFrame:
        """A frame of the tables. Raises StateError that names one which cannot be read."""
        tables = self._tables
        with named_damage(tables):
            return frame_of(tables)

    def _chosen(self, names: Iterable[str], what: str) -> list[Arm]:
        chosen = [frames.arm_named(self._tables, name) for name in names]
        return chosen or frames.arms_with(self._tables, what)

    def __repr__(self) -> str:
        run = self.status
        return f"<Run {run.run_id}: {run.standing}, {run.outcomes.succeeded:,} of {run.n_requests:,} requests answered>"

    def _repr_html_(self) -> str:
        from batchtrial.api.shown import run_html

        try:
            tests = self.tests
        except RunStateMissing:
            tests = None
        return run_html(self.status, tests)
