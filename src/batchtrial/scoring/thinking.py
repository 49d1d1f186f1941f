"""Marks of thinking inside an answer: what a model wrote before its answer, where no server took it out.

`<think>It may be Milan.</think>\n\nRome` says Rome. Scored as it stands it is wrong, and a thought of "I don't know" would make it an abstention.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple

from batchtrial.scoring.metrics.patterns import pattern_fault, taken_out

_NAMES: Final = "think|thinking|thought|thoughts|reasoning|reflection|reflect|scratchpad|antthinking|inner_monologue|seed:think"
_MARK: Final = re.compile(
    rf"<(?P<close>/)?(?P<tag>{_NAMES})>"
    r"|\[(?P<close2>/)?(?P<tag2>THINK)\]"
    r"|◁(?P<close3>/)?(?P<tag3>think)▷"
    r"|<\|(?:(?P<close4>END)|START)_(?P<tag4>THINKING)\|>"
    r"|<\|channel\|>(?:analysis|(?P<close5>final))(?P<tag5><\|message\|>)",
    re.IGNORECASE,
)
MAY_HOLD_MARKS: Final = r"<|◁|\[/?[Tt]"
"""Where it does not match there is no mark, in the syntax of Rust's `regex`. A bracket alone is in every list of an answer in JSON; whole words take
twenty times as long."""
_DOTALL: Final = "(?s)"
_PLAIN: Final = "Rome lies on the Tiber."
_FIRST_CHARS: Final = ("<", "[", "◁")


class Read(NamedTuple):
    """An answer without its thoughts. is_unfinished: a thought begins and never ends, so that there is no answer; had_marks: there were marks."""

    text: str
    is_unfinished: bool = False
    had_marks: bool = False


def has_marks(text: str) -> bool:
    """Whether a mark of thinking stands anywhere in the text."""
    return any(char in text for char in _FIRST_CHARS) and _MARK.search(text) is not None


def answer_in(text: str, rule: str) -> Read:
    """The answer in a text that may hold thoughts. rule: `auto`, `off`, or a regular expression whose matches are taken out first.

    `auto` takes out what stands between marks at the beginning of the text, and everything up to a closing mark that was never opened: some servers
    put the opening one into the prompt. Marks further inside, which an answer may quote, stay. Under an expression too an opening mark at the
    beginning that is never closed leaves no answer.
    """
    if rule == "off":
        return Read(text, had_marks=has_marks(text))
    if rule != "auto":
        left = _taken_out(text, rule)
        had_marks = left != text or has_marks(text)
        return Read(left.strip() if left != text else text, is_unfinished=_without_leading(left).is_unfinished, had_marks=had_marks)
    return _without_leading(text)


def rule_fault(rule: str) -> str | None:
    """Why an expression cannot be the rule of a run that begins; None when it can."""
    if rule in ("auto", "off"):
        return None
    if fault := pattern_fault(_DOTALL + rule):
        return fault
    return None if _taken_out(_PLAIN, rule).strip() else f"it takes all of an answer without thoughts, such as {_PLAIN!r}"


def _taken_out(text: str, rule: str) -> str:
    """The text without what the rule matches, in time that grows with the text's length alone; runs of earlier versions may have other rules."""
    return taken_out(text, _DOTALL + rule) if _is_linear(rule) else re.sub(rule, "", text, flags=re.DOTALL)


@cache
def _is_linear(rule: str) -> bool:
    return pattern_fault(_DOTALL + rule) is None


def _without_leading(text: str) -> Read:
    if not any(char in text for char in _FIRST_CHARS):
        return Read(text)
    marks = iter(_MARK.finditer(text))
    begin, had_marks = 0, False
    for mark in marks:
        had_marks = True
        if _is_closing(mark):
            begin = mark.end()
            continue
        if text[begin : mark.start()].strip():
            break  # the answer itself speaks of a mark
        closing = next((other for other in marks if _is_closing(other) and _tag(other) == _tag(mark)), None)
        if closing is None:
            return Read("", is_unfinished=True, had_marks=True)
        begin = closing.end()
    return Read(text[begin:].strip() if begin else text, had_marks=had_marks)


def _is_closing(mark: re.Match[str]) -> bool:
    return any(mark[name] for name in ("close", "close2", "close3", "close4", "close5"))


def _tag(mark: re.Match[str]) -> str:
    return next(mark[name] for name in ("tag", "tag2", "tag3", "tag4", "tag5") if mark[name]).lower()
