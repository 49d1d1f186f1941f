"""account.json in words: which answers are none, why requests failed, and what a reader should know about the answers that are scored.

Accounts of earlier versions say nothing of these: then nothing is said here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from batchtrial.amounts import counted
from batchtrial.phases.batches.reasons import merged
from batchtrial.phases.report.render import Block, Grid, Heading, Paragraph, Quote
from batchtrial.records import AnswerState

Account = Mapping[str, Any]
COMPLETE: Final = AnswerState.COMPLETE.value


def answers_by_arm(account: Account) -> dict[str, Mapping[str, Any]]:
    """Stem of an arm -> what account.json tells of its answers."""
    return dict(account.get("answers", {}).get("arms", {}))


def states_told(arms: Mapping[str, Mapping[str, Any]]) -> str:
    """`50 complete, 30 cut (t0_treatment 30)`; empty when every answer is complete."""
    totals: dict[str, dict[str, int]] = {}
    for stem, one in arms.items():
        for state, n in one["states"].items():
            if n:
                totals.setdefault(state, {})[stem] = n
    if not totals.keys() - {COMPLETE}:
        return ""
    parts = [f"{sum(totals.get(COMPLETE, {}).values())} complete"]
    for state in AnswerState:
        by_arm = totals.get(state.value)
        if by_arm and state is not AnswerState.COMPLETE:
            parts.append(f"{sum(by_arm.values())} {state.value} ({', '.join(f'{stem} {n}' for stem, n in by_arm.items())})")
    return ", ".join(parts)


def reasons_of(arms: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Reason -> requests, of several arms together."""
    return merged([{one["reason"]: one["requests"] for one in arm["reasons"]} for arm in arms])


def cautions(arms: Mapping[str, Mapping[str, Any]], strip_thinking: str | None) -> Iterator[str]:
    """What a reader should know about answers that are scored. strip_thinking: as the config declares it."""
    marked = {stem: one["thinking_marks"] for stem, one in arms.items() if one["thinking_marks"]}
    if marked and strip_thinking in (None, "off"):
        how = (
            "no rule is declared, so what stands between marks at the beginning was not scored; declare answers.strip_thinking (auto, off, or a "
            "regular expression)"
            if strip_thinking is None
            else "they are scored with what was thought, as answers.strip_thinking: off asks for"
        )
        marks = counted(sum(marked.values()), "answer holds marks of thinking", "answers hold marks of thinking")
        yield f"{marks} such as <think> ({_listed(marked)}): {how}"
    words: dict[str, int] = {}
    for one in arms.values():
        for word, n in one["unknown_finish_reasons"].items():
            words[word] = words.get(word, 0) + n
    if words:
        yield f"{counted(sum(words.values()), 'answer')} ended for a reason that is not known here ({_listed(words)}): taken for whole answers"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def account_blocks(account: Account, strip_thinking: str | None) -> list[Block]:
    """The part of a report that stands below the table of outcomes."""
    arms = answers_by_arm(account)
    found: list[Block] = []
    if states_told(arms):
        states = [state.value for state in AnswerState if state is AnswerState.COMPLETE or any(one["states"][state] for one in arms.values())]
        rows = tuple((stem, *(str(one["states"][state]) for state in states)) for stem, one in arms.items())
        found += [
            Heading(3, "What the answers were"),
            Grid(("arm", *(state.replace("_", " ") for state in states)), rows),
            Paragraph(
                "Only complete answers are scored, and what else stats.cut_answers and stats.refused_answers declare; the others are lost pairs, "
                "neither wrong nor abstentions."
            ),
        ]
    found += [Paragraph(f"{text[0].upper()}{text[1:]}.") for text in cautions(arms, strip_thinking)]
    reasons = [(stem, one) for stem, arm in arms.items() for one in arm["reasons"]]
    if reasons:
        found += [
            Heading(3, "Why requests have no answer"),
            Quote("\n".join(f"{one['requests']:>6} x {stem}  {one['reason']}" for stem, one in reasons)),
        ]
    return found
