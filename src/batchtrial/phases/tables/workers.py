"""Pure functions of one part, carried out here or on several processes: what they write and give back does not depend on which.

A worker process ends when the process that started it does, leaves signals to it, and hears of a stop through an event.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing.connection import wait as ends
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any, Final, Generic, TypeVar

from batchtrial.errors import PhaseFailed, Stopped
from batchtrial.phases.base import Work, Worker

R = TypeVar("R")
FEW_ROWS: Final = 40_000
"""Rows up to which starting processes takes longer than the work."""
LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Here:
    """A worker in the run's own process."""

    check: Callable[[], None]
    step: Callable[[int], None]
    note: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A worker in a process of its own. stop: set when it is to end; told: steps and notes for the run's own process, with the task's number."""

    stop: Event
    told: SimpleQueue[tuple[int, int | str]]
    task: int = 0

    def check(self) -> None:
        if self.stop.is_set():
            raise Stopped("stopped with the run")

    def step(self, n: int) -> None:
        self.told.put((self.task, n))

    def note(self, text: str) -> None:
        self.told.put((self.task, text))


_here: list[Elsewhere] = []
"""Who works in this process, when it is a worker's."""


def _begin(stop: Event, told: SimpleQueue[tuple[int, int | str]]) -> None:
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # of this process alone: there are as many of them as cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(mp.parent_process(),), daemon=True).start()
    _here[:] = [Elsewhere(stop, told)]


def _end_with(parent: Any) -> None:
    """A killed run leaves nobody behind who goes on writing."""
    ends([parent.sentinel])
    os._exit(1)


def _carry_out(job: Callable[[Worker], R], task: int) -> R:
    return job(replace(_here[0], task=task))


@dataclass(frozen=True, slots=True)
class Task(Generic[R]):
    """Jobs that are told of under one label. n_rows: of all of them."""

    label: str
    n_rows: int
    jobs: Sequence[Callable[[Worker], R]]


class Team(ExitStack):
    """Who carries out a phase's parts: this process, or as many others as the run may have, which are started once and end with the block."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work
        self._told: SimpleQueue[tuple[int, int | str]] | None = None
        self._ahead: Counter[int] = Counter()  # rows by task that are done before it is that task's turn

    def carry_out(self, tasks: Sequence[Task[R]]) -> Iterator[Iterator[R]]:
        """For each task what its jobs give, in their order; to be taken task by task. All jobs wait for the same processes, so that none is idle.

        Raises Stopped, PhaseFailed, and what the jobs raise.
        """
        n_rows, n_jobs = sum(task.n_rows for task in tasks), sum(len(task.jobs) for task in tasks)
        if min(self._work.workers, n_jobs) < 2 or n_rows < FEW_ROWS:
            yield from map(self._here, tasks)
            return
        pool = self._started()
        waiting = [[pool.submit(_carry_out, job, number) for job in task.jobs] for number, task in enumerate(tasks)]
        for number, (task, futures) in enumerate(zip(tasks, waiting, strict=True)):
            yield self._elsewhere(number, task, futures)

    def _here(self, task: Task[R]) -> Iterator[R]:
        with self._work.progress.task(task.label, task.n_rows) as step:
            here = Here(self._work.stop.check, step, self._work.progress.note)
            for job in task.jobs:
                here.check()
                yield job(here)

    def _elsewhere(self, number: int, task: Task[R], futures: list[Future[R]]) -> Iterator[R]:
        with self._work.progress.task(task.label, task.n_rows) as step:
            while futures:
                future = futures.pop(0)
                while not future.done():
                    wait([future], timeout=LOOK_SECONDS)
                    self._tell(number, step)
                    self._work.stop.check()
                yield _result(future)
            self._tell(number, step)

    def _started(self) -> ProcessPoolExecutor:
        context = mp.get_context("spawn")
        stop, self._told = context.Event(), context.SimpleQueue()
        pool = ProcessPoolExecutor(self._work.workers, mp_context=context, initializer=_begin, initargs=(stop, self._told))
        self.callback(pool.shutdown, cancel_futures=True)
        self.callback(stop.set)
        return pool

    def _tell(self, number: int, step: Callable[[int], None]) -> None:
        """Pass on what the processes said. number: of the task whose turn it is."""
        while self._told is not None and not self._told.empty():
            task, said = self._told.get()
            if isinstance(said, int):
                self._ahead[task] += said
            else:
                self._work.progress.note(said)
        if done := self._ahead.pop(number, 0):
            step(done)


def _result(future: Future[R]) -> R:
    try:
        return future.result()
    except BrokenProcessPool:
        hint = "it may have been killed for want of memory: run again with --workers 1"
        raise PhaseFailed("a process that worked on a part ended in the middle", hint=hint) from None
