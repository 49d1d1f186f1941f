"""Pure functions of one part, carried out by whoever is asked to: what they write and give back does not depend on who does it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from batchtrial.phases.base import Work, Worker
from batchtrial.phases.tables.executor import executor_of

R = TypeVar("R")
FEW_ROWS: Final = 40_000
"""Rows up to which starting processes takes longer than the work."""
FEW_SLOW_ROWS: Final = 4_000
"""The same where a row may take any time, as with a metric of the user's own."""
LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Here:
    """A worker in the run's own process."""

    check: Callable[[], None]
    step: Callable[[int], None]
    note: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Task(Generic[R]):
    """Jobs that are told of under one label. n_rows: of all of them."""

    label: str
    n_rows: int
    jobs: Sequence[Callable[[Worker], R]]


class Others(Protocol):
    """Processes that carry out jobs: those of this machine (`processes`), or a cluster's (`cluster`)."""

    def submit(self, job: Callable[[Worker], Any], task: int) -> Future[Any]:
        """Have a job carried out. task: its number, for what is said meanwhile."""

    def result(self, future: Future[Any], job: Callable[[Worker], Any], task: int) -> Any:
        """What a job that ended gave, or the future of another try. Raises what the job raised, and PhaseFailed."""

    def said(self) -> Iterator[tuple[int, int | str]]:
        """Steps and notes that came since the last call, with the number of their task."""


class Team(ExitStack):
    """Who carries out a phase's parts: this process or others, which are started once and end with the block."""

    def __init__(self, work: Work, few_rows: int) -> None:
        super().__init__()
        self._work, self._few_rows = work, few_rows
        self._begun: Others | None = None
        self._told: Counter[int] = Counter()  # rows by task that were told of
        self._ahead: Counter[int] = Counter()  # rows by task that are done before it is that task's turn

    def carry_out(self, tasks: Sequence[Task[R]]) -> Iterator[Iterator[R]]:
        """For each task what its jobs give, in their order; to be taken task by task. All jobs wait for the same processes, so that none is idle.

        Raises Stopped, PhaseFailed, and what the jobs raise.
        """
        self._told.clear()
        others = self._begun = self._begun or self._others(sum(task.n_rows for task in tasks), sum(len(task.jobs) for task in tasks))
        if others is None:
            yield from map(self._here, tasks)
            return
        waiting = [deque(others.submit(job, number) for job in task.jobs) for number, task in enumerate(tasks)]
        for number, (task, futures) in enumerate(zip(tasks, waiting, strict=True)):
            yield self._elsewhere(others, number, task, futures)

    def _others(self, n_rows: int, n_jobs: int) -> Others | None:
        """Who else is to work; nobody where it is not wanted or not worth it."""
        wanted = executor_of(self._work.executor)
        if wanted.kind == "dask" and n_jobs:
            from batchtrial.phases.tables.cluster import Cluster  # needs the extra

            return self.enter_context(Cluster(self._work, wanted.address))
        if wanted.kind != "process" or min(self._work.workers, n_jobs) < 2 or n_rows < self._few_rows:
            return None
        from batchtrial.phases.tables.processes import Processes

        return self.enter_context(Processes(self._work.workers))

    def _here(self, task: Task[R]) -> Iterator[R]:
        with self._work.progress.task(task.label, task.n_rows) as step:
            here = Here(self._work.stop.check, step, self._work.progress.note)
            for job in task.jobs:
                here.check()
                yield job(here)

    def _elsewhere(self, others: Others, number: int, task: Task[R], futures: deque[Future[R]]) -> Iterator[R]:
        with self._work.progress.task(task.label, task.n_rows) as step:

            def tell() -> None:
                self._tell(others, number, task.n_rows, step)
                self._work.stop.check()

            for job in task.jobs:
                found: Any = futures.popleft()
                while isinstance(found, Future):
                    while not found.done():
                        wait([found], timeout=LOOK_SECONDS)
                        tell()
                    found = others.result(found, job, number)
                yield found
            self._tell(others, number, task.n_rows, step)

    def _tell(self, others: Others, number: int, n_rows: int, step: Callable[[int], None]) -> None:
        """Pass on what the others said. number: of the task whose turn it is, with so many rows: those of a part that was begun twice count once."""
        for task, said in others.said():
            if isinstance(said, int):
                self._ahead[task] += said
            else:
                self._work.progress.note(said)
        done = min(self._ahead.pop(number, 0), n_rows - self._told[number])
        if done:
            self._told[number] += done
            step(done)
