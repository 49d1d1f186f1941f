"""`/_emulator/...`: for tests and for people looking on. No keys here, no faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from batchtrial.emulator.answers.truth import truth
from batchtrial.emulator.serve.bill import Bill, calls_by_provider
from batchtrial.emulator.serve.results import Closing
from batchtrial.emulator.world.clock import rfc3339
from batchtrial.emulator.world.effects import Effects, merged
from batchtrial.emulator.world.faults import FaultFileError, decode_rules
from batchtrial.emulator.world.jsontext import BadJson, decode, decode_object
from batchtrial.emulator.world.records import Batch
from batchtrial.emulator.world.rowfile import RowFile

PAGE: Final = 1000


class Admin:
    """Handlers of the emulator's own routes."""

    def __init__(self, closing: Closing) -> None:
        self.service, self.world, self.formats = closing.service, closing.world, closing.formats
        self.bill = Bill(closing)

    def routes(self) -> list[Route]:
        return [
            Route("/_emulator", self.about),
            Route("/_emulator/clock", self.get_clock, methods=["GET"]),
            Route("/_emulator/clock", self.set_clock, methods=["POST"]),
            Route("/_emulator/ledger", self.ledger),
            Route("/_emulator/truth", self.truth),
            Route("/_emulator/batches", self.batches),
            Route("/_emulator/batches/{seq:int}", self.disturb, methods=["POST"]),
            Route("/_emulator/requests", self.requests),
            Route("/_emulator/direct", self.direct),
            Route("/_emulator/calls", self.calls),
            Route("/_emulator/faults", self.get_faults, methods=["GET"]),
            Route("/_emulator/faults", self.add_faults, methods=["POST"]),
            Route("/_emulator/faults", self.remove_faults, methods=["DELETE"]),
        ]

    async def about(self, request: Request) -> Response:
        shown = {"emulator": "batchtrial", "seed": self.world.seed, "clock": self._clock()}
        return JSONResponse({**shown, "is_upstream": self.service.is_upstream})

    def _clock(self) -> dict[str, Any]:
        now = self.world.clock.now()
        state = self.world.clock.state
        return {"mode": state.mode, "speed": state.speed, "now": now, "rfc3339": rfc3339(now)}

    async def get_clock(self, request: Request) -> Response:
        return JSONResponse(self._clock())

    async def set_clock(self, request: Request) -> Response:
        try:
            seconds = decode_object(await request.body()).get("advance_seconds")
        except BadJson as err:
            return _refused(str(err))
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 1e9:
            return _refused("advance_seconds: expected a number of seconds from 0 to 1e9")
        self.world.advance(float(seconds))
        return JSONResponse(self._clock())

    async def ledger(self, request: Request) -> Response:
        at_end = request.query_params.get("at") == "end"
        return JSONResponse(await asyncio.to_thread(lambda: self.bill.ledger(at_end=at_end)))

    async def truth(self, request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(lambda: truth(self.service.model.file)))

    async def calls(self, request: Request) -> Response:
        return JSONResponse(calls_by_provider(self.world.rows("SELECT * FROM calls ORDER BY provider, op")))

    async def batches(self, request: Request) -> Response:
        return JSONResponse({"batches": [self._shown(batch) for batch in self.service.batches.all()]})

    def _shown(self, batch: Batch) -> dict[str, Any]:
        at = self.service.status(batch)
        return {
            "seq": batch.seq, "provider": batch.provider, "id": batch.id, "created_at": batch.created_at,
            "n_requests": batch.n_rows, "state": at.state, "outcome": at.outcome, "n_finished": at.n_finished,
            "ended_at": at.ended_at, "expires_at": at.expires_at, "cancelled_at": batch.cancelled_at,
            "deleted_at": batch.deleted_at, "problems": list(batch.problems), "wire": batch.wire,
            "effects": batch.effects.model_dump(exclude_unset=True),
        }  # fmt: skip

    async def disturb(self, request: Request) -> Response:
        """Give a batch that is under way other effects: `{"do": {...}}`."""
        try:
            batch = self.service.batches.by_seq(request.path_params["seq"])
            do = Effects.model_validate(decode_object(await request.body()).get("do"))
        except LookupError as err:
            return _refused(str(err), 404)
        except (BadJson, ValidationError) as err:
            return _refused(str(err))
        if self.service.status(batch).outcome is not None:
            return _refused("the batch is over", 409)
        return JSONResponse(self._shown(self.service.batches.disturb(batch, merged([batch.effects, do]))))

    async def requests(self, request: Request) -> Response:
        """Requests as they were received, oldest first; `custom_id`, `batch` (seq), `offset` and `limit` narrow them down."""
        query = request.query_params
        if any(not query.get(key, "0").isdigit() or len(query.get(key, "0")) > 9 for key in ("offset", "limit", "batch")):
            return _refused("offset, limit and batch are whole numbers")
        start, limit = int(query.get("offset", "0")), int(query.get("limit", str(PAGE)))
        seq = int(query["batch"]) if "batch" in query else None

        def collect() -> list[dict[str, Any]]:
            return list(islice(self._requests(query.get("custom_id"), seq), start, start + limit))

        return JSONResponse({"requests": await asyncio.to_thread(collect)})

    def _requests(self, custom_id: str | None, seq: int | None) -> Iterator[dict[str, Any]]:
        # A cheap look at the bytes first: most lines of a large world are not the one asked for.
        marks = [json.dumps(custom_id, ensure_ascii=ascii_only).encode() for ascii_only in (True, False)] if custom_id is not None else [b""]
        for batch in self.service.batches.all():
            if (seq is not None and batch.seq != seq) or batch.n_rows == 0:
                continue
            read = None if batch.problems else self.formats[batch.provider].reader_of(batch)
            with RowFile(self.world.blob(batch.blob)) as rows:
                for row in range(len(rows)):
                    line = rows.line(row)
                    if not any(mark in line for mark in marks):
                        continue
                    shown = {"batch": batch.id, "batch_seq": batch.seq, "provider": batch.provider, "row": row}
                    if read is None:
                        yield {**shown, "raw": line.decode("utf-8", "replace")}
                        continue
                    found = read(line)
                    if custom_id is not None and found.custom_id != custom_id:
                        continue
                    shown |= {"custom_id": found.custom_id, "line": decode(line)}
                    if found.chat is not None:
                        who = self.service.model.identity(found.chat)
                        shown |= {"identity": {"item": who.item, "sample": who.sample, "arm": who.arm}}
                        shown |= {"model": found.chat.model, "parameters": found.chat.parameters()}
                    if found.problem is not None:
                        shown["problem"] = found.problem.message
                    yield shown

    async def direct(self, request: Request) -> Response:
        """Requests to the synchronous endpoints, oldest first."""
        rows = self.world.rows("SELECT * FROM direct ORDER BY seq")
        shown = [{**{key: row[key] for key in row.keys()}, "body": json.loads(row["body"])} for row in rows]  # noqa: SIM118
        return JSONResponse({"requests": shown})

    async def get_faults(self, request: Request) -> Response:
        rows = self.world.rows("SELECT * FROM fault_rules ORDER BY origin DESC, position")
        shown = [
            {"id": row["id"], "origin": row["origin"], "seen": row["seen"], "fired": row["fired"], "rule": json.loads(row["rule"])} for row in rows
        ]
        return JSONResponse({"faults": shown})

    async def add_faults(self, request: Request) -> Response:
        try:
            ids = self.service.add_rules(decode_rules(decode(await request.body())))
        except (BadJson, FaultFileError) as err:
            return _refused(str(err))
        return JSONResponse({"ids": ids})

    async def remove_faults(self, request: Request) -> Response:
        return JSONResponse({"removed": self.service.remove_rules(request.query_params.get("id"))})


def _refused(why: str, status: int = 400) -> Response:
    return JSONResponse({"error": why}, status_code=status)
