"""Plain success lines read through typed structs, everything else by the careful readers.

Whatever is not exactly a plain success line (an odd type, a NUL, a null content, an error) is left to the careful readers of `lines.py` and of
the Anthropic wire, whose meaning these readers share. Many lines are read as fields and not as records, for half of what `json.loads` alone takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from operator import not_, sub
from typing import Annotated, Any, Final, Literal

import msgspec

from batchtrial.providers.decode.finish import state_of_text
from batchtrial.providers.decode.lines import MAX_COUNT, MAX_ID_CHARS, decode_line, with_thoughts
from batchtrial.providers.sdk.lines import MAX_DEPTH, is_too_deep
from batchtrial.records import AnswerState, BadLine, Outcome, RawResult, Usage

Pick = Callable[[bytes], RawResult | None]
Careful = Callable[[bytes], RawResult]
Fields = dict[str, list[Any]]
"""Of plain lines, a list for each of custom_id, text, finish_reason, request_id and the tokens of Usage."""
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count | None = None


class _ChatUsage(msgspec.Struct, gc=False):
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    # Counts under two names are for the careful reader.
    input_tokens_details: None = None
    output_tokens_details: None = None


class _Message(msgspec.Struct, gc=False):
    content: str
    refusal: None = None
    error: None = None
    # Where there is a call, the text beside it is no last word.
    tool_calls: Annotated[list[Any], msgspec.Meta(max_length=0)] | None = None
    function_call: None = None


class _Choice(msgspec.Struct, gc=False):
    message: _Message
    # Which of several is the answer is for the careful reader.
    index: Literal[0] | None = None
    finish_reason: str | None = None
    error: None = None


class _ChatBody(msgspec.Struct, gc=False):
    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1)]
    usage: _ChatUsage
    id: str | None = None
    error: None = None
    object: Literal["chat.completion"] | None = None


class _FlatBody(_ChatBody, gc=False):
    # Where one of these stands, the answer lies elsewhere.
    status_code: None = None
    body: None = None
    request_id: None = None


class _FlatLine(msgspec.Struct, gc=False):
    custom_id: Id
    response: _FlatBody
    error: None = None


class _ChatReply(msgspec.Struct, gc=False):
    body: _ChatBody
    status_code: Literal[200]
    request_id: str | None = None


class _ChatLine(msgspec.Struct, gc=False):
    custom_id: Id
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
    total_tokens: Count | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    prompt_tokens: None = None
    completion_tokens: None = None
    prompt_tokens_details: None = None
    completion_tokens_details: None = None


class _ResponsesBody(msgspec.Struct, gc=False):
    output: list[_Output]
    usage: _ResponsesUsage
    status: Literal["completed"]
    error: None = None
    object: Literal["response"] | None = None


class _ResponsesReply(msgspec.Struct, gc=False):
    body: _ResponsesBody
    status_code: Literal[200]
    request_id: str | None = None


class _ResponsesLine(msgspec.Struct, gc=False):
    custom_id: Id
    response: _ResponsesReply
    error: None = None


_NUL: Final = "\x00"
"""Which the careful reader replaces. What a line says in fields that nobody reads does not matter."""
_SUCCEEDED: Final = Outcome.SUCCEEDED


def _odd(lines: Sequence[bytes], fields: Fields) -> set[int]:
    """Places of lines that need a careful reader after all: something is empty, holds a NUL or is too deep, or the answer ended in a fault."""
    custom_ids, texts, words, request_ids = map(fields.__getitem__, ("custom_id", "text", "finish_reason", "request_id"))
    odd_words = {word for word in set(words) if _NUL in (word or "") or state_of_text(word) is AnswerState.NOT_UNDERSTOOD}
    places = range(len(lines))
    odd = {place for told in (texts, request_ids) for place in compress(places, map(not_, told))}
    for told in (custom_ids, texts, request_ids):
        odd.update(place for place in compress(places, told) if _NUL in told[place])
    if odd_words:
        odd.update(place for place in places if words[place] in odd_words)
    # A level takes two bytes. Brackets are not counted where there is no room for so many: that takes as long as reading the line.
    around = map(sub, map(sub, map(len, lines), map(len, texts)), map(len, custom_ids))
    odd.update(place for place, n in enumerate(around) if n > 2 * MAX_DEPTH and is_too_deep(lines[place]))
    return odd


@lru_cache(maxsize=16)
def _decoder(line: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(line)


@dataclass(frozen=True, slots=True)
class PlainLines:
    """Reads the plain success lines of a wire. line: their form; fields: what some say; is_plain: whether one of this form is plain, if not all."""

    line: type[msgspec.Struct]
    fields: Callable[[list[Any]], Fields]
    is_plain: Callable[[Any], bool] | None = None

    def __call__(self, line: bytes) -> RawResult | None:
        """The record of a plain line, or None."""
        places, fields = self.many([line])
        if not places:
            return None
        (custom_id,), (text,), (finish,), (request_id,), *tokens = fields.values()
        usage, state = Usage(**{name: n for name, (n,) in zip(Usage.__struct_fields__, tokens, strict=True)}), state_of_text(finish)
        return RawResult(custom_id=custom_id, outcome=_SUCCEEDED, text=text, finish_reason=finish, request_id=request_id, usage=usage, state=state)

    def many(self, lines: Sequence[bytes]) -> tuple[Sequence[int], Fields]:
        """Places of those lines that are plain, and what they say."""
        decode = _decoder(self.line).decode

        places: Sequence[int] = range(len(lines))
        seen: list[Any] = []
        for line in lines:
            try:
                if not line.isascii():
                    line.decode()  # msgspec looks only at what it keeps
                seen.append(decode(line))
            except (ValueError, RecursionError):
                seen.append(None)
        if odd := {place for place, one in enumerate(seen) if one is None or not (self.is_plain is None or self.is_plain(one))}:
            places = [place for place in places if place not in odd]
            lines, seen = [lines[place] for place in places], [seen[place] for place in places]
        fields = self.fields(seen)
        if odd := _odd(lines, fields):
            places = [place for number, place in enumerate(places) if number not in odd]
            fields = {name: [value for number, value in enumerate(values) if number not in odd] for name, values in fields.items()}
        return places, fields


def told_of(custom_ids: list[str], texts: list[str], words: list[str | None], request_ids: list[str | None], *tokens: list[int]) -> Fields:
    """Fields with a name each; an empty finish reason is none. tokens: in the order of Usage."""
    named: Fields = {"custom_id": custom_ids, "text": texts, "finish_reason": [word or None for word in words], "request_id": request_ids}
    return {**named, **dict(zip(Usage.__struct_fields__, tokens, strict=True))}


def _of_usage(
    n_in: list[int], n_out: list[int], total: list[int | None], read: list[_InputDetails | None], thought: list[_OutputDetails | None]
) -> tuple[list[int], ...]:
    """Tokens in the order of Usage; those that are not told as 0, and thoughts among those that came out."""
    thoughts = [0 if one is None else one.reasoning_tokens or 0 for one in thought]
    return (
        n_in,
        list(map(with_thoughts, n_in, n_out, thoughts, total)) if any(thoughts) else n_out,
        [0 if one is None else one.cached_tokens or 0 for one in read],
        [0 if one is None else one.cache_write_tokens or 0 for one in read],
        thoughts,
    )


def _flat(seen: list[_FlatLine]) -> Fields:
    return _of_chat([one.custom_id for one in seen], [one.response for one in seen], [one.response.id for one in seen])


def _chat(seen: list[_ChatLine]) -> Fields:
    return _of_chat([one.custom_id for one in seen], [one.response.body for one in seen], [one.response.request_id for one in seen])


def _of_chat(custom_ids: list[str], bodies: Sequence[_ChatBody], request_ids: list[str | None]) -> Fields:
    choices, used = [body.choices[0] for body in bodies], [body.usage for body in bodies]
    return told_of(
        custom_ids,
        [choice.message.content for choice in choices],
        [choice.finish_reason for choice in choices],
        request_ids,
        *_of_usage(
            [one.prompt_tokens for one in used],
            [one.completion_tokens for one in used],
            [one.total_tokens for one in used],
            [one.prompt_tokens_details for one in used],
            [one.completion_tokens_details for one in used],
        ),
    )


def _messages(seen: _ResponsesLine) -> list[_Output]:
    return [item for item in seen.response.body.output if item.type != "reasoning"]


def _is_one_text(seen: _ResponsesLine) -> bool:
    """Whether it is one message of one text."""
    messages = _messages(seen)
    parts = messages[0].content if len(messages) == 1 and messages[0].type == "message" else None
    return parts is not None and len(parts) == 1 and parts[0].type == "output_text"


def _responses(seen: list[_ResponsesLine]) -> Fields:
    used = [one.response.body.usage for one in seen]
    return told_of(
        [one.custom_id for one in seen],
        [part.text for one in seen for item in _messages(one) for part in item.content or ()],
        ["stop"] * len(seen),
        [one.response.request_id for one in seen],
        *_of_usage(
            [one.input_tokens for one in used],
            [one.output_tokens for one in used],
            [one.total_tokens for one in used],
            [one.input_tokens_details for one in used],
            [one.output_tokens_details for one in used],
        ),
    )


pick_flat = PlainLines(_FlatLine, _flat)
"""Plain success lines of the flat shape (Fireworks)."""
pick_chat = PlainLines(_ChatLine, _chat)
"""Plain success lines of `/v1/chat/completions` in OpenAI's wrapper."""
pick_responses = PlainLines(_ResponsesLine, _responses, _is_one_text)
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

    def many(self, lines: Sequence[bytes]) -> tuple[Sequence[int], Fields]:
        """Places of those lines that are plain, and what they say; others are read one by one."""
        return self.pick.many(lines) if isinstance(self.pick, PlainLines) else ((), {})


def reader(pick: Pick, careful: Careful = decode_line) -> LineReader:
    """The reader of a wire's result lines."""
    return LineReader(pick, careful)


def many_at_once(decode: Careful, lines: Sequence[bytes]) -> tuple[Sequence[int], Fields]:
    """`LineReader.many` where `decode` is a reader that takes plain lines together; else none is plain."""
    return decode.many(lines) if isinstance(decode, LineReader) else ((), {})
