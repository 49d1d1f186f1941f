"""Mistral's batch jobs, below `/mistral`: pages counted from 0, metadata as query keys, one model a job, files as at OpenAI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from batchtrial.emulator.answers.request import from_chat
from batchtrial.emulator.answers.rows import Fate, Read, Reader, read_or_problem
from batchtrial.emulator.serve.batch_calls import BatchCalls, TakenIn, take_requests
from batchtrial.emulator.serve.exchange import Call, Endpoint, WireError, whole_number
from batchtrial.emulator.serve.results import Closing, Format, Renderer
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.wires.openai import wire as openai
from batchtrial.emulator.wires.openai.endpoints import CHAT
from batchtrial.emulator.wires.openai.files import Files, StoredFile
from batchtrial.emulator.world.effects import Effects
from batchtrial.emulator.world.jsontext import decode_object
from batchtrial.emulator.world.records import Batch

NAME: Final = "mistral"
PREFIX: Final = "/mistral"
MOST_HOURS: Final = 167
OWN_KEYS: Final = frozenset({"page", "page_size", "model", "agent_id", "metadata", "created_after", "created_by_me", "status", "order_by", "inline"})
FILES: Final = ("output", "error")


class MistralWire(openai.OpenAIWire):
    """Errors as FastAPI gives them, or as an object with a message."""

    def __init__(self) -> None:
        super().__init__(NAME)

    def error(self, err: WireError, request_id: str) -> Response:
        if err.status == 422:
            return JSONResponse({"detail": [{"type": "value_error", "loc": ["body", err.param], "msg": err.message}]}, 422, headers=err.headers)
        kind = "invalid_request_error" if err.status < 500 else "internal_server_error"
        body = {"object": "error", "message": err.message, "type": kind, "param": err.param, "code": err.code}
        return JSONResponse(body, err.status, headers=err.headers)

    def headers(self, request_id: str, organization: str) -> dict[str, str]:
        return {"x-kong-request-id": request_id}


def format_of(seed: int) -> Format:
    """Lines are OpenAI's; rows that were not reached have none."""
    inner = openai.format_of(seed)

    def reader_of(batch: Batch) -> Reader:
        def read(line: bytes) -> Read:
            row = decode_object(line)
            return read_or_problem(row["custom_id"], lambda: from_chat(row["custom_id"], row["body"] | {"model": batch.wire["model"]}))

        return read

    def renderer_of(batch: Batch) -> Renderer:
        render = inner.renderer_of(batch)

        def rendered(fate: Fate) -> tuple[str, bytes] | None:
            return None if fate.kind in ("expired", "cancelled") else render(fate)

        return rendered

    return Format(reader_of=reader_of, renderer_of=renderer_of)


def routes(service: Service, closing: Closing) -> list[Route]:
    """All paths of the wire."""
    wire, files = MistralWire(), MistralFiles(service, f"{PREFIX}/v1")
    jobs = Jobs(service, files, closing)

    def route(path: str, method: str, op: str, handler: Callable[[Call], Any]) -> Route:
        return Route(PREFIX + path, Endpoint(service, wire, op, handler), methods=[method])

    return [
        *files.routes(wire),
        route("/v1/batch/jobs", "POST", "create", jobs.create),
        route("/v1/batch/jobs", "GET", "list", jobs.list_all),
        route("/v1/batch/jobs/{batch}", "GET", "get", jobs.get),
        route("/v1/batch/jobs/{batch}", "DELETE", "delete", jobs.delete),
        route("/v1/batch/jobs/{batch}/cancel", "POST", "cancel", jobs.cancel),
    ]


class MistralFiles(Files):
    """OpenAI's, with the fields that this vendor adds."""

    def shown(self, file: StoredFile) -> dict[str, Any]:
        return file.shown() | {"sample_type": "batch_request", "source": "upload", "num_lines": None, "mimetype": None, "deleted": False}


