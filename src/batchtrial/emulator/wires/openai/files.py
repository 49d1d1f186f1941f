"""OpenAI files and large uploads."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from batchtrial.emulator.serve.accounts import EVERYBODY
from batchtrial.emulator.serve.exchange import Call, Endpoint, WireError, whole_number
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.wires.openai.wire import OpenAIWire, PrettyJson

BATCH_FILE_SECONDS: Final = 30 * 86_400
UPLOAD_SECONDS: Final = 3600
MAX_FILE_BYTES: Final = 512 * 1024 * 1024
PURPOSES: Final = ("assistants", "batch", "batch-api", "fine-tune", "vision", "user_data", "evals")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file as the API shows it, and where its bytes are. Times are virtual unix seconds."""

    id: str
    n_bytes: int
    created_at: float
    filename: str
    purpose: str
    expires_at: float | None
    path: Path

    def copy_to(self, target: Path) -> None:
        """Make its bytes a file of their own, which stays when the client deletes this one."""
        os.link(self.path, target)

    def shown(self) -> dict[str, Any]:
        found: dict[str, Any] = {"id": self.id, "object": "file", "bytes": self.n_bytes, "created_at": int(self.created_at)}
        found |= {"filename": self.filename, "purpose": self.purpose, "status": "processed", "status_details": None}
        return found | {"expires_at": None if self.expires_at is None else int(self.expires_at)}


