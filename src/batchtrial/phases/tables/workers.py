"""Pure functions of one part, carried out here or on several processes: what they write and give back does not depend on which.

A worker process ends when the process that started it does, leaves signals to it, and hears of a stop through an event.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import wait as ends
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any, Final, TypeVar

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
    """A worker in a process of its own. stop: set when it is to end; told: steps and notes for the run's own process."""

    stop: Event
    told: SimpleQueue[int | str]

    def check(self) -> None:
        if self.stop.is_set():
            raise Stopped("stopped with the run")

    def step(self, n: int) -> None:
        self.told.put(n)

    def note(self, text: str) -> None:
        self.told.put(text)


_here: list[Elsewhere] = []
"""Who works in this process, when it is a worker's."""


def _begin(stop: Event, told: SimpleQueue[int | str]) -> None:
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # of this process alone: there are as many of them as cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(mp.parent_process(),), daemon=True).start()
    _here[:] = [Elsewhere(stop, told)]


def _end_with(parent: Any) -> None:
    """A killed run leaves nobody behind who goes on writing."""
    ends([parent.sentinel])
    os._exit(1)


def _carry_out(job: Callable[[Worker], R]) -> R:
    return job(_here[0])


class Team(ExitStack):
    """Who carries out a phase's parts: this process, or as many others as the run may have, which are started once and end with the block."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work
        self._pool: ProcessPoolExecutor | None = None
        self._told: SimpleQueue[int | str] | None = None

    def over_parts(self, jobs: Sequence[Callable[[Worker], R]], n_rows: int, label: str) -> Iterator[R]:
        """What each job gives, in their order. n_rows: of all jobs. Raises Stopped, PhaseFailed, and what the jobs raise."""
        work = self._work
        with work.progress.task(label, n_rows) as step:
            if min(work.workers, len(jobs)) < 2 or n_rows < FEW_ROWS:
                here = Here(work.stop.check, step, work.progress.note)
                for job in jobs:
                    here.check()
                    yield job(here)
                return
            pool = self._pool or self._started()
            for future in [pool.submit(_carry_out, job) for job in jobs]:
                while not future.done():
                    wait([future], timeout=LOOK_SECONDS)
                    self._tell(step)
                    work.stop.check()
                yield _result(future)
            self._tell(step)

    def _started(self) -> ProcessPoolExecutor:
        context = mp.get_context("spawn")
        stop, self._told = context.Event(), context.SimpleQueue()
        self._pool = ProcessPoolExecutor(self._work.workers, mp_context=context, initializer=_begin, initargs=(stop, self._told))
        self.callback(self._pool.shutdown, cancel_futures=True)
        self.callback(stop.set)
        return self._pool

    def _tell(self, step: Callable[[int], None]) -> None:
        while self._told is not None and not self._told.empty():
            said = self._told.get()
            step(said) if isinstance(said, int) else self._work.progress.note(said)


def _result(future: Future[R]) -> R:
    try:
        return future.result()
    except BrokenProcessPool:
        hint = "it may have been killed for want of memory: run again with --workers 1"
        raise PhaseFailed("a process that worked on a part ended in the middle", hint=hint) from None
