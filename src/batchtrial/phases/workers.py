"""Pure functions of one part, carried out here or on several processes: what they write and give back does not depend on which.

A worker process ends when the process that started it does, leaves signals to it, and hears of a stop through an event.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as ends
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any, Final, TypeVar

from batchtrial.errors import PhaseFailed, Stopped
from batchtrial.phases.base import Work, Worker

J = TypeVar("J")
R = TypeVar("R")
FEW_ROWS: Final = 40_000
"""Rows up to which starting processes takes longer than the work."""
LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Here:
    """A worker in the run's own process."""

    work: Work
    step: Callable[[int], None]

    def check(self) -> None:
        self.work.stop.check()

    def note(self, text: str) -> None:
        self.work.progress.note(text)


class Elsewhere:
    """A worker in a process of its own. stop: set when it is to end; told: steps and notes for the run's own process."""

    def __init__(self, stop: Event, told: SimpleQueue[int | str]) -> None:
        self._stop, self._told = stop, told

    def check(self) -> None:
        if self._stop.is_set():
            raise Stopped("stopped with the run")

    def step(self, n: int) -> None:
        self._told.put(n)

    def note(self, text: str) -> None:
        self._told.put(text)


_here: list[Elsewhere] = []
"""Who works in this process, when it is a worker's."""


def _begin(stop: Event, told: SimpleQueue[int | str]) -> None:
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # of this process alone: there are as many of them as cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = mp.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    _here[:] = [Elsewhere(stop, told)]


def _end_with(sentinel: int) -> None:
    """A killed run leaves nobody behind who goes on writing."""
    ends([sentinel])
    os._exit(1)


def _carry_out(function: Callable[[J, Worker], R], job: J) -> R:
    return function(job, _here[0])


def over_parts(work: Work, function: Callable[[J, Worker], R], jobs: Sequence[J], n_rows: int, label: str) -> Iterator[R]:
    """What the function gives for each job, in their order. n_rows: of all jobs. Raises Stopped, PhaseFailed, and what the function raises."""
    with work.progress.task(label, n_rows) as step:
        n = min(work.workers, len(jobs))
        if n < 2 or n_rows < FEW_ROWS:
            here = Here(work, step)
            for job in jobs:
                work.stop.check()
                yield function(job, here)
            return
        yield from _on_processes(work, function, jobs, n, step)


def _on_processes(work: Work, function: Callable[[J, Worker], R], jobs: Sequence[J], n: int, step: Callable[[int], None]) -> Iterator[R]:
    context = mp.get_context("spawn")
    stop, told = context.Event(), context.SimpleQueue()
    pool = ProcessPoolExecutor(n, mp_context=context, initializer=_begin, initargs=(stop, told))
    try:
        waiting = [pool.submit(_carry_out, function, job) for job in jobs]
        for future in waiting:
            while not future.done():
                wait([future], timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
                _tell(work, told, step)
                work.stop.check()
            yield _result(future)
        _tell(work, told, step)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _tell(work: Work, told: Any, step: Callable[[int], None]) -> None:
    while not told.empty():
        said = told.get()
        step(said) if isinstance(said, int) else work.progress.note(said)


def _result(future: Future[R]) -> R:
    try:
        return future.result()
    except BrokenProcessPool:
        hint = "it may have been killed for want of memory: run again with --workers 1"
        raise PhaseFailed("a process that worked on a part ended in the middle", hint=hint) from None
