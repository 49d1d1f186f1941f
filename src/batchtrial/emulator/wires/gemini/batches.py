"""The Gemini Developer API below `/gemini`, in either version of its paths: an upload in two steps, an operation around each batch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from batchtrial.emulator.serve import accounts
from batchtrial.emulator.serve.batch_calls import BatchCalls, take_requests
from batchtrial.emulator.serve.exchange import Call, Endpoint, WireError, whole_number
from batchtrial.emulator.serve.results import Closing
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.wires.gemini.lines import OUTPUT, format_of
from batchtrial.emulator.wires.openai.files import Files, StoredFile
from batchtrial.emulator.world.records import Batch

__all__ = ["NAME", "format_of", "routes"]
NAME: Final = "gemini"
PREFIX: Final = "/gemini"
FILE_SECONDS: Final = 48 * 3600
MAX_FILE_BYTES: Final = 2 * 10**9
WORDS: Final = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
MODEL_CALL: Final = ":batchGenerateContent"


class GeminiWire:
    """Errors as Google's APIs give them."""

    name = NAME

    def authenticate(self, request: Request) -> None:
        key = request.headers.get("x-goog-api-key", "") or request.query_params.get("key", "")
        if "upload_id" in request.query_params:
            return  # a place for an upload carries its own permission
        if not key:
            raise WireError(403, "Method doesn't allow unregistered callers.")
        if key == "bad" or "invalid" in key:
            raise WireError(400, "API key not valid. Please pass a valid API key.", details={"reason": "API_KEY_INVALID"})

    def error(self, err: WireError, request_id: str) -> Response:
        word = err.code or WORDS.get(err.status, "UNAVAILABLE" if err.status == 503 else "INTERNAL")
        body = {"error": {"code": err.status, "message": err.message, "status": word, "details": [err.details] if err.details else []}}
        return JSONResponse(body, err.status, headers=err.headers)

    def headers(self, request_id: str, organization: str) -> dict[str, str]:
        return {"server-timing": "gfet4t7; dur=5"}

    def spend_cap(self) -> WireError:
        return WireError(429, "You exceeded your current quota, please check your plan and billing details (spend limit).")


def routes(service: Service, closing: Closing) -> list[Route]:
    """All paths of the wire."""
    wire = GeminiWire()
    api = Api(service, closing)

    def route(path: str, method: str, op: str, handler: Callable[[Call], Any]) -> Route:
        return Route(PREFIX + path, Endpoint(service, wire, op, handler), methods=[method])

    return [
        route("/upload/{version}/files", "POST", "upload", api.upload),
        route("/{version}/files/{file}:download", "GET", "download", api.download),
        route("/download/{version}/files/{file}:download", "GET", "download", api.download),
        route("/{version}/files/{file}", "GET", "file_get", api.file),
        route("/{version}/files/{file}", "DELETE", "file_delete", api.forget),
        route("/{version}/models/{model:path}", "POST", "create", api.create),
        route("/{version}/batches", "GET", "list", api.list_all),
        route("/{version}/batches/{batch}:cancel", "POST", "cancel", api.cancel),
        route("/{version}/batches/{batch}", "GET", "get", api.get),
        route("/{version}/batches/{batch}", "DELETE", "delete", api.delete),
    ]


