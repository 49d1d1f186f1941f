"""Plain success lines read through typed structs, everything else by the careful readers.

Whatever is not exactly a plain success line (an odd type, a NUL, a null content, an error) is left to the careful readers of `lines.py` and of
the Anthropic wire, whose meaning these readers share. A plain line costs well under half of what `json.loads` alone would, and many at once, as
fields and not as records, half of that again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from batchtrial.providers.decode.finish import state_of_text
from batchtrial.providers.decode.lines import MAX_COUNT, MAX_ID_CHARS, decode_line
from batchtrial.providers.sdk.lines import MAX_DEPTH, is_too_deep
from batchtrial.records import AnswerState, BadLine, Outcome, RawResult, Usage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Pick = Callable[[bytes], RawResult | None]
Careful = Callable[[bytes], RawResult]
Told = tuple[str, str, str | None, str | None, int, int, int, int, int]
"""custom_id, text, finish reason and request id of a success, then its tokens in the order of Usage."""
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


_NUL: Final = "\x00"
"""Which the careful reader replaces. What a line says in fields that nobody reads does not matter."""


def checked(line: bytes) -> bytes:
    """The same line. Raises ValueError when it is not UTF-8 or is nested too deeply: msgspec looks only at what it keeps."""
    if not line.isascii():
        line.decode()
    if line.count(b"[") + line.count(b"{") > MAX_DEPTH and is_too_deep(line):
        raise ValueError("nested too deeply")
    return line


def is_plain(told: Told) -> bool:
    """Whether it is an answer that needs no careful reader: nothing is empty or too long, and it did not end in a fault."""
    custom_id, text, finish, request_id = told[:4]
    if not text or not request_id or not 0 < len(custom_id) <= MAX_ID_CHARS or _NUL in text or _NUL in custom_id or _NUL in request_id:
        return False
    return finish == "stop" or (_NUL not in (finish or "") and state_of_text(finish) is not AnswerState.NOT_UNDERSTOOD)


@lru_cache(maxsize=16)
def _decoder(line: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(line)


@dataclass(frozen=True, slots=True)
class PlainLines:
    """Reads the plain success lines of a wire. line: their form; told: what one says, None where it is not plain after all."""

    line: type[msgspec.Struct]
    told: Callable[[Any], Told | None]

    def __call__(self, line: bytes) -> RawResult | None:
        """The record of a plain line, or None."""
        try:
            told = self.told(_decoder(self.line).decode(checked(line)))
        except (ValueError, RecursionError):
            return None
        if told is None or not is_plain(told):
            return None
        custom_id, text, finish, request_id, *tokens = told
        usage, state = Usage(**dict(zip(Usage.__struct_fields__, tokens, strict=True))), state_of_text(finish)
        return RawResult(
            custom_id=custom_id, outcome=_SUCCEEDED, text=text, finish_reason=finish or None, request_id=request_id, usage=usage, state=state
        )

    def many(self, stretch: bytes, ends: NDArray[np.int64]) -> list[Told | None]:
        """What each line of a stretch says; None where it is not plain. ends: the place behind each line."""
        seen = self._all_seen(stretch) if _is_a_value_a_line(stretch, ends) else []
        if len(seen) != len(ends):  # one is not of this form, or blank, or holds several
            seen = [self._seen(line) for line in stretch.split(b"\n")[: len(ends)]]
        found = [None if one is None else self.told(one) for one in seen]
        return [one if one is not None and is_plain(one) else None for one in found]

    def _all_seen(self, stretch: bytes) -> list[Any]:
        try:
            return _decoder(self.line).decode_lines(stretch)
        except (ValueError, RecursionError):
            return []

    def _seen(self, line: bytes) -> Any:
        try:
            return _decoder(self.line).decode(line)
        except (ValueError, RecursionError):
            return None


_SUCCEEDED: Final = Outcome.SUCCEEDED


def _tokens(n_in: int, n_out: int, before: _InputDetails | None, after: _OutputDetails | None) -> tuple[int, int, int, int, int]:
    """Token counts, those that are not told as 0."""
    read, written = (0, 0) if before is None else (before.cached_tokens or 0, before.cache_write_tokens or 0)
    return n_in, n_out, read, written, 0 if after is None else after.reasoning_tokens or 0


def _flat(seen: _FlatLine) -> Told | None:
    return _of_chat(seen.custom_id, seen.response, seen.response.id)


def _chat(seen: _ChatLine) -> Told | None:
    reply = seen.response
    return _of_chat(seen.custom_id, reply.body, reply.request_id) if reply.status_code == 200 else None


def _of_chat(custom_id: str, body: _ChatBody, request_id: str | None) -> Told | None:
    if not body.choices or body.object == "error":
        return None
    choice, used = body.choices[0], body.usage
    tokens = _tokens(used.prompt_tokens, used.completion_tokens, used.prompt_tokens_details, used.completion_tokens_details)
    return custom_id, choice.message.content, choice.finish_reason, request_id, *tokens


def _responses(seen: _ResponsesLine) -> Told | None:
    """Of one message of one text, completed."""
    reply, body = seen.response, seen.response.body
    messages = [item for item in body.output if item.type != "reasoning"]
    if reply.status_code != 200 or body.status != "completed" or body.object == "error" or len(messages) != 1 or messages[0].type != "message":
        return None
    parts, used = messages[0].content, body.usage
    if parts is None or len(parts) != 1 or parts[0].type != "output_text":
        return None
    tokens = _tokens(used.input_tokens, used.output_tokens, used.input_tokens_details, used.output_tokens_details)
    return seen.custom_id, parts[0].text, "stop", reply.request_id, *tokens


pick_flat = PlainLines(_FlatLine, _flat)
"""Plain success lines of the flat shape (Fireworks)."""
pick_chat = PlainLines(_ChatLine, _chat)
"""Plain success lines of `/v1/chat/completions` in OpenAI's wrapper."""
pick_responses = PlainLines(_ResponsesLine, _responses)
"""Plain success lines of `/v1/responses`."""


