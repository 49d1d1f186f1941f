"""Coverage and size of the methods for right/wrong answers, by enumerating every outcome: no simulation, no noise.

Each method is asked about every table of n items; the answers are weighted with the trinomial probability of the table under a
truth (rate of changed items psi, difference delta = f psi). `REFERENCE` holds numbers found by independent code on the same truths.
`python -m tests.calibration.exact_binary` prints table and gates in about half a minute.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from batchtrial.stats.binary import mcnemar_chi2, mcnemar_exact, mcnemar_midp
from batchtrial.stats.bootstrap import bootstrap_delta
from batchtrial.stats.distributions import binom_pmf
from batchtrial.stats.intervals import agresti_min, bonett_price, newcombe, tango_many, tango_z_many, wald
from batchtrial.stats.noninferiority import noninferiority_binary
from batchtrial.stats.results import Estimate
from batchtrial.stats.scores import paired_t

from .gates import Gate, Outcome, finish, table

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Ends = tuple[Floats, Floats]

PSI: Final = (0.01, 0.02, 0.03, 0.05, 0.075, *(round(0.05 * k, 2) for k in range(2, 17)))
SHARES: Final = tuple(k / 10 for k in range(11))
"""delta / psi: 0 is no difference, 1 means that every changed item is a win."""

MARGINS: Final = (0.03, 0.05, 0.1)
CEILING: Final = 0.067
"""Rate of changed items where both arms are right on about 95 % of the items."""

ROUNDING: Final = 1e-9
SAME: Final = 1e-3

REFERENCE: Final[dict[tuple[str, int], tuple[float, float]]] = {
    ("tango", 20): (0.941, 0.966),
    ("tango", 50): (0.935, 0.958),
    ("tango", 100): (0.933, 0.955),
    ("tango", 200): (0.933, 0.953),
    ("bonett_price", 20): (0.928, 0.969),
    ("bonett_price", 50): (0.945, 0.965),
    ("bonett_price", 100): (0.938, 0.962),
    ("bonett_price", 200): (0.938, 0.958),
    ("agresti_min", 20): (0.863, 0.955),
    ("agresti_min", 50): (0.894, 0.957),
    ("agresti_min", 100): (0.866, 0.955),
    ("agresti_min", 200): (0.865, 0.952),
    ("paired_t", 20): (0.640, 0.914),
    ("paired_t", 50): (0.634, 0.921),
    ("paired_t", 100): (0.632, 0.926),
    ("percentile_bootstrap", 20): (0.426, 0.885),
    ("percentile_bootstrap", 50): (0.423, 0.908),
    ("percentile_bootstrap", 100): (0.422, 0.921),
}
"""Lowest and mean coverage over the truths, printed to three digits."""

REFERENCE_SIZE: Final = {
    ("mcnemar_exact", 20): 0.030,
    ("mcnemar_exact", 50): 0.035,
    ("mcnemar_exact", 100): 0.038,
    ("mcnemar_exact", 200): 0.042,
    ("mcnemar_midp", 20): 0.0502,
    ("mcnemar_midp", 50): 0.0488,
    ("mcnemar_midp", 100): 0.0497,
    ("mcnemar_midp", 200): 0.0498,
    ("mcnemar_chi2", 20): 0.0502,
    ("mcnemar_chi2", 50): 0.0536,
    ("mcnemar_chi2", 100): 0.0533,
    ("mcnemar_chi2", 200): 0.0521,
}
"""Largest chance of p <= .05 where there is no difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the report. lowest, mean: over the truths; for sizes `lowest` is None and `highest` the size."""

    method: str
    n: int
    lowest: float | None = None
    mean: float | None = None
    highest: float | None = None


@lru_cache(maxsize=4)
def tables(n: int) -> tuple[Ints, Ints]:
    """Every (b, c) with b + c <= n."""
    pairs = np.array([(b, c) for b in range(n + 1) for c in range(n + 1 - b)])
    return pairs[:, 0], pairs[:, 1]


def weights(n: int, p_treatment: float, p_control: float) -> Floats:
    """Trinomial probability of each table: B is binomial, C given B too."""
    b, c = tables(n)
    rest = 1.0 - p_treatment
    return binom_pmf(b, n, p_treatment) * binom_pmf(c, n - b, min(p_control / rest, 1.0) if rest > 0.0 else 0.0)


def truths(n: int) -> Iterator[tuple[float, float]]:
    """(psi, delta) with at least one changed item to expect."""
    for psi in PSI:
        if n * psi >= 1.0 - ROUNDING:
            for share in SHARES:
                yield psi, share * psi


def coverage(n: int, ends: Ends) -> tuple[float, float]:
    """Lowest and mean chance over the truths that the interval holds delta."""
    low, high = ends
    found = []
    for psi, delta in truths(n):
        holds = (low <= delta + ROUNDING) & (high >= delta - ROUNDING)
        found.append(float(weights(n, (psi + delta) / 2, (psi - delta) / 2) @ holds))
    return min(found), float(np.mean(found))


def one_by_one(n: int, interval: Callable[[int, int, int], Estimate]) -> Ends:
    """Ends of an interval on every table; where it has none, the point that a naive reader would take."""
    b, c = tables(n)
    estimates = [interval(i, j, n) for i, j in zip(b.tolist(), c.tolist(), strict=True)]
    points = ((b - c) / n).tolist()
    low = [point if e.ci_low is None else e.ci_low for e, point in zip(estimates, points, strict=True)]
    high = [point if e.ci_high is None else e.ci_high for e, point in zip(estimates, points, strict=True)]
    return np.array(low), np.array(high)


def tango_ends(n: int) -> Ends:
    b, c = tables(n)
    return tango_many(b, c, np.full(b.size, n))


def t_interval(b: int, c: int, n: int) -> Estimate:
    return paired_t(np.repeat([1.0, -1.0, 0.0], [b, c, n - b - c])).estimate


def percentile(b: int, c: int, n: int) -> Estimate:
    return bootstrap_delta(b, c, n, seed=0)


def size(n: int, p_values: Callable[[int, int], float | None], alpha: float = 0.05) -> float:
    """Largest chance of p <= alpha over the truths without a difference."""
    b, c = tables(n)
    rejects = np.array([(p_values(i, j) or 0.0) <= alpha for i, j in zip(b.tolist(), c.tolist(), strict=True)])
    return max(float(weights(n, psi / 2, psi / 2) @ rejects) for psi, delta in truths(n) if delta == 0.0)


def margin_size(n: int, margin: float, *, rates: tuple[float, ...] = PSI, alpha: float = 0.05) -> float:
    """Largest chance of calling a treatment non-inferior that is worse by exactly the margin.

    The test rejects from some Z upwards, so the tables are sorted by Z and the product is asked where the claim begins.
    """
    b, c = tables(n)
    order = np.argsort(-tango_z_many(b, c, n, -margin), kind="stable")
    first, last = 0, order.size
    while first < last:
        middle = (first + last) // 2
        i = order[middle]
        met = noninferiority_binary(int(b[i]), int(c[i]), n, margin, alpha).is_met
        first, last = (middle + 1, last) if met else (first, middle)
    claims = np.zeros(b.size)
    claims[order[:first]] = 1.0
    possible = [rate for rate in (*rates, margin) if rate >= margin]
    return max(float(weights(n, (rate - margin) / 2, (rate + margin) / 2) @ claims) for rate in possible)


def newcombe_coverage(n: int, both_right: float) -> tuple[float, float]:
    """Of Newcombe's interval, which also looks at the unchanged items: `both_right` of them are right in both arms."""
    b, c = tables(n)
    low, high, share, where = [], [], [], []
    for place, (i, j) in enumerate(zip(b.tolist(), c.tolist(), strict=True)):
        rest = n - i - j
        splits = binom_pmf(np.arange(rest + 1), rest, both_right).tolist()
        for a, p in enumerate(splits):
            if p < 1e-12:
                continue
            estimate = newcombe(a, i, j, rest - a)
            assert estimate.ci_low is not None
            assert estimate.ci_high is not None
            low.append(estimate.ci_low)
            high.append(estimate.ci_high)
            share.append(p)
            where.append(place)
    ends, split, index = (np.array(low), np.array(high)), np.array(share), np.array(where)
    found = []
    for psi, delta in truths(n):
        holds = (ends[0] <= delta + ROUNDING) & (ends[1] >= delta - ROUNDING)
        found.append(float(weights(n, (psi + delta) / 2, (psi - delta) / 2)[index] * split @ holds))
    return min(found), float(np.mean(found))


