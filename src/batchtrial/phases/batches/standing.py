"""How requests stand, counted: outcomes, the states of answers, the reasons of those that have none, and what deserves a warning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from batchtrial.phases.batches.reasons import merged
from batchtrial.providers.base import is_known
from batchtrial.records import AnswerState, Outcome

NO_REASON: Final = "(none)"
MOST_WORDS: Final = 20
"""Unknown finish reasons that are kept by name."""


def unknown_finish(finish: str | None) -> str | None:
    """The finish reason when nobody knows what it means."""
    if finish is None:
        return NO_REASON
    return None if is_known(finish) else finish[:80]


@dataclass(slots=True)
class Standing:
    """Counts of some requests. thinking: answers with marks of thinking; finish: unknown finish reasons."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    states: Counter[AnswerState] = field(default_factory=Counter)
    reasons: dict[str, int] = field(default_factory=dict)
    thinking: int = 0
    finish: Counter[str] = field(default_factory=Counter)

    def add(self, other: Standing) -> None:
        """Count these too."""
        self.outcomes.update(other.outcomes)
        self.states.update(other.states)
        self.finish.update(other.finish)
        self.thinking += other.thinking
        if other.reasons:
            self.reasons = merged([self.reasons, other.reasons])

    @classmethod
    def from_json(cls, requests: Mapping[str, int], answers: Mapping[str, Any]) -> Standing:
        """Of what `to_json` and `answers_json` gave."""
        return cls(
            outcomes=Counter({outcome: requests[outcome.value] for outcome in Outcome}),
            states=Counter({state: answers["states"][state.value] for state in AnswerState}),
            reasons={one["reason"]: one["requests"] for one in answers["reasons"]},
            thinking=answers["thinking_marks"],
            finish=Counter(answers["unknown_finish_reasons"]),
        )

    def to_json(self) -> dict[str, int]:
        """The five outcomes."""
        return {"requests": self.outcomes.total(), **{outcome.value: self.outcomes[outcome] for outcome in Outcome}}

    def answers_json(self) -> dict[str, Any]:
        """What is told of the answers, and of why there are none."""
        words = sorted(self.finish.items(), key=lambda one: (-one[1], one[0]))[:MOST_WORDS]
        return {
            "states": {state.value: self.states[state] for state in AnswerState},
            "thinking_marks": self.thinking,
            "unknown_finish_reasons": dict(words),
            "reasons": [{"reason": reason, "requests": n} for reason, n in self.reasons.items()],
        }
