"""The Fireworks wire: envelope, keys, names, and the lines of its files."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from batchtrial.emulator.answers import bodies
from batchtrial.emulator.answers.request import BadRequest, ChatRequest, from_chat
from batchtrial.emulator.answers.rows import Fate, Problem, Read, Reader
from batchtrial.emulator.serve.exchange import WireError
from batchtrial.emulator.serve.results import Format, Renderer
from batchtrial.emulator.world.jsontext import BadJson, decode, decode_object, encode_line
from batchtrial.emulator.world.records import Batch

OUTPUT: Final = "BIJOutputSet.jsonl"
ERRORS: Final = "error-data"
JOB_PARAMETERS: Final = (("maxTokens", "max_tokens"), ("temperature", "temperature"), ("topP", "top_p"), ("topK", "top_k"), ("n", "n"))
RESOURCE_ID: Final = re.compile(r"[a-z0-9-]{1,63}")
GRPC_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 412: 9, 413: 11, 429: 8, 500: 13, 501: 12, 503: 14, 504: 4}


class FireworksWire:
    """Errors as gRPC status objects; a wrong key as the gateway's own envelope."""

    name = "fireworks"

    def authenticate(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise WireError(403, "Missing API key.", code="UNAUTHORIZED")
        if key == "bad" or "invalid" in key:
            raise WireError(403, "The API key you provided is invalid.", code="UNAUTHORIZED")

    def error(self, err: WireError, request_id: str) -> Response:
        if err.code == "UNAUTHORIZED":
            inner = {"message": err.message, "param": None, "code": "UNAUTHORIZED", "type": "error"}
            body: dict[str, Any] = {"error": inner, "request_id": request_id}
        else:
            code = int(err.code) if err.code and err.code.isdigit() else GRPC_CODES.get(err.status, 2)
            body = {"code": code, "message": err.message, "details": []}
        return JSONResponse(body, status_code=err.status, headers=err.headers)

    def headers(self, request_id: str, organization: str) -> dict[str, str]:
        return {"x-request-id": request_id}

    def spend_cap(self) -> WireError:
        return WireError(412, "Account is suspended because its spending limit was reached.", code="9")


def check_id(value: str, what: str) -> str:
    """The id itself. Raises WireError for one that a resource may not have."""
    if not RESOURCE_ID.fullmatch(value):
        raise WireError(400, f"invalid {what}: must match ^[a-z0-9-]+$ and be at most 63 characters")
    return value


def last_segment(name: str) -> str:
    """`d1` of `accounts/a/datasets/d1`."""
    return name.rpartition("/")[2]


def job_defaults(batch: Batch) -> dict[str, Any]:
    """Body fields that a job sets for all its rows."""
    parameters = batch.wire.get("inferenceParameters") or {}
    defaults: dict[str, Any] = {ours: parameters[theirs] for theirs, ours in JOB_PARAMETERS if parameters.get(theirs) is not None}
    if parameters.get("extraBody"):
        defaults.update(decode_object(parameters["extraBody"]))
    return defaults


def reader_of(batch: Batch) -> Reader:
    """Reads the lines of a job's input dataset with the job's own parameters as defaults."""
    defaults = job_defaults(batch)
    model, system = str(batch.wire.get("model") or ""), str(batch.wire.get("systemPrompt") or "")

    def read(line: bytes) -> Read:
        row = decode_object(line)
        body = {**defaults, **row["body"], "model": model}
        custom_id = row["custom_id"]
        try:
            return Read(custom_id=custom_id, chat=from_chat(custom_id, body, system=system))
        except BadRequest as err:
            return Read(custom_id=custom_id, chat=None, problem=Problem(status=400, message=str(err)))

    return read


def line_problem(line: bytes, seen: set[int]) -> str | None:
    """Why a line makes the whole job fail, or None. `seen` collects hashes of custom_ids."""
    try:
        row = decode_object(line)
    except BadJson as err:
        return f"invalid JSON: {err}"
    custom_id, body = row.get("custom_id"), row.get("body")
    if not isinstance(custom_id, str) or not custom_id:
        return "custom_id: expected a non-empty string"
    if hash(custom_id) in seen:
        return f"duplicate custom_id {custom_id!r}"
    seen.add(hash(custom_id))
    if not isinstance(body, dict):
        return "body: expected an object"
    try:
        from_chat(custom_id, body, model="m")
    except BadRequest as err:
        return f"body.{err}"
    return None


def format_of(seed: int) -> Format:
    """How jobs read and write."""
    return Format(reader_of=reader_of, renderer_of=lambda batch: _renderer(seed))


def _renderer(seed: int) -> Renderer:
    """Lines of the two result files: flat answers, and errors."""

    def render(fate: Fate) -> tuple[str, bytes] | None:
        if fate.kind == "missing" or fate.kind in ("expired", "cancelled"):
            return None
        if fate.kind == "errored":
            return ERRORS, encode_line({"custom_id": fate.custom_id, "error": _error(fate)})
        return OUTPUT, encode_line({"custom_id": fate.custom_id, "response": _response(seed, fate)})

    return render


def _error(fate: Fate) -> Any:
    problem = fate.problem or Problem(status=500, message="unknown error")
    if problem.body is not None:
        return problem.body
    return {"code": problem.code or problem.status, "message": problem.message}


def _response(seed: int, fate: Fate) -> Any:
    if fate.upstream is not None:
        return decode(fate.upstream)
    chat: ChatRequest | None = fate.chat
    assert chat is not None
    return bodies.fireworks_completion(seed, fate.id_key, chat, fate.answers)
