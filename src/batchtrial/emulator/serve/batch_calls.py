"""What wires do alike with a batch: take its rows in, look it up, give it up, hide it, count its rows, find its result files.

How a batch is created and shown, and in which words, is each wire's own.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from batchtrial.emulator.serve.accounts import EVERYBODY
from batchtrial.emulator.serve.exchange import Call, WireError
from batchtrial.emulator.serve.results import Closed, Closing
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.world.batches import NewBatch
from batchtrial.emulator.world.effects import Effects
from batchtrial.emulator.world.jsontext import BadJson, decode_object
from batchtrial.emulator.world.lifecycle import Status
from batchtrial.emulator.world.records import Batch
from batchtrial.emulator.world.rowfile import save_index, scan
from batchtrial.emulator.world.world import World

MAX_PROBLEMS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIn:
    """The rows of a batch in a file of the world, how many there are, and what is wrong with them."""

    blob: str
    n_rows: int
    problems: tuple[dict[str, Any], ...]
    model: str = ""  # where the wire's batches have one model
    tokens: int = 0  # of the prompts, where the wire counts them


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Where a batch stands and what came of its rows. n_done: succeeded, with those whose line got lost. closed: None while it lives."""

    at: Status
    closed: Closed | None
    n_done: int
    n_failed: int


def take_rows(world: World, write: Callable[[Path], object], check: Callable[[int, bytes], None]) -> tuple[str, int]:
    """Blob and number of the rows that `write` puts into a file. check: told each line that is not blank, with its number from 1."""
    name, draft = world.new_blob()
    write(draft)
    offsets = array("Q")
    for number, offset, line in scan(draft):
        offsets.append(offset)
        check(number, line)
    save_index(world.blob(name), offsets)
    world.publish(name)
    return name, len(offsets)


def take_requests(world: World, write: Callable[[Path], object], effects: Effects, *, id_field: str, body_field: str) -> TakenIn:
    """The rows that `write` puts into a file, each of which is an object with an id and a body. effects: may say that they are refused."""
    problems: list[dict[str, Any]] = []

    def check(number: int, line: bytes) -> None:
        try:
            row = decode_object(line)
        except BadJson:
            row = {}
        if not isinstance(row.get(id_field), str) or not isinstance(row.get(body_field), dict):
            problems.append({"message": f"line {number} has no {id_field} and {body_field}", "count": 1})

    blob, n_rows = take_rows(world, write, check)
    if not n_rows:
        problems.append({"message": "the file has no requests", "count": 1})
    return TakenIn(blob=blob, n_rows=n_rows, problems=(*problems[:MAX_PROBLEMS], *forced_problems(effects)))


def forced_problems(effects: Effects) -> tuple[dict[str, Any], ...]:
    """Why a batch fails its validation when faults say so."""
    if effects.token_limit_exceeded:
        return ({"code": "token_limit_exceeded", "message": "The limit of enqueued tokens is reached.", "count": 1},)
    forced = effects.validation_failure
    message = forced if isinstance(forced, str) else "The emulator was told to fail this batch."
    return ({"code": "invalid_request", "message": message, "count": 1},) if forced else ()


class BatchCalls(ABC):
    """Handlers of the routes of one wire's batches. name: of the provider. gone: what is said of a batch that is not there, with its {id}."""

    def __init__(self, service: Service, closing: Closing, name: str, gone: str = "Batch not found") -> None:
        self.service, self.world, self.closing = service, service.world, closing
        self.name, self.gone = name, gone

    @abstractmethod
    def shown(self, batch: Batch, state: str | None = None) -> dict[str, Any]:
        """The batch as the wire shows it. state: in the place of its own."""

    def accept(self, call: Call, taken: TakenIn, effects: Effects, wire: dict[str, Any], *, id: str, files: dict[str, str] | None = None) -> Batch:
        """The batch is owed from here on. files: names of its result files, by id."""
        with self.world.commit() as db:
            batch = self.service.batches.add(
                NewBatch(
                    provider=self.name,
                    id=id,
                    n_rows=taken.n_rows,
                    blob=taken.blob,
                    wire=wire,
                    effects=effects,
                    problems=taken.problems,
                    is_upstream=self.service.is_upstream,
                    account=call.account,
                    model=taken.model,
                    tokens=taken.tokens,
                )
            )
            for file_id, name in (files or {}).items():
                db.execute("INSERT INTO result_files VALUES(?, ?, ?, NULL)", (file_id, batch.seq, name))
        return batch

    def find(self, call: Call) -> Batch:
        """The batch in the path. Raises WireError 404."""
        batch_id = call.request.path_params["batch"]
        batch = self.service.batches.get(self.name, batch_id, call.account)
        if batch is None or batch.deleted_at is not None:
            raise WireError(404, self.gone.replace("{id}", batch_id))
        return batch

    async def find_behind_gate(self, call: Call) -> Batch:
        """The batch in the path, once the faults had their turn. Raises WireError, Dropped."""
        await call.gate(part=call.request.path_params["batch"])
        return self.find(call)

    async def get(self, call: Call) -> Response:
        batch = await self.find_behind_gate(call)
        return JSONResponse(await asyncio.to_thread(self.shown, batch, self.service.batches.state_in_place(batch)))

    async def cancel(self, call: Call) -> Response:
        batch = self.give_up(await self.find_behind_gate(call))
        return JSONResponse(await asyncio.to_thread(self.shown, batch))

    async def delete(self, call: Call) -> Response:
        batch = self.give_up(await self.find_behind_gate(call))
        self.service.batches.delete(batch)
        return JSONResponse(self.shown_deleted(batch))

    def shown_deleted(self, batch: Batch) -> dict[str, Any]:
        """What is said of a batch that was deleted."""
        return {"id": batch.id, "object": "batch", "deleted": True}

    def give_up(self, batch: Batch) -> Batch:
        """The batch, cancelled if it still lives."""
        return self.service.batches.cancel(batch) if self.service.status(batch).outcome is None else batch

    async def shown_all(self, seqs: list[int]) -> list[dict[str, Any]]:
        """Batches of one page of a list."""
        return await asyncio.to_thread(lambda: [self.shown(self.service.batches.by_seq(seq)) for seq in seqs])

    def counted(self, batch: Batch) -> Counted:
        """What can be said of the batch now. Takes long for a large batch that is just over."""
        at = self.service.status(batch)
        closed = self.closing.closed(batch, at) if at.outcome is not None else None
        n_done = 0 if closed is None else closed.n("succeeded") + closed.n("missing")
        return Counted(at=at, closed=closed, n_done=n_done, n_failed=0 if closed is None else closed.n("errored"))

    def file_ids(self, batch: Batch, closed: Closed | None) -> dict[str, str]:
        """Ids of the result files that are there, by name."""
        rows = self.world.rows("SELECT id, name FROM result_files WHERE batch = ?", (batch.seq,)) if closed is not None else []
        return {row["name"]: row["id"] for row in rows if closed is not None and row["name"] in closed.files}

    def result_of(self, file_id: str, account: str) -> tuple[Batch, Status, str, Path | None] | None:
        """Batch, where it stands, name and place of a result file of the account; None when there is none or its batch is not over."""
        row = self.world.row("SELECT * FROM result_files WHERE id = ? AND deleted_at IS NULL", (file_id,))
        if row is None:
            return None
        batch = self.service.batches.by_seq(row["batch"])
        at = self.service.status(batch)
        if at.outcome is None or batch.account not in (account, EVERYBODY):
            return None
        return batch, at, row["name"], self.closing.closed(batch, at).files.get(row["name"])
