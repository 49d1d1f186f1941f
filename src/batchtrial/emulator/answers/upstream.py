"""A real server behind the batch APIs: rows are asked one by one at any OpenAI-compatible endpoint (`direct/`), each answer is stored in the world.

A restart goes on with the rows that have no answer yet. An end in order, and one because the client is gone, waits for the answers under way; so only
a kill of this very process loses any, and at most those.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from batchtrial.direct.asking import Host
from batchtrial.direct.executor import Executor
from batchtrial.direct.records import Answer, Row
from batchtrial.direct.wires import headers_of
from batchtrial.emulator.answers.chat import request_of
from batchtrial.emulator.answers.rows import UpstreamAnswer
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.world.jsontext import encode
from batchtrial.emulator.world.records import Batch
from batchtrial.emulator.world.rowfile import RowFile

DRAIN_SECONDS: Final = 20.0
IDLE_SECONDS: Final = 0.1


class UpstreamUrlError(ValueError):
    """An address that cannot be used."""


def address_of(url: str) -> str:
    """The address of the API at `http://host:port` or `http://host:port/v1`. Raises UpstreamUrlError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as err:
        raise UpstreamUrlError(f"--upstream {url!r}: {err}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UpstreamUrlError(f"--upstream {url!r}: expected http://HOST:PORT")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "") + (parts.path.rstrip("/") or "/v1")


class BatchRows:
    """The rows of a batch that have no answer yet, and the table of the world that answers go to."""

    def __init__(self, service: Service, batch: Batch) -> None:
        self.service, self.world, self.batch = service, service.world, batch
        self.name = str(batch.seq)
        self._told: list[tuple[int, Answer]] = []

    def rows(self) -> Iterator[Row]:
        done = {row["row"] for row in self.world.rows("SELECT row FROM answered WHERE batch = ?", (self.batch.seq,))}
        with RowFile(self.world.blob(self.batch.blob)) as lines:
            for number in range(len(lines)):
                if number not in done:
                    path, body = request_of(self.batch, lines.line(number))
                    yield Row(number, f"{self.name}-{number}", path, encode(body).encode("utf-8"))

    def is_wanted(self) -> bool:
        return wants_answers(self.service, self.service.batches.by_seq(self.batch.seq))

    def asked(self, row: int) -> None:
        """Nothing is noted: the bill of the server behind is its own."""

    def turned_away(self, row: int) -> None:
        """Nothing is noted."""

    def lost(self, row: int) -> None:
        """Nothing is noted."""

    def answered(self, row: int, answer: Answer) -> None:
        self._told.append((row, answer))

    async def commit(self) -> None:
        told, self._told = self._told, []
        if told:
            await asyncio.to_thread(self._store, told)

    def _store(self, told: list[tuple[int, Answer]]) -> None:
        with self.world.commit() as db:
            rows = [(self.batch.seq, row, answer.status, answer.body.decode("utf-8", "replace")) for row, answer in told]
            db.executemany("INSERT OR IGNORE INTO answered VALUES(?, ?, ?, ?)", rows)


def wants_answers(service: Service, batch: Batch) -> bool:
    """Whether somebody waits for what its rows are answered."""
    return not batch.problems and batch.cancelled_at is None and service.status(batch).outcome is None


class Upstream:
    """Asks the server; a thread hands the batches of the world to it until `drain`."""

    def __init__(self, service: Service, url: str, *, concurrency: int, timeout_seconds: float, api_key: str | None) -> None:
        self.service, self.world = service, service.world
        # A server of one's own is asked past proxies, as its address says.
        host = Host(url=url, headers=headers_of("chat", api_key), seconds=timeout_seconds, past_proxies=url.startswith("http:"))
        self._executor = Executor(host, concurrency)
        self._quit = threading.Event()
        self._feeder = threading.Thread(target=self._feed, daemon=True)

    def start(self) -> None:
        self._feeder.start()

    def drain(self, seconds: float) -> None:
        """Ask for nothing more, and wait so long for the answers under way that are still wanted; store nothing after that."""
        self._quit.set()
        self._executor.close(seconds, is_let_go=lambda: not self._live())

    def ask(self, path: str, body: dict[str, Any]) -> UpstreamAnswer:
        """Answer of the server, after retries; status 502 when there is none."""
        answer = self._executor.ask(Row(0, "", path, encode(body).encode("utf-8")))
        return UpstreamAnswer(answer.status, answer.body.decode("utf-8", "replace"))

    def _feed(self) -> None:
        while not self._quit.wait(IDLE_SECONDS):
            for batch in self._live():
                self._hand_over(batch)

    def _live(self) -> list[Batch]:
        rows = self.world.rows("SELECT seq FROM batches WHERE is_upstream AND finished_at IS NULL AND closed IS NULL ORDER BY seq")
        batches = [self.service.batches.by_seq(row["seq"]) for row in rows]
        return [batch for batch in batches if wants_answers(self.service, batch)]

    def _hand_over(self, batch: Batch) -> None:
        if batch.n_answered == batch.n_rows:
            with self.world.commit() as db:
                db.execute("UPDATE batches SET finished_at = ? WHERE seq = ?", (self.world.clock.now(), batch.seq))
        else:
            self._executor.add(BatchRows(self.service, batch))
