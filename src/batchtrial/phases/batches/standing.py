"""How requests stand, counted: outcomes, the states of answers, the reasons of those that have none, and what deserves a warning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from batchtrial.phases.batches.reasons import counted_reasons, merged
from batchtrial.phases.choice import Said, said
from batchtrial.providers.base import Plain, is_known, state_of_text
from batchtrial.records import AnswerState, Outcome, RawResult
from batchtrial.scoring.standing import AnswerRules
from batchtrial.scoring.thinking import has_marks

_COMPLETE: Final = AnswerState.COMPLETE
NO_REASON: Final = "(none)"
MOST_WORDS: Final = 20
"""Unknown finish reasons that are kept by name."""


class Note(NamedTuple):
    """What is counted of one request. finish: a finish reason that nobody knows, or NO_REASON; None otherwise."""

    said: Said
    state: AnswerState = _COMPLETE
    has_marks: bool = False
    finish: str | None = None


PLAIN: Final = Note(Said(outcome=Outcome.SUCCEEDED))
"""Of a whole answer with nothing to tell."""


def note_of(result: RawResult, rules: AnswerRules) -> Note:
    """What is counted of a decoded line."""
    if result.outcome is not Outcome.SUCCEEDED:
        return Note(said(result), result.state)
    state = rules.state_of(result.state, result.text or "")
    finish = None if state is AnswerState.NOT_UNDERSTOOD else unknown_finish(result.finish_reason)
    return Note(said(result), state, has_marks(result.text or ""), finish)


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

    @classmethod
    def of(cls, notes: Iterable[Note]) -> Standing:
        """Of these requests."""
        found = cls()
        reasons = []
        for note in notes:
            found.outcomes[note.said.outcome] += 1
            if note.said.is_success:
                found.states[note.state] += 1
                found.thinking += note.has_marks
            if note.finish is not None:
                found.finish[note.finish] += 1
            if not note.said.is_answer:
                reasons.append(note.said.reason)
        found.reasons = counted_reasons(reasons)
        return found

    def add(self, other: Standing) -> None:
        """Count these too."""
        self.outcomes.update(other.outcomes)
        self.states.update(other.states)
        self.finish.update(other.finish)
        self.thinking += other.thinking
        if other.reasons:
            self.reasons = merged([self.reasons, other.reasons])

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


def of_plain(plain: Sequence[Plain], rules: AnswerRules) -> tuple[list[AnswerState] | None, Standing]:
    """States of successes that have a text, None when all are complete, and the counts of all."""
    n = len(plain)
    found = Standing(outcomes=Counter({Outcome.SUCCEEDED: n}))
    # What is said of nearly every answer costs little: it ended by itself, has no mark, and is not blank.
    odd = [
        place
        for place, (_, text, finish, *_) in enumerate(plain)
        if finish != "stop" or "<" in text or "[" in text or "◁" in text or text[0].isspace()
    ]
    if not odd:
        found.states[_COMPLETE] = n
        return None, found
    states = [_COMPLETE] * n
    for place in odd:
        _, text, finish, *_ = plain[place]
        states[place] = rules.state_of(state_of_text(finish), text)
        found.thinking += has_marks(text)
        word = unknown_finish(finish)
        if word is not None:
            found.finish[word] += 1
    found.states.update(states)
    return states, found
