"""Sign-flip permutation test: the headline p for paired scores.

If the treatment changes nothing, swapping the two arms of an item is as likely as not, so each difference could have had the
other sign. The p-value is the share of all sign patterns whose sum is at least as far from zero as the one seen. It assumes
nothing about the shape of the scores, tests the same mean that the interval is about, and for right/wrong answers it is the
exact McNemar test. Items of a cluster flip together.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.amounts import counted
from batchtrial.errors import DataError
from batchtrial.stats.binary import FEW_CHANGED
from batchtrial.stats.distributions import norm_pdf, norm_sf
from batchtrial.stats.labels import codes_of
from batchtrial.stats.lattice import MOST_VALUES, flip_tail, grid_of, log_cosh
from batchtrial.stats.pairing import Scores, as_scores
from batchtrial.stats.results import Test, undefined_test
from batchtrial.stats.special import Floats
from batchtrial.stats.sums import by_row, dot

DEFAULT_FLIPS = 9_999
ENUMERATED = 20
"""Non-zero differences up to which every sign pattern is enumerated."""

LARGE = 10_000
"""Non-zero differences from which a continuous law is computed by expansion instead of simulated."""

_TIE = 1e-12  # of the sum of |d|: sums closer than this count as equal
_GROUP = 8  # signs that one random byte decides
_FAR = 4.0  # standard deviations beyond which the Edgeworth series gives way to the saddle point


def sign_flip(differences: Scores, *, seed: int, clusters: ArrayLike | None = None, flips: int = DEFAULT_FLIPS) -> Test:
    """Two-sided sign-flip test, p = P(|sum +-d| >= |sum d|).

    differences: treatment minus control per item, shape (n,); None and NaN are dropped and counted, zeros do not matter.
    clusters: label per item, same shape; differences of one label are summed and flip together.
    statistic is the mean difference, n the number of non-zero differences (cluster sums). The method says how p was found:
    sign_flip_exact (all patterns, n <= 20), sign_flip_grid (exact, values on a grid: means of K samples, any n),
    sign_flip_monte_carlo with p = (1 + #) / (1 + flips), or sign_flip_edgeworth (n >= 10,000 continuous values, no seed).
    All differences zero: p = 1. No differences: undefined. Raises DataError on flips < 1 and labels of another length.
    Source: Fisher 1935, The Design of Experiments, section 21; (1 + #) of Phipson & Smyth 2010. Reference: R coin, exact.
    """
    if flips < 1:
        raise DataError(f"a permutation test needs at least one flip, not {flips!r}")
    array = as_scores(differences, "differences")
    keep = ~np.isnan(array)
    d, dropped = array[keep], int(array.size - np.count_nonzero(keep))
    if d.size == 0:
        return undefined_test("there are no complete pairs", method="sign_flip", n=0, dropped=dropped)
    mean = float(np.mean(d))
    size = float(np.abs(d).max(initial=0.0))
    if clusters is not None:
        d = _cluster_sums(d, np.asarray(clusters), keep)
    # A cluster whose differences cancel leaves a rounding error, not a difference; so may every one of them.
    d = d[np.abs(d) > _TIE * size]
    unit = "item" if clusters is None else "cluster"
    few = f"no {unit} changed" if d.size == 0 else f"only {counted(d.size, unit)} changed: read with care"
    warnings = (few,) if d.size < FEW_CHANGED else ()
    p, method, used_seed = _p_value(d, seed, flips)
    return Test(statistic=mean, p_value=p, method=method, n=d.size, dropped=dropped, seed=used_seed, warnings=warnings)


def _cluster_sums(d: Floats, labels: NDArray[np.generic], keep: NDArray[np.bool_]) -> Floats:
    if labels.shape != keep.shape:
        raise DataError(f"{keep.size} differences but {labels.size} cluster labels")
    return np.asarray(np.bincount(codes_of(labels[keep]), weights=d), dtype=np.float64)


def _p_value(d: Floats, seed: int, flips: int) -> tuple[float, str, int | None]:
    total = abs(math.fsum(d.tolist()) if d.size <= LARGE else float(np.sum(d)))
    scale = float(np.sum(np.abs(d)))
    if d.size == 0 or total <= _TIE * scale:
        return 1.0, "sign_flip_exact", None
    if d.size <= ENUMERATED:
        return _enumerated(d, total - _TIE * scale), "sign_flip_exact", None
    sizes, counts = np.unique(np.abs(d), return_counts=True)
    if (p := _on_a_grid(d, sizes, counts)) is not None:
        return p, "sign_flip_grid", None
    if d.size >= LARGE and (p := _expansion(sizes, counts.astype(np.float64), total)) is not None:
        return p, "sign_flip_edgeworth", None
    rng = np.random.default_rng(seed)
    if sizes.size <= min(MOST_VALUES, d.size // _GROUP):
        sums = by_row(2.0 * rng.binomial(counts, 0.5, size=(flips, sizes.size)) - counts, sizes)
    else:
        sums = _random_sums(np.repeat(sizes, counts), rng, flips)
    as_far = int(np.count_nonzero(np.abs(sums) >= total - _TIE * scale))
    return (1 + as_far) / (1 + flips), "sign_flip_monte_carlo", seed


def _enumerated(d: Floats, threshold: float) -> float:
    """Share of all 2^m patterns that reach the threshold; the first sign is fixed, since a pattern and its mirror agree."""
    sums = np.array([abs(float(d[0]))])
    for size in np.abs(d[1:]).tolist():
        sums = np.concatenate([sums + size, sums - size])
    return float(np.count_nonzero(np.abs(sums) >= threshold)) / sums.size


def _on_a_grid(d: Floats, sizes: Floats, counts: NDArray[np.int64]) -> float | None:
    grid = grid_of(sizes, counts)
    if grid is None:
        return None
    observed = abs(int(np.sum(np.rint(d / grid.unit))))
    tail = flip_tail(grid.steps, grid.counts, observed) if observed else 0.5
    return None if tail is None else min(1.0, 2.0 * tail)


def _random_sums(sizes: Floats, rng: np.random.Generator, flips: int) -> Floats:
    """Sums under random signs. Eight items share a random byte, which looks its sum up in a table of the 256 patterns."""
    padded = np.concatenate([sizes, np.zeros(-sizes.size % _GROUP)]).reshape(-1, _GROUP)
    signs = 1.0 - 2.0 * ((np.arange(256)[:, None] >> np.arange(_GROUP)) & 1)
    sums = np.zeros(flips)
    for group in padded:
        sums += by_row(signs, group)[rng.integers(0, 256, size=flips, dtype=np.uint8)]
    return sums


def _expansion(sizes: Floats, counts: Floats, total: float) -> float | None:
    """Two-sided tail of the sum of +-d for many continuous d; None when few large values dominate and it cannot be trusted.

    Near the centre the Edgeworth series with the 4th and 6th cumulant (-2 sum d^4, 16 sum d^6; odd ones vanish by symmetry),
    further out the Lugannani-Rice saddle point, whose error stays small relative to the tail.
    """
    unit = sizes / sizes[-1]
    square = np.square(unit)
    variance = dot(counts, square)
    k4 = -2.0 * dot(counts, np.square(square)) / variance**2
    k6 = 16.0 * dot(counts, square * np.square(square)) / variance**3
    if abs(k4) > 0.01:
        return None
    x = total / float(sizes[-1]) / math.sqrt(variance)
    if x > _FAR:
        return 2.0 * _saddle_point_tail(unit, counts, x * math.sqrt(variance))
    he3, he5, he7 = x**3 - 3 * x, x**5 - 10 * x**3 + 15 * x, x**7 - 21 * x**5 + 105 * x**3 - 105 * x
    return min(1.0, 2.0 * (norm_sf(x) + norm_pdf(x) * (k4 / 24 * he3 + k6 / 720 * he5 + k4 * k4 / 1152 * he7)))


def _saddle_point_tail(unit: Floats, counts: Floats, total: float) -> float:
    """Lugannani & Rice 1980: P(S >= total) for S = sum of +-unit, from K(t) = sum log cosh(t d)."""
    tilt = total / dot(counts, np.square(unit))
    for _ in range(50):
        slope = np.tanh(tilt * unit)
        curvature = dot(counts, np.square(unit) * (1.0 - np.square(slope)))
        step = (total - dot(counts, unit * slope)) / curvature if curvature > 0.0 else 0.0
        tilt += step
        if abs(step) <= 1e-12 * tilt:
            break
    exponent = tilt * total - dot(counts, log_cosh(tilt * unit))
    w, u = math.sqrt(2.0 * max(exponent, 0.0)), tilt * math.sqrt(curvature)
    return max(norm_sf(w) + norm_pdf(w) * (1.0 / u - 1.0 / w), 0.0) if u > 0.0 else norm_sf(w)
