"""Exact laws of sums on an integer grid, by fast Fourier transform.

Means of K samples, right/wrong answers, ranks and many rounded scores are whole multiples of one unit. A sum of n of them
then lives on a grid, and its whole resampling law can be written down instead of simulated. Only a window around where the
probability is gets transformed, so a million items cost milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchtrial.stats.special import Floats
from batchtrial.stats.sums import dot

MOST_VALUES = 512
"""Distinct values above which data count as continuous."""

_LARGEST_STEP = 1_000_000  # a value that is more units than this is not on a useful grid
_MOST_WORK = 40_000_000  # window length times distinct values


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Distinct values as whole multiples of `unit`, with how often each occurs; steps ascending, shapes (u,)."""

    unit: float
    steps: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """A discrete distribution: ascending values and their probabilities, same shape, probabilities summing to one."""

    values: Floats
    probabilities: Floats

    def quantile(self, p: float) -> float:
        """Smallest value v with P(X <= v) >= p, up to rounding."""
        reached = np.cumsum(self.probabilities) >= p - 1e-12
        return float(self.values[int(np.argmax(reached))] if reached.any() else self.values[-1])

    def interval(self, low_tail: float, high_tail: float) -> tuple[float, float]:
        """Lower and upper quantile with these tail probabilities; mirrors exactly when the law is mirrored.

        The upper one is the largest value v with P(X >= v) >= high_tail.
        """
        reached = np.cumsum(self.probabilities[::-1]) >= high_tail - 1e-12
        high = self.values[::-1][int(np.argmax(reached))] if reached.any() else self.values[0]
        return self.quantile(low_tail), float(high)

    def share_below(self, x: float, tolerance: float) -> float:
        """P(X < x) + P(X = x) / 2, values within `tolerance` of x counting as equal."""
        below = self.values < x - tolerance
        equal = np.abs(self.values - x) <= tolerance
        return float(self.probabilities[below].sum() + 0.5 * self.probabilities[equal].sum())


def grid_of(values: Sequence[float] | Floats, counts: Sequence[int] | NDArray[np.int64]) -> Grid | None:
    """The coarsest grid that holds all values (to a millionth of its unit), or None when there is no useful one.

    values: distinct up to rounding; counts: how often each occurs, same shape. Values that differ only by rounding are
    merged. The unit is the greatest common divisor, found by Euclid's algorithm on floats.
    """
    v, c = np.asarray(values, dtype=np.float64), np.asarray(counts, dtype=np.int64)
    sizes, _ = np.unique(np.abs(v[v != 0.0]), return_counts=True)  # without the counts NumPy loads its masked arrays first, which takes longer
    if v.size == 0 or v.size > MOST_VALUES:
        return None
    if sizes.size == 0:
        return Grid(unit=1.0, steps=np.zeros(1, dtype=np.int64), counts=np.array([c.sum()]))
    tolerance, unit = 1e-9 * float(sizes[-1]), float(sizes[0])
    for size in sizes.tolist():
        a, b = size, unit
        while b > tolerance:
            a, b = b, math.fmod(a, b)
            b = 0.0 if a - b <= tolerance else b
        unit = a
    if unit <= tolerance or float(sizes[-1]) / unit > _LARGEST_STEP:
        return None
    multiples = v / unit
    steps = np.rint(multiples).astype(np.int64)
    if float(np.abs(multiples - steps).max()) > 1e-6:
        return None
    merged, where = np.unique(steps, return_inverse=True)
    return Grid(unit=unit, steps=merged, counts=np.bincount(where, weights=c).astype(np.int64))


