"""Asks the rows of jobs, so many at a time, in a thread of its own: each row until it has an answer or is given up, and none without a note of it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Final

from batchtrial.direct.asking import Asker, Host, is_of_the_account, is_there, load_client
from batchtrial.direct.hopeless import Hopeless, is_no_api
from batchtrial.direct.pace import Pace, Tempo
from batchtrial.direct.records import Answer, Job, Reply, Row, error_of, no_answer

log = logging.getLogger(__name__)

TRIES: Final = 3
"""How often a row is asked whose answers are lost, or errors that may pass."""
BUSY_TRIES: Final = 12
"""How often one that the server has no room for."""
TRY_SECONDS: Final = 0.5
ENOUGH_WITHOUT: Final = 10
"""Rows that are given up one after the other, none answered between, after which the server is asked whether it is there."""


@dataclass(slots=True)
class _Open:
    """A job that is not through. n_under_way: rows taken and not yet on the disk with their answers."""

    job: Job
    rows: Iterator[Row]
    n_under_way: int = 0
    is_taken: bool = False  # no row is left to take


@dataclass(slots=True)
class _Worker:
    """Asks one row after the other. unsaved: the job whose answer it has told and not seen on the disk yet."""

    unsaved: _Open | None = None


@dataclass(slots=True)
class Executor:
    """Asks at one host. may_halt: a key that is refused, or an account without money, ends all asking at once; else it is the answer to its row.

    So does a server that is away, seen after some rows without an answer; those keep what they were told.
    """

    host: Host
    concurrency: int
    tempo: Tempo = field(default_factory=Tempo)
    seed: int = 0
    may_halt: bool = False
    halted: Answer | None = None
    is_away: bool = False
    failure: Exception | None = None
    _jobs: list[_Open] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _singles: list[tuple[Row, Future[Answer]]] = field(default_factory=list)
    _hopeless: Hopeless = field(default_factory=Hopeless)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _task: asyncio.Task[None] | None = None
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _is_quitting: bool = False
    _n_without: int = 0  # rows given up since the last answer
    _verdict: asyncio.Lock = field(default_factory=asyncio.Lock)
    _pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self._pace = Pace(self.concurrency, self.tempo, self.seed)

    # From any thread

    def add(self, job: Job) -> None:
        """Have the rows of a job asked; one of the same name that is not through yet stays as it is."""
        with self._lock:
            if job.name in self._names:
                return
            self._names.add(job.name)
            self._jobs.append(_Open(job, job.rows()))
        self._start()

    def ask(self, row: Row) -> Answer:
        """The answer to one row that belongs to no job and is written down nowhere."""
        found: Future[Answer] = Future()
        with self._lock:
            if self._is_quitting:
                return no_answer("nothing more is asked")
            self._singles.append((row, found))
        self._start()
        try:
            return found.result()
        except CancelledError:
            return no_answer("nothing more is asked")

    def is_under_way(self, name: str) -> bool:
        """Whether the job was added and is not through."""
        with self._lock:
            return name in self._names

    def wait(self, is_over: Callable[[], bool], seconds: float) -> bool:
        """Return when it is over, when asking has ended, or after so many real seconds; whether it is over."""
        with self._changed:
            return self._changed.wait_for(lambda: is_over() or self.failure is not None or self.halted is not None, seconds) and is_over()

    def close(self, seconds: float, is_let_go: Callable[[], bool] = lambda: False) -> None:
        """Ask nothing more; wait so long for the answers under way, or until they are let go."""
        with self._lock:
            self._is_quitting = True
        thread = self._thread
        if thread is None:
            return
        deadline = self.tempo.monotonic() + seconds
        self._tell(self._quit)
        while thread.is_alive() and self.tempo.monotonic() < deadline and not is_let_go():
            thread.join(0.05)
        if thread.is_alive():
            self._tell(lambda: self._task.cancel() if self._task is not None else None)
            thread.join()
        self._thread = None

    # The asking thread

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._is_quitting:
                load_client()
                ready = threading.Event()
                run = contextvars.copy_context().run  # what it logs is this run's
                self._thread = threading.Thread(target=run, args=(self._run, ready), daemon=True, name="direct")
                self._thread.start()
                ready.wait()
        self._tell(self._more.set)

    def _tell(self, what: Callable[[], object]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)

    def _quit(self) -> None:
        self._is_quitting = True
        self._pace.close()
        self._more.set()

    def _run(self, ready: threading.Event) -> None:
        async def main() -> None:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            ready.set()
            await self._work_all()

        try:
            asyncio.run(main())
        except asyncio.CancelledError:
            log.info("answers under way are let go")
        except Exception as error:  # of the thread: handed to whoever waits for it, who raises it
            log.exception("asking ended")
            self.failure = error
        finally:
            with self._lock:
                left, self._singles = self._singles, []
            for _, found in left:
                found.cancel()
            self._say_so()

    async def _work_all(self) -> None:
        asker = Asker(self.host, self.concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.concurrency):
                    group.create_task(self._work(asker))
        except* OSError as errors:
            raise errors.exceptions[0] from None
        finally:
            await asker.close()

    async def _work(self, asker: Asker) -> None:
        worker = _Worker()
        while not self._is_quitting:
            single, taken = self._take()
            if single is not None:
                row, found = single
                reply = await self._persist(asker, row, None, worker)
                found.set_result(reply.answer) if reply is not None else found.cancel()
            elif taken is not None:
                await self._answer(asker, *taken, worker)
            elif worker.unsaved is not None:
                await self._save(worker, None)
            else:
                await self._more.wait()
                self._more.clear()
        await self._save(worker, None)

    def _take(self) -> tuple[tuple[Row, Future[Answer]] | None, tuple[_Open, Row] | None]:
        """The next row to ask."""
        with self._lock:
            if self._singles:
                return self._singles.pop(0), None
            for one in [one for one in self._jobs if not one.is_taken]:
                row = next(one.rows, None) if one.job.is_wanted() else None
                if row is not None:
                    one.n_under_way += 1
                    return None, (one, row)
                one.is_taken = True
                self._end(one)
        return None, None

    def _end(self, one: _Open) -> None:
        """Forget a job that is through. The lock is held."""
        if one.is_taken and one.n_under_way == 0 and one in self._jobs:
            self._jobs.remove(one)
            self._names.discard(one.job.name)
            self._say_so()

    def _say_so(self) -> None:
        with self._changed:
            self._changed.notify_all()

    async def _answer(self, asker: Asker, one: _Open, row: Row, worker: _Worker) -> None:
        answer = self._hopeless.answer(one.job.name)
        if answer is None:
            reply = await self._persist(asker, row, one, worker)
            if reply is None or self._ends_all(one, row, reply.answer):  # it will be asked when asking goes on
                await self._save(worker, one)
                with self._lock:
                    one.n_under_way -= 1
                return
            answer = reply.answer
        else:
            await self._save(worker, None)
        one.job.answered(row.number, answer)
        worker.unsaved = one

    def _ends_all(self, one: _Open, row: Row, answer: Answer) -> bool:
        """Whether no API answers there: a proxy's login passes, and rows of other jobs would get no better answer. Refusals end their job alone."""
        if not self._hopeless.note(one.job.name, answer):
            return False
        given_up = self._hopeless.answer(one.job.name) or answer
        log.warning("job %s: no further rows are asked: %s", one.job.name, (error_of(given_up) or {}).get("message"))
        if self.may_halt and is_no_api(given_up):
            self._halt(Reply("answer", given_up), one, row)
            return True
        return False

    async def _save(self, worker: _Worker, other: _Open | None) -> None:
        """Have on the disk what the worker has told, in its job and in this one."""
        jobs = {id(one): one for one in (worker.unsaved, other) if one is not None}
        for one in jobs.values():
            await one.job.commit()
        if worker.unsaved is not None:
            with self._lock:
                worker.unsaved.n_under_way -= 1
                self._end(worker.unsaved)
            worker.unsaved = None

    async def _persist(self, asker: Asker, row: Row, one: _Open | None, worker: _Worker) -> Reply | None:
        """The last word about a row, after as many tries as it is worth; None when asking ended before there was one."""
        n_tries = n_busy = 0
        while await self._pace.enter():
            try:
                if one is not None:
                    one.job.asked(row.number)
                    await self._save(worker, one)
                reply = await asker.ask(row)
            finally:
                self._pace.leave()
            if self.may_halt and is_of_the_account(reply.answer):
                self._halt(reply, one, row)
                return None
            n_busy += reply.kind == "busy"
            n_tries += reply.kind in ("failed", "lost", "unsent")
            if reply.kind == "answer":
                self._pace.went_well()
                self._n_without = 0
                return reply
            if n_tries >= TRIES or n_busy >= BUSY_TRIES:
                if self.may_halt and await self._finds_it_away():
                    self._halt(reply, one, row)
                    return None
                if reply.kind == "lost" and one is not None:
                    one.job.lost(row.number)
                return reply
            _let_go(reply, one, row)
            if reply.kind == "busy":
                self._pace.is_busy(reply.wait_seconds)
            elif not await self._pause(reply, n_tries):
                return None
        return None

    async def _finds_it_away(self) -> bool:
        """Whether, after a row without an answer, the server is away; other such rows wait for the verdict."""
        self._n_without += 1
        async with self._verdict:
            if not self.is_away and self._n_without >= ENOUGH_WITHOUT:
                self._n_without = 0
                self.is_away = not await asyncio.to_thread(is_there, self.host)
            return self.is_away

    async def _pause(self, reply: Reply, n_tries: int) -> bool:
        return await self._pace.pause(TRY_SECONDS * 2.0 ** (n_tries - 1) if reply.wait_seconds is None else min(reply.wait_seconds, 30.0))

    def _halt(self, reply: Reply, one: _Open | None, row: Row) -> None:
        _let_go(reply, one, row)
        self.halted = reply.answer
        self._quit()
        self._say_so()


def _let_go(reply: Reply, one: _Open | None, row: Row) -> None:
    """Note that the row is not under way any more, and will be asked again."""
    if one is not None:
        (one.job.lost if reply.kind == "lost" else one.job.turned_away)(row.number)
