"""Adjusted p-values for families of tests.

An adjusted p-value is the smallest alpha at which the test would be rejected as part of its family: compare it with alpha as
if it were alone. Undefined p-values (None or NaN) stay where they are and do not count in m, the size of the family; an
empty family stays empty. Reference of all four: R p.adjust.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from batchtrial.errors import DataError
from batchtrial.stats.special import Floats

PValues = Sequence[float | None]
Adjusted = tuple[float | None, ...]


def holm(p_values: PValues) -> Adjusted:
    """Holm's step-down: p_(i) (m - i + 1), made non-decreasing from the smallest p up; any dependence.

    Controls the chance of even one false rejection in the family; for the confirmatory family.
    Source: Holm 1979, Scandinavian Journal of Statistics 6:65.
    """
    return _adjust(p_values, _holm)


def hochberg(p_values: PValues) -> Adjusted:
    """Hochberg's step-up: p_(i) (m - i + 1), the running minimum from the largest p down; independent or positively dependent.

    Source: Hochberg 1988, Biometrika 75:800.
    """
    return _adjust(p_values, lambda p: _running_minimum(p * np.arange(p.size, 0, -1)))


def benjamini_hochberg(p_values: PValues) -> Adjusted:
    """Benjamini and Hochberg's q-values: m p_(i) / i, the running minimum from the largest p down.

    Controls the expected share of false ones among the rejections (independent or positively dependent); for exploratory
    families. The minimum runs from the largest p: the other direction turns every q into m times the smallest p.
    Source: Benjamini & Hochberg 1995, JRSS B 57:289.
    """
    return _adjust(p_values, lambda p: _running_minimum(p * p.size / np.arange(1, p.size + 1)))


def benjamini_yekutieli(p_values: PValues) -> Adjusted:
    """`benjamini_hochberg` times 1 + 1/2 + ... + 1/m: holds under any dependence, at a price in power.

    Source: Benjamini & Yekutieli 2001, Annals of Statistics 29:1165.
    """
    return _adjust(
        p_values,
        lambda p: _running_minimum(p * p.size / np.arange(1, p.size + 1) * float(np.sum(1 / np.arange(1, p.size + 1)))),
    )


METHODS: Final[Mapping[str, Callable[[PValues], Adjusted]]] = {
    "holm": holm,
    "hochberg": hochberg,
    "bh": benjamini_hochberg,
    "by": benjamini_yekutieli,
}


def adjust(p_values: PValues, method: str) -> Adjusted:
    """Adjusted p-values by the name of the method: holm, hochberg, bh or by. Raises DataError for another name."""
    if method not in METHODS:
        raise DataError(f"no correction is called {method!r}", hint="one of: " + ", ".join(METHODS))
    return METHODS[method](p_values)


def family_size(p_values: PValues) -> int:
    """m: how many p-values of the family are defined."""
    return sum(not _is_missing(p) for p in p_values)


def _adjust(p_values: PValues, step: Callable[[Floats], Floats]) -> Adjusted:
    """Sort the defined p-values, adjust them, put them back. Ties come out equal because every step is monotone."""
    places = [i for i, p in enumerate(p_values) if not _is_missing(p)]
    known = np.array([p_values[i] for i in places], dtype=np.float64)
    if known.size and not ((known >= 0.0) & (known <= 1.0)).all():
        raise DataError("a p-value lies between 0 and 1", where=", ".join(str(p) for p in p_values))
    order = np.argsort(known, kind="stable")
    adjusted: list[float | None] = [None] * len(p_values)
    if places:
        # Rounding in the products must not push an adjusted p below the raw one.
        steps = np.clip(np.maximum(step(known[order]), known[order]), 0.0, 1.0)
        for rank, value in zip(order.tolist(), steps.tolist(), strict=True):
            adjusted[places[rank]] = value
    return tuple(adjusted)


def _holm(p: Floats) -> Floats:
    return np.asarray(np.maximum.accumulate(p * np.arange(p.size, 0, -1)))


def _running_minimum(values: Floats) -> Floats:
    """Running minimum from the last value to the first."""
    return np.asarray(np.minimum.accumulate(values[::-1])[::-1])


def _is_missing(p: float | None) -> bool:
    return p is None or math.isnan(p)
