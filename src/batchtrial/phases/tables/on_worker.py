"""What runs in a Dask worker's own process: it hands parts to a child of the run's own and passes on what that says.

The scheduler reads these records too. So nothing here knows of parts, and nothing of this project is imported.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

CHILD: Final = "batchtrial.phases.tables.child"
LOOK_SECONDS: Final = 2.0
_of_thread = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a process elsewhere is told before its first part.

    cwd: folder in which the run is worked on. config: pickled. probe: a file of the run that was written now, with its sha256; it is there as long as
    parts are waited for. known: a file of the run that parts are made from, with its sha256, or None. facts: as they are here.
    """

    name: str
    cwd: str
    config: bytes
    probe: Path
    probe_sha256: str
    known: tuple[Path, str] | None
    facts: Mapping[str, str]

    @property
    def reply(self) -> Path:
        """Where a process elsewhere writes a copy of the probe."""
        return self.probe.with_name(f"{self.probe.stem}-{socket.gethostname()}-{os.getpid()}{self.probe.suffix}")


class ChildEnded(Exception):
    """A child ended under a part."""


class Child:
    """A process for parts of one session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        path = os.pathsep.join(entry for entry in sys.path if entry)
        env = {**os.environ, "POLARS_MAX_THREADS": os.environ.get("POLARS_MAX_THREADS", "1"), "PYTHONPATH": path}
        command = [sys.executable, "-P", "-m", CHILD]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=session.cwd, env=env, start_new_session=True)
        self.facts: dict[str, str] = self._ask(session, lambda said: None)[1]

    @property
    def is_there(self) -> bool:
        """Whether it can be given a part."""
        return self._process.poll() is None

    @property
    def is_idle_end(self) -> bool:
        """Whether it ended because no part had come for a while."""
        return self._process.wait() == 0

    def carry_out(self, job: bytes, tell: Callable[[int | str], None]) -> tuple[str, bytes]:
        """What it answers to a part. Raises ChildEnded."""
        return self._ask(job, tell)

    def kill(self) -> None:
        """End it in the middle, and what it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let it end."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _ask(self, message: object, tell: Callable[[int | str], None]) -> tuple[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            pickle.dump(message, stdin)
            stdin.flush()
            while True:
                kind, value = pickle.load(stdout)
                if kind != "said":
                    return kind, value
                tell(value)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise ChildEnded(f"exit code {self._process.wait()}") from None


def child_of(session: Session) -> Child:
    """This thread's child for the session, begun when there is none. Raises OSError, ChildEnded."""
    found: Child | None = getattr(_of_thread, "child", None)
    if found is not None and found.session.name == session.name and found.is_there:
        return found
    if found is not None:
        found.close()
    child = _of_thread.child = Child(session)
    return child


def greet(session: Session) -> tuple[str, dict[str, str]]:
    """("facts", what a child here works with), or ("none", {"fault": why there is none})."""
    try:
        return "facts", child_of(session).facts
    except (OSError, ChildEnded) as error:
        return "none", {"fault": f"no process can be started there in {session.cwd} ({error})"}


@contextmanager
def ended_when_unwanted(child: Child, is_wanted: Callable[[], bool]) -> Iterator[None]:
    """A block that waits for the child. A run that was killed says nothing, and a metric that hangs hears nothing: neither keeps the worker."""
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(LOOK_SECONDS):
            if not is_wanted():
                child.kill()
                return

    watching = threading.Thread(target=look, daemon=True)
    watching.start()
    try:
        yield
    finally:
        is_over.set()
        watching.join()


def carry_out(session: Session, task: int, job: bytes) -> tuple[str, Any]:
    """What became of a part: ("done", pickled), ("failed", pickled error), ("lost", why), or what `greet` says of an unlike worker.

    A worker may have joined after all others were greeted, so each greets its child itself.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        known = worker.state.tasks.get(key)
        return known is None or known.state != "cancelled"

    def tell(said: int | str) -> None:
        worker.log_event(session.name, (task, said))

    for _ in range(2):  # a child may end for want of parts while one is on its way
        kind, facts = greet(session)
        if kind == "none" or facts != session.facts:
            return "none", facts
        child = child_of(session)
        try:
            with ended_when_unwanted(child, is_wanted):
                return child.carry_out(job, tell)
        except ChildEnded as error:
            if not child.is_idle_end:
                return "lost", str(error)
    return "lost", "it ended for want of parts"