class Files:
    """Handlers of the file and upload routes."""

    usual_purpose: str | None = None
    """Where an upload need not say what it is for."""

    def __init__(self, service: Service, *roots: str) -> None:
        """roots: what stands before `/files`, for a host that speaks this API; else `/v1`."""
        self.roots = roots or ("/v1",)
        self.service, self.world = service, service.world
        # Set by the batches: result files are not stored here, they follow from their batch.
        self.result_file: Callable[[str, str], StoredFile | None] = lambda file_id, account: None
        self.result_files: Callable[[str], list[StoredFile]] = lambda account: []

    def routes(self, wire: OpenAIWire) -> list[Route]:
        def route(path: str, method: str, op: str, handler: Callable[[Call], Any]) -> Route:
            return Route(path, Endpoint(self.service, wire, op, handler), methods=[method])

        return [one for root in self.roots for one in self._at(root, route)]

    def _at(self, root: str, route: Callable[[str, str, str, Callable[[Call], Any]], Route]) -> list[Route]:
        return [
            route(f"{root}/files", "POST", "upload", self.upload),
            route(f"{root}/files", "GET", "file_list", self.list_all),
            route(f"{root}/files/{{file}}", "GET", "file_get", self.get),
            route(f"{root}/files/{{file}}", "DELETE", "file_delete", self.delete),
            route(f"{root}/files/{{file}}/content", "GET", "download", self.content),
            route(f"{root}/uploads", "POST", "upload_create", self.create_upload),
            route(f"{root}/uploads/{{upload}}/parts", "POST", "upload_part", self.add_part),
            route(f"{root}/uploads/{{upload}}/complete", "POST", "upload_complete", self.complete_upload),
            route(f"{root}/uploads/{{upload}}/cancel", "POST", "upload_cancel", self.cancel_upload),
        ]

    def shown(self, file: StoredFile) -> dict[str, Any]:
        """A file as this host shows it."""
        return file.shown()

    # Records

    def _stored(self, row: sqlite3.Row) -> StoredFile:
        return StoredFile(
            id=row["id"],
            n_bytes=row["n_bytes"],
            created_at=row["created_at"],
            filename=row["filename"],
            purpose=row["purpose"],
            expires_at=row["expires_at"],
            path=self.world.blob(row["blob"]),
        )

    def find(self, file_id: str, account: str) -> StoredFile:
        """A file of the account that is there and has not expired. Raises WireError 404. May take long for the result of a large batch."""
        row = self.world.row("SELECT * FROM files WHERE id = ? AND account IN (?, ?) AND deleted_at IS NULL", (file_id, account, EVERYBODY))
        found = self._stored(row) if row is not None else self.result_file(file_id, account)
        if found is None or (found.expires_at is not None and self.world.clock.now() >= found.expires_at):
            raise WireError(404, f"No such File object: {file_id}", param="id")
        return found

    def add(
        self, account: str, filename: str, purpose: str, n_bytes: int, blob: str, seconds: int | None, *, file_id: str | None = None
    ) -> StoredFile:
        """Keep a file of the account. seconds: until it expires, None for never. file_id: where it was promised before."""
        now = self.world.clock.now()
        with self.world.commit() as db:
            file_id = file_id or self.world.new_id("file-")
            until = None if seconds is None else now + seconds
            values = (file_id, self.world.count_up("file"), now, filename, purpose, n_bytes, blob, until, account)
            db.execute("INSERT INTO files VALUES(?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)", values)
        return self.find(file_id, account)

    # Files

    async def upload(self, call: Call) -> Response:
        filename, file, fields = await call.file_field("file")
        await call.gate(part=filename)
        purpose = purpose_of(fields.get("purpose", self.usual_purpose))
        seconds = _lifetime(purpose, fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]"))
        blob, n_bytes = await call.save(file)
        if n_bytes > MAX_FILE_BYTES:
            raise WireError(413, f"The file is larger than {MAX_FILE_BYTES} bytes.")
        if n_bytes == 0:
            raise WireError(400, "The file is empty.", param="file")
        return PrettyJson(self.shown(self.add(call.account, filename, purpose, n_bytes, blob, seconds)))

    async def get(self, call: Call) -> Response:
        file_id = call.request.path_params["file"]
        await call.gate(part=file_id)
        return PrettyJson(self.shown(await asyncio.to_thread(self.find, file_id, call.account)))

    async def list_all(self, call: Call) -> Response:
        await call.gate()
        query = call.request.query_params
        limit = whole_number(query.get("limit"), 10_000, 1, 10_000, "limit")
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise WireError(400, "order: must be asc or desc", param="order")
        rows = self.world.rows("SELECT * FROM files WHERE account IN (?, ?) AND deleted_at IS NULL ORDER BY seq", (call.account, EVERYBODY))
        found = [self._stored(row) for row in rows] + await asyncio.to_thread(self.result_files, call.account)
        now, purpose = self.world.clock.now(), query.get("purpose")
        found = [file for file in found if (file.expires_at is None or now < file.expires_at) and purpose in (None, file.purpose)]
        found.sort(key=lambda file: file.created_at)
        if order == "desc":
            found.reverse()
        return PrettyJson(envelope([self.shown(file) for file in found], query.get("after"), limit))

    async def delete(self, call: Call) -> Response:
        file_id = call.request.path_params["file"]
        await call.gate(part=file_id)
        await asyncio.to_thread(self.find, file_id, call.account)
        with self.world.commit() as db:
            for table in ("files", "result_files"):
                db.execute(f"UPDATE {table} SET deleted_at = ? WHERE id = ?", (self.world.clock.now(), file_id))
        return PrettyJson({"id": file_id, "object": "file", "deleted": True})

    async def content(self, call: Call) -> Response:
        file_id = call.request.path_params["file"]
        row = self.world.row("SELECT name FROM result_files WHERE id = ?", (file_id,))
        if row is not None and row["name"] == "error":
            call.op = "download_error"
        await call.gate(part=file_id)
        file = await asyncio.to_thread(self.find, file_id, call.account)
        return FileResponse(file.path, media_type="application/octet-stream", filename=file.filename)

    # Uploads in parts

    def _upload(self, call: Call, upload_id: str) -> sqlite3.Row:
        row = self.world.row("SELECT * FROM uploads WHERE id = ? AND account IN (?, ?)", (upload_id, call.account, EVERYBODY))
        if row is None:
            raise WireError(404, f"No such Upload object: {upload_id}", param="upload_id")
        return row

    def _open_upload(self, call: Call, upload_id: str) -> sqlite3.Row:
        row = self._upload(call, upload_id)
        if self._upload_status(row) != "pending":
            raise WireError(400, f"The upload is {self._upload_status(row)}.", param="upload_id")
        return row

    def _upload_status(self, row: sqlite3.Row) -> str:
        if row["status"] == "pending" and self.world.clock.now() >= row["created_at"] + UPLOAD_SECONDS:
            return "expired"
        return str(row["status"])

    def _shown_upload(self, call: Call, upload_id: str) -> dict[str, Any]:
        row = self._upload(call, upload_id)
        wire = json.loads(row["wire"])
        return {
            "id": row["id"],
            "object": "upload",
            "bytes": wire["bytes"],
            "created_at": int(row["created_at"]),
            "filename": wire["filename"],
            "purpose": wire["purpose"],
            "status": self._upload_status(row),
            "expires_at": int(row["created_at"]) + UPLOAD_SECONDS,
            "file": self.find(row["file"], call.account).shown() if row["file"] else None,
        }

    async def create_upload(self, call: Call) -> Response:
        body = await call.json_object()
        await call.gate(part=str(body.get("filename") or ""))
        purpose = purpose_of(body.get("purpose"))
        n_bytes = body.get("bytes")
        if isinstance(n_bytes, bool) or not isinstance(n_bytes, int) or not 0 < n_bytes <= 8 * 2**30:
            raise WireError(400, "bytes: expected the size of the file", param="bytes")
        for key in ("filename", "mime_type"):
            if not isinstance(body.get(key), str) or not body[key]:
                raise WireError(400, f"Missing required parameter: '{key}'.", param=key)
        after = body.get("expires_after")
        if after is not None and not isinstance(after, dict):
            raise WireError(400, "expires_after: expected an object", param="expires_after")
        seconds = _lifetime(purpose, after.get("anchor"), after.get("seconds")) if after else _lifetime(purpose, None, None)
        wire = {"bytes": n_bytes, "filename": body["filename"], "purpose": purpose, "seconds": seconds}
        with self.world.commit() as db:
            upload_id = self.world.new_id("upload_")
            values = (upload_id, self.world.count_up("upload"), self.world.clock.now(), json.dumps(wire), call.account)
            db.execute("INSERT INTO uploads VALUES(?, ?, ?, ?, 'pending', NULL, ?)", values)
        return PrettyJson(self._shown_upload(call, upload_id))

    async def add_part(self, call: Call) -> Response:
        upload_id = call.request.path_params["upload"]
        _, file, _ = await call.file_field("data")
        await call.gate(part=upload_id)
        self._open_upload(call, upload_id)
        blob, n_bytes = await call.save(file)
        now = self.world.clock.now()
        with self.world.commit() as db:
            part_id = self.world.new_id("part_")
            db.execute("INSERT INTO upload_parts VALUES(?, ?, ?, ?, ?)", (part_id, upload_id, now, n_bytes, blob))
        return PrettyJson({"id": part_id, "object": "upload.part", "created_at": int(now), "upload_id": upload_id})

    async def complete_upload(self, call: Call) -> Response:
        upload_id = call.request.path_params["upload"]
        body = await call.json_object()
        await call.gate(part=upload_id)
        wire = json.loads(self._open_upload(call, upload_id)["wire"])
        part_ids = body.get("part_ids")
        if not isinstance(part_ids, list) or not part_ids or not all(isinstance(each, str) for each in part_ids):
            raise WireError(400, "part_ids: expected a list of part ids", param="part_ids")
        parts = {row["id"]: row for row in self.world.rows("SELECT * FROM upload_parts WHERE upload = ?", (upload_id,))}
        for part_id in part_ids:
            if part_id not in parts:
                raise WireError(400, f"No such part: {part_id}", param="part_ids")
        blob, n_bytes, md5 = await asyncio.to_thread(self._join, [self.world.blob(parts[each]["blob"]) for each in part_ids])
        if n_bytes != wire["bytes"]:
            raise WireError(400, f"The parts have {n_bytes} bytes; {wire['bytes']} were announced.", param="bytes")
        if body.get("md5") not in (None, md5):
            raise WireError(400, "The md5 checksum does not match.", param="md5")
        with self.world.commit() as db:
            self._open_upload(call, upload_id)
            file = self.add(call.account, wire["filename"], wire["purpose"], n_bytes, blob, wire["seconds"])
            db.execute("UPDATE uploads SET status = 'completed', file = ? WHERE id = ?", (file.id, upload_id))
        return PrettyJson(self._shown_upload(call, upload_id))

    def _join(self, paths: list[Path]) -> tuple[str, int, str]:
        """One blob of several; its name, bytes and md5."""
        name, draft = self.world.new_blob()
        md5, n_bytes = hashlib.md5(usedforsecurity=False), 0
        with draft.open("wb") as target:
            for path in paths:
                with path.open("rb") as source:
                    while piece := source.read(1 << 20):
                        md5.update(piece)
                        n_bytes += target.write(piece)
        self.world.publish(name)
        return name, n_bytes, md5.hexdigest()

    async def cancel_upload(self, call: Call) -> Response:
        upload_id = call.request.path_params["upload"]
        await call.gate(part=upload_id)
        with self.world.commit() as db:
            self._open_upload(call, upload_id)
            db.execute("UPDATE uploads SET status = 'cancelled' WHERE id = ?", (upload_id,))
        return PrettyJson(self._shown_upload(call, upload_id))


