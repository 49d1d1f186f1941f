"""How the lines of each wire's request files are asked one by one, and how its result lines are made of the answers. Pure.

A lane keeps the codec that its batches would have: the same requests, the same result lines, whichever way they went.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from batchtrial.direct.records import Answer, Row, error_of
from batchtrial.direct.wires import WireName, path_of
from batchtrial.errors import ConfigError
from batchtrial.providers.base import SpeaksFor
from batchtrial.records import RawResult


class _Line(msgspec.Struct, gc=False):
    custom_id: str
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    request: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Id(msgspec.Struct, gc=False):
    id: str | None = None


_line = msgspec.json.Decoder(_Line).decode
_id = msgspec.json.Decoder(_Id).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One wire. root: between the host's address and the paths of rows. body: of a line, for a model. line: of a result."""

    wire: WireName
    root: str
    body: Callable[[bytes, str], tuple[str, bytes]]
    line: Callable[[str, Answer], bytes]

    def row(self, number: int, line: bytes, model: str, tier: str = "") -> Row:
        """The request of a line of the payload. tier: asked for where the line names none."""
        custom_id, body = self.body(line, model)
        if tier and not _has_tier(body):
            body = b'{"service_tier":' + msgspec.json.encode(tier) + b"," + body[1:]
        return Row(number, custom_id, path_of(self.wire, model), body)


def _has_tier(body: bytes) -> bool:
    return b'"service_tier"' in body and "service_tier" in msgspec.json.decode(body)


class _Usage(msgspec.Struct, gc=False):
    service_tier: str | None = None


class _GeminiUsage(msgspec.Struct, gc=False, rename="camel"):
    service_tier: str | None = None


class _Body(msgspec.Struct, gc=False):
    service_tier: str | None = None
    gemini: _GeminiUsage | None = msgspec.field(default=None, name="usageMetadata")
    usage: _Usage | None = None
    body: _Body | None = None  # OpenAI wraps it
    message: _Body | None = None  # Anthropic does


class _Result(msgspec.Struct, gc=False):
    response: _Body | None = None
    result: _Body | None = None


_result = msgspec.json.Decoder(_Result).decode


def tier_in(line: bytes) -> str | None:
    """The tier that a result line says its answer was served at; None when it says none."""
    try:
        seen = _result(line)
    except (ValueError, RecursionError):
        return None
    outer = seen.response or seen.result
    inner = outer and (outer.body or outer.message or outer)
    if inner is None:
        return None
    told = inner.service_tier or (inner.usage and inner.usage.service_tier) or (inner.gemini and inner.gemini.service_tier)
    return told.lower().removeprefix("service_tier_") if told else None


def decoded(line: bytes, decode: Callable[[bytes], RawResult]) -> RawResult:
    """The line as the batch's codec reads it, with the tier. Raises BadLine."""
    result, tier = decode(line), tier_in(line)
    return result if tier is None else msgspec.structs.replace(result, service_tier=tier)


class WithTiers(SpeaksFor):
    """The codec of a direct lane: its lines tell at which tier each answer was served, which decides what it cost."""

    @property
    def decode(self) -> Callable[[bytes], RawResult]:
        return partial(decoded, decode=self._codec.decode)


def custom_id_of(line: bytes) -> str:
    """Of a request line."""
    return _line(line).custom_id


def _openai_body(line: bytes, model: str) -> tuple[str, bytes]:
    seen = _line(line)
    return seen.custom_id, bytes(seen.body or b"{}")


def _gemini_body(line: bytes, model: str) -> tuple[str, bytes]:
    seen = _line(line)
    return seen.custom_id, bytes(seen.request or b"{}")


def _with_model(line: bytes, model: str) -> tuple[str, bytes]:
    """A batch names its model once, a request its own."""
    seen = _line(line)
    return seen.custom_id, b'{"model":' + msgspec.json.encode(model) + b"," + bytes(seen.body or b"{}")[1:]


def _anthropic_body(line: bytes, model: str) -> tuple[str, bytes]:
    seen = _line(line)
    return seen.custom_id, bytes(seen.params or b"{}")


def _wrapped(custom_id: str, answer: Answer) -> bytes:
    """OpenAI's."""
    response = {"status_code": answer.status, "request_id": _request_id(custom_id, answer), "body": msgspec.Raw(answer.body)}
    return _encoded({"id": f"direct_{custom_id}", "custom_id": custom_id, "response": response, "error": None})


def _flat(custom_id: str, answer: Answer) -> bytes:
    """Fireworks': an answer stands by itself, an error as OpenAI has it."""
    if answer.status != 200:
        return _wrapped(custom_id, answer)
    return _encoded({"custom_id": custom_id, "response": msgspec.Raw(answer.body), "error": None})


def _message(custom_id: str, answer: Answer) -> bytes:
    """Anthropic's."""
    body = msgspec.Raw(answer.body)
    result = {"type": "succeeded", "message": body} if answer.status == 200 else {"type": "errored", "error": body}
    return _encoded({"custom_id": custom_id, "result": result})


def _xai(custom_id: str, answer: Answer) -> bytes:
    result = {"response": msgspec.Raw(answer.body)} if answer.status == 200 else {"error": _fault(answer)}
    return _encoded({"batch_request_id": custom_id, "batch_result": result})


def _keyed(custom_id: str, answer: Answer) -> bytes:
    """Gemini's."""
    return _encoded({"key": custom_id} | ({"response": msgspec.Raw(answer.body)} if answer.status == 200 else {"error": _fault(answer)}))


def _fault(answer: Answer) -> dict[str, object]:
    """The server's words, and the status as the code, by which a reader tells what passes."""
    return {"code": answer.status, "message": (error_of(answer) or {}).get("message")}


def _encoded(line: object) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _request_id(custom_id: str, answer: Answer) -> str:
    """The answer's own id rather than the exchange's, for it is the same whenever the server tells the answer again."""
    try:
        found = _id(answer.body).id
    except (ValueError, RecursionError):
        found = None
    return found or answer.request_id or custom_id


FORMS: Final[Mapping[tuple[str, str], Form]] = {
    ("openai", "/v1/chat/completions"): Form(wire="chat", root="", body=_openai_body, line=_wrapped),
    ("openai", "/v1/responses"): Form(wire="responses", root="", body=_openai_body, line=_wrapped),
    ("fireworks", ""): Form(wire="chat", root="/inference/v1", body=_with_model, line=_flat),
    ("mistral", ""): Form(wire="chat", root="/v1", body=_with_model, line=_wrapped),
    ("xai", ""): Form(wire="chat", root="/v1", body=_openai_body, line=_xai),
    ("gemini", ""): Form(wire="generate_content", root="/v1beta", body=_gemini_body, line=_keyed),
    ("anthropic", ""): Form(wire="messages", root="", body=_anthropic_body, line=_message),
}


def form_of(speaks: str, endpoint: str = "") -> Form:
    """How a wire's rows are asked. endpoint: of OpenAI's wire. Raises ConfigError for a wire that has no synchronous form here."""
    form = FORMS.get((speaks, endpoint if speaks == "openai" else ""))
    if form is None:
        known = ", ".join(sorted({name for name, _ in FORMS}))
        raise ConfigError(f"rows of the wire {speaks} cannot be asked one by one", where="provider.lane", hint=f"{known} can; use `lane: batch`")
    return form
