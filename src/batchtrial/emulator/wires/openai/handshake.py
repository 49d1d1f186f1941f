"""Together's own way to upload: a form without a file is answered by a redirect to where the file goes, and a third call says that it is there.

The one-request upload of OpenAI works beside it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from batchtrial.emulator.serve.exchange import Call, Endpoint, WireError
from batchtrial.emulator.wires.openai.files import MAX_FILE_BYTES, UPLOAD_SECONDS, Files, StoredFile, purpose_of
from batchtrial.emulator.wires.openai.wire import OpenAIWire, PrettyJson
from batchtrial.emulator.world.draws import token

STORAGE: Final = "/hosts/together/storage"


class Storage(OpenAIWire):
    """What stands behind the redirect: the address itself is the permission."""

    def authenticate(self, request: Any) -> None:
        """A key that is sent here has leaked."""
        if "authorization" in request.headers:
            raise WireError(400, "A signed URL must be used without an Authorization header.")


class RedirectedFiles(Files):
    """OpenAI's files, and the upload in three calls."""

    def routes(self, wire: OpenAIWire) -> list[Route]:
        storage = Endpoint(self.service, Storage(wire.name), "upload_part", self.put)
        return [*super().routes(wire), Route(f"{STORAGE}/{{file}}", storage, methods=["PUT"])]

    def _at(self, root: str, route: Any) -> list[Route]:
        return [*super()._at(root, route), route(f"{root}/files/{{file}}/preprocess", "POST", "upload_complete", self.preprocess)]

    def shown(self, file: StoredFile) -> dict[str, Any]:
        return file.shown() | {"FileType": "jsonl", "processing_status": "COMPLETED"}

    async def upload(self, call: Call) -> Response:
        form = await call.request.form()
        filename = form.get("file_name")
        if "file" in form or not isinstance(filename, str):
            return await super().upload(call)
        await call.gate(part=filename)
        told = {"filename": filename, "purpose": purpose_of(form.get("purpose"))}
        with self.world.commit() as db:
            file_id = self.world.new_id("file-")
            values = (file_id, self.world.count_up("upload"), self.world.clock.now(), json.dumps(told), call.account)
            db.execute("INSERT INTO uploads VALUES(?, ?, ?, ?, 'pending', NULL, ?)", values)
        address = f"{str(call.request.base_url).rstrip('/')}{STORAGE}/{file_id}?signature={self._signature(file_id)}"
        return Response(status_code=302, headers={"location": address, "x-together-file-id": file_id})

    def _signature(self, file_id: str) -> str:
        return token("", "signed-url", self.world.seed, STORAGE, file_id, length=40)

    async def put(self, call: Call) -> Response:
        file_id = call.request.path_params["file"]
        rows = self.world.rows("SELECT * FROM uploads WHERE id = ? AND status = 'pending'", (file_id,))
        if not rows or call.request.query_params.get("signature") != self._signature(file_id):
            raise WireError(403, "The request is not signed for this.")
        if self.world.clock.now() >= rows[0]["created_at"] + UPLOAD_SECONDS:
            raise WireError(403, "The signed URL has expired.")
        blob, n_bytes = await call.save_stream(limit=MAX_FILE_BYTES)
        await call.gate(part=file_id)
        with self.world.commit() as db:
            db.execute("DELETE FROM upload_parts WHERE upload = ?", (file_id,))
            db.execute("INSERT INTO upload_parts VALUES(?, ?, ?, ?, ?)", (self.world.new_id("part_"), file_id, self.world.clock.now(), n_bytes, blob))
        return Response(status_code=200)

    async def preprocess(self, call: Call) -> Response:
        file_id = call.request.path_params["file"]
        await call.gate(part=file_id)
        parts = self.world.rows("SELECT * FROM upload_parts WHERE upload = ?", (file_id,))
        told = json.loads(self._upload(call, file_id)["wire"])
        if not parts or not parts[0]["n_bytes"]:
            raise WireError(400, f"Nothing was uploaded for {file_id}.")
        with self.world.commit() as db:
            self._open_upload(call, file_id)
            file = self.add(call.account, told["filename"], told["purpose"], parts[0]["n_bytes"], parts[0]["blob"], None, file_id=file_id)
            db.execute("UPDATE uploads SET status = 'completed', file = ? WHERE id = ?", (file_id, file_id))
        return PrettyJson(await asyncio.to_thread(self.shown, file))
