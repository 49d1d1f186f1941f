"""A process that carries out parts on a worker of a cluster: jobs come in on standard input, what they give goes out where standard output was.

A Dask worker lives on, may belong to other programs too, and keeps modules that were edited since; a child is the run's own, in the run's folder, and
ends with the worker, or when no part has come for a while.
"""

from __future__ import annotations

import gc
import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from batchtrial.errors import Stopped
from batchtrial.phases.tables.facts import facts_of, own_facts, shared_fault
from batchtrial.phases.tables.on_worker import Session
from batchtrial.phases.tables.processes import NEW_OBJECTS

IDLE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.5


@dataclass(slots=True)
class InChild:
    """Who works here. send: takes a message for the run's own process. wanted: a folder that is there as long as the run waits for its parts."""

    send: Callable[[str, Any], None]
    wanted: Path
    clock: Callable[[], float] = time.monotonic
    _looked: float = field(default=float("-inf"))

    def check(self) -> None:
        now = self.clock()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            if not self.wanted.exists():
                raise Stopped("stopped with the run")

    def step(self, n: int) -> None:
        self.send("said", n)

    def note(self, text: str) -> None:
        self.send("said", text)


def main() -> None:
    """Answer every message until there is no more."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a user's metric prints is no answer
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # and what comes in is nothing for a program that it starts
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(NEW_OBJECTS)
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(source, messages), daemon=True).start()

    def send(kind: str, value: Any) -> None:
        sink.write(pickle.dumps((kind, value)))
        sink.flush()

    session: Session = messages.get()
    send("facts", greeting(session))
    worker = InChild(send, session.probe)
    while True:
        try:
            job = messages.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            return
        send(*answer(job, worker))


def _read(source: IO[bytes], messages: queue.SimpleQueue[Any]) -> None:
    while True:
        try:
            messages.put(pickle.load(source))
        except Exception:  # noqa: BLE001  whatever it is, the worker is gone, and so is whoever waits for an answer
            os._exit(1)


def greeting(session: Session) -> dict[str, str]:
    """What this process works with, or what keeps it from working."""
    if fault := shared_fault(session):
        return {"fault": fault}
    own = own_facts()
    if not own.items() <= session.facts.items():  # other code may read the config otherwise, or not at all
        return {**session.facts, **own}
    try:
        return facts_of(pickle.loads(session.config))
    except Exception as error:  # noqa: BLE001  whatever a metric's module raises, it has to reach the person at the run
        return {"error": f"{type(error).__name__}: {error}"}


def answer(job: bytes, worker: InChild) -> tuple[str, bytes]:
    """What the job gave, or what it raised, for the run's own process to raise."""
    try:
        worker.check()
        return "done", pickle.dumps(pickle.loads(job)(worker))
    except BaseException as error:  # noqa: BLE001  handed to the run's own process, which raises it
        try:
            packed = pickle.dumps(error)
            pickle.loads(packed)
            return "failed", packed
        except Exception:  # noqa: BLE001  an error of a user's own that cannot travel: its words can
            return "failed", pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    main()
    sys.exit(0)