def report(sizes: tuple[int, ...] = (20, 50, 100, 200)) -> Iterator[Row]:
    """Every line, in the order of the documentation; n = 200 leaves out what takes long and is there for contrast only."""
    for n in sizes:
        intervals: dict[str, Ends] = {
            "tango": tango_ends(n),
            "bonett_price": one_by_one(n, bonett_price),
            "agresti_min": one_by_one(n, agresti_min),
            "wald": one_by_one(n, wald),
        }
        if n <= 100:
            intervals["paired_t"] = one_by_one(n, t_interval)
            intervals["percentile_bootstrap"] = one_by_one(n, percentile)
        for name, ends in intervals.items():
            lowest, mean = coverage(n, ends)
            yield Row(method=name, n=n, lowest=lowest, mean=mean)
        if n <= 50:
            lowest, mean = newcombe_coverage(n, 0.7)
            yield Row(method="newcombe", n=n, lowest=lowest, mean=mean)
        yield Row(method="mcnemar_exact", n=n, highest=size(n, lambda b, c: mcnemar_exact(b, c).p_value))
        yield Row(method="mcnemar_midp", n=n, highest=size(n, lambda b, c: mcnemar_midp(b, c).p_value))
        yield Row(method="mcnemar_chi2", n=n, highest=size(n, lambda b, c: mcnemar_chi2(b, c).p_value))
        for margin in MARGINS:
            yield Row(method=f"noninferiority_{margin:g}", n=n, highest=margin_size(n, margin))
        yield Row(method="noninferiority_0.05_ceiling", n=n, highest=margin_size(n, 0.05, rates=(CEILING,)))


