"""Fireworks datasets: create, the two ways to upload, signed URLs, download."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from batchtrial.emulator.serve.exchange import Call, Endpoint, WireError
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.wires.fireworks.paging import page
from batchtrial.emulator.wires.fireworks.wire import FireworksWire, check_id
from batchtrial.emulator.world.clock import rfc3339
from batchtrial.emulator.world.draws import token

UPLOAD_LIMIT_BYTES: Final = 150_000_000  # of the one-request upload
UPLOAD_URL_SECONDS: Final = 3600
DOWNLOAD_URL_SECONDS: Final = 599
BASE: Final = "/v1/accounts/{account}/datasets"
SIGNED: Final = "/_signed/{action}/{account}/{dataset}/{key:path}"
FILENAME: Final = re.compile(r"[^/\x00-\x1f]{1,255}")

DerivedDataset = Callable[[str], dict[str, Any] | None]  # full name -> dataset that a job has written, or None
DerivedFiles = Callable[[str, bool], dict[str, Path] | None]  # full name, with lineage -> its files by key


class Datasets:
    """Handlers of the dataset routes."""

    def __init__(self, service: Service) -> None:
        self.service, self.world = service, service.world
        # Set by the jobs: an output dataset is not stored, it follows from its job.
        self.derived: DerivedDataset = lambda name: None
        self.derived_files: DerivedFiles = lambda name, lineage: None

    def routes(self, wire: FireworksWire) -> list[Route]:
        def route(path: str, method: str, op: str, handler: Callable[[Call], Any]) -> Route:
            return Route(path, Endpoint(self.service, wire, op, handler), methods=[method])

        one = BASE + "/{dataset}"
        return [
            route(one + ":upload", "POST", "upload", self.upload),
            route(one + ":getUploadEndpoint", "POST", "get_upload_endpoint", self.get_upload_endpoint),
            route(one + ":validateUpload", "POST", "validate_upload", self.validate_upload),
            route(one + ":getDownloadEndpoint", "GET", "get_download_endpoint", self.get_download_endpoint),
            route(BASE, "POST", "dataset_create", self.create),
            route(BASE, "GET", "dataset_list", self.list_all),
            route(one, "GET", "dataset_get", self.get),
            route(one, "DELETE", "dataset_delete", self.delete),
        ]

    def signed_routes(self, storage: StorageWire) -> list[Route]:
        def route(method: str, op: str, handler: Callable[[Call], Any]) -> Route:
            return Route(SIGNED, Endpoint(self.service, storage, op, handler), methods=[method], name="signed")

        return [route("PUT", "put_signed", self.put_signed), route("GET", "download", self.download_signed)]

    # Records

    def find(self, name: str) -> sqlite3.Row:
        """The stored dataset. Raises WireError 404."""
        row = self.world.row("SELECT * FROM datasets WHERE name = ?", (name,))
        if row is None:
            raise WireError(404, f"dataset {name!r} not found")
        return row

    def shown(self, row: sqlite3.Row) -> dict[str, Any]:
        wire = json.loads(row["wire"])
        at = rfc3339(row["created_at"])
        return {
            "name": row["name"],
            "displayName": wire.get("displayName", ""),
            "createTime": at,
            "updateTime": at,
            "createdBy": "emulator@example.com",
            "state": row["state"],
            "status": {"code": "OK", "message": ""},
            "exampleCount": str(wire["exampleCount"]),
            "format": wire.get("format", "FORMAT_UNSPECIFIED"),
            "userUploaded": {},
        }

    def set_files(self, name: str, files: dict[str, dict[str, Any]], state: str) -> None:
        with self.world.commit() as db:
            db.execute("UPDATE datasets SET files = ?, state = ? WHERE name = ?", (json.dumps(files), state, name))

    # Routes

    async def create(self, call: Call) -> Response:
        body = await call.json_object()
        dataset_id, dataset = body.get("datasetId"), body.get("dataset")
        if not isinstance(dataset_id, str):
            raise WireError(400, "datasetId is required")
        await call.gate(part=dataset_id)
        check_id(dataset_id, "datasetId")
        if not isinstance(dataset, dict) or not str(dataset.get("exampleCount", "")).isdigit():
            raise WireError(400, "dataset.exampleCount is required and must be an int64 string")
        if not isinstance(dataset.get("userUploaded", {}), dict) or not isinstance(dataset.get("displayName", ""), str):
            raise WireError(400, "dataset: userUploaded must be an object and displayName a string")
        account = call.request.path_params["account"]
        name = f"accounts/{account}/datasets/{dataset_id}"
        with self.world.commit() as db:
            if self.world.row("SELECT 1 FROM datasets WHERE name = ?", (name,)) or self.derived(name):
                raise WireError(409, f"dataset {name!r} already exists")
            db.execute(
                "INSERT INTO datasets VALUES(?, ?, ?, ?, 'UPLOADING', ?, '{}')",
                (name, self.world.count_up("dataset"), account, self.world.clock.now(), json.dumps(dataset)),
            )
        return JSONResponse(self.shown(self.find(name)))

    async def get(self, call: Call) -> Response:
        name = dataset_name(call)
        await call.gate(part=call.request.path_params["dataset"])
        return JSONResponse(self.derived(name) or self.shown(self.find(name)))

    async def list_all(self, call: Call) -> Response:
        await call.gate()
        account = call.request.path_params["account"]
        rows = self.world.rows("SELECT * FROM datasets WHERE account = ? ORDER BY seq", (account,))
        return JSONResponse(page(call.request, "datasets", rows, self.shown))

    async def delete(self, call: Call) -> Response:
        name = dataset_name(call)
        await call.gate(part=call.request.path_params["dataset"])
        with self.world.commit() as db:
            if db.execute("DELETE FROM datasets WHERE name = ?", (name,)).rowcount == 0:
                raise WireError(404, f"dataset {name!r} not found")
        return JSONResponse({})

    async def upload(self, call: Call) -> Response:
        dataset_id, name = call.request.path_params["dataset"], dataset_name(call)
        filename, file, _ = await call.file_field("file")
        await call.gate(part=dataset_id)
        self.find(name)
        blob, n_bytes = await call.save(file)
        if n_bytes > UPLOAD_LIMIT_BYTES:
            raise WireError(413, f"the file is larger than {UPLOAD_LIMIT_BYTES} bytes; use getUploadEndpoint")
        if n_bytes == 0:
            raise WireError(400, "the file is empty")
        self.find(name)
        self.set_files(name, {filename: {"size": n_bytes, "blob": blob}}, "READY")
        created = int(self.world.clock.now())
        shown = {"id": dataset_id, "object": "file", "bytes": n_bytes, "created_at": created, "filename": filename}
        return JSONResponse({**shown, "purpose": "dataset"})

    async def get_upload_endpoint(self, call: Call) -> Response:
        name = dataset_name(call)
        body = await call.json_object()
        await call.gate(part=call.request.path_params["dataset"])
        self.find(name)
        sizes = body.get("filenameToSize")
        if not isinstance(sizes, dict) or not sizes or not all(str(size).isdigit() for size in sizes.values()):
            raise WireError(400, "filenameToSize: expected a map of file name to int64 string")
        for filename in sizes:
            if not FILENAME.fullmatch(filename) or filename in (".", ".."):
                raise WireError(400, f"filenameToSize: {filename!r} is not a file name")
        # Asking again replaces the registered files.
        files = {filename: {"size": int(size), "blob": None} for filename, size in sizes.items()}
        self.set_files(name, files, "UPLOADING")
        urls = {filename: self.signed(call, "upload", name, filename, UPLOAD_URL_SECONDS) for filename in files}
        return JSONResponse({"filenameToSignedUrls": urls})

    async def validate_upload(self, call: Call) -> Response:
        name = dataset_name(call)
        await call.json_object()
        await call.gate(part=call.request.path_params["dataset"])
        files = json.loads(self.find(name)["files"])
        if not files:
            raise WireError(400, "no files were uploaded", code="9")
        for filename, file in files.items():
            if file["blob"] is None:
                raise WireError(400, f"file {filename!r} was not uploaded", code="9")
        self.set_files(name, files, "READY")
        return JSONResponse({})

    async def get_download_endpoint(self, call: Call) -> Response:
        name = dataset_name(call)
        if await call.body():
            raise WireError(400, "request body is not allowed")
        await call.gate(part=call.request.path_params["dataset"])
        lineage = call.request.query_params.get("downloadLineage", "").lower() == "true"
        files = await asyncio.to_thread(lambda: self.derived_files(name, lineage))
        if files is None:
            stored = json.loads(self.find(name)["files"])
            files = {f"dataset/{call.request.path_params['dataset']}/{each}": each for each in stored}
        urls = {key: self.signed(call, "download", name, key, DOWNLOAD_URL_SECONDS) for key in files}
        return JSONResponse({"filenameToSignedUrls": urls})

    # Signed URLs: they carry their own permission, so they need no key and work after a restart.

    def signature(self, action: str, name: str, key: str, expires: int) -> str:
        return token("", "signed-url", self.world.seed, action, name, key, expires, length=40)

    def signed(self, call: Call, action: str, name: str, key: str, seconds: int) -> str:
        """URL on this server's own host that is good for `seconds` of the virtual clock."""
        _, account, _, dataset = name.split("/")
        expires = int(self.world.clock.now()) + seconds
        url = call.request.url_for("signed", action=action, account=account, dataset=dataset, key=key)
        signature = self.signature(action, name, key, expires)
        return str(url.include_query_params(**{"X-Goog-Expires": expires, "X-Goog-Signature": signature}))

    def permitted(self, call: Call, action: str) -> tuple[str, str]:
        """Dataset name and key that a signed URL allows. Raises WireError."""
        found, query = call.request.path_params, call.request.query_params
        name, key = f"accounts/{found['account']}/datasets/{found['dataset']}", found["key"]
        expires = query.get("X-Goog-Expires", "")
        if "authorization" in call.request.headers:
            raise WireError(400, "A signed URL must be used without an Authorization header.", code="InvalidArgument")
        if found["action"] != action or not expires.isdigit():
            raise WireError(403, "The request is not signed for this.", code="SignatureDoesNotMatch")
        if query.get("X-Goog-Signature") != self.signature(action, name, key, int(expires)):
            raise WireError(403, "The request signature we calculated does not match.", code="SignatureDoesNotMatch")
        if self.world.clock.now() >= int(expires):
            raise WireError(400, "The signed URL has expired.", code="ExpiredToken")
        return name, key

    async def put_signed(self, call: Call) -> Response:
        name, filename = self.permitted(call, "upload")
        files = json.loads(self.find(name)["files"])
        if filename not in files:
            raise WireError(404, "The file is not registered any more.", code="NoSuchKey")
        size = files[filename]["size"]
        headers = call.request.headers
        if headers.get("x-goog-content-length-range") != f"{size},{size}":
            raise WireError(403, f"x-goog-content-length-range must be {size},{size}.", code="SignatureDoesNotMatch")
        if headers.get("content-type") != "application/octet-stream":
            raise WireError(403, "content-type must be application/octet-stream.", code="SignatureDoesNotMatch")
        blob, n_bytes = await call.save_stream(limit=size)
        await call.gate(part=f"{name} {filename}")
        if n_bytes != size:
            raise WireError(400, f"Your upload is {n_bytes} bytes; {size} were signed.", code="EntityTooSmall")
        with self.world.commit():
            files = json.loads(self.find(name)["files"])
            if filename in files:
                files[filename]["blob"] = blob
                self.set_files(name, files, "UPLOADING")
        return Response(status_code=200)

    async def download_signed(self, call: Call) -> Response:
        name, key = self.permitted(call, "download")
        call.op = "download_error" if key.endswith("error-data") else "download"
        await call.gate(part=f"{name} {key}")
        derived = await asyncio.to_thread(lambda: self.derived_files(name, True))
        if derived is None:
            stored = json.loads(self.find(name)["files"])
            derived = {
                f"dataset/{call.request.path_params['dataset']}/{each}": self.world.blob(file["blob"])
                for each, file in stored.items()
                if file["blob"]
            }
        if key not in derived:
            raise WireError(404, "The specified key does not exist.", code="NoSuchKey")
        return FileResponse(derived[key], media_type="application/octet-stream")


class StorageWire:
    """The storage host behind signed URLs: no keys, errors as XML."""

    name = "fireworks"

    def authenticate(self, request: object) -> None:
        """The URL itself is the permission."""

    def error(self, err: WireError, request_id: str) -> Response:
        text = err.message.replace("&", "&amp;").replace("<", "&lt;")
        code = err.code or {404: "NoSuchKey", 429: "SlowDown", 503: "ServiceUnavailable"}.get(err.status, "InternalError")
        body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{text}</Message></Error>"
        return Response(body, status_code=err.status, media_type="application/xml", headers=err.headers)

    def headers(self, request_id: str, organization: str) -> dict[str, str]:
        return {"x-guploader-uploadid": request_id}

    def spend_cap(self) -> WireError:
        return WireError(403, "The billing account is disabled.", code="UserProjectAccountProblem")


def dataset_name(call: Call) -> str:
    """Full name of the dataset in the path."""
    found = call.request.path_params
    return f"accounts/{found['account']}/datasets/{found['dataset']}"
