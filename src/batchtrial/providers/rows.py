"""Result lines decoded by column: plain success lines into typed structs, every other line by the reference reader.

Making a frozen record costs more than reading a line of 1 kB, so a million lines are kept as columns from the start; this costs about a third of
`json.loads`. Whatever is not exactly a plain success line here (an odd type, a NUL, a null content, an error) goes to the reader given as `slow`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

import msgspec

from batchtrial.providers.base import Rows
from batchtrial.providers.results import MAX_ID_CHARS
from batchtrial.records import BadLine, Outcome, RawResult

Slow = Callable[[bytes], RawResult]


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _ChatUsage(msgspec.Struct, gc=False):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Message(msgspec.Struct, gc=False):
    content: str


class _Choice(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: str | None = None


class _ChatBody(msgspec.Struct, gc=False):
    choices: list[_Choice]
    usage: _ChatUsage
    id: str | None = None
    error: None = None


class _FlatLine(msgspec.Struct, gc=False):
    custom_id: str
    response: _ChatBody
    error: None = None


class _ChatReply(msgspec.Struct, gc=False):
    body: _ChatBody
    status_code: int
    request_id: str | None = None


class _ChatLine(msgspec.Struct, gc=False):
    custom_id: str
    response: _ChatReply
    error: None = None


_flat = msgspec.json.Decoder(_FlatLine).decode
_chat = msgspec.json.Decoder(_ChatLine).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Adders:
    """`append` of each column that a plain success fills, looked up once instead of once a line."""

    custom_id: Callable[[str], None]
    text: Callable[[str | None], None]
    finish_reason: Callable[[str | None], None]
    request_id: Callable[[str | None], None]
    input_tokens: Callable[[int | None], None]
    output_tokens: Callable[[int | None], None]
    cached_tokens: Callable[[int], None]
    cache_write_tokens: Callable[[int], None]
    reasoning_tokens: Callable[[int], None]


class Collector:
    """Rows being gathered; `failed` handles a line that is no plain success."""

    def __init__(self, slow: Slow) -> None:
        self.rows = Rows.empty()
        self._slow = slow
        self._odd: list[tuple[int, RawResult]] = []

    def adders(self) -> Adders:
        """For the columns of plain successes."""
        return Adders(**{column.name: getattr(self.rows, column.name).append for column in fields(Adders)})

    def failed(self, number: int, line: bytes) -> None:
        """Decode the line the careful way, as row or as bad line."""
        rows = self.rows
        try:
            result = self._slow(line)
        except BadLine as error:
            rows.bad.append((number, str(error)))
            return
        self._odd.append((len(rows.custom_id), result))
        add, used = self.adders(), result.usage
        add.custom_id(result.custom_id)
        add.text(result.text)
        add.finish_reason(result.finish_reason)
        add.request_id(result.request_id)
        add.input_tokens(used.input_tokens if used else None)
        add.output_tokens(used.output_tokens if used else None)
        add.cached_tokens(used.cached_tokens if used else 0)
        add.cache_write_tokens(used.cache_write_tokens if used else 0)
        add.reasoning_tokens(used.reasoning_tokens if used else 0)

    def done(self) -> Rows:
        """The rows, with the columns filled in that are the same for every plain success."""
        rows, n = self.rows, len(self.rows.custom_id)
        rows.outcome.extend([Outcome.SUCCEEDED.value] * n)
        rows.error.extend([None] * n)
        rows.retryable.extend([True] * n)
        for index, result in self._odd:
            rows.outcome[index], rows.error[index], rows.retryable[index] = result.outcome.value, result.error, result.retryable
        return rows


def chat_rows(lines: Iterable[bytes], slow: Slow, *, wrapped: bool) -> Rows:
    """Chat completions. wrapped: OpenAI's `response.body`; otherwise the flat shape of Fireworks."""
    gathered = Collector(slow)
    add = gathered.adders()
    for number, line in enumerate(lines):
        try:
            if wrapped:
                chat = _chat(line)
                custom_id, body, request_id, status = chat.custom_id, chat.response.body, chat.response.request_id, chat.response.status_code
            else:
                flat = _flat(line)
                custom_id, body, request_id, status = flat.custom_id, flat.response, flat.response.id, 200
            choice = body.choices[0]
        except (ValueError, IndexError):
            gathered.failed(number, line)
            continue
        text, usage = choice.message.content, body.usage
        n_in, n_out, before, after = usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details, usage.completion_tokens_details
        if status != 200 or not text or "\x00" in text or not 0 < len(custom_id) <= MAX_ID_CHARS or n_in < 0 or n_out < 0:
            gathered.failed(number, line)
            continue
        add.custom_id(custom_id)
        add.text(text)
        add.finish_reason(choice.finish_reason or None)
        add.request_id(request_id or None)
        add.input_tokens(n_in)
        add.output_tokens(n_out)
        add.cached_tokens((before.cached_tokens or 0) if before else 0)
        add.cache_write_tokens((before.cache_write_tokens or 0) if before else 0)
        add.reasoning_tokens((after.reasoning_tokens or 0) if after else 0)
    return gathered.done()
