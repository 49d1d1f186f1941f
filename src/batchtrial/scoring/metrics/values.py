"""Metrics that read one value out of an answer: a choice among labels, or a number."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final, Self

import numpy as np
from pydantic import Field, model_validator

from batchtrial.scoring.metrics.base import Numbers, ReferenceMetric, Texts

_SAID: Final = re.compile(
    r"(?:answer|choice|option|label|category)[ \t]*(?:is|was|would be|should be)?[ \t]*[:=]?[ \t]*[*_`\"'(\[]{0,4}", re.IGNORECASE
)
_BOXED: Final = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]{0,200}\}){0,400})\}")
_NUMBER: Final = re.compile(r"(?<![\w.])([-+\u2212]?)(?:([0-9][0-9,]*)(\.[0-9]+)?|(\.[0-9]+))([eE][-+]?[0-9]{1,3})?")
_THOUSANDS: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_SIGNS: Final = " \t\r\n*_`\"'.,:;!?()[]{}<>"
_SLACK: Final = 1e-12
"""Of what floating point loses in a difference, relative to the values."""


class Choice(ReferenceMetric):
    """1 when the answer picks the right label. It picks the one that it consists of, else the one in its last box or behind its last "answer is",
    else the one that it begins with as "B)" or "B.", else the only one that it names; an answer that picks none or several is wrong."""

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


class _Reader:
    """Finds the label that an answer picks."""

    def __init__(self, labels: Sequence[str], *, are_letters: bool) -> None:
        either = "|".join(re.escape(one) for one in sorted(labels, key=len, reverse=True))
        self.known = {_plain(one) for one in labels}
        self.label = re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)
        # A letter alone may be the article "a" or the pronoun "I": in running text only a capital that is marked as a label counts.
        upper = "|".join(re.escape(one.upper()) for one in labels)
        self.named = re.compile(rf"(?<!\w)(?:{upper})(?=[).:]|\s*$)|[(\[*](?:{upper})[)\]*]") if are_letters else self.label
        self.head = re.compile(rf"\s*[(\[*_]{{0,3}}({either})[)\].:*_]", re.IGNORECASE)

    def picked(self, text: str) -> str | None:
        """The label without case and signs; None when there is none, or more than one."""
        if len(text) < _LONGEST_LABEL and (plain := _plain(text)) in self.known:
            return plain
        for box in reversed(_BOXED.findall(text)):
            inner = re.sub(r"\\text\{([^{}]*)\}", r"\1", box)
            return plain if (plain := _plain(inner)) in self.known else None
        for said in reversed(list(_SAID.finditer(text))):
            label = self.label.match(text, said.end())
            if label is not None:
                return _plain(label.group())
        head = self.head.match(text)
        if head is not None:
            return _plain(head.group(1))
        named = {_plain(one) for one in self.named.findall(text)}
        return named.pop() if len(named) == 1 else None


_LONGEST_LABEL: Final = 200


def _reader(labels: tuple[str, ...], *, are_letters: bool) -> _Reader:
    return _Reader(labels, are_letters=are_letters)


def _plain(text: str) -> str:
    return " ".join(text.strip(_SIGNS).casefold().split())


class Numeric(ReferenceMetric):
    """1 when a number of the answer is that of the reference: the last one, or the last in a box. "1,234.5", "-3", "2e5" and ".5" are numbers."""

    id: ClassVar[str] = "numeric"
    undefined: ClassVar[str] = "the item has no reference, or there is no number in it"

    tolerance: float = Field(0.0, ge=0, description="Largest difference that is right.")
    relative: bool = Field(False, description="Whether the tolerance is a part of the reference: 0.01 is one per cent.")
    boxed: bool = Field(False, description="Read the number in the last `\\boxed{...}`; an answer without a box is wrong.")
    first: bool = Field(False, description="Read the first number of the answer, not the last.")
    units: dict[str, float] = Field(
        default_factory=dict,
        description="Units that may follow a number, with their factors: `{km: 1000, m: 1}` makes 2 km and 2000 m the same; where a number with one "
        "of them is there, numbers without are passed over.",
    )

    @model_validator(mode="after")
    def _units_are_some(self) -> Self:
        if any(not name.strip() or factor == 0 for name, factor in self.units.items()):
            raise ValueError("units: a unit has a name, and a factor that is not 0")
        return self

    def judge(self, texts: Sequence[str], references: Sequence[tuple[str, ...]]) -> Numbers:
        found = np.full(len(texts), np.nan)
        unit = _unit_pattern(self.units)
        for place, (text, wanted) in enumerate(zip(texts, references, strict=True)):
            right = [number for one in wanted if (number := self._value(one, unit, is_boxed=False)) is not None]
            if right:
                value = self._value(text, unit, is_boxed=self.boxed)
                found[place] = value is not None and any(self._is_near(value, one) for one in right)
        return found

    def is_defined(self, references: tuple[str, ...]) -> bool:
        unit = _unit_pattern(self.units)
        return any(self._value(one, unit, is_boxed=False) is not None for one in references)

    def _is_near(self, value: float, right: float) -> bool:
        allowed = self.tolerance * abs(right) if self.relative else self.tolerance
        return abs(value - right) <= allowed + _SLACK * max(abs(value), abs(right))

    def _value(self, text: str, unit: re.Pattern[str] | None, *, is_boxed: bool) -> float | None:
        if is_boxed:
            boxes = _BOXED.findall(text)
            if not boxes:
                return None
            text = boxes[-1]
        numbers = [(end, number) for number, end in _numbers(text) if math.isfinite(number)]
        if unit is not None:
            with_unit = [number * self.units[name.group(1)] for end, number in numbers if (name := unit.match(text, end)) is not None]
            if with_unit:
                return with_unit[0 if self.first else -1]
        return numbers[0 if self.first else -1][1] if numbers else None


def _numbers(text: str) -> Iterator[tuple[float, int]]:
    """Each number of the text, and where it ends. Commas belong to a number where they part thousands, and part numbers elsewhere."""
    for match in _NUMBER.finditer(text):
        sign, whole, fraction, small, power = match.groups("")
        sign = sign.replace("\u2212", "-")
        if "," not in whole or (_THOUSANDS.fullmatch(whole) is not None):
            yield float(f"{sign}{whole.replace(',', '')}{fraction}{small}{power}"), match.end()
            continue
        *before, last = whole.split(",")
        end = match.start(2)
        for place, part in enumerate(before):
            end += len(part)
            if part:
                yield float(f"{sign if place == 0 else ''}{part}"), end
            end += 1
        if last:
            yield float(f"{last}{fraction}{power}"), match.end()


def _unit_pattern(units: Mapping[str, float]) -> re.Pattern[str] | None:
    if not units:
        return None
    either = "|".join(re.escape(one) for one in sorted(units, key=len, reverse=True))
    return re.compile(rf"[ \t\u00a0\u202f]?({either})(?!\w)")


FAMILY: tuple[type[ReferenceMetric], ...] = (Choice, Numeric)
