"""Plain success lines read through typed structs, everything else by the careful readers.

Whatever is not exactly a plain success line (an odd type, a NUL, a null content, an error) is left to the careful readers of `lines.py` and of
the Anthropic wire, whose meaning these readers share. A plain line costs well under half of what `json.loads` alone would.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Final

import msgspec

from batchtrial.providers.decode.finish import state_of_text
from batchtrial.providers.decode.lines import MAX_COUNT, MAX_ID_CHARS, decode_line
from batchtrial.providers.sdk.lines import MAX_DEPTH, is_too_deep
from batchtrial.records import AnswerState, BadLine, Outcome, RawResult, Usage

Pick = Callable[[bytes], RawResult | None]
Careful = Callable[[bytes], RawResult]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count | None = None


class _ChatUsage(msgspec.Struct, gc=False):
    prompt_tokens: Count
    completion_tokens: Count
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    # Counts under two names are for the careful reader.
    input_tokens_details: None = None
    output_tokens_details: None = None


class _Message(msgspec.Struct, gc=False):
    content: str
    refusal: None = None
    error: None = None


class _Choice(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: str | None = None
    error: None = None


class _ChatBody(msgspec.Struct, gc=False):
    choices: list[_Choice]
    usage: _ChatUsage
    id: str | None = None
    error: None = None
    object: str | None = None


class _FlatBody(_ChatBody, gc=False):
    # Where one of these stands, the answer lies elsewhere.
    status_code: None = None
    body: None = None
    request_id: None = None


class _FlatLine(msgspec.Struct, gc=False):
    custom_id: str
    response: _FlatBody
    error: None = None


class _ChatReply(msgspec.Struct, gc=False):
    body: _ChatBody
    status_code: int
    request_id: str | None = None


class _ChatLine(msgspec.Struct, gc=False):
    custom_id: str
    response: _ChatReply
    error: None = None


class _Part(msgspec.Struct, gc=False):
    type: str
    text: str = ""


class _Output(msgspec.Struct, gc=False):
    type: str
    content: list[_Part] | None = None


class _ResponsesUsage(msgspec.Struct, gc=False):
    input_tokens: Count
    output_tokens: Count
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    prompt_tokens: None = None
    completion_tokens: None = None
    prompt_tokens_details: None = None
    completion_tokens_details: None = None


class _ResponsesBody(msgspec.Struct, gc=False):
    output: list[_Output]
    usage: _ResponsesUsage
    status: str
    error: None = None
    object: str | None = None


class _ResponsesReply(msgspec.Struct, gc=False):
    body: _ResponsesBody
    status_code: int
    request_id: str | None = None


class _ResponsesLine(msgspec.Struct, gc=False):
    custom_id: str
    response: _ResponsesReply
    error: None = None


_responses = msgspec.json.Decoder(_ResponsesLine).decode
_flat = msgspec.json.Decoder(_FlatLine).decode
_chat = msgspec.json.Decoder(_ChatLine).decode


def checked(line: bytes) -> bytes:
    """The same line. Raises ValueError when it is not UTF-8, or nested too deeply: msgspec looks only at what it keeps."""
    if not line.isascii():
        line.decode()
    if line.count(b"[") + line.count(b"{") > MAX_DEPTH and is_too_deep(line):
        raise ValueError("nested too deeply")
    return line


_SUCCEEDED: Final = Outcome.SUCCEEDED


def success(custom_id: str, text: str, finish: str | None, request_id: str | None, usage: Usage) -> RawResult | None:
    """A success with a text; None when it needs the careful reader: something is empty, too long or holds a NUL, or it ended in a fault."""
    if not text or not request_id or not 0 < len(custom_id) <= MAX_ID_CHARS or "\0" in text or "\0" in custom_id or "\0" in request_id:
        return None
    state = AnswerState.COMPLETE if finish == "stop" else state_of_text(finish)
    if state is AnswerState.NOT_UNDERSTOOD or (finish and "\0" in finish):
        return None
    return RawResult(
        custom_id=custom_id, outcome=_SUCCEEDED, text=text, finish_reason=finish or None, request_id=request_id, usage=usage, state=state
    )


def usage_of(n_in: int, n_out: int, before: _InputDetails | None, after: _OutputDetails | None) -> Usage:
    """Token counts, those that are not told as 0."""
    return Usage(
        input_tokens=n_in,
        output_tokens=n_out,
        cached_tokens=0 if before is None else before.cached_tokens or 0,
        cache_write_tokens=0 if before is None else before.cache_write_tokens or 0,
        reasoning_tokens=0 if after is None else after.reasoning_tokens or 0,
    )


def pick_flat(line: bytes) -> RawResult | None:
    """A plain success line of the flat shape (Fireworks), or None."""
    try:
        seen = _flat(checked(line))
    except (ValueError, RecursionError):
        return None
    return _of_chat(seen.custom_id, seen.response, seen.response.id)


def pick_chat(line: bytes) -> RawResult | None:
    """A plain success line of `/v1/chat/completions` in OpenAI's wrapper, or None."""
    try:
        seen = _chat(checked(line))
    except (ValueError, RecursionError):
        return None
    reply = seen.response
    return _of_chat(seen.custom_id, reply.body, reply.request_id) if reply.status_code == 200 else None


def _of_chat(custom_id: str, body: _ChatBody, request_id: str | None) -> RawResult | None:
    if not body.choices or body.object == "error":
        return None
    choice, used = body.choices[0], body.usage
    usage = usage_of(used.prompt_tokens, used.completion_tokens, used.prompt_tokens_details, used.completion_tokens_details)
    return success(custom_id, choice.message.content, choice.finish_reason, request_id, usage)


def pick_responses(line: bytes) -> RawResult | None:
    """A plain success line of `/v1/responses`, or None: one message of one text, completed."""
    try:
        seen = _responses(checked(line))
    except (ValueError, RecursionError):
        return None
    reply, body = seen.response, seen.response.body
    messages = [item for item in body.output if item.type != "reasoning"]
    if reply.status_code != 200 or body.status != "completed" or body.object == "error" or len(messages) != 1 or messages[0].type != "message":
        return None
    parts, used = messages[0].content, body.usage
    if parts is None or len(parts) != 1 or parts[0].type != "output_text":
        return None
    usage = usage_of(used.input_tokens, used.output_tokens, used.input_tokens_details, used.output_tokens_details)
    return success(seen.custom_id, parts[0].text, "stop", reply.request_id, usage)


def one(line: bytes, pick: Pick, careful: Careful) -> RawResult:
    """One line as a record. Raises BadLine, and nothing else whatever the line holds: a run that was paid for must not end at one line."""
    try:
        return pick(line) or careful(line)
    except (BadLine, MemoryError):
        raise
    except Exception as error:  # of a reader, about this line alone: it is counted and kept where it is
        raise BadLine(f"cannot be read: {type(error).__name__}") from error


def reader(pick: Pick, careful: Careful = decode_line) -> Callable[[bytes], RawResult]:
    """`one` by these two readers, as a function that another process can be sent."""
    return partial(one, pick=pick, careful=careful)
