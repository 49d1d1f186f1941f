"""The OpenAI wire: envelope, keys, and the lines of its batch files."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from batchtrial.emulator.answers.refusing import refused_by_openai
from batchtrial.emulator.answers.rows import Fate, Problem, Read, Reader, read_or_problem
from batchtrial.emulator.serve.exchange import WireError
from batchtrial.emulator.serve.results import Format, Renderer
from batchtrial.emulator.wires.openai.endpoints import ENDPOINTS
from batchtrial.emulator.world.draws import token
from batchtrial.emulator.world.jsontext import BadJson, decode, decode_object, encode_line, encode_spaced_line
from batchtrial.emulator.world.queues import prompt_tokens
from batchtrial.emulator.world.records import Batch

OUTPUT: Final = "output"
ERRORS: Final = "error"
ERROR_TYPES: Final = {429: "rate_limit_error", 401: "authentication_error", 403: "permission_error", 404: "invalid_request_error"}


class PrettyJson(Response):
    """JSON as the live service sends it: indented by two spaces."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, indent=2, ensure_ascii=False).encode()


def error_body(status: int, message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The error object of an answer or of a result line."""
    kind = ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


class OpenAIWire:
    """Errors as `{"error": {...}}`; the request id in a header. name: of the host that speaks it."""

    def __init__(self, name: str = "openai") -> None:
        self.name = name

    def authenticate(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", f"Bearer {request.headers.get('api-key', '')}").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise WireError(401, "You didn't provide an API key.")
        if key == "bad" or "invalid" in key:
            raise WireError(401, "Incorrect API key provided.", code="invalid_api_key")

    def error(self, err: WireError, request_id: str) -> Response:
        body = error_body(err.status, err.message, err.code, err.param)
        if err.code == "insufficient_quota":
            body["error"]["type"] = "insufficient_quota"
        return PrettyJson(body, status_code=err.status, headers=err.headers)

    def headers(self, request_id: str, organization: str) -> dict[str, str]:
        told = {"openai-organization": f"org-{organization}"} if organization else {}
        return {"x-request-id": request_id, "openai-version": "2020-10-01", "openai-processing-ms": "5", **told}

    def spend_cap(self) -> WireError:
        return WireError(429, "You exceeded your current quota, please check your plan and billing details.", code="insufficient_quota")


class LocalWire(OpenAIWire):
    """The synchronous endpoints: the same envelope, but no key is asked for."""

    def __init__(self) -> None:
        super().__init__("local")

    def authenticate(self, request: Request) -> None:
        """A server of one's own mostly runs without keys; a wrong one is refused all the same."""
        if request.headers.get("authorization"):
            super().authenticate(request)


def reader_of(batch: Batch) -> Reader:
    """Reads the lines of a batch input file."""
    make = ENDPOINTS[batch.wire["endpoint"]].read

    def read(line: bytes) -> Read:
        row = decode_object(line)
        custom_id, body = row["custom_id"], row["body"]
        problem = None if batch.is_upstream else refused_by_openai(body)
        if problem is not None:
            return Read(custom_id=custom_id, chat=None, problem=problem)
        return read_or_problem(custom_id, lambda: make(custom_id, body))

    return read


class Validation:
    """Checks the lines of an input file one by one, as the service does after a batch was created."""

    MAX_PROBLEMS: Final = 100

    def __init__(self, endpoint: str, knows: Any, *, counts_tokens: bool = False) -> None:
        self.endpoint, self._knows, self._counts_tokens = endpoint, knows, counts_tokens
        self.problems: list[dict[str, Any]] = []
        self._seen: set[int] = set()
        self.model: str | None = None
        self.tokens = 0  # of the prompts, where they are counted

    def add(self, code: str, message: str, line: int | None = None, param: str | None = None) -> None:
        if len(self.problems) < self.MAX_PROBLEMS:
            self.problems.append({"code": code, "message": message, "param": param, "line": line})

    def check(self, number: int, raw: bytes) -> None:
        """Check line `number`, counted from 1."""
        try:
            row = decode_object(raw)
        except BadJson:
            self.add("invalid_json_line", "This line is not parseable as valid JSON.", number)
            return
        custom_id = row.get("custom_id")
        if not isinstance(custom_id, str) or not custom_id:
            self.add("missing_required_parameter", "Missing required parameter: 'custom_id'.", number, "custom_id")
        elif hash(custom_id) in self._seen:
            self.add("duplicate_custom_id", f"The custom_id '{custom_id}' is used more than once in this file.", number, "custom_id")
        self._seen.add(hash(custom_id))
        if row.get("method") != "POST":
            self.add("invalid_method", "The HTTP method must be POST.", number, "method")
        if row.get("url") != self.endpoint:
            text = f"The url '{row.get('url')}' does not match the batch's endpoint '{self.endpoint}'."
            self.add("url_mismatch", text, number, "url")
        body = row.get("body")
        if not isinstance(body, dict):
            self.add("missing_required_parameter", "Missing required parameter: 'body'.", number, "body")
            return
        if self._counts_tokens:
            self.tokens += prompt_tokens(body)
        self._check_body(number, body)

    def _check_body(self, number: int, body: dict[str, Any]) -> None:
        if body.get("stream"):
            self.add("invalid_request", "Streaming is not supported in the Batch API.", number, "body.stream")
        model = body.get("model")
        if not isinstance(model, str) or not model:
            self.add("missing_required_parameter", "Missing required parameter: 'body.model'.", number, "body.model")
            return
        if self.model is None:
            self.model = model
            if not self._knows(model):
                self.add("model_not_found", f"The provided model '{model}' is not supported by the Batch API.", number, "body.model")
        elif model != self.model:
            text = f"The model '{model}' differs from '{self.model}'; a batch may use one model only."
            self.add("model_mismatch", text, number, "body.model")


def format_of(seed: int, *, has_bare_errors: bool = False, has_escapes: bool = False) -> Format:
    """How batches read and write.

    has_bare_errors: lines of the error file have no `response`. has_escapes: lines are spaced and what is not ASCII is escaped, as OpenAI's recorded
    files are; else they are compact, with raw text.
    """

    def renderer_of(batch: Batch) -> Renderer:
        line_of = _line_of(seed, batch, has_bare_errors=has_bare_errors)

        def render(fate: Fate) -> tuple[str, bytes] | None:
            found = line_of(fate)
            if found is None:
                return None
            name, line = found
            return name, encode_spaced_line(line, is_raw=fate.is_raw) if has_escapes else encode_line(line)

        return render

    return Format(reader_of=reader_of, renderer_of=renderer_of)


def _line_of(seed: int, batch: Batch, *, has_bare_errors: bool) -> Callable[[Fate], tuple[str, dict[str, Any]] | None]:
    body_of = ENDPOINTS[batch.wire["endpoint"]].write

    def line_of(fate: Fate) -> tuple[str, dict[str, Any]] | None:
        if fate.kind == "missing":
            return None
        key = fate.id_key or fate.custom_id
        line: dict[str, Any] = {"id": token("batch_req_", seed, "line", key), "custom_id": fate.custom_id}
        request_id = token("", seed, "line-request", key, length=32)
        if fate.kind == "succeeded":
            assert fate.chat is not None
            body = decode(fate.upstream) if fate.upstream is not None else body_of(seed, key, fate.chat, fate.answers)
            return OUTPUT, line | {"response": {"status_code": 200, "request_id": request_id, "body": body}, "error": None}
        if fate.kind == "errored":
            problem = fate.problem or Problem(status=500, message="unknown error")
            if has_bare_errors:
                told = {"message": problem.message, "code": problem.code or str(problem.status)}
                return ERRORS, {"custom_id": fate.custom_id, "error": told}
            inner = problem.body or error_body(problem.status, problem.message, problem.code, problem.param)
            return ERRORS, line | {"response": {"status_code": problem.status, "request_id": request_id, "body": inner}, "error": None}
        text = {
            "expired": "This request could not be executed before the completion window expired.",
            "cancelled": "This request was not executed because the batch was cancelled.",
        }[fate.kind]
        return ERRORS, line | {"response": None, "error": {"code": f"batch_{fate.kind}", "message": text}}

    return line_of
