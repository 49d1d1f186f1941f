"""Several endpoints, or several treatments against one control, tested together with their correlation.

Every endpoint of a resample gets the same random signs, so endpoints that move together are not paid for twice: max-T is less
strict than Holm when they are correlated and the same when they are not. Treatments that share a control are such a family
(Dunnett's problem): all their differences contain the same control answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.lattice import MOST_VALUES
from batchtrial.stats.pairing import LARGEST_SCORE
from batchtrial.stats.permutation import DEFAULT_FLIPS
from batchtrial.stats.results import Estimate, Test, check_level, estimate_around
from batchtrial.stats.scores import ALL_EQUAL, TOO_FEW
from batchtrial.stats.special import Floats
from batchtrial.stats.sums import product

_MOST_PATTERNS = 4_096
_MOST_LITERAL = 1e10  # signs times columns that are drawn one by one: a few seconds of table look-ups
_FLAT = 1e-12  # of the sum of squares: a spread below this is rounding
_GROUP = 8  # rows whose signs one random byte decides


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxT:
    """Endpoints of one family, in the order given.

    tests: statistic is t = mean / se, p_value the step-down adjusted p. estimates: mean differences with simultaneous intervals
    mean +- critical se, which all hold together with probability `level`. critical is None when no endpoint varies.
    """

    tests: tuple[Test, ...]
    estimates: tuple[Estimate, ...]
    critical: float | None


@dataclass(frozen=True, slots=True)
class _Endpoints:
    """Sums per unit (cluster, or item) and endpoint, with how many items each sum holds; shapes (units, m)."""

    sums: Floats
    sizes: Floats

    def spread(self, totals: Floats, weighted: Floats) -> Floats:
        """Standard error (CR1) of each total of +-u, shape (..., m), given it and the total of +-u times size; 0 if flat.

        sum (u - mean size)^2 = sum u^2 - 2 mean sum(u size) + mean^2 sum size^2.
        """
        items, squares = self.sizes.sum(axis=0), np.square(self.sums).sum(axis=0)
        units = np.maximum(np.count_nonzero(self.sizes, axis=0), 2)
        means = totals / np.maximum(items, 1.0)
        rest = squares - 2.0 * means * weighted + np.square(means) * np.square(self.sizes).sum(axis=0)
        return np.where(rest <= _FLAT * squares, 0.0, np.sqrt(np.maximum(rest, 0.0) * units / (units - 1.0)))

    def ratio(self, totals: Floats, weighted: Floats) -> Floats:
        """|t| = |total| / spread: 0 for a total of 0, infinite for another one without spread."""
        spread = self.spread(totals, weighted)
        return np.divide(np.abs(totals), spread, out=np.where(totals == 0.0, 0.0, np.inf), where=spread > 0.0)


def max_t(
    differences: ArrayLike,
    *,
    seed: int,
    level: float = 0.95,
    clusters: ArrayLike | None = None,
    flips: int = DEFAULT_FLIPS,
) -> MaxT:
    """Romano and Wolf's step-down max-T by shared sign flips.

    differences: shape (n_items, m), treatment minus control per item and endpoint; NaN where an item lacks that endpoint.
    clusters: label per item; the items of a label flip together.
    With |t| sorted from the largest, adjusted p of the k-th: (1 + #(max of |t*| over it and all smaller >= |t|)) / (1 + flips),
    made non-decreasing. An endpoint that is zero everywhere has p = 1; one without items has none.
    Few distinct rows (right/wrong endpoints) cost one binomial each instead of a sign per item; where even table look-ups
    would take minutes the sums are drawn from their normal limit, and the method says so.
    Raises DataError on other shapes, labels of another length and flips < 1.
    Source: Westfall & Young 1993, Resampling-Based Multiple Testing; Romano & Wolf 2005, JASA 100:94.
    """
    check_level(level)
    d = _matrix(differences)
    if flips < 1:
        raise DataError(f"max-T needs at least one flip, not {flips!r}")
    seen = ~np.isnan(d)
    endpoints = _endpoints(np.where(seen, d, 0.0), seen.astype(np.float64), clusters)
    m = d.shape[1]
    weighted = endpoints.sums * endpoints.sizes
    observed = endpoints.ratio(endpoints.sums.sum(axis=0), weighted.sum(axis=0))
    columns = endpoints.sums if clusters is None else np.concatenate([endpoints.sums, weighted], axis=1)
    draws, method = _flipped_sums(columns, np.random.default_rng(seed), flips)
    null = endpoints.ratio(draws[:, :m], draws[:, -m:])
    items = seen.sum(axis=0)
    se = endpoints.spread(endpoints.sums.sum(axis=0), weighted.sum(axis=0)) / np.maximum(items, 1)
    varies = se > 0.0
    critical = _upper_quantile(null[:, varies].max(axis=1), level) if varies.any() else None
    adjusted = _step_down(observed, null)
    tests, estimates = [], []
    for j in range(m):
        n, mean = int(items[j]), float(endpoints.sums[:, j].sum() / items[j]) if items[j] else None
        dropped = d.shape[0] - n
        tests.append(_test(mean, float(observed[j]), float(adjusted[j]), n, dropped, method, seed))
        estimates.append(_estimate(mean, float(se[j]), critical, level, n, dropped, method, seed))
    return MaxT(tests=tuple(tests), estimates=tuple(estimates), critical=critical)


def dunnett(
    treatments: ArrayLike,
    control: ArrayLike,
    *,
    seed: int,
    level: float = 0.95,
    clusters: ArrayLike | None = None,
    flips: int = DEFAULT_FLIPS,
) -> MaxT:
    """Several treatments against one shared control, on the same items: `max_t` of their differences from it.

    treatments: shape (n_items, k); control: shape (n_items,); NaN is missing. The family-wise error over the k comparisons is
    held with the correlation that the shared control gives them (Dunnett 1955, JASA 50:1096, without normality).
    """
    t, c = np.asarray(treatments, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if t.ndim != 2 or c.shape != t.shape[:1]:
        raise DataError(f"treatments (n_items, k) and control (n_items,) do not fit: shapes {t.shape} and {c.shape}")
    return max_t(t - c[:, None], seed=seed, level=level, clusters=clusters, flips=flips)


def _matrix(differences: ArrayLike) -> Floats:
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 2 or d.shape[1] == 0:
        raise DataError(f"endpoints come as an array (n_items, m), not of shape {d.shape}")
    if d.size and float(np.fmax.reduce(np.abs(d), axis=None)) > LARGEST_SCORE:
        raise DataError(f"a difference is beyond {LARGEST_SCORE:g}", hint="a missing difference is NaN")
    return d


def _endpoints(filled: Floats, sizes: Floats, clusters: ArrayLike | None) -> _Endpoints:
    if clusters is None:
        return _Endpoints(filled, sizes)
    labels = np.asarray(clusters)
    if labels.shape != filled.shape[:1]:
        raise DataError(f"{filled.shape[0]} items but {labels.size} cluster labels")
    names, where = np.unique(labels, return_inverse=True)

    def per_cluster(x: Floats) -> Floats:
        return np.stack([np.bincount(where, weights=column, minlength=names.size) for column in x.T], axis=1)

    return _Endpoints(per_cluster(filled), per_cluster(sizes))


def _flipped_sums(rows: Floats, rng: np.random.Generator, flips: int) -> tuple[Floats, str]:
    """Column sums of the rows under random signs, one sign per row: shape (flips, columns), and how they were found."""
    rows = rows[np.any(rows != 0.0, axis=1)]
    if (patterns := _patterns(rows)) is not None:
        distinct, counts = patterns
        return product(2.0 * rng.binomial(counts, 0.5, size=(flips, counts.size)) - counts, distinct), "max_t"
    if rows.size * float(flips) > _MOST_LITERAL:
        values, vectors = np.linalg.eigh(product(rows.T, rows))
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return product(rng.standard_normal((flips, rows.shape[1])), root.T), "max_t_normal"
    padded = np.concatenate([rows, np.zeros((-rows.shape[0] % _GROUP, rows.shape[1]))])
    signs = 1.0 - 2.0 * ((np.arange(256)[:, None] >> np.arange(_GROUP)) & 1)
    sums = np.zeros((flips, rows.shape[1]))
    for group in padded.reshape(-1, _GROUP, rows.shape[1]):
        sums += product(signs, group)[rng.integers(0, 256, size=flips, dtype=np.uint8)]
    return sums, "max_t"


def _patterns(rows: Floats) -> tuple[Floats, NDArray[np.int64]] | None:
    """Distinct rows up to sign, with counts; None when there are too many of them to be worth it."""
    code = np.zeros(rows.shape[0], dtype=np.int64)
    for column in rows.T:
        values, where = np.unique(column, return_inverse=True)
        if values.size > MOST_VALUES:
            return None
        _, code = np.unique(code * values.size + where, return_inverse=True)
    _, first, counts = np.unique(code, return_index=True, return_counts=True)
    if counts.size > min(_MOST_PATTERNS, rows.shape[0] // 4):
        return None
    return rows[first], counts.astype(np.int64)


def _step_down(observed: Floats, null: Floats) -> Floats:
    """Adjusted p in the order of the endpoints."""
    order = np.argsort(-observed, kind="stable")
    # max over this endpoint and all with a smaller |t|: a running maximum from the smallest up
    highest = np.maximum.accumulate(null[:, order[::-1]], axis=1)[:, ::-1]
    reached = np.count_nonzero(highest >= observed[order] * (1.0 - _FLAT), axis=0)
    steps = np.maximum.accumulate((1.0 + reached) / (1.0 + null.shape[0]))
    adjusted = np.empty_like(steps)
    adjusted[order] = steps
    return adjusted


def _upper_quantile(maxima: Floats, level: float) -> float | None:
    """The (1 + flips) level-th smallest maximum, so that the data count as one of the flips; None when it is infinite."""
    place = min(math.ceil(level * (maxima.size + 1)), maxima.size) - 1
    value = float(np.partition(maxima, place)[place])
    return value if math.isfinite(value) else None


def _test(mean: float | None, t: float, p: float, n: int, dropped: int, method: str, seed: int) -> Test:
    if mean is None:
        return Test(statistic=None, p_value=None, method=method, n=0, dropped=dropped, reason="there are no complete pairs")
    statistic = math.copysign(t, mean) if math.isfinite(t) else None
    warnings = () if statistic is not None else ("all differences are equal: t has no value, p counts sign patterns",)
    return Test(statistic=statistic, p_value=p, method=method, n=n, dropped=dropped, seed=seed, warnings=warnings)


def _estimate(mean: float | None, se: float, critical: float | None, level: float, n: int, dropped: int, method: str, seed: int) -> Estimate:
    reason = "there are no complete pairs" if mean is None else TOO_FEW if n < 2 else ALL_EQUAL
    if mean is None or critical is None or se == 0.0:
        return Estimate(value=mean, ci_low=None, ci_high=None, level=level, method=method, n=n, dropped=dropped, reason=reason)
    return estimate_around(mean, critical * se, level=level, method=method, n=n, dropped=dropped, se=se, seed=seed)
