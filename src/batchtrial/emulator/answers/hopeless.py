"""Whether going on to ask makes sense: a server that refuses every row for the same reason is not asked for the rest of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

from batchtrial.emulator.answers.rows import UpstreamAnswer, problem_in

ENOUGH: Final = 10
"""Refusals of one batch, all for one reason and none answered between them, after which its other rows are not asked."""
ENOUGH_AGAIN: Final = 3
"""The same where an earlier batch was given up for that very reason."""
_PASSING: Final = frozenset({408, 409, 425, 429})


@dataclass(slots=True)
class _Streak:
    reason: tuple[int, str] | None = None
    n: int = 0
    is_answered: bool = False
    given_up: UpstreamAnswer | None = None


@dataclass(slots=True)
class Hopeless:
    """What the rows of each batch were answered so far. Safe to use from several threads."""

    _streaks: dict[int, _Streak] = field(default_factory=dict)
    _reasons: set[tuple[int, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, batch: int) -> UpstreamAnswer | None:
        """What stands for an answer to the rows of a batch that was given up."""
        with self._lock:
            return self._streaks.setdefault(batch, _Streak()).given_up

    def note(self, batch: int, answer: UpstreamAnswer) -> bool:
        """Count an answer; True when the batch is given up for it."""
        reason = _reason(answer)
        with self._lock:
            streak = self._streaks.setdefault(batch, _Streak())
            if streak.given_up is not None or streak.is_answered:
                return False
            if answer.status == 200:
                streak.is_answered = True
            streak.n = streak.n + 1 if reason is not None and reason == streak.reason else 1
            streak.reason = reason
            if reason is None or streak.n < (ENOUGH_AGAIN if reason in self._reasons else ENOUGH):
                return False
            self._reasons.add(reason)
            status, message = reason
            said = f"{message} (not asked: {streak.n} rows before this one were refused for the same reason, and none was answered)"
            streak.given_up = UpstreamAnswer(status, said)
            return True


def _reason(answer: UpstreamAnswer) -> tuple[int, str] | None:
    """Status and words of a refusal that the next row will meet as well; None for anything else."""
    if not 400 <= answer.status < 500 or answer.status in _PASSING:
        return None
    problem = problem_in(answer)
    return None if problem is None else (answer.status, problem.message)
