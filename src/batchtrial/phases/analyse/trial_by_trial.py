"""What is worked out trial by trial: a pure function of the run's files for each, carried out by whoever works on parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final, TypeVar

from batchtrial.phases.base import Work, Worker
from batchtrial.phases.tables.workers import Task, Team

R = TypeVar("R")
FEW_ROWS: Final = 200_000
"""Answers of a run up to which handing its trials out takes longer than working them out."""


class TrialByTrial(ExitStack):
    """Who works them out: this process, or others, which are started once and end with the block."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        build = work.view.build
        is_worth_it = build is not None and sum(shard.lines for shard in build.shards.values()) >= FEW_ROWS
        self._check, self._team = work.stop.check, self.enter_context(Team(work, few_rows=0)) if is_worth_it else None

    def each(self, label: str, jobs: Sequence[Callable[[], R]]) -> Iterator[R]:
        """What the jobs give, in their order. label: what people are told meanwhile. Raises Stopped, PhaseFailed, and what the jobs raise."""
        if self._team is None or len(jobs) < 2:
            for job in jobs:
                self._check()
                yield job()
            return
        for found in self._team.carry_out([Task(label, len(jobs), [partial(_carry_out, job) for job in jobs])]):
            yield from found


def _carry_out(job: Callable[[], R], worker: Worker) -> R:
    worker.check()
    found = job()
    worker.step(1)
    return found
