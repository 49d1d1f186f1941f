"""The number that an answer says."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import ClassVar, Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from batchtrial.scoring.metrics.base import Numbers, ReferenceMetric
from batchtrial.scoring.metrics.spelling import HINT, plainly

BOXED: Final = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]{0,200}\}){0,400})\}")
_NUMBER: Final = re.compile(r"(?<![\w.])([-+\u2212]?)(?:([0-9][0-9,]*)(\.[0-9]+)?|(\.[0-9]+))([eE][-+]?[0-9]{1,3})?")
_THOUSANDS: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_FROM_DIGIT: Final = r"[0-9][^ \n]*"
"""No number goes beyond a space, so that the rest of a text need not be looked at letter by letter."""
_FURTHER: Final = re.compile(r"[^\w.][-+\u2212]?\.?[0-9]")
"""Where a number begins behind the first character of such a stretch."""
_PART_WORDS: Final = " \n"
_BEFORE_DIGIT: Final = 2
"""Signs of a number before its first digit."""
_PLAIN_DIGITS: Final = 300
"""Digits of which a number is always finite."""
_SLACK: Final = 1e-12
"""Of what floating point loses in a difference, relative to the values."""


class Numeric(ReferenceMetric):
    """1 when a number of the answer is that of the reference: the last one, or the last in a box.

    "1,234.5", "-$3", "2e5", "3 × 10^5", "1/2" and ".5" are numbers, in the digits of any script."""

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
        said = self._values([_last_box(text) for text in texts] if self.boxed else texts)
        expected = self._values([one for wanted in references for one in wanted])
        answer = np.repeat(np.arange(len(texts)), [len(wanted) for wanted in references])
        n_numbers = np.bincount(answer[~np.isnan(expected)], minlength=len(texts))
        n_right = np.bincount(answer[self._are_near(said[answer], expected)], minlength=len(texts))
        return np.where(n_numbers > 0, n_right > 0, np.nan)

    def is_defined(self, references: tuple[str, ...]) -> bool:
        return not bool(np.isnan(self._values(references)).all())

    def _are_near(self, values: Numbers, right: Numbers) -> NDArray[np.bool_]:
        with np.errstate(over="ignore"):
            allowed = self.tolerance * np.abs(right) if self.relative else self.tolerance
            are_whole = (values == np.trunc(values)) & (right == np.trunc(right))
            slack = np.where(are_whole, allowed, np.maximum(np.abs(values), np.abs(right)))  # whole numbers have an exact difference
            near: NDArray[np.bool_] = np.abs(values - right) <= allowed + _SLACK * slack
        return near

    def _values(self, texts: Sequence[str]) -> Numbers:
        """The number of each text that counts, NaN where there is none."""
        values = np.full(len(texts), np.nan)
        are_digits = np.array([text.isdecimal() and text.isascii() and len(text) < _PLAIN_DIGITS for text in texts], dtype=np.bool_)
        values[are_digits] = [float(text) for text in compress(texts, are_digits.tolist())]
        others: Sequence[str] = list(compress(texts, (~are_digits).tolist()))
        others, column = _as_column(others)
        is_odd = column.str.contains(HINT).to_list()
        if any(is_odd):
            others, column = _as_column([plainly(text) if odd else text for text, odd in zip(others, is_odd, strict=True)])
        if self.units:
            unit, place = _unit_pattern(self.units), 0 if self.first else -1
            read = [found[place] if (found := self._with_units(text, unit)) else None for text in others]
        else:
            number_of = _first_number if self.first else _last_number
            stretches = column.str.extract_all(_FROM_DIGIT).to_list()
            read = [number_of(text, found) if found else None for text, found in zip(others, stretches, strict=True)]
        values[~are_digits] = np.array(read, dtype=np.float64)
        return values

    def _with_units(self, text: str, unit: re.Pattern[str]) -> list[float]:
        """Numbers with one of the units, all of them in the same, or else those without."""
        numbers = [(end, number) for number, end in _numbers(text) if math.isfinite(number)]
        found = [number * self.units[name.group(1)] for end, number in numbers if (name := unit.match(text, end)) is not None]
        return found or [number for _, number in numbers]


def _first_number(text: str, stretches: Sequence[str]) -> float | None:
    """stretches: what `_FROM_DIGIT` finds in the text, in order."""
    end = 0
    for stretch in stretches:
        begin = text.find(stretch, end)
        end = begin + len(stretch)
        for number, _ in _numbers(text, max(begin - _BEFORE_DIGIT, 0), end):
            if math.isfinite(number):
                return number
    return None


def _last_number(text: str, stretches: Sequence[str]) -> float | None:
    """stretches: what `_FROM_DIGIT` finds in the text, in order."""
    end = len(text)
    for stretch in reversed(stretches):
        begin = text.rfind(stretch, 0, end)
        before = text[begin - 1] if begin else " "
        if before in _PART_WORDS and stretch.isdecimal() and stretch.isascii() and len(stretch) < _PLAIN_DIGITS:
            return float(stretch)
        # A digit inside a word begins no number, and few stretches go on with one behind it.
        if not before.isalpha() or _FURTHER.search(stretch) is not None:
            found = [number for number, _ in _numbers(text, max(begin - _BEFORE_DIGIT, 0), begin + len(stretch)) if math.isfinite(number)]
            if found:
                return found[-1]
        end = begin
    return None


def _last_box(text: str) -> str:
    """What stands in the last box; nothing without a box."""
    boxes = BOXED.findall(text)
    return boxes[-1] if boxes else ""


def _as_column(texts: Sequence[str]) -> tuple[Sequence[str], pl.Series]:
    """The texts, and the same as a column."""
    try:
        return texts, pl.Series(texts, dtype=pl.String)
    except UnicodeEncodeError:  # half of a surrogate pair is no part of a number
        whole = [text.encode("utf-8", "replace").decode() for text in texts]
        return whole, pl.Series(whole, dtype=pl.String)


def _numbers(text: str, begin: int = 0, end: int | None = None) -> Iterator[tuple[float, int]]:
    """Each number between two places of the text, and where it ends.

    Commas belong to a number where they part thousands, and part numbers elsewhere.
    """
    for match in _NUMBER.finditer(text, begin, len(text) if end is None else end):
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


def _unit_pattern(units: Mapping[str, float]) -> re.Pattern[str]:
    either = "|".join(re.escape(one) for one in sorted(units, key=len, reverse=True))
    return re.compile(rf"[ \t\u00a0\u202f]?({either})(?!\w)")


FAMILY: tuple[type[ReferenceMetric], ...] = (Numeric,)
