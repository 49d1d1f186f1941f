"""Processes of this machine that carry out parts.

A worker process ends when the process that started it does, leaves signals to it, and hears of a stop through an event.
"""

from __future__ import annotations

import gc
import multiprocessing as mp
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing.connection import wait as ends
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any, Final

from batchtrial.errors import PhaseFailed, Stopped
from batchtrial.phases.base import Worker

NEW_OBJECTS: Final = 100_000
"""That are made before what nobody holds any more is looked for: rows are many, and never hold themselves."""


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
    gc.set_threshold(NEW_OBJECTS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(mp.parent_process(),), daemon=True).start()
    _here[:] = [Elsewhere(stop, told)]


def _end_with(parent: Any) -> None:
    """A killed run leaves nobody behind who goes on writing."""
    ends([parent.sentinel])
    os._exit(1)


def _carry_out(job: Callable[[Worker], Any], task: int) -> Any:
    return job(replace(_here[0], task=task))


class Processes(ExitStack):
    """So many processes, started once; they end with the block."""

    def __init__(self, n: int) -> None:
        super().__init__()
        context = mp.get_context("spawn")
        stop, self._told = context.Event(), context.SimpleQueue()
        self._pool = ProcessPoolExecutor(n, mp_context=context, initializer=_begin, initargs=(stop, self._told))
        self.callback(self._pool.shutdown, cancel_futures=True)
        self.callback(stop.set)

    def submit(self, job: Callable[[Worker], Any], task: int) -> Future[Any]:
        """Have a job carried out. task: its number, for what is said meanwhile."""
        return self._pool.submit(_carry_out, job, task)

    def result(self, future: Future[Any], job: Callable[[Worker], Any], task: int) -> Any:
        """What a job that ended gave. Raises what it raised, and PhaseFailed when its process ended under it."""
        try:
            return future.result()
        except BrokenProcessPool:
            hint = "it may have been killed for want of memory: run again with --workers 1"
            raise PhaseFailed("a process that worked on a part ended in the middle", hint=hint) from None

    def said(self) -> Iterator[tuple[int, int | str]]:
        """Steps and notes that came since the last call, with the number of their task."""
        while not self._told.empty():
            yield self._told.get()
