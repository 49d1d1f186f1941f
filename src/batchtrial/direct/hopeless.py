"""Whether going on to ask makes sense: a server that refuses every row for the same reason is not asked for the rest of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

from batchtrial.direct.records import Answer, error_of

ENOUGH: Final = 10
"""Refusals of one job, all for one reason and none answered between them, after which its other rows are not asked."""
ENOUGH_AGAIN: Final = 3
"""The same where an earlier job was given up for that very reason."""
NO_API: Final = "what answers there is no API: it sends pages that are no JSON; look at `provider.base_url`, or for a proxy's login"
_PASSING: Final = frozenset({408, 409, 425, 429})
Reason = tuple[int, str]


@dataclass(slots=True)
class _Streak:
    reason: Reason | None = None
    n: int = 0
    is_answered: bool = False
    given_up: Answer | None = None


@dataclass(slots=True)
class Hopeless:
    """What the rows of each job were answered so far."""

    _streaks: dict[str, _Streak] = field(default_factory=dict)
    _reasons: set[Reason] = field(default_factory=set)

    def answer(self, job: str) -> Answer | None:
        """What stands for an answer to the rows of a job that was given up."""
        return self._streaks.setdefault(job, _Streak()).given_up

    def note(self, job: str, answer: Answer) -> bool:
        """Count an answer; True when the job is given up for it."""
        reason = _reason(answer)
        streak = self._streaks.setdefault(job, _Streak())
        if streak.given_up is not None or streak.is_answered:
            return False
        streak.is_answered = answer.status == 200 and reason is None
        streak.n = streak.n + 1 if reason is not None and reason == streak.reason else 1
        streak.reason = reason
        if reason is None or streak.n < (ENOUGH_AGAIN if reason in self._reasons else ENOUGH):
            return False
        self._reasons.add(reason)
        error = error_of(answer) or {"message": NO_API}
        said = f"{error['message']} (not asked: {streak.n} rows before this one were refused for the same reason, and none was answered)"
        status = 404 if answer.status == 200 else answer.status
        streak.given_up = Answer(status, json.dumps({"error": {"message": said, "code": error.get("code")}}).encode())
        return True


def is_no_api(given_up: Answer) -> bool:
    """Whether a job was given up because pages came in the place of answers."""
    return str((error_of(given_up) or {}).get("message")).startswith(NO_API)


def _reason(answer: Answer) -> Reason | None:
    """Status and words of a refusal that the next row will meet as well; None for anything else."""
    if answer.status == 200 and answer.body.startswith(b'"'):
        return 200, NO_API
    if not 400 <= answer.status < 500 or answer.status in _PASSING:
        return None
    message = str((error_of(answer) or {}).get("message"))
    return answer.status, "" if message.lstrip().startswith("<") else message  # a page of HTML may name each request
