"""The Anthropic wire: envelope, keys, versions, and the lines of its results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from batchtrial.emulator.answers import bodies
from batchtrial.emulator.answers.refusing import refused_by_anthropic
from batchtrial.emulator.answers.request import from_messages
from batchtrial.emulator.answers.rows import Fate, Problem, Read, Reader, read_or_problem
from batchtrial.emulator.serve.exchange import WireError
from batchtrial.emulator.serve.results import Format, Renderer, usage_in
from batchtrial.emulator.world.draws import token
from batchtrial.emulator.world.jsontext import decode, decode_object, encode_line
from batchtrial.emulator.world.records import Batch

RESULTS: Final = "results"
VERSIONS: Final = ("2023-06-01", "2026-10-21")
WITHOUT_SAMPLING: Final = "2026-10-21"  # from this version on sampling parameters are refused
SAMPLING: Final = ("temperature", "top_p", "top_k")
NOT_IN_BATCHES: Final = ("stream", "speed")
ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_type(status: int) -> str:
    """`error.type` of an HTTP status."""
    return ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


class AnthropicWire:
    """Errors as `{"type": "error", ...}` with the request id in body and header."""

    name = "anthropic"

    def authenticate(self, request: Request) -> None:
        bearer, _, token_given = request.headers.get("authorization", "").partition(" ")
        key = request.headers.get("x-api-key") or (token_given if bearer.lower() == "bearer" else "")
        if not key.strip():
            raise WireError(401, "x-api-key header is required")
        if key == "bad" or "invalid" in key:
            raise WireError(401, "invalid x-api-key")
        version = request.headers.get("anthropic-version")
        if version is None:
            raise WireError(400, "anthropic-version: header is required")
        if version not in VERSIONS:
            raise WireError(400, f'anthropic-version: "{version}" is not a valid version')

    def error(self, err: WireError, request_id: str) -> Response:
        inner: dict[str, Any] = {"type": err.code or error_type(err.status), "message": err.message}
        if err.details is not None:
            inner["details"] = err.details
        body = {"type": "error", "error": inner, "request_id": request_id}
        return JSONResponse(body, status_code=err.status, headers=err.headers)

    def headers(self, request_id: str, organization: str) -> dict[str, str]:
        return {"request-id": request_id, "anthropic-organization-id": f"{organization or '0' * 8}-0000-4000-8000-000000000000"}

    def spend_cap(self) -> WireError:
        details = {"error_code": "enforced_spend_limit_reached"}
        return WireError(429, "Your organization has reached its monthly spend limit.", details=details)


def refused_params(params: dict[str, Any], version: str, knows: Callable[[str], bool]) -> Problem | None:
    """What the API refuses in a request that has the right shape, or None."""
    for key in NOT_IN_BATCHES:
        if params.get(key):
            return Problem(status=400, message=f"{key}: not supported in message batches")
    if version >= WITHOUT_SAMPLING:
        for key in SAMPLING:
            if key in params:
                return Problem(status=400, message=f"{key}: Extra inputs are not permitted in API version {version}")
    model = params.get("model")
    if isinstance(model, str) and not knows(model):
        return Problem(status=404, message=f"model: {model}")
    return refused_by_anthropic(params)


def reader_of(knows: Callable[[str], bool]) -> Callable[[Batch], Reader]:
    """Reads the stored requests of a batch; parameters are only looked at here, as the service does it."""

    def of(batch: Batch) -> Reader:
        version = batch.wire["anthropic_version"]

        def read(line: bytes) -> Read:
            row = decode_object(line)
            custom_id, params = row["custom_id"], row["params"]
            problem = refused_params(params, version, knows)
            if problem is not None:
                return Read(custom_id=custom_id, chat=None, problem=problem)
            return read_or_problem(custom_id, lambda: from_messages(custom_id, params))

        return read

    return of


def format_of(seed: int, knows: Callable[[str], bool]) -> Format:
    """How batches read and write."""
    return Format(reader_of=reader_of(knows), renderer_of=lambda batch: _renderer(seed))


def _renderer(seed: int) -> Renderer:
    def render(fate: Fate) -> tuple[str, bytes] | None:
        if fate.kind == "missing":
            return None
        return RESULTS, encode_line({"custom_id": fate.custom_id, "result": _result(seed, fate)})

    return render


def _result(seed: int, fate: Fate) -> dict[str, Any]:
    if fate.kind == "succeeded":
        return {"type": "succeeded", "message": _message(seed, fate)}
    if fate.kind == "errored":
        problem = fate.problem or Problem(status=500, message="unknown error")
        kind = problem.code if problem.code in ERROR_TYPES.values() else error_type(problem.status)
        inner = problem.body or {"type": kind, "message": problem.message}
        request_id = token("req_", seed, "row", fate.custom_id)
        return {"type": "errored", "error": {"type": "error", "error": inner, "request_id": request_id}}
    return {"type": "expired" if fate.kind == "expired" else "canceled"}


def _message(seed: int, fate: Fate) -> dict[str, Any]:
    assert fate.chat is not None
    if fate.upstream is None:
        return bodies.message_of(seed, fate.id_key, fate.chat.model, fate.answers[0])
    body = decode(fate.upstream)
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return {"type": "message", "upstream": body}  # no message can be made of it: whoever reads it has to see that
    return _from_chat(seed, fate, body, choices[0])


STOP_REASONS: Final = {"length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use", "function_call": "tool_use"}


def _from_chat(seed: int, fate: Fate, body: dict[str, Any], choice: dict[str, Any]) -> dict[str, Any]:
    """A chat completion that a real server gave, as a message: its text, what it thought, and why it ended."""
    assert fate.chat is not None
    given = choice.get("message")
    message = given if isinstance(given, dict) else {}
    refusal = message.get("refusal")
    text, thought = message.get("content") or refusal, message.get("reasoning_content") or message.get("reasoning")
    reason = "refusal" if refusal else STOP_REASONS.get(str(choice.get("finish_reason")), "end_turn")
    model = str(body.get("model") or "") or fate.chat.model
    made = bodies.message(seed, fate.id_key, model, str(text or ""), reason, *usage_in(body))
    blocks: list[dict[str, Any]] = [{"type": "thinking", "thinking": str(thought), "signature": ""}] if thought else []
    if text:
        blocks += made["content"]
    if message.get("tool_calls"):
        blocks.append({"type": "tool_use", "id": token("toolu_", seed, "tool", fate.id_key), "name": "tool", "input": {}})
    return made | {"content": blocks}
