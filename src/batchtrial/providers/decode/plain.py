"""Plain success lines read fast, through typed structs.

Whatever is not exactly a plain success line (an odd type, a NUL, a null content, an error) is left to the careful readers of `results.py` and
`messages.py`, whose meaning these readers share. A line costs well under half of what `json.loads` alone would; making a frozen record of it costs as
much again, so a million lines are handed on as plain tuples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec

from batchtrial.providers.base import Plain
from batchtrial.providers.decode.finish import is_fault, state_of_text
from batchtrial.providers.decode.lines import MAX_COUNT, MAX_ID_CHARS
from batchtrial.providers.sdk.lines import MAX_DEPTH, is_too_deep
from batchtrial.records import BadLine, Outcome, RawResult, Usage

Pick = Callable[[bytes], Plain | None]
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


def is_odd(text: str, custom_id: str, request_id: str | None, finish_reason: str | None) -> bool:
    """Whether a success needs the careful reader: something is empty or too long, holds a NUL, or ended in a fault."""
    return (
        not text
        or not request_id
        or "\x00" in text
        or "\x00" in custom_id
        or "\x00" in request_id
        or (finish_reason is not None and ("\x00" in finish_reason or is_fault(finish_reason)))
        or not 0 < len(custom_id) <= MAX_ID_CHARS
    )


def pick_flat(line: bytes) -> Plain | None:
    """A plain success line of the flat shape (Fireworks), or None."""
    try:
        seen = _flat(checked(line))
    except (ValueError, RecursionError):
        return None
    return _chat_plain(seen.custom_id, seen.response, seen.response.id)


def pick_chat(line: bytes) -> Plain | None:
    """A plain success line of `/v1/chat/completions` in OpenAI's wrapper, or None."""
    try:
        seen = _chat(checked(line))
    except (ValueError, RecursionError):
        return None
    reply = seen.response
    return _chat_plain(seen.custom_id, reply.body, reply.request_id) if reply.status_code == 200 else None


def _chat_plain(custom_id: str, body: _ChatBody, request_id: str | None) -> Plain | None:
    if not body.choices or body.object == "error":
        return None
    choice, usage = body.choices[0], body.usage
    text, n_in, n_out = choice.message.content, usage.prompt_tokens, usage.completion_tokens
    before, after = usage.prompt_tokens_details, usage.completion_tokens_details
    if is_odd(text, custom_id, request_id, choice.finish_reason):
        return None
    return (
        custom_id,
        text,
        choice.finish_reason or None,
        request_id,
        n_in,
        n_out,
        (before.cached_tokens or 0) if before else 0,
        (before.cache_write_tokens or 0) if before else 0,
        (after.reasoning_tokens or 0) if after else 0,
    )


def pick_responses(line: bytes) -> Plain | None:
    """A plain success line of `/v1/responses`, or None: one message of one text, completed."""
    try:
        seen = _responses(checked(line))
    except (ValueError, RecursionError):
        return None
    custom_id, reply, body = seen.custom_id, seen.response, seen.response.body
    messages = [item for item in body.output if item.type != "reasoning"]
    if reply.status_code != 200 or body.status != "completed" or body.object == "error" or len(messages) != 1 or messages[0].type != "message":
        return None
    parts, usage = messages[0].content, body.usage
    if parts is None or len(parts) != 1 or parts[0].type != "output_text":
        return None
    text, n_in, n_out = parts[0].text, usage.input_tokens, usage.output_tokens
    before, after = usage.input_tokens_details, usage.output_tokens_details
    if is_odd(text, custom_id, reply.request_id, None):
        return None
    return (
        custom_id,
        text,
        "stop",
        reply.request_id,
        n_in,
        n_out,
        (before.cached_tokens or 0) if before else 0,
        (before.cache_write_tokens or 0) if before else 0,
        (after.reasoning_tokens or 0) if after else 0,
    )


def plain_flat(lines: Sequence[bytes]) -> list[Plain] | None:
    """`pick_flat` of every line, or None when it is None for any: some checks are made for all lines together, which halves their cost."""
    plain: list[Plain] = []
    try:
        for line in lines:
            checked(line)
        for seen in map(_flat, lines):
            body = seen.response
            choice, usage, request_id = body.choices[0], body.usage, body.id
            before, after, text = usage.prompt_tokens_details, usage.completion_tokens_details, choice.message.content
            if not text or not request_id or "\x00" in text or body.object == "error":
                return None
            plain.append(
                (
                    seen.custom_id,
                    text,
                    choice.finish_reason or None,
                    request_id,
                    usage.prompt_tokens,
                    usage.completion_tokens,
                    0 if before is None else before.cached_tokens or 0,
                    0 if before is None else before.cache_write_tokens or 0,
                    0 if after is None else after.reasoning_tokens or 0,
                )
            )
    except (ValueError, IndexError, RecursionError):
        return None
    ids = [row[0] for row in plain]
    finishes = {row[2] or "" for row in plain}
    names = "".join([*ids, *[row[3] or "" for row in plain], *finishes])
    lengths = set(map(len, ids))
    is_odd_id = lengths and not 0 < min(lengths) <= max(lengths) <= MAX_ID_CHARS
    return None if is_odd_id or "\x00" in names or any(map(is_fault, finishes)) else plain


def plain_lines(lines: Sequence[bytes], pick: Pick) -> list[Plain] | None:
    """`pick` of every line, or None when it is None for any."""
    plain = []
    for line in lines:
        row = pick(line)
        if row is None:
            return None
        plain.append(row)
    return plain


def one(line: bytes, pick: Pick, careful: Careful) -> RawResult:
    """One line as a record. Raises BadLine, and nothing else whatever the line holds: a run that was paid for must not end at one line."""
    try:
        return _one(line, pick, careful)
    except (BadLine, MemoryError):
        raise
    except Exception as error:  # of a reader, about this line alone: it is counted and kept where it is
        raise BadLine(f"cannot be read: {type(error).__name__}") from error


def _one(line: bytes, pick: Pick, careful: Careful) -> RawResult:
    plain = pick(line)
    if plain is None:
        return careful(line)
    custom_id, text, finish_reason, request_id, n_in, n_out, cached, written, reasoning = plain
    return RawResult(
        custom_id=custom_id,
        outcome=Outcome.SUCCEEDED,
        text=text,
        finish_reason=finish_reason,
        request_id=request_id,
        usage=Usage(input_tokens=n_in, output_tokens=n_out, cached_tokens=cached, cache_write_tokens=written, reasoning_tokens=reasoning),
        state=state_of_text(finish_reason),
    )
