"""A run carried out in a thread of its own: what it tells comes to the caller's thread, and what interrupts the caller asks it to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue

from batchtrial.app.at_work import carry_out
from batchtrial.app.invocation import Invocation
from batchtrial.app.session import Person, opened
from batchtrial.app.tables import tables_of
from batchtrial.errors import StateError
from batchtrial.run.stop import StopToken
from batchtrial.viewer.one_file import write_answers_page


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """How far a run is: `label`, with `done` of `total` steps (None where nobody knows how many), or a line for people in `note`."""

    label: str = ""
    done: int = 0
    total: int | None = None
    note: str = ""

    def __str__(self) -> str:
        return self.note or f"{self.label}: {self.done}" + ("" if self.total is None else f" of {self.total}")


@dataclass(slots=True)
class Teller:
    """Progress that goes into a queue. Carries out `batchtrial.phases.base.Progress`."""

    told: SimpleQueue[Update | None]

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A task; each step is told with how many are done, and nothing is told twice: a callback may act on what it is told."""
        done = 0

        def step(n: int) -> None:
            nonlocal done
            done += n
            if n:
                self.told.put(Update(label=label, done=done, total=total))

        yield step

    def note(self, text: str) -> None:
        """A line for people."""
        self.told.put(Update(note=text))


@dataclass(slots=True)
class Worker:
    """One run at work. asked: how often a stop was asked for before there was anything to stop."""

    ask: Invocation
    run_id: str
    nonce: str
    env: Mapping[str, str]
    told: SimpleQueue[Update | None] = field(default_factory=SimpleQueue)
    ended: Future[None] = field(default_factory=Future)
    _stop: StopToken | None = None
    _asked: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stop(self) -> None:
        """Ask it to leave in order; a second time: after the durable write in hand."""
        with self._lock:
            self._asked += 1
            if self._stop is not None:
                self._stop.ask("the caller")

    def __call__(self) -> None:
        """Carry the run out; whatever comes of it is in `ended`."""
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread, by `ended`
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)
        finally:
            self.told.put(None)

    def _work(self) -> None:
        teller = Teller(self.told)
        person = Person(complain=teller.note, progress=teller, agree=_nobody)
        with opened(self.ask, self.run_id, person, nonce=self.nonce, env=self.env) as at:
            with self._lock:
                self._stop = at.stop
                for _ in range(self._asked):
                    at.stop.ask("the caller")
            finished = carry_out(at, person)
            view = at.session.look()
        if finished.is_complete and (problem := write_answers_page(view, tables_of)):
            teller.note(f"note: {problem}")


def _nobody(loss: str) -> None:
    raise StateError(f"nobody is there to be asked, and nothing was given up: {loss}", hint="`batchtrial resume` asks on a terminal")


def carried_out(worker: Worker, on_update: Callable[[Update], None] | None) -> None:
    """Wait until the run has ended or left; calls `on_update` in this thread. Raises what ended it.

    An interrupt, or a callback that raises, asks the run to stop; it is raised again when the run has left.
    """
    threading.Thread(target=worker, name=f"batchtrial {worker.run_id}").start()
    failed: BaseException | None = None
    while True:
        try:
            update = worker.told.get()
            if update is None:
                break
            if on_update is not None and failed is None:
                on_update(update)
        except KeyboardInterrupt:
            worker.stop()
        except BaseException as error:  # noqa: BLE001 - a callback's own failure: the run leaves in order before it is raised
            failed = error
            worker.stop()
    if failed is not None:
        raise failed
    worker.ended.result()