def resampling_law(grid: Grid) -> Law | None:
    """Law of the mean of n draws with replacement from the n values of the grid: the bootstrap with B = infinity.

    Its characteristic function is (sum_j p_j e^(i k_j theta))^n, transformed over a window of about 20 standard deviations.
    None when the window would be too large to be worth it.
    """
    n = int(grid.counts.sum())
    p = grid.counts / n
    centre = round(dot(p, grid.steps))
    k = grid.steps - centre
    mean, spread = dot(p, k), int(k.max() - k.min())
    sigma = math.sqrt(max(dot(p, np.square(k)) - mean * mean, 0.0) * n)
    size = _window(sigma, spread, n * spread + 1)
    if size * k.size > _MOST_WORK:
        return None
    theta = 2.0 * math.pi / size * np.arange(size // 2 + 1)
    # A window that holds everything starts at the smallest sum; another one is laid around the mean.
    start = n * int(k.min()) if size > n * spread else round(n * mean) - size // 2
    phi = np.zeros(theta.size, dtype=np.complex128)
    for step, share in zip(k.tolist(), p.tolist(), strict=True):
        phi += share * np.exp(-1j * step * theta)
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.where(phi == 0.0, 0.0, np.exp(n * np.log(phi) + 1j * start * theta))
    law = np.fft.irfft(powers, size)
    sums = start + np.arange(size, dtype=np.float64)
    kept = law > 1e-18
    probabilities = law[kept] / law[kept].sum()
    return Law(values=grid.unit * (centre + sums[kept] / n), probabilities=probabilities)


def flip_tail(steps: NDArray[np.int64], counts: NDArray[np.int64], observed: int) -> float | None:
    """P(S >= observed) for S = sum of +-k, every sign a fair coin: the exact sign-flip tail, observed > 0.

    steps: distinct k > 0, shape (u,); counts: how often each occurs. None when the window would be too large.
    The law is tilted by e^(lambda x) so that its mean is `observed`, transformed, and tilted back: the transform's rounding
    error is then relative to the tail, not to one, and a p of 1e-200 has as many digits as one of 0.2.
    """
    k, m = steps.astype(np.float64), counts.astype(np.float64)
    total = dot(k, m)
    if observed >= total:
        return 0.0 if observed > total else 0.5 ** float(m.sum())
    tilt = _tilt(k, m, float(observed))
    slope = np.tanh(tilt * k)
    sigma = math.sqrt(dot(m, np.square(k) * (1.0 - np.square(slope))))
    size = _window(sigma, int(k.max()), 2 * int(total) + 2)
    if size * k.size > _MOST_WORK:
        return None
    theta = 2.0 * math.pi / size * np.arange(size // 2 + 1)
    log_phi = 1j * observed * theta
    with np.errstate(divide="ignore"):
        for step, count, t in zip(k.tolist(), m.tolist(), slope.tolist(), strict=True):
            log_phi += count * np.log(np.cos(step * theta) - 1j * t * np.sin(step * theta))
    reach = min(size // 2, int(total) - observed + 1)  # beyond the largest sum the window repeats the smallest ones
    tilted = np.fft.irfft(np.exp(log_phi), size)[:reach]
    log_norm = dot(m, log_cosh(tilt * k)) - tilt * observed
    upper = float(np.sum(tilted * np.exp(-tilt * np.arange(reach))))
    return max(upper, 0.0) * math.exp(log_norm)


def log_cosh(y: Floats) -> Floats:
    """log cosh y without overflow."""
    size = np.abs(y)
    return np.asarray(size + np.log1p(np.exp(-2.0 * size)) - math.log(2.0))


def _tilt(k: Floats, m: Floats, observed: float) -> float:
    """The lambda with sum m k tanh(lambda k) = observed, by bisection: the left side grows from 0 to the total."""
    low, high = 0.0, 1.0 / float(k.min())
    while dot(m, k * np.tanh(high * k)) < observed and high < 700.0:
        low, high = high, 2.0 * high
    for _ in range(60):
        middle = 0.5 * (low + high)
        if dot(m, k * np.tanh(middle * k)) < observed:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _window(sigma: float, largest: int, support: int) -> int:
    """Even length that holds all but 1e-18 of a sum with this deviation and largest step (Bernstein), or all of it."""
    return 2 * min(math.ceil(9.5 * sigma) + 60 * largest + 8, math.ceil(support / 2) + 1)