def gates(row: Row) -> Iterator[Gate]:
    """What a line must satisfy: the limits of the methods that the product uses, and every reference number, to 1e-3."""
    name = f"{row.method} at n = {row.n}"
    if row.method in ("tango", "bonett_price") and row.lowest is not None and row.mean is not None:
        needed = 0.925 if row.method == "bonett_price" and row.n == 20 else 0.930
        yield Gate(name=f"{name}, lowest coverage", measured=row.lowest, at_least=needed)
        yield Gate(name=f"{name}, mean coverage", measured=row.mean, at_most=0.97)
    if row.highest is not None and (row.method == "mcnemar_midp" or row.method.startswith("noninferiority")):
        yield Gate(name=f"{name}, size", measured=row.highest, at_most=0.0505)
    wanted = (*REFERENCE.get((row.method, row.n), (None, None)), REFERENCE_SIZE.get((row.method, row.n)))
    for what, reference, measured in zip(("lowest coverage", "mean coverage", "size"), wanted, (row.lowest, row.mean, row.highest), strict=True):
        if reference is not None and measured is not None:
            yield Gate(name=f"{name}, {what} of independent code", measured=measured, at_least=reference - SAME, at_most=reference + SAME)


def measure(scale: float = 1.0) -> Outcome:
    """All sizes, or the two smaller ones when scale is below 1. Nothing here is random."""
    rows = list(report() if scale >= 1.0 else report((20, 50)))
    cells = [[row.method, row.n, *("" if x is None else x for x in (row.lowest, row.mean, row.highest))] for row in rows]
    header = ("method", "n", "lowest coverage", "mean coverage", "largest size")
    title = "Right/wrong answers, every outcome enumerated (95 % intervals, 5 % tests)"
    return Outcome(tables=(table(title, header, cells),), gates=tuple(gate for row in rows for gate in gates(row)))


if __name__ == "__main__":
    sys.exit(finish(measure()))
