"""Numbers as text, with as many digits as it takes to see on which side of a line (zero, a margin, a level) they lie."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MOST_DIGITS: Final = 9
NOISE: Final = 1e-12
"""Closer to a line than this, relative to it or absolute, a number lies on it: sums of floats end there."""
SMALLEST_P: Final = 0.001


def sided(value: float, digits: int, *, lines: Iterable[float] = (0.0,), is_signed: bool = False) -> str:
    """The value with at least so many digits after the point; more while rounding would put it on a line, or beyond one. Never "-0.0"."""
    near = [line for line in lines if abs(value - line) > NOISE * max(1.0, abs(line))]
    seen = without_noise(value)
    while digits < MOST_DIGITS and any(_side(round(seen, digits), line) != _side(value, line) for line in near):
        digits += 1
    rounded = round(seen, digits) + 0.0
    return f"{rounded:+.{digits}f}" if is_signed and rounded != 0.0 else f"{abs(rounded) if rounded == 0.0 else rounded:.{digits}f}"


def without_noise(value: float) -> float:
    """The value to twelve digits: what lies half way between two texts goes the same way in whichever order it was added up."""
    return float(f"{value:.12g}")


def p_text(p: float, *, levels: Iterable[float] = (0.05,)) -> str:
    """As 0.012, or "< 0.001" below that; with more digits next to a level that decides."""
    lines = tuple(levels)
    if p < SMALLEST_P and all(line >= SMALLEST_P for line in lines):
        return f"< {SMALLEST_P:g}"
    return sided(p, 3, lines=(0.0, *lines))


def p_phrase(p: float, *, levels: Iterable[float] = (0.05,)) -> str:
    """The same after the letter p, such as "= 0.012"; "= 1" for what rounds to it."""
    if p >= 0.9995:
        return "= 1"
    text = p_text(p, levels=levels)
    return text if text.startswith("<") else f"= {text}"


def _side(value: float, line: float) -> int:
    return (value > line) - (value < line)