class Jobs(BatchCalls):
    """Handlers of the job routes."""

    def __init__(self, service: Service, files: Files, closing: Closing) -> None:
        super().__init__(service, closing, NAME, "Batch job not found")
        self.files = files
        files.result_file = self.result_file

    async def create(self, call: Call) -> Response:
        asked = await call.json_object(32_000_000)
        labels = asked.get("metadata") or {}
        if not isinstance(labels, dict) or not all(isinstance(one, str) for pair in labels.items() for one in pair):
            raise WireError(422, "metadata is a mapping of texts", param="metadata")
        if asked.get("endpoint") != CHAT:
            raise WireError(422, f"the emulator serves {CHAT}", param="endpoint")
        if not isinstance(asked.get("model"), str) or not asked["model"]:
            raise WireError(422, "a job names its model", param="model")
        hours = whole_number(asked.get("timeout_hours", 24), None, 1, MOST_HOURS, "timeout_hours")
        source = await self._source(call, asked)
        effects = await call.gate(part=" ".join([source.filename if source else "inline", *labels.values()]))
        taken = await asyncio.to_thread(self._take_in, source, asked, effects)
        wire = {
            "endpoint": asked["endpoint"],
            "model": asked["model"],
            "metadata": labels,
            "input_files": asked.get("input_files") or [],
            "window_seconds": hours * 3600.0,
        }
        with self.world.commit():
            own = self._uuid()
            batch = self.accept(call, taken, effects, wire, id=own, files={self._uuid(): name for name in FILES})
        return JSONResponse(self.shown(batch))

    async def _source(self, call: Call, asked: dict[str, Any]) -> StoredFile | None:
        named = asked.get("input_files")
        if named and isinstance(named, list) and isinstance(named[0], str):
            return await asyncio.to_thread(self.files.find, named[0], call.account)
        if isinstance(asked.get("requests"), list) and asked["requests"]:
            return None
        raise WireError(422, "give input_files or requests", param="input_files")

    def _take_in(self, source: StoredFile | None, asked: dict[str, Any], effects: Effects) -> TakenIn:
        lines = b"" if source else b"".join(json.dumps(row).encode() + b"\n" for row in asked["requests"])
        write = source.copy_to if source else lambda target: target.write_bytes(lines)
        return take_requests(self.world, write, effects, id_field="custom_id", body_field="body")

    def _uuid(self) -> str:
        made = self.world.new_id("", 32).encode().hex()[:32]
        return "-".join((made[:8], made[8:12], made[12:16], made[16:20], made[20:]))

    async def list_all(self, call: Call) -> Response:
        await call.gate()
        query = call.request.query_params
        page, size = whole_number(query.get("page"), 0, 0, 10**6, "page"), whole_number(query.get("page_size"), 100, 1, 1000, "page_size")
        labels = {key: value for key, value in query.items() if key not in OWN_KEYS}
        listed = self.service.batches.listed(NAME, call.account, is_first_page=page == 0)
        found = [batch for each in listed if labels.items() <= (batch := self.service.batches.by_seq(each.seq)).wire["metadata"].items()]
        shown = await asyncio.to_thread(lambda: [self.shown(batch) for batch in found[page * size : (page + 1) * size]])
        return JSONResponse({"object": "list", "total": len(found), "data": shown})

    def shown(self, batch: Batch, state: str | None = None) -> dict[str, Any]:
        """The job's object."""
        now, wire = self.counted(batch), batch.wire
        at, files = now.at, self.file_ids(batch, now.closed)
        return {
            "id": batch.id,
            "object": "batch",
            "input_files": wire["input_files"],
            "metadata": wire["metadata"],
            "endpoint": wire["endpoint"],
            "model": wire["model"],
            "agent_id": None,
            "output_file": files.get("output"),
            "error_file": files.get("error"),
            "errors": list(batch.problems) if at.outcome == "failed" else [],
            "outputs": None,
            "status": state or at.state,
            "created_at": int(batch.created_at),
            "started_at": int(at.since["RUNNING"]) if "RUNNING" in at.since else None,
            "completed_at": None if at.ended_at is None else int(at.ended_at),
            "total_requests": batch.n_rows,
            "completed_requests": at.n_finished if now.closed is None else now.n_done + now.n_failed,
            "succeeded_requests": now.n_done,
            "failed_requests": now.n_failed,
        }

    def result_file(self, file_id: str, account: str) -> StoredFile | None:
        """The account's result file of that id; None when there is none or its job is not over."""
        found = self.result_of(file_id, account)
        batch, at, name, path = found or (None, None, "", None)
        if batch is None or at is None or path is None:
            return None
        own, size = f"{batch.id}_{name}.jsonl", path.stat().st_size
        return StoredFile(id=file_id, n_bytes=size, created_at=at.ended_at or 0.0, filename=own, purpose="batch", expires_at=None, path=path)
