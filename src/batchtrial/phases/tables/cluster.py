"""Parts carried out by a Dask cluster of the user's, over a file system that its workers share with the run.

The scheduler gives the parts of a worker that is lost to another. Before the first part every worker is asked whether it sees the run's folder as it
is here, and whether it has the same code: a part that was scored by other code would be a quiet error.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import pickle
import queue
import secrets
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from batchtrial.amounts import counted
from batchtrial.errors import MissingExtra, PhaseFailed
from batchtrial.phases.base import Work, Worker
from batchtrial.phases.tables.facts import differences, facts_of
from batchtrial.phases.tables.on_worker import Session, carry_out, greet
from batchtrial.state.store import TEMP_SUFFIX

ANSWER_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.2
MOST_TRIES: Final = 5
"""Times, at most, that a part is given out again after the process that had it ended."""
IMPORT: Final = f"import {Session.__module__}"
"""Whoever cannot do this ends when a record of ours arrives, whatever else it is busy with."""
GO_ON: Final = "what is finished is on disk: `batchtrial resume` goes on, here or on the cluster"


class Cluster(ExitStack):
    """The workers of a scheduler, checked; they are let go at the end of the block. Raises MissingExtra, PhaseFailed, Stopped."""

    def __init__(self, work: Work, address: str) -> None:
        super().__init__()
        self._work, self._address = work, address
        self._tries: Counter[tuple[int, int]] = Counter()
        self._events: queue.SimpleQueue[tuple[int, int | str]] = queue.SimpleQueue()
        self._looking: Future[Any] | None = None
        self._looked, self._is_deserted = time.monotonic(), False
        with ExitStack() as opening:
            opening.enter_context(_quiet())
            self._client = opening.enter_context(_client(address))
            self._session = _session(work, opening)
            self._client.subscribe_topic(self._session.name, lambda event: self._events.put(event[1]))
            self._greet()
            self._pool = self._client.get_executor(pure=False)
            opening.callback(self._pool.shutdown, wait=False)
            self.push(opening.pop_all().__exit__)

    def submit(self, job: Callable[[Worker], Any], task: int) -> Future[Any]:
        """Have a job carried out."""
        future: Future[Any] = self._pool.submit(carry_out, self._session, task, pickle.dumps(job))
        return future

    def result(self, future: Future[Any], job: Callable[[Worker], Any], task: int) -> Any:
        """What a job gave, or the future of another try when the process that had it ended."""
        from distributed import KilledWorker

        try:
            kind, value = future.result()
        except KilledWorker:
            return self._again(job, task, "its workers were lost")
        except CancelledError:
            raise PhaseFailed(f"the scheduler at {self._address} is gone", where="--executor", hint=GO_ON) from None
        except (ImportError, RuntimeError, AttributeError, TypeError) as error:
            raise self._unlike(str(error)) from None
        if kind == "done":
            return pickle.loads(value)
        if kind == "failed":
            raise pickle.loads(value)
        if kind == "none":
            raise self._unlike(_problem(self._session, value))
        return self._again(job, task, str(value))

    def said(self) -> Iterator[tuple[int, int | str]]:
        """Steps and notes that came since the last call."""
        self._look()
        while not self._events.empty():
            yield self._events.get()

    def _look(self) -> None:
        """Say once that all workers are gone: others may come, and until then nothing moves. Never waits for the scheduler."""
        if self._looking is None:
            if time.monotonic() - self._looked > ANSWER_SECONDS:
                self._looking = self._ask(self._workers_now())
            return
        if not self._looking.done():
            return
        is_deserted = self._looking.exception() is None and not self._looking.result()
        if is_deserted and not self._is_deserted:
            self._work.progress.note(f"note: the cluster at {self._address} has no workers any more; the parts wait until some come")
        self._looking, self._looked, self._is_deserted = None, time.monotonic(), is_deserted

    async def _workers_now(self) -> list[str]:
        return list(await self._client.ncores())

    async def _import_at(self, worker: str) -> Any:
        """None, or what kept the worker from importing what a record of ours needs."""
        return (await self._client.run(exec, IMPORT, workers=[worker], on_error="return"))[worker]

    async def _import_at_scheduler(self) -> Any:
        return await self._client.run_on_scheduler(exec, IMPORT)

    def _ask(self, question: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Have the client ask, without waiting for it."""
        return asyncio.run_coroutine_threadsafe(question, self._client.loop.asyncio_loop)

    def _again(self, job: Callable[[Worker], Any], task: int, why: str) -> Future[Any]:
        self._tries[task, id(job)] += 1
        if self._tries[task, id(job)] > MOST_TRIES:
            hint = f"look into the workers' logs, whether they ran out of memory; {GO_ON}"
            raise PhaseFailed(f"a part was given out {MOST_TRIES + 1} times, and each time the process that had it ended ({why})", hint=hint)
        self._work.progress.note(f"note: a process of the cluster ended under a part ({why}); another one takes it")
        return self.submit(job, task)

    def _greet(self) -> None:
        """Look at every worker there is. Raises PhaseFailed naming one that is not as it has to be."""
        with suppress(TimeoutError):
            self._client.wait_for_workers(1, timeout=ANSWER_SECONDS)
        workers = list(self._client.ncores())
        if not workers:
            hint = f"start some: `dask worker {self._address}`, in the same environment and with the same folders as here"
            raise PhaseFailed(f"the cluster at {self._address} has no workers", where="--executor", hint=hint)
        self._check_imports(workers)
        pool = self._client.get_executor(pure=False)
        asked = {one: pool.submit(greet, self._session, workers=[one]) for one in workers}
        n_ready, begin, is_told = 0, time.monotonic(), False
        while waiting := [one for one in asked if one in self._client.ncores()]:
            wait([asked[one] for one in waiting], timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
            self._work.stop.check()
            for one in [one for one, future in asked.items() if future.done()]:
                n_ready += self._check(one, asked.pop(one))
            if asked and not is_told and time.monotonic() - begin > ANSWER_SECONDS:
                is_told = True
                self._work.progress.note(
                    f"note: {len(asked)} of {counted(len(workers), 'worker')} of the cluster did not answer yet; are they at work?"
                )
            if is_told and n_ready:  # the others are looked at like those that join later: before their first part
                break
        for future in asked.values():
            future.cancel()

    def _check_imports(self, workers: Sequence[str]) -> None:
        """Whether scheduler and workers know what they are about to be sent. Raises PhaseFailed naming one that does not."""
        asked = {f"the worker {one}": self._ask(self._import_at(one)) for one in workers}
        asked[f"the scheduler {self._address}"] = self._ask(self._import_at_scheduler())
        begin = time.monotonic()
        while not all(future.done() for future in asked.values()) and time.monotonic() - begin < ANSWER_SECONDS:
            wait(asked.values(), timeout=LOOK_SECONDS)
            self._work.stop.check()
        for who, future in asked.items():
            answer = (future.exception() or future.result()) if future.done() else None
            if isinstance(answer, ImportError):
                raise self._unlike(str(answer), who)

    def _check(self, address: str, future: Future[Any]) -> bool:
        """Whether the worker is ready; False for one that left."""
        try:
            _, found = future.result()
        except CancelledError:
            return False
        except Exception as error:  # noqa: BLE001  whatever keeps our own code from running there, the cluster is not one to work on
            raise self._unlike(f"{type(error).__name__}: {error}", f"the worker {address}") from None
        if problem := _problem(self._session, found):
            raise self._unlike(problem, f"the worker {address}")
        return True

    def _unlike(self, problem: str, who: str = "a worker or the scheduler") -> PhaseFailed:
        hint = "scheduler and workers need the same installation, metrics and folders as the run; --executor process works here"
        return PhaseFailed(f"{who} cannot work on this run: {problem}", where="--executor", hint=hint)


@contextmanager
def _quiet() -> Iterator[None]:
    """A block in which the library logs nothing: what is lost, and what is done about it, is told in our words."""
    with suppress(ImportError):
        import distributed  # noqa: F401  it sets levels itself when it is imported first
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _client(address: str) -> Any:
    """A connection to the scheduler. Raises MissingExtra, PhaseFailed."""
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtra(f"dask.distributed cannot be imported ({error})", where="--executor", hint='pip install "batchtrial[dask]"') from None
    hint = "start one with `dask scheduler`, or leave --executor out to work here"
    try:
        kind = asyncio.run(asyncio.wait_for(_kind_at(address), ANSWER_SECONDS + 1))
        if kind == "Scheduler":
            return Client(address, timeout=ANSWER_SECONDS, set_as_default=False, name="batchtrial")
    except (OSError, TimeoutError, ValueError) as error:
        why = str(error)[:120] or "something listens there and says nothing that a scheduler would: its page has another port"
        raise PhaseFailed(f"no Dask scheduler answers at {address}", where="--executor", hint=f"{hint} ({why})") from None
    raise PhaseFailed(f"at {address} is no scheduler but a {kind.lower()} of Dask", where="--executor", hint=hint)


async def _kind_at(address: str) -> str:
    """What of Dask listens there. A client waits for ever where somebody else does. Raises OSError, TimeoutError."""
    from distributed.core import connect

    comm = await connect(address, timeout=ANSWER_SECONDS)
    try:
        await comm.write({"op": "identity", "reply": True})
        told = await comm.read()
    finally:
        comm.abort()
    return str(told["type"])


def _session(work: Work, closing: ExitStack) -> Session:
    """The session, with its probe written; both go at the end."""
    root = work.layout.root.absolute()
    name = f"batchtrial-{secrets.token_hex(8)}"
    probe, data = root / f".{name}{TEMP_SUFFIX}", secrets.token_bytes(32)
    closing.callback(_remove, root, f".{name}*")
    probe.write_bytes(data)
    return Session(
        name=name,
        cwd=str(Path.cwd()),
        config=pickle.dumps(work.config),
        probe=probe,
        probe_sha256=hashlib.sha256(data).hexdigest(),
        known=_known(work.layout.index.absolute()),
        facts=facts_of(work.config),
    )


def _known(path: Path) -> tuple[Path, str] | None:
    return (path, hashlib.sha256(path.read_bytes()).hexdigest()) if path.exists() else None


def _remove(root: Path, names: str) -> None:
    for path in root.glob(names):
        path.unlink(missing_ok=True)


def _problem(session: Session, found: dict[str, str]) -> str:
    """Why a worker cannot work on the run; "" when it can."""
    if "error" in found:
        return found["error"]
    if "fault" in found:
        return found["fault"] + "; a cluster works over a file system that it shares with the run"
    return "; ".join(differences(session.facts, found))
