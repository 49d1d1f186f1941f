"""A real server behind the batch APIs: rows are asked one by one at any OpenAI-compatible endpoint, each answer is stored at once.

A restart goes on with the rows that have no answer yet. An end in order, and one because the client is gone, waits for the answers under way; so only
a kill of this very process loses any, and at most those.
"""

from __future__ import annotations

import http.client
import json
import logging
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from batchtrial.emulator.answers.chat import request_of
from batchtrial.emulator.answers.hopeless import Hopeless
from batchtrial.emulator.answers.rows import UpstreamAnswer
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.world.jsontext import BadJson, decode, encode
from batchtrial.emulator.world.records import Batch
from batchtrial.emulator.world.rowfile import RowFile

log = logging.getLogger(__name__)

TRIES: Final = 3
RETRIED: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
MAX_WAIT_SECONDS: Final = 30.0
DRAIN_SECONDS: Final = 20.0
MAX_ANSWER_BYTES: Final = 32_000_000
IDLE_SECONDS: Final = 0.1


class UpstreamUrlError(ValueError):
    """An address that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the server is."""

    is_tls: bool
    host: str
    port: int
    prefix: str  # path before /chat/completions


def address_of(url: str) -> Address:
    """Read `http://host:port` or `http://host:port/v1`. Raises UpstreamUrlError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as err:
        raise UpstreamUrlError(f"--upstream {url!r}: {err}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UpstreamUrlError(f"--upstream {url!r}: expected http://HOST:PORT")
    prefix = parts.path.rstrip("/")
    is_tls = parts.scheme == "https"
    return Address(is_tls=is_tls, host=parts.hostname, port=port or (443 if is_tls else 80), prefix=prefix or "/v1")


@dataclass(frozen=True, slots=True)
class Job:
    """One row to ask for."""

    batch: int
    row: int
    path: str
    body: dict[str, Any]


class Upstream:
    """Asks the server; its threads feed on the batches of the world until `stop`."""

    def __init__(self, service: Service, address: Address, *, concurrency: int, timeout_seconds: float, api_key: str | None) -> None:
        self.service, self.world, self.address = service, service.world, address
        self.timeout_seconds, self._api_key = timeout_seconds, api_key
        self._quit = threading.Event()  # nothing more is asked
        self._stop = threading.Event()  # nothing more is stored
        self._jobs: queue.Queue[Job] = queue.Queue(maxsize=concurrency)
        self._under_way: dict[int, int] = {}  # thread -> batch of the row that it asks
        self._hopeless = Hopeless()
        self._all_asked: set[int] = set()  # batches whose every row is answered or under way
        # Daemons: a server that hangs must not keep this process alive.
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(concurrency)]
        self._threads.append(threading.Thread(target=self._feed, daemon=True))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def drain(self, seconds: float) -> None:
        """Ask for nothing more, and wait so long for the answers under way that are still wanted."""
        self._quit.set()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(self._wants_answers(self.service.batches.by_seq(seq)) for seq in [*self._under_way.values()]):
            self._stop.wait(IDLE_SECONDS / 2)

    def stop(self) -> None:
        """Ask for nothing more and store nothing more."""
        self._quit.set()
        with self.world.lock:
            self._stop.set()

    # One request

    def ask(self, path: str, body: dict[str, Any]) -> UpstreamAnswer:
        """Answer of the server, after retries; status 502 when there is none or when it is not an answer."""
        found = UpstreamAnswer(502, "not asked")
        for attempt in range(TRIES):
            found, wait = self._ask_once(path, body)
            if found.status not in RETRIED:
                break
            if attempt + 1 < TRIES and self._quit.wait(min(MAX_WAIT_SECONDS, wait if wait is not None else 0.5 * 2**attempt)):
                break
        return found

    def _ask_once(self, path: str, body: dict[str, Any]) -> tuple[UpstreamAnswer, float | None]:
        kind = http.client.HTTPSConnection if self.address.is_tls else http.client.HTTPConnection
        connection = kind(self.address.host, self.address.port, timeout=self.timeout_seconds)
        headers = {"content-type": "application/json", "accept": "application/json", "connection": "close"}
        if self._api_key:
            headers["authorization"] = f"Bearer {self._api_key}"
        try:
            connection.connect()
            # A time-out of the socket starts anew with every byte: a server that drips would never meet one.
            with _cut_after(self.timeout_seconds, connection.sock) as is_late:
                connection.request("POST", self.address.prefix + path, encode(body).encode("utf-8"), headers)
                response = connection.getresponse()
                raw = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as err:
            return UpstreamAnswer(502, f"the upstream server gave no answer: {err or type(err).__name__}"), None
        finally:
            connection.close()
        if is_late.is_set():
            return UpstreamAnswer(502, f"the upstream server gave no whole answer within {self.timeout_seconds:g} s"), None
        return _checked(response.status, raw), _retry_after(response.getheader("retry-after"))

    # The rows of batches

    def _feed(self) -> None:
        while not self._quit.is_set():
            for batch in self._live():
                self._feed_batch(batch)
            self._quit.wait(IDLE_SECONDS)

    def _live(self) -> list[Batch]:
        rows = self.world.rows("SELECT seq FROM batches WHERE is_upstream AND finished_at IS NULL AND closed IS NULL ORDER BY seq")
        batches = [self.service.batches.by_seq(row["seq"]) for row in rows]
        return [batch for batch in batches if self._wants_answers(batch)]

    def _wants_answers(self, batch: Batch) -> bool:
        return not batch.problems and batch.cancelled_at is None and self.service.status(batch).outcome is None

    def _feed_batch(self, batch: Batch) -> None:
        if batch.n_answered == batch.n_rows:
            with self.world.commit() as db:
                db.execute("UPDATE batches SET finished_at = ? WHERE seq = ?", (self.world.clock.now(), batch.seq))
            return
        if batch.seq in self._all_asked:
            return
        done = {row["row"] for row in self.world.rows("SELECT row FROM answered WHERE batch = ?", (batch.seq,))}
        for job in self._open_rows(batch, done):
            while not self._quit.is_set():
                if not self._wants_answers(self.service.batches.by_seq(batch.seq)):
                    return  # cancelled or expired meanwhile
                try:
                    self._jobs.put(job, timeout=0.5)
                except queue.Full:
                    continue
                break
        if not self._quit.is_set():
            self._all_asked.add(batch.seq)

    def _open_rows(self, batch: Batch, done: set[int]) -> Iterator[Job]:
        with RowFile(self.world.blob(batch.blob)) as rows:
            for row in range(len(rows)):
                if row not in done:
                    path, body = request_of(batch, rows.line(row))
                    yield Job(batch.seq, row, path, body)

    def _work(self) -> None:
        while not self._quit.is_set():
            try:
                job = self._jobs.get(timeout=0.5)
            except queue.Empty:
                continue
            self._under_way[threading.get_ident()] = job.batch
            if not self._quit.is_set():
                answer = self._hopeless.answer(job.batch) or self.ask(job.path, job.body)
                if not (self._quit.is_set() and answer.status in RETRIED):  # its tries were cut short: it is asked again after a restart
                    self._store(job, answer)
            del self._under_way[threading.get_ident()]

    def _store(self, job: Job, answer: UpstreamAnswer) -> None:
        if self._hopeless.note(job.batch, answer):
            log.warning("batch %s: no further rows are asked: %s", job.batch, answer.body[:300])
        with self.world.lock:
            if self._stop.is_set():
                return
            with self.world.commit() as db:
                db.execute("INSERT OR IGNORE INTO answered VALUES(?, ?, ?, ?)", (job.batch, job.row, answer.status, answer.body))


@contextmanager
def _cut_after(seconds: float, sock: socket.socket) -> Iterator[threading.Event]:
    """Shut the connection down when the block takes longer; the event says that it did."""
    is_late = threading.Event()

    def cut() -> None:
        is_late.set()
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield is_late
    finally:
        timer.cancel()


def _checked(status: int, raw: bytes) -> UpstreamAnswer:
    """What is stored of an answer. One with status 200 is kept as it is, whatever it holds: what it means is for the client to say, and asking again
    may cost a second time."""
    if len(raw) > MAX_ANSWER_BYTES:
        return UpstreamAnswer(502, f"the upstream server sent more than {MAX_ANSWER_BYTES} bytes")
    try:
        body = decode(raw)
    except BadJson as err:
        if 200 <= status < 300:
            return UpstreamAnswer(200, encode(raw.decode("utf-8", "replace")))
        return UpstreamAnswer(status if status >= 400 else 502, f"the upstream server sent no JSON: {err}")
    if 200 <= status < 300:
        return UpstreamAnswer(200, json.dumps(body, ensure_ascii=False, separators=(",", ":")))
    return UpstreamAnswer(status if status >= 400 else 502, encode(body))


def _retry_after(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None
