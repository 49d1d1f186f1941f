"""What the room's modules hand each other: a row to ask, what a server said to it, and whoever wants rows asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import msgspec

GONE: Final = 502
"""Status of what stands for an answer that never came."""


@dataclass(frozen=True, slots=True)
class Row:
    """One request. number: its place in the job, from 0. name: what it is called in the server's logs. path: behind the host's address."""

    number: int
    name: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to a row. body: JSON on one line; what is no JSON stands in it as a text. request_id: the server's, "" without one."""

    status: int
    body: bytes
    request_id: str = ""


Kind = Literal["answer", "busy", "failed", "lost", "unsent"]
"""What came of asking once: something to keep; come again later; an error that may pass; no answer although it may have been made (and paid);
no connection, so that nothing can have been made."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of asking once. wait_seconds: what the server asks to wait before the next try; None when it does not say."""

    kind: Kind
    answer: Answer
    wait_seconds: float | None = None


class Job(Protocol):
    """Rows that belong together, and the book that is kept of them. All but `rows` is called from the asking thread alone."""

    @property
    def name(self) -> str: ...

    def rows(self) -> Iterator[Row]:
        """The rows without an answer, in the order of asking."""

    def is_wanted(self) -> bool:
        """Whether answers are still wanted."""

    def asked(self, row: int) -> None:
        """The row is about to be asked."""

    def turned_away(self, row: int) -> None:
        """It was asked, and surely not carried out."""

    def lost(self, row: int) -> None:
        """It was asked, and no answer came: it may have been paid for."""

    def answered(self, row: int, answer: Answer) -> None:
        """This is its answer."""

    async def commit(self) -> None:
        """Return once everything told so far is on the disk."""


def json_line(raw: bytes) -> bytes | None:
    """The JSON on one line, its meaning unchanged; None when it is none that every reader takes."""
    try:
        value = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return _leniently(raw)
    if b"\n" not in raw and b"\r" not in raw:
        return raw.strip()
    try:
        return msgspec.json.encode(value)
    except (ValueError, OverflowError, RecursionError):
        return json.dumps(value, separators=(",", ":")).encode()


def _leniently(raw: bytes) -> bytes | None:
    """The same of what only lenient readers take: a mark of the byte order, halves of surrogate pairs, numbers that are none."""
    try:
        return strict_json(json.loads(raw.decode("utf-8-sig"), parse_constant=lambda word: None))
    except (ValueError, RecursionError):
        return None


def strict_json(value: object) -> bytes:
    """A value as JSON that every reader takes: halves of a surrogate pair that meet are put together, one alone becomes U+FFFD. Raises ValueError."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def as_text(raw: bytes) -> bytes:
    """Bytes that are no JSON as a JSON text."""
    return json.dumps(raw.decode("utf-8", "replace")).encode()


def no_answer(why: str) -> Answer:
    """What stands for an answer that never came."""
    return Answer(GONE, json.dumps({"error": {"message": why}}).encode())


def listed_faults(told: Mapping[str, Any]) -> str | None:
    """What is wrong with a body as FastAPI lists it, each place with its fault, without the body that is quoted there; None when it lists nothing.

    `detail` stands by itself, or inside the message (Mistral).
    """
    inner = told.get("message")
    faults = told.get("detail") or (inner.get("detail") if isinstance(inner, Mapping) else None)
    if not isinstance(faults, list) or not faults or not all(isinstance(one, Mapping) and isinstance(one.get("msg"), str) for one in faults):
        return None
    return "; ".join(": ".join([*([".".join(map(str, place))] if isinstance(place := one.get("loc"), list) else []), one["msg"]]) for one in faults)


def error_of(answer: Answer) -> dict[str, Any] | None:
    """`message` and `code` of an error in any of the shapes that servers send; None when the answer is none.

    OpenAI, llama.cpp and Ollama: {"error": {"message", "code" or "type"}}. TGI: {"error": "...", "error_type"}. vLLM: {"object": "error", "message"}.
    """
    try:
        body = msgspec.json.decode(answer.body)
    except (ValueError, RecursionError):
        body = None
    is_bad = not 200 <= answer.status < 300
    told = body.get("error") or (body if is_bad or body.get("object") == "error" else None) if isinstance(body, dict) else (body if is_bad else None)
    if told is None and not is_bad:
        return None
    if not isinstance(told, dict):
        kind = body.get("error_type") if isinstance(body, dict) else None
        return {"message": told if isinstance(told, str) and told else f"HTTP {answer.status}", "code": kind}
    if (listed := listed_faults(told)) is not None:
        return {"message": listed, "code": None}
    words = next((told[name] for name in ("message", "detail", "error", "reason") if isinstance(told.get(name), str) and told[name]), None)
    code = next((told[name] for name in ("code", "status", "type", "error_type") if isinstance(told.get(name), str) and told[name]), None)
    return {"message": words or json.dumps(told), "code": code}