def purpose_of(value: Any) -> str:
    if value not in PURPOSES:
        raise WireError(400, f"'{value}' is not one of {list(PURPOSES)} - 'purpose'", param="purpose")
    return str(value)


def _lifetime(purpose: str, anchor: Any, seconds: Any) -> int | None:
    """Seconds until a file expires; None for never. Raises WireError for a bad `expires_after`."""
    if anchor is None and seconds is None:
        return BATCH_FILE_SECONDS if purpose == "batch" else None
    if anchor != "created_at":
        raise WireError(400, "expires_after.anchor: must be 'created_at'", param="expires_after[anchor]")
    return whole_number(seconds, None, 3600, 2_592_000, "expires_after[seconds]")


def envelope(shown: list[dict[str, Any]], after: str | None, limit: int) -> dict[str, Any]:
    """One page of a list that starts behind the object `after`. Raises WireError for an unknown one."""
    start = 0
    if after:
        ids = [each["id"] for each in shown]
        if after not in ids:
            raise WireError(400, f"No such object: {after}", param="after")
        start = ids.index(after) + 1
    found = shown[start : start + limit]
    return {
        "object": "list",
        "data": found,
        "first_id": found[0]["id"] if found else None,
        "last_id": found[-1]["id"] if found else None,
        "has_more": start + limit < len(shown),
    }
