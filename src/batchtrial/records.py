"""Frozen records that cross module borders.

Items come from sources, requests go to a provider, raw results come back, predictions and scores are what phases write.
Nothing here knows about files, clocks or providers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

KEY_SEPARATOR: Final = "|"
"""Between dataset and item id in an item's key; no dataset's name has it."""
Kind = Literal["open", "closed"]
Condition = Literal["control", "treatment"]
CONDITIONS: tuple[Condition, ...] = ("control", "treatment")


class Outcome(StrEnum):
    """How a request ended: every request ends as exactly one of these."""

    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    MISSING = "missing"


class AnswerState(StrEnum):
    """What a request that succeeded brought: a whole answer, or why there is none."""

    COMPLETE = "complete"
    CUT = "cut"  # the token limit came, or generation broke off
    REFUSED = "refused"  # the model declined through its provider's refusal field
    FILTERED = "filtered"  # a content filter took the answer
    TOOL_CALL = "tool_call"  # a call of a tool in the place of an answer
    EMPTY = "empty"
    UNFINISHED_THINKING = "unfinished_thinking"  # thoughts and no answer
    NOT_UNDERSTOOD = "not_understood"  # the provider says success, and nobody can read what it sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One dataset question.

    kind: "open" has a context to answer from, "closed" has none.
    answers: accepted answers; empty exactly when is_unanswerable.
    cluster: what makes items dependent (passage, document, template); None when every item stands alone.
    distractors: plausible wrong answers, used by the simulated model only.
    columns: every column of the row, for tasks that are written as templates; none otherwise.
    added: growths of the run that had been when the item came to its question set; 0: it was there from the start.
    """

    dataset: str
    item_id: str
    kind: Kind
    question: str
    answers: tuple[str, ...]
    context: str | None = None
    is_unanswerable: bool = False
    cluster: str | None = None
    distractors: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict, hash=False)
    added: int = 0

    @property
    def key(self) -> str:
        """`dataset|item_id`, the item's name in tables."""
        return f"{self.dataset}{KEY_SEPARATOR}{self.item_id}"


Piece = tuple[Literal["text", "image"], str]
"""A text of a turn, or an image by its address or as a data URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of a conversation after the system prompt. images: addresses or data URLs.

    parts: all of them one after the other, where the item itself says in which order they stand.
    """

    role: Literal["user", "assistant"]
    text: str
    images: tuple[str, ...] = ()
    parts: tuple[Piece, ...] = ()

    def in_order(self, *, images_first: bool = False) -> tuple[Piece, ...]:
        """Its parts as they are sent. images_first: the wire's habit, where nothing says in which order they stand."""
        if self.parts:
            return self.parts
        text: tuple[Piece, ...] = (("text", self.text),) if self.text else ()
        images: tuple[Piece, ...] = tuple(("image", url) for url in self.images)
        return images + text if images_first else text + images


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One completion asked for: what every provider's line is encoded from.

    turns: the whole conversation, where it is more than the one user turn. response_format: `name`, `schema` and `strict` of the JSON asked for.
    tools: `name`, `description` and `parameters` of each. tool_choice: auto, required, or the name of one. extra: further body fields as given.
    """

    custom_id: str
    model: str
    system: str
    user: str
    max_tokens: int
    temperature: float
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    response_format: Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens of one answer in the normal form of every provider.

    input_tokens counts all of the prompt, cached parts included; output_tokens counts reasoning too.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


class RawResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One decoded result line. A struct, since millions are made: a frozen dataclass of the same fields takes five times as long to make.

    text: the answer; None unless outcome is succeeded. error: `code: message` otherwise, and for an answer that is not understood.
    retryable: False when sending the same row again cannot help (the request itself is invalid).
    service_tier: of the direct lane, at which tier the answer says it was served.
    state: of a success, by what the provider says; marks of thinking in the text are read later, by the run's rules.
    """

    custom_id: str
    outcome: Outcome
    text: str | None = None
    finish_reason: str | None = None
    request_id: str | None = None
    usage: Usage | None = None
    error: str | None = None
    retryable: bool = True
    state: AnswerState = AnswerState.COMPLETE
    service_tier: str | None = None


class BadLine(ValueError):
    """A result line that cannot be decoded; callers count it, keep a sample, and go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a phase has to run, and why."""

    status: Literal["done", "stale", "missing", "blocked", "off"]
    reason: str
    needs: str = ""  # the step to run first, when blocked

    @property
    def is_done(self) -> bool:
        return self.status in ("done", "off")
