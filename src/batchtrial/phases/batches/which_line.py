"""Which line is the answer to a request: the one rule by which lines are counted, parsed and exported.

Over attempts: the first answer, else the first success that nobody can read, else what the last attempt says, which is "no line" for a request that
it asked and that has none. Within an attempt: an answer before an unreadable success before a failure, then the smallest by code, message, request
id, text, state and usage; so the order in which lines came decides nothing, of the answer and of its bill.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from batchtrial.records import AnswerState, Outcome, RawResult

Rank = tuple[int, str, str, str, str, str, tuple[int, ...]]
ANSWER: Final = 0
UNREAD: Final = 1
"""A success that nobody can read."""
NO_SUCCESS: Final = 2
"""A failure, or no line at all."""


class Said(NamedTuple):
    """What a line, or the lack of one, says of a request."""

    outcome: Outcome
    is_understood: bool = True
    code: str = ""
    message: str = ""
    request_id: str = ""
    text: str = ""
    retryable: bool = True

    @property
    def is_success(self) -> bool:
        return self.outcome is Outcome.SUCCEEDED

    @property
    def is_answer(self) -> bool:
        """Whether it is a success that can be read."""
        return self.is_success and self.is_understood

    @property
    def reason(self) -> str:
        """Outcome, code and message, as people are told."""
        if self.is_success:
            return f"{self.code}: {self.message}"
        why = f"{self.code}: {self.message}" if self.code and self.message else self.code or self.message
        return f"{self.outcome}: {why}" if why and self.code != self.outcome else why or str(self.outcome)


_ANSWERED = Said(outcome=Outcome.SUCCEEDED)


def said(result: RawResult) -> Said:
    """Of one line. An answer that is understood needs no more than that: nothing takes its place, so its text is not kept."""
    if result.outcome is Outcome.SUCCEEDED and result.state is not AnswerState.NOT_UNDERSTOOD:
        return _ANSWERED
    code, _, message = (result.error or "").partition(": ")
    is_understood = result.state is not AnswerState.NOT_UNDERSTOOD
    return Said(result.outcome, is_understood, code, message, result.request_id or "", result.text or "", result.retryable)


def rank(result: RawResult) -> Rank:
    """Place of a line among those of one attempt for one request, in full: which of two answers is taken, too."""
    code, _, message = (result.error or "").partition(": ")
    level = _level(result.outcome, result.state is not AnswerState.NOT_UNDERSTOOD)
    used = (1,) if result.usage is None else (0, *msgspec.structs.astuple(result.usage))
    return level, code, message, result.request_id or "", result.text or "", str(result.state), used


def takes_over(before: Said | None, now: Said) -> bool:
    """Whether a later attempt's word replaces what the attempts before it said of the request."""
    return before is None or bool(level_takes_over(_level(before.outcome, before.is_understood), _level(now.outcome, now.is_understood)))


def level_takes_over(before: Any, now: Any) -> Any:
    """The same by level alone, ANSWER, UNREAD or NO_SUCCESS, of one request or of arrays of them."""
    return (before == NO_SUCCESS) | ((before == UNREAD) & (now == ANSWER))


def _level(outcome: Outcome, is_understood: bool) -> int:
    return (ANSWER if is_understood else UNREAD) if outcome is Outcome.SUCCEEDED else NO_SUCCESS