class Api(BatchCalls):
    """Handlers of the routes."""

    def __init__(self, service: Service, closing: Closing) -> None:
        super().__init__(service, closing, NAME, "Requested entity was not found.")
        self.files = Files(service, f"{PREFIX}/v1")

    # Files

    async def upload(self, call: Call) -> Response:
        """Begin an upload, or take its bytes."""
        command = call.request.headers.get("x-goog-upload-command", "")
        if command == "start":
            told = (await call.json_object()).get("file") or {}
            name = str(told.get("display_name") or told.get("displayName") or "file")
            await call.gate(part=name)
            place = self.world.new_id("upload_")
            self.world.set_meta(f"gemini {place}", json.dumps({"name": name, "account": call.account}))
            url = f"{call.request.url.replace(query='')}?upload_id={place}&upload_protocol=resumable"
            return Response(headers={"x-goog-upload-url": url, "x-goog-upload-status": "active"})
        known = self.world.meta(f"gemini {call.request.query_params.get('upload_id', '')}")
        if known is None or "finalize" not in command:
            raise WireError(400, "no such upload")
        told = json.loads(known)
        await call.gate(part=told["name"])
        blob, n_bytes = await call.save_stream(MAX_FILE_BYTES)
        file = self.files.add(told["account"], told["name"], "batch", n_bytes, blob, FILE_SECONDS)
        return JSONResponse({"file": _file(file)}, headers={"x-goog-upload-status": "final"})

    async def file(self, call: Call) -> Response:
        await call.gate(part=call.request.path_params["file"])
        return JSONResponse(_file(self._found(call)))

    async def forget(self, call: Call) -> Response:
        await call.gate(part=call.request.path_params["file"])
        file = self._found(call)
        with self.world.commit() as db:
            db.execute("UPDATE files SET deleted_at = ? WHERE id = ?", (self.world.clock.now(), file.id))
        return JSONResponse({})

    async def download(self, call: Call) -> Response:
        file_id = call.request.path_params["file"]
        await call.gate(part=file_id)
        row = self.world.row("SELECT batch FROM result_files WHERE id = ?", (file_id,))
        if row is None or self.service.batches.by_seq(row["batch"]).account not in (call.account, accounts.EVERYBODY):
            return FileResponse(self._found(call).path, media_type="application/jsonl")
        found = await asyncio.to_thread(self.result_of, file_id, call.account)
        path = None if found is None else found[3]
        if path is None:
            raise WireError(404, "The file does not exist.")
        return FileResponse(path, media_type="application/jsonl")

    def _found(self, call: Call) -> StoredFile:
        """The file in the path. Raises WireError: this API says 403 for what is not there."""
        try:
            return self.files.find(call.request.path_params["file"], call.account)
        except WireError:
            raise WireError(404, "The file does not exist, or you have no permission to see it.") from None

    # Batches

    async def create(self, call: Call) -> Response:
        model, asked = call.request.path_params["model"], (await call.json_object(21_000_000)).get("batch")
        if not model.endswith(MODEL_CALL) or not isinstance(asked, dict):
            raise WireError(404 if not model.endswith(MODEL_CALL) else 400, "no such method, or no batch in it")
        name = asked.get("displayName") or asked.get("display_name")
        if not isinstance(name, str) or not name:
            raise WireError(400, "batch.display_name: required")
        given = asked.get("inputConfig") or asked.get("input_config") or {}
        file_name = given.get("fileName") or given.get("file_name")
        if not isinstance(file_name, str):
            raise WireError(400, "the emulator takes batches with a file")
        try:
            source = await asyncio.to_thread(self.files.find, file_name.removeprefix("files/"), call.account)
        except WireError:
            raise WireError(404, "The input file does not exist.") from None
        effects = await call.gate(part=f"{name} {source.filename}")
        taken = await asyncio.to_thread(lambda: take_requests(self.world, source.copy_to, effects, id_field="key", body_field="request"))
        wire = {"displayName": name, "model": model.removesuffix(MODEL_CALL), "fileName": file_name, "window_seconds": 48 * 3600.0}
        with self.world.commit():
            batch = self.accept(call, taken, effects, wire, id=self.world.new_id("b", 24), files={self.world.new_id("batch-"): OUTPUT})
        return JSONResponse(self.shown(batch))

    async def list_all(self, call: Call) -> Response:
        await call.gate()
        query = call.request.query_params
        if "filter" in query:
            raise WireError(400, "filter is not supported")
        size, token = whole_number(query.get("pageSize"), 50, 1, 1000, "pageSize"), query.get("pageToken") or "t0"
        if token[:1] != "t" or not token[1:].isdigit():
            raise WireError(400, "Invalid page token.")
        start = int(token[1:])
        listed = self.service.batches.listed(NAME, call.account, is_first_page=start == 0)
        shown = await self.shown_all([each.seq for each in listed[start : start + size]])
        return JSONResponse({"operations": shown} | ({"nextPageToken": f"t{start + size}"} if start + size < len(listed) else {}))

    async def cancel(self, call: Call) -> Response:
        self.give_up(await self.find_behind_gate(call))
        return JSONResponse({})

    def shown_deleted(self, batch: Batch) -> dict[str, Any]:
        return {}

    def shown(self, batch: Batch, state: str | None = None) -> dict[str, Any]:
        """The operation around the batch."""
        now = self.counted(batch)
        at = now.at
        files = self.file_ids(batch, now.closed) if at.outcome != "expired" else {}
        output = {"responsesFile": f"files/{files[OUTPUT]}"} if OUTPUT in files else None
        stats = {"requestCount": str(batch.n_rows), "pendingRequestCount": str(batch.n_rows - at.n_finished)}
        if now.closed is not None:
            stats = {"requestCount": str(batch.n_rows), "successfulRequestCount": str(now.n_done), "failedRequestCount": str(now.n_failed)}
        metadata = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "name": f"batches/{batch.id}",
            "model": f"models/{batch.wire['model']}",
            "displayName": batch.wire["displayName"],
            "state": state or at.state,
            "createTime": _time(batch.created_at),
            "updateTime": _time(at.ended_at or batch.created_at),
            "batchStats": stats,
            "inputConfig": {"fileName": batch.wire["fileName"]},
        }
        metadata |= {"endTime": _time(at.ended_at)} if at.ended_at is not None else {}
        metadata |= {"output": output} if output else {}
        found: dict[str, Any] = {"name": f"batches/{batch.id}", "metadata": metadata, "done": at.outcome is not None}
        if at.outcome == "failed":
            return found | {"error": {"code": 3, "message": "; ".join(str(one["message"]) for one in batch.problems)}}
        return found | ({"response": output} if output else {})


def _file(file: StoredFile) -> dict[str, Any]:
    return {
        "name": f"files/{file.id}",
        "displayName": file.filename,
        "mimeType": "application/jsonl",
        "sizeBytes": str(file.n_bytes),
        "createTime": _time(file.created_at),
        "expirationTime": _time(file.expires_at or file.created_at),
        "state": "ACTIVE",
        "uri": f"files/{file.id}",
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
