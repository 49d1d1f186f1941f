"""The label that an answer picks."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from typing import ClassVar, Final, Self

import numpy as np
from pydantic import Field, model_validator

from batchtrial.scoring.metrics.base import Numbers, ReferenceMetric, Texts
from batchtrial.scoring.metrics.values import BOXED

_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""Letters of scripts that set no space between words, or end a word with what belongs to the sentence."""
_LETTER: Final = rf"[^\W{_UNSPACED}]"
_BEFORE: Final = rf"(?<!{_LETTER})(?<!\w-)(?<![0-9][.,])"
"""Where a label begins: in no word, behind no prefix such as "non-", in no decimal number."""
_AFTER: Final = rf"(?!{_LETTER}|[.,][0-9])"
_OPENING: Final = r"[\s*_`\"'(\[<>$]{0,8}"
_CLOSING: Final = r"[\s*_`\"')\]}>$.:]{0,8}"
_SAID: Final = re.compile(
    r"(?<!/)(?:answer|choice|option|label|category)[*_`\"'>]{0,4}[ \t]*(?:is|was|would be|should be)?[ \t]*"
    rf"(?:[:=]{_OPENING}|[ \t*_`\"'(\[<>$]{{0,8}})",
    re.IGNORECASE,
)
_OF_LINE: Final = re.compile(r"\A\s*(?:[#>\u2022*-]{1,6}\s+)?")
_SIGNS: Final = " \t\r\n*_`\"'.,:;!?()[]{}<>$\u3001\u3002"
_LONGEST_LABEL: Final = 200


class Choice(ReferenceMetric):
    """1 when the answer picks the right label. It picks the one that it consists of, else the one in its last box or behind its last "answer is",
    else the only one that has a line of its own, else the one that it begins with as "B)", "B." or "Yes, ", else the only one that it names; an
    answer that picks none or several ("A or B") is wrong."""

    id: ClassVar[str] = "choice"
    undefined: ClassVar[str] = "the item has no reference, or it is none of the labels"

    letters: str | None = Field(None, pattern=r"\A[A-Za-z]{2,26}\z", description="The labels as letters, such as `ABCD`; upper and lower case alike.")
    labels: Texts = Field((), description="The labels as texts, such as `[billing, refund]`; upper and lower case alike.")

    @model_validator(mode="after")
    def _has_labels(self) -> Self:
        if (self.letters is None) == (not self.labels):
            raise ValueError("give either `letters`, such as ABCD, or `labels`, a list")
        plain = [_plain(one) for one in self.all_labels]
        if len(set(plain)) < len(plain) or not all(plain) or len(plain) < 2:
            raise ValueError("labels are at least two texts that differ by more than case and signs around them")
        return self

    @property
    def all_labels(self) -> tuple[str, ...]:
        """The labels."""
        return tuple(self.letters or ()) or self.labels

    def judge(self, texts: Sequence[str], references: Sequence[tuple[str, ...]]) -> Numbers:
        read = _reader(self.all_labels, are_letters=self.letters is not None)
        found = np.full(len(texts), np.nan)
        for place, (text, wanted) in enumerate(zip(texts, references, strict=True)):
            right = read.known.intersection(map(_plain, wanted))
            if right:
                found[place] = read.picked(text) in right
        return found

    def is_defined(self, references: tuple[str, ...]) -> bool:
        known = set(map(_plain, self.all_labels))
        return not known.isdisjoint(map(_plain, references))

    def near(self, column: str, references: tuple[str, ...]) -> str:
        labels = {_plain(one): one for one in self.all_labels}
        found = [labels[name] for one in references for name in difflib.get_close_matches(_plain(one), labels, 1)]
        return f"did you mean {found[0]!r}?" if found else ""


class _Reader:
    """Finds the label that an answer picks."""

    def __init__(self, labels: Sequence[str], *, are_letters: bool) -> None:
        either, self.known = _either(labels), {_plain(one) for one in labels}
        self.label = re.compile(f"{_BEFORE}{either}{_AFTER}", re.IGNORECASE)
        self.said, self.named = self.label, self.label
        if are_letters:
            # A letter alone may be the article "a" or the pronoun "I": in running text only a capital that is marked as a label counts.
            upper, alone = _either([one.upper() for one in labels]), _either([one.upper() for one in labels if one.upper() != "I"])
            self.named = re.compile(rf"{_BEFORE}{upper}(?=[).:\u3002]|\s*$)|[(\[*]{upper}[)\]*]")
            self.said = re.compile(rf"{alone}{_AFTER}|(?i:{upper})(?=[).,:;*_`\"'\]}}<$\u3002]|\s*(?:\n|$))")
        self.head = re.compile(rf"{_OPENING}({either})(?:[)\].:*_](?![0-9])|\s+[-\u2013\u2014]\s{'' if are_letters else '|[,;]'})", re.IGNORECASE)
        further = self.said.pattern if are_letters else f"(?i:{self.label.pattern})"
        self.also = re.compile(rf"{_CLOSING}(?:(?:,?\s*\b(?:or|and)\b|[/|&]){_OPENING}(?:{further})|,{_OPENING}(?:{further}){_CLOSING}(?:[.,;!]|$))")

    def picked(self, text: str) -> str | None:
        """The label without case and signs; None when there is none, or more than one."""
        text = _composed(text)
        if len(text) < _LONGEST_LABEL and (plain := _plain(text)) in self.known:
            return plain
        for box in reversed(BOXED.findall(text)):
            inner = re.sub(r"\\text\{([^{}]*)\}", r"\1", box)
            return plain if (plain := _plain(inner)) in self.known else None
        for said in reversed(list(_SAID.finditer(text))):
            label = self.said.match(text, said.end())
            if label is not None:
                return self._alone(label.group(), text, label.end())
        lines = {_plain(_OF_LINE.sub("", line, count=1)) for line in text.split("\n") if len(line) < _LONGEST_LABEL} & self.known
        if len(lines) == 1:
            return lines.pop()
        head = self.head.match(text)
        if head is not None:
            return self._alone(head.group(1), text, head.end(1))
        named = {_plain(one) for one in self.named.findall(text)}
        return named.pop() if len(named) == 1 else None

    def _alone(self, label: str, text: str, end: int) -> str | None:
        """The label, unless another one is named in the same breath."""
        return None if self.also.match(text, end) is not None else _plain(label)


def _either(labels: Sequence[str]) -> str:
    """A pattern of any of the labels, the longest first."""
    ordered = sorted((_composed(one).strip() for one in labels), key=len, reverse=True)
    return "(?:" + "|".join((r"(?<!-)" if one[0].isdecimal() else "") + r"\s+".join(map(re.escape, one.split())) for one in ordered) + ")"


def _reader(labels: tuple[str, ...], *, are_letters: bool) -> _Reader:
    return _Reader(labels, are_letters=are_letters)


def _composed(text: str) -> str:
    """Letters that look alike as one: wide ones, and those that are written with an accent of their own."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text).replace("\u2212", "-")


def _plain(text: str) -> str:
    return " ".join(_composed(text).strip(_SIGNS).casefold().split())


FAMILY: tuple[type[ReferenceMetric], ...] = (Choice,)
