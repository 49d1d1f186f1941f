"""What counts as an answer: the state of each, and what of it is scored, by the rules that the run declared before it began."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final, Literal

from batchtrial.records import AnswerState
from batchtrial.scoring.thinking import answer_in

Treated = Literal["lost", "wrong", "abstained", "as_is"]
ABSTENTION: Final = "I don't know."
"""What is scored in the place of an answer that is declared to count as an abstention."""


def is_visible(text: str) -> bool:
    """Whether anything of a text can be seen: spaces, controls and marks without width (a zero-width space, a byte order mark) cannot."""
    return any(not char.isspace() and unicodedata.category(char) not in ("Cf", "Cc") for char in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRules:
    """The declared rules. strip_thinking: `auto`, `off` or a regular expression; cut, refused: what such answers count as."""

    strip_thinking: str = "auto"
    cut: Treated = "lost"
    refused: Treated = "lost"

    def state_of(self, state: AnswerState, text: str) -> AnswerState:
        """The state of an answer, once its text was looked at. state: by what the provider says."""
        if state not in (AnswerState.COMPLETE, AnswerState.CUT):
            return state
        read = answer_in(text, self.strip_thinking)
        if read.is_unfinished:
            return AnswerState.UNFINISHED_THINKING
        if state is AnswerState.COMPLETE and not is_visible(read.text):
            return AnswerState.UNFINISHED_THINKING if read.had_marks else AnswerState.EMPTY
        return state

    def treated(self, state: AnswerState) -> Treated:
        """What an answer of this state counts as."""
        if state is AnswerState.COMPLETE:
            return "as_is"
        if state is AnswerState.CUT:
            return self.cut
        if state is AnswerState.UNFINISHED_THINKING:
            return "wrong" if self.cut == "wrong" else "lost"
        return self.refused if state is AnswerState.REFUSED else "lost"

    def scored(self, state: AnswerState, text: str) -> tuple[Treated, str]:
        """What an answer counts as, and the text that is scored: `lost` and `wrong` need none."""
        treated = self.treated(state)
        if treated == "abstained":
            return treated, ABSTENTION
        if treated != "as_is":
            return treated, ""
        answer = answer_in(text, self.strip_thinking).text
        return (treated, answer) if is_visible(answer) else ("lost", "")
