"""Result records that every statistic returns.

A record never holds NaN. A number that is not defined is None and `reason` says why in plain words; a number that is
defined but should be read with care comes with `warnings`. Infinity appears only in odds ratios, where it is the
right answer (c = 0); whoever writes a record to a file turns it into null plus the reason.

Nothing here knows about files, clocks or config.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

from batchtrial.errors import DataError

SMALLEST_P: Final = sys.float_info.min
"""A p-value below the smallest normal double (2.2e-308) is reported as this bound: a p-value is never zero."""

_P_BOUND_WARNING: Final = "p is below 2.2e-308, the smallest number that can be written here; that bound is shown"
_ROUNDING: Final = 1e-9  # relative; larger contradictions between a value and its interval are faults of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its interval.

    value, ci_low, ci_high: same unit; ci_low <= value <= ci_high whenever all three are defined.
    level: nominal coverage of the interval, 0 < level < 1.
    method: short name of the method that made the interval.
    n: independent units behind the number (pairs, items or clusters).
    dropped: units left out because of missing values.
    se: standard error in the unit of `value`, where the method has one.
    seed: what the random generator was started from; None when nothing random was done.
    reason: why `value` or the interval is None.
    Raises ValueError on NaN, on an undefined number without a reason and on an interval that misses its estimate.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    level: float
    method: str
    n: int
    dropped: int = 0
    se: float | None = None
    seed: int | None = None
    warnings: tuple[str, ...] = ()
    reason: str | None = None

    def __post_init__(self) -> None:
        """Refuse a record that contradicts itself; heal differences of rounding; keep plain Python numbers."""
        _plain(self, floats=("value", "ci_low", "ci_high", "level", "se"), whole=("n", "dropped"))
        value, low, high = self.value, self.ci_low, self.ci_high
        _no_nan(value=value, ci_low=low, ci_high=high, level=self.level, se=self.se)
        if self.reason is None and (value is None or low is None or high is None):
            raise ValueError(f"{self.method}: an undefined number needs a reason")
        if low is not None and high is not None and low > high:
            raise ValueError(f"{self.method}: ci_low {low!r} > ci_high {high!r}")
        if value is None or not math.isfinite(value):
            return
        slack = _ROUNDING * max(1.0, abs(value))
        if low is not None and low > value:
            _require(low - value <= slack, f"{self.method}: ci_low {low!r} is above the estimate {value!r}")
            object.__setattr__(self, "ci_low", value)
        if high is not None and high < value:
            _require(value - high <= slack, f"{self.method}: ci_high {high!r} is below the estimate {value!r}")
            object.__setattr__(self, "ci_high", value)

    @property
    def is_defined(self) -> bool:
        """Whether value and both ends of the interval are there."""
        return self.value is not None and self.ci_low is not None and self.ci_high is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A test statistic with its p-value, 0 < p_value <= 1 or None.

    n: independent units that carry information for the test; dropped: units left out because of missing values.
    A p-value that underflows is raised to `SMALLEST_P` with a warning. Raises ValueError on NaN, on p > 1 and on an
    undefined p-value without a reason.
    """

    __test__: ClassVar[bool] = False  # not a test class, whatever its name suggests to a collector

    statistic: float | None
    p_value: float | None
    method: str
    n: int
    dropped: int = 0
    seed: int | None = None
    warnings: tuple[str, ...] = ()
    reason: str | None = None

    def __post_init__(self) -> None:
        """Refuse a record that contradicts itself; raise an underflown p-value to the bound; keep plain Python numbers."""
        _plain(self, floats=("statistic", "p_value"), whole=("n", "dropped"))
        p = self.p_value
        _no_nan(statistic=self.statistic, p_value=p)
        _require(self.statistic is None or math.isfinite(self.statistic), f"{self.method}: statistic {self.statistic!r} is infinite")
        if p is None:
            _require(self.reason is not None, f"{self.method}: an undefined p-value needs a reason")
            return
        _require(0.0 <= p <= 1.0 + _ROUNDING, f"{self.method}: p = {p!r} is not a probability")
        if p < SMALLEST_P:
            object.__setattr__(self, "p_value", SMALLEST_P)
            object.__setattr__(self, "warnings", (*self.warnings, _P_BOUND_WARNING))
        elif p > 1.0:
            object.__setattr__(self, "p_value", 1.0)


def estimate_around(
    value: float,
    half: float,
    *,
    level: float,
    method: str,
    n: int,
    se: float,
    dropped: int = 0,
    seed: int | None = None,
    warnings: Iterable[str] = (),
) -> Estimate:
    """An estimate whose interval reaches as far to either side."""
    low, high = value - half, value + half
    return Estimate(
        value=value, ci_low=low, ci_high=high, level=level, method=method, n=n, dropped=dropped, se=se, seed=seed, warnings=tuple(warnings)
    )


def undefined_estimate(
    reason: str,
    *,
    level: float,
    method: str,
    n: int,
    dropped: int = 0,
    value: float | None = None,
    warnings: Iterable[str] = (),
) -> Estimate:
    """An estimate without an interval, and without a value unless one is given."""
    return Estimate(
        value=value,
        ci_low=None,
        ci_high=None,
        level=level,
        method=method,
        n=n,
        dropped=dropped,
        warnings=tuple(warnings),
        reason=reason,
    )


def undefined_test(reason: str, *, method: str, n: int, dropped: int = 0, warnings: Iterable[str] = ()) -> Test:
    """A test that could not be made."""
    return Test(statistic=None, p_value=None, method=method, n=n, dropped=dropped, warnings=tuple(warnings), reason=reason)


def check_level(level: float) -> float:
    """Return a nominal coverage that makes sense; raises DataError unless 0 < level < 1."""
    if not 0.0 < level < 1.0:
        raise DataError(f"a confidence level lies between 0 and 1, not {level!r}", hint="95 % is written 0.95")
    return float(level)


def check_alpha(alpha: float) -> float:
    """Return a significance level that makes sense; raises DataError unless 0 < alpha < 1."""
    if not 0.0 < alpha < 1.0:
        raise DataError(f"a significance level lies between 0 and 1, not {alpha!r}", hint="5 % is written 0.05")
    return float(alpha)


def _plain(record: object, *, floats: tuple[str, ...], whole: tuple[str, ...]) -> None:
    """Turn NumPy scalars into Python's: a record is compared, printed and written to JSON."""
    for names, kind in ((floats, float), (whole, int)):
        for name in names:
            number = getattr(record, name)
            if number is not None and type(number) is not kind:
                object.__setattr__(record, name, kind(number))


def _no_nan(**numbers: float | None) -> None:
    for name, number in numbers.items():
        if number is not None and math.isnan(number):
            raise ValueError(f"{name} is NaN; undefined numbers are None with a reason")


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise ValueError(complaint)
