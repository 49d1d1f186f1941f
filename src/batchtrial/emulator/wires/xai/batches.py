"""xAI's batches over REST, below `/xai`: no word for a state, counters alone; results in pages, readable while the batch runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from batchtrial.emulator.answers import bodies
from batchtrial.emulator.answers.rows import Fate, Problem
from batchtrial.emulator.serve.batch_calls import BatchCalls, TakenIn, forced_problems
from batchtrial.emulator.serve.exchange import Call, Endpoint, WireError, whole_number
from batchtrial.emulator.serve.results import Closing, Format, Renderer
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.wires.openai import wire as openai
from batchtrial.emulator.wires.openai.batches import take_in
from batchtrial.emulator.wires.openai.dialects import OPENAI
from batchtrial.emulator.wires.openai.endpoints import CHAT
from batchtrial.emulator.wires.openai.files import Files
from batchtrial.emulator.world.jsontext import BadJson, decode, encode_line
from batchtrial.emulator.world.records import Batch

NAME: Final = "xai"
PREFIX: Final = "/xai"
RESULTS: Final = "results"
MAX_RESULTS: Final = 1000


def format_of(seed: int) -> Format:
    """Request lines are OpenAI's; a result has the name of its call around the body."""

    def renderer_of(batch: Batch) -> Renderer:
        def render(fate: Fate) -> tuple[str, bytes] | None:
            if fate.kind in ("missing", "expired", "cancelled"):
                return None
            result: dict[str, Any]
            if fate.kind == "succeeded":
                assert fate.chat is not None
                own = fate.id_key or fate.custom_id
                body = decode(fate.upstream) if fate.upstream is not None else bodies.chat_completion(seed, own, fate.chat, fate.answers)
                result = {"response": {"chat_get_completion": body}}
            else:
                problem = fate.problem or Problem(status=500, message="unknown error")
                result = {"error": {"code": problem.code or str(problem.status), "message": problem.message}}
            return RESULTS, encode_line({"batch_request_id": fate.custom_id, "batch_result": result})

        return render

    return Format(reader_of=openai.reader_of, renderer_of=renderer_of)


def routes(service: Service, closing: Closing) -> list[Route]:
    """All paths of the wire."""
    wire, files = openai.OpenAIWire(NAME), Files(service, f"{PREFIX}/v1")
    files.usual_purpose = "batch"
    batches = Batches(service, files, closing)

    def route(path: str, method: str, op: str, handler: Callable[[Call], Any]) -> Route:
        return Route(PREFIX + path, Endpoint(service, wire, op, handler), methods=[method])

    return [
        *files.routes(wire),
        route("/v1/batches", "POST", "create", batches.create),
        route("/v1/batches", "GET", "list", batches.list_all),
        route("/v1/batches/{batch}", "GET", "get", batches.get),
        route("/v1/batches/{batch}:cancel", "POST", "cancel", batches.cancel),
        route("/v1/batches/{batch}/results", "GET", "results", batches.results),
    ]


class Batches(BatchCalls):
    """Handlers of the batch routes."""

    def __init__(self, service: Service, files: Files, closing: Closing) -> None:
        super().__init__(service, closing, NAME)
        self.files = files

    async def create(self, call: Call) -> Response:
        asked = await call.json_object()
        if not isinstance(asked.get("name"), str) or not asked["name"]:
            raise WireError(400, "a batch needs a name", param="name")
        if not isinstance(asked.get("input_file_id"), str):
            raise WireError(400, "the emulator takes batches with an input file", param="input_file_id")
        file = await asyncio.to_thread(self.files.find, asked["input_file_id"], call.account)
        effects = await call.gate(part=f"{asked['name']} {file.filename}")
        checked = openai.Validation(CHAT, self.service.model.file.knows)
        blob, n_rows = await asyncio.to_thread(take_in, self.world, file, checked, OPENAI)
        taken = TakenIn(blob=blob, n_rows=n_rows, problems=(*checked.problems, *forced_problems(effects)))
        wire = {"name": asked["name"], "input_file_id": file.id, "endpoint": CHAT, "model": checked.model}
        with self.world.commit():
            batch = self.accept(call, taken, effects, wire, id=self.world.new_id("batch_", 24))
        return JSONResponse(self.shown(batch))

    async def list_all(self, call: Call) -> Response:
        await call.gate()
        query = call.request.query_params
        limit, start = whole_number(query.get("limit"), 100, 1, 1000, "limit"), _place(query.get("pagination_token"))
        listed = self.service.batches.listed(NAME, call.account, is_first_page=start == 0)
        shown = await self.shown_all([each.seq for each in listed[start : start + limit]])
        return JSONResponse({"batches": shown, "pagination_token": f"p{start + limit}" if start + limit < len(listed) else None})

    async def results(self, call: Call) -> Response:
        """Results of a batch that is over; none before that."""
        batch, query = await self.find_behind_gate(call), call.request.query_params
        limit, start = whole_number(query.get("limit"), 100, 1, MAX_RESULTS, "limit"), _place(query.get("pagination_token"))
        at = self.service.status(batch)
        path = None if at.outcome is None else (await asyncio.to_thread(self.closing.closed, batch, at)).files.get(RESULTS)
        lines = path.read_bytes().splitlines() if path is not None else []
        more = json.dumps(f"p{start + limit}" if start + limit < len(lines) else None).encode()
        body = b'{"results":[' + b",".join(map(_whole, lines[start : start + limit])) + b'],"pagination_token":' + more + b"}"
        return Response(body, media_type="application/json")

    def shown(self, batch: Batch, state: str | None = None) -> dict[str, Any]:
        """The batch's object, which has no word for a state."""
        now = self.counted(batch)
        at, closed, n_done, n_failed = now.at, now.closed, now.n_done, now.n_failed
        refused = at.outcome == "failed"
        total = 0 if refused or "in_progress" not in at.since else batch.n_rows
        left = total - n_done - n_failed if closed is not None else 0
        ended = at.ended_at if at.outcome in ("cancelled", "failed") else None
        return {
            "batch_id": batch.id,
            "name": batch.wire["name"],
            "create_time": _time(batch.created_at),
            "expire_time": _time(at.expires_at),
            "create_api_key_id": "key-emulator",
            "cancel_time": None if ended is None else _time(ended),
            "cancel_by_xai_message": "; ".join(one["message"] for one in batch.problems) if refused else None,
            "state": {
                "num_requests": total,
                "num_pending": total - at.n_finished if closed is None else 0,
                "num_success": at.n_finished if closed is None else n_done,
                "num_error": n_failed,
                "num_cancelled": left,
            },
            "input_file_id": batch.wire["input_file_id"],
            "cost_breakdown": {"total_cost_usd_ticks": 0},
        }


def _place(token: str | None) -> int:
    """Where a page begins. Raises WireError."""
    if not token:
        return 0
    if token[:1] != "p" or not token[1:].isdigit():
        raise WireError(400, f"Invalid pagination_token: {token}", param="pagination_token")
    return int(token[1:])


def _whole(line: bytes) -> bytes:
    """The line as a JSON value of a page; a damaged one as a text, since a page is one JSON."""
    try:
        decode(line.decode())
    except (BadJson, UnicodeDecodeError):
        return json.dumps(line.decode("utf-8", "replace")).encode()
    return line


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
