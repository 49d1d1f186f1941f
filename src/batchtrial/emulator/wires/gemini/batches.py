"""The Gemini Developer API below `/gemini`, in either version of its paths: an upload in two steps, an operation around each batch."""

from __future__ import annotations

import asyncio
import json
from array import array
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from batchtrial.emulator.serve import accounts
from batchtrial.emulator.serve.exchange import Call, Endpoint, WireError, whole_number
from batchtrial.emulator.serve.results import Closing
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.wires.gemini.lines import OUTPUT, format_of
from batchtrial.emulator.wires.openai.files import Files, StoredFile
from batchtrial.emulator.world.batches import NewBatch
from batchtrial.emulator.world.jsontext import BadJson, decode_object
from batchtrial.emulator.world.records import Batch
from batchtrial.emulator.world.rowfile import save_index, scan

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


class Api:
    """Handlers of the routes."""

    def __init__(self, service: Service, closing: Closing) -> None:
        self.service, self.world, self.closing = service, service.world, closing
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
        row = self.world.row("SELECT * FROM result_files WHERE id = ? AND deleted_at IS NULL", (file_id,))
        batch = None if row is None else self.service.batches.by_seq(row["batch"])
        if batch is None or batch.account not in (call.account, accounts.EVERYBODY):
            return FileResponse(self._found(call).path, media_type="application/jsonl")
        at = self.service.status(batch)
        closed = None if at.outcome is None else await asyncio.to_thread(self.closing.closed, batch, at)
        path = None if closed is None else closed.files.get(OUTPUT)
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
        blob, n_rows, problems = await asyncio.to_thread(self._take_in, source)
        if effects.validation_failure:
            problems.append({"message": str(effects.validation_failure)})
        wire = {"displayName": name, "model": model.removesuffix(MODEL_CALL), "fileName": file_name, "window_seconds": 48 * 3600.0}
        with self.world.commit() as db:
            batch = self.service.batches.add(
                NewBatch(
                    provider=NAME,
                    id=self.world.new_id("b", 24),
                    n_rows=n_rows,
                    blob=blob,
                    wire=wire,
                    effects=effects,
                    problems=tuple(problems),
                    is_upstream=self.service.is_upstream,
                    account=call.account,
                )
            )
            db.execute("INSERT INTO result_files VALUES(?, ?, ?, NULL)", (self.world.new_id("batch-"), batch.seq, OUTPUT))
        return JSONResponse(self.shown(batch))

    def _take_in(self, source: StoredFile) -> tuple[str, int, list[dict[str, Any]]]:
        name, draft = self.world.new_blob()
        draft.write_bytes(source.path.read_bytes())
        offsets, problems = array("Q"), []
        for number, offset, line in scan(draft):
            offsets.append(offset)
            try:
                row = decode_object(line)
            except BadJson:
                row = {}
            if not isinstance(row.get("key"), str) or not isinstance(row.get("request"), dict):
                problems.append({"message": f"line {number} has no key and request"})
        if not offsets:
            problems.append({"message": "the file has no requests"})
        save_index(self.world.blob(name), offsets)
        self.world.publish(name)
        return name, len(offsets), problems[:10]

    def find(self, call: Call) -> Batch:
        """The batch in the path. Raises WireError 404."""
        batch = self.service.batches.get(NAME, call.request.path_params["batch"], call.account)
        if batch is None or batch.deleted_at is not None:
            raise WireError(404, "Requested entity was not found.")
        return batch

    async def get(self, call: Call) -> Response:
        await call.gate(part=call.request.path_params["batch"])
        batch = self.find(call)
        return JSONResponse(await asyncio.to_thread(self.shown, batch, self.service.batches.state_in_place(batch)))

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
        shown = await asyncio.to_thread(lambda: [self.shown(self.service.batches.by_seq(each.seq)) for each in listed[start : start + size]])
        return JSONResponse({"operations": shown} | ({"nextPageToken": f"t{start + size}"} if start + size < len(listed) else {}))

    async def cancel(self, call: Call) -> Response:
        await call.gate(part=call.request.path_params["batch"])
        batch = self.find(call)
        if self.service.status(batch).outcome is None:
            self.service.batches.cancel(batch)
        return JSONResponse({})

    async def delete(self, call: Call) -> Response:
        await call.gate(part=call.request.path_params["batch"])
        batch = self.find(call)
        self.service.batches.delete(self.service.batches.cancel(batch) if self.service.status(batch).outcome is None else batch)
        return JSONResponse({})

    def shown(self, batch: Batch, state: str | None = None) -> dict[str, Any]:
        """The operation around the batch."""
        at = self.service.status(batch)
        closed = self.closing.closed(batch, at) if at.outcome is not None else None
        has_file = closed is not None and at.outcome != "expired" and OUTPUT in closed.files
        row = self.world.row("SELECT id FROM result_files WHERE batch = ?", (batch.seq,)) if has_file else None
        output = {"responsesFile": f"files/{row['id']}"} if row is not None else None
        n_done = 0 if closed is None else closed.n("succeeded") + closed.n("missing")
        stats = {"requestCount": str(batch.n_rows), "pendingRequestCount": str(batch.n_rows - at.n_finished)}
        if closed is not None:
            failed = closed.n("errored")
            stats = {"requestCount": str(batch.n_rows), "successfulRequestCount": str(n_done), "failedRequestCount": str(failed)}
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