def one(line: bytes, pick: Pick, careful: Careful) -> RawResult:
    """One line as a record. Raises BadLine, and nothing else whatever the line holds: a run that was paid for must not end at one line."""
    try:
        return pick(line) or careful(line)
    except (BadLine, MemoryError):
        raise
    except Exception as error:  # of a reader, about this line alone: it is counted and kept where it is
        raise BadLine(f"cannot be read: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class LineReader:
    """`one` by these two readers, as a function that another process can be sent."""

    pick: Pick
    careful: Careful

    def __call__(self, line: bytes) -> RawResult:
        """The line as a record. Raises BadLine."""
        return one(line, self.pick, self.careful)

    def many(self, stretch: bytes, ends: NDArray[np.int64]) -> list[Told | None]:
        """What each line of a stretch says where it is plain, None for those that have to be read by themselves. ends: the place behind each."""
        if not isinstance(self.pick, PlainLines) or not _is_text(stretch):
            return [None] * len(ends)
        told = self.pick.many(stretch, ends)
        for place in _may_be_deep(stretch, ends):
            told[place] = None
        return told


def _is_text(stretch: bytes) -> bool:
    """Whether it is UTF-8, checked in a tenth of the time that Python takes to make a text of it."""
    import polars as pl  # here, since whoever decodes line by line needs no tables

    try:
        pl.Series([stretch]).cast(pl.String)
    except pl.exceptions.PolarsError:
        return False
    return True


def _is_a_value_a_line(stretch: bytes, ends: NDArray[np.int64]) -> bool:
    """Whether every line opens and closes a value of its own. Several in one and one over several make up the same number."""
    import numpy as np

    told = np.frombuffer(stretch, dtype=np.uint8)
    begins, last = ends[:-1], ends - 1 - (told[ends - 1] == ord("\n"))
    return bool(len(ends)) and told[0] == ord("{") and bool(np.all(told[begins] == ord("{"))) and bool(np.all(told[last] == ord("}")))


def _may_be_deep(stretch: bytes, ends: NDArray[np.int64]) -> list[int]:
    """Those lines that open more brackets than they may have levels."""
    import numpy as np

    opened = np.flatnonzero((np.frombuffer(stretch, dtype=np.uint8) & 0xDF) == ord("["))  # "{" is the same but for one bit
    found: list[int] = np.flatnonzero(np.diff(np.searchsorted(opened, ends), prepend=0) > MAX_DEPTH).tolist()
    return found


def reader(pick: Pick, careful: Careful = decode_line) -> LineReader:
    """The reader of a wire's result lines."""
    return LineReader(pick, careful)


def many_at_once(decode: Careful, stretch: bytes, ends: NDArray[np.int64]) -> list[Told | None]:
    """`LineReader.many` where `decode` is a reader that takes plain lines together; else None for each."""
    return decode.many(stretch, ends) if isinstance(decode, LineReader) else [None] * len(ends)
