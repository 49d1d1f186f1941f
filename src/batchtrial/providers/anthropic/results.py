"""Result lines of Anthropic's Message Batches, decoded; nothing here touches a wire or a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from batchtrial.keys import split_custom_id
from batchtrial.providers.decode.contents import THINKING, read_content
from batchtrial.providers.decode.finish import state_by_finish
from batchtrial.providers.decode.lines import clean, count, failure, load_object, not_understood, text_of, unwrapped, why_not_understood
from batchtrial.providers.decode.plain import Count, Fields, Id, PlainLines, told_of
from batchtrial.records import AnswerState, BadLine, Outcome, RawResult, Usage

FINISH: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}
"""Stop reasons in the words that the other providers use; the rest (refusal, pause_turn) stay as they are."""

TOKEN_ON_WIRE = re.compile(rb'("custom_id"\s*:\s*")[0-9a-f]{16}-')
TOKEN_FIRST = re.compile(r"[0-9a-f]{16}-")
TOKEN = re.compile(r"[0-9a-f]{16}-(?P<rest>.+)")


class _CacheUsage(msgspec.Struct, gc=False):
    input_tokens: Count
    output_tokens: Count
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    output_tokens_details: _Details | None = None


class _Details(msgspec.Struct, gc=False):
    thinking_tokens: Count | None = None


class _Block(msgspec.Struct, gc=False):
    type: str
    text: str = ""


class _Message(msgspec.Struct, gc=False):
    content: list[_Block]
    usage: _CacheUsage
    stop_reason: str
    id: str | None = None
    type: Literal["message"] | None = None
    error: None = None


class _Result(msgspec.Struct, gc=False):
    type: Literal["succeeded"]
    message: _Message


class _Line(msgspec.Struct, gc=False):
    custom_id: Id
    result: _Result


def _blocks(seen: _Line) -> list[_Block]:
    return [block for block in seen.result.message.content if block.type not in THINKING]


def _is_one_text(seen: _Line) -> bool:
    """Whether it is a message of one text, to an id without a token."""
    blocks = _blocks(seen)
    return len(blocks) == 1 and blocks[0].type == "text" and seen.custom_id[16:17] != "-"


def _fields(seen: list[_Line]) -> Fields:
    messages = [one.result.message for one in seen]
    used = [message.usage for message in messages]
    read, written = [one.cache_read_input_tokens or 0 for one in used], [one.cache_creation_input_tokens or 0 for one in used]
    details = [one.output_tokens_details for one in used]
    return told_of(
        [one.custom_id for one in seen],
        [block.text for one in seen for block in _blocks(one)],
        [FINISH.get(message.stop_reason, message.stop_reason) for message in messages],
        [message.id for message in messages],
        [one.input_tokens + cached + fresh for one, cached, fresh in zip(used, read, written, strict=True)],
        [one.output_tokens for one in used],
        read,
        written,
        [0 if one is None else one.thinking_tokens or 0 for one in details],
    )


pick = PlainLines(_Line, _fields, _is_one_text)
"""Plain success lines."""


def decode_line(line: bytes) -> RawResult:
    """Any line of a results stream. Raises BadLine."""
    wire, value = load_object(line)
    custom_id = without_token_id(wire)
    result = value.get("result")
    if not isinstance(result, dict):
        raise BadLine("no result object")
    kind = result.get("type")
    if kind == "succeeded":
        return _success(custom_id, result.get("message"))
    if kind == "expired":
        return RawResult(custom_id=custom_id, outcome=Outcome.EXPIRED, error="expired: not run within the batch's window")
    if kind in ("canceled", "cancelled"):
        return RawResult(custom_id=custom_id, outcome=Outcome.CANCELLED, error="canceled: the batch was stopped before this request")
    fault = result.get("error")
    request_id = text_of(fault.get("request_id")) if isinstance(fault, dict) else None
    if isinstance(fault, dict) and isinstance(fault.get("error"), dict):
        fault = fault["error"]
    return failure(custom_id, fault or f"result type {str(kind)[:80]!r}", None, request_id)


def _success(custom_id: str, message: object) -> RawResult:
    message, why = unwrapped(message)
    if not isinstance(message, dict):
        return not_understood(custom_id, why or "the result has no message", None, message)
    request_id, usage = text_of(message.get("id")), usage_of(message.get("usage"))
    if message.get("error") or message.get("type") == "error":
        return replace(failure(custom_id, message.get("error") or message, 200, request_id), usage=usage)
    reason = text_of(message.get("stop_reason"))
    finish = None if reason is None else FINISH.get(reason, reason)
    content = read_content(message.get("content"))
    if message.get("content") is None and reason is None:
        return replace(not_understood(custom_id, "the message has no content", request_id, message), usage=usage)
    state = state_by_finish(finish, content, is_refusal="refusal" in content.kinds, has_tool_call=False, has_thinking=False)
    if state is AnswerState.NOT_UNDERSTOOD:
        return replace(not_understood(custom_id, why_not_understood(finish), request_id, message), usage=usage)
    return RawResult(
        custom_id=custom_id,
        outcome=Outcome.SUCCEEDED,
        text=clean(content.text),
        finish_reason=finish,
        request_id=request_id,
        usage=usage,
        state=state,
    )


def usage_of(usage: object) -> Usage | None:
    """The normal form: this provider's input_tokens leave out what was read from or written to the cache."""
    if not isinstance(usage, dict):
        return None
    fresh, n_out = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    if fresh is None or n_out is None:
        return None  # half a count is no bill
    read = count(usage.get("cache_read_input_tokens")) or 0
    written = count(usage.get("cache_creation_input_tokens")) or 0
    details: Any = usage.get("output_tokens_details")
    return Usage(
        input_tokens=fresh + read + written,
        output_tokens=n_out,
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=(count(details.get("thinking_tokens")) or 0) if isinstance(details, dict) else 0,
    )


def without_token_id(custom_id: str) -> str:
    """The custom_id without a batch's token, if what then remains is an id of ours."""
    match = TOKEN.fullmatch(custom_id)
    return match["rest"] if match and split_custom_id(match["rest"]) else custom_id


def without_token(line: bytes) -> bytes:
    """The line without the token before its custom_id, so that results do not depend on which attempt brought them."""
    return TOKEN_ON_WIRE.sub(rb"\1", line, count=1)


def first_wire_id(lines: Iterable[bytes]) -> str | None:
    """The custom_id of the first line that has one with a token before it, be it no more than that token in a line that is damaged.

    When none has, the first custom_id of any kind: a line that nobody sent may stand among ours.
    """
    other: str | None = None
    for line in lines:
        found = wire_id(line)
        if found is not None and TOKEN_FIRST.match(found):
            return found
        other = other or found
    return other


def wire_id(line: bytes) -> str | None:
    """The custom_id as it stands on the wire, as far as a damaged line still has it; None when there is none."""
    try:
        return load_object(line)[0]
    except BadLine:
        # What a model says cannot pass for it: inside a JSON text the quotes have backslashes before them.
        found = TOKEN_ON_WIRE.search(line)
        return None if found is None else found[0].rpartition(b'"')[2].decode()
