"""A ratio of two means with Fieller's interval, which admits when the denominator may be zero."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.distributions import t_two_sided
from batchtrial.stats.labels import codes_of
from batchtrial.stats.pairing import as_scores
from batchtrial.stats.results import Estimate, check_level, undefined_estimate
from batchtrial.stats.sums import covariance

Floats = NDArray[np.float64]

NO_ITEMS = "no items"
UNBOUNDED = "the denominator's interval includes zero, so the ratio has no bounded interval"


def fieller_ratio(numerators: ArrayLike, denominators: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95) -> Estimate:
    """mean(x) / mean(y) of the same items, with the set of ratios R that a t-test of mean(x - R y) = 0 keeps.

    numerators x, denominators y: shape (n,); a missing value in either drops the item. clusters: one label for each
    item; the totals of the clusters are then the units, which leaves the ratio as it is. The set is a bounded interval
    exactly when the t-test rejects mean(y) = 0; otherwise (rays or the whole line) the interval is None with the
    reason. mean(y) = 0 or n < 2: no value or no interval. Raises DataError when shapes differ.
    Source: Fieller 1954, JRSS-B 16:175.
    """
    check_level(level)
    x, y = as_scores(numerators, "numerators"), as_scores(denominators, "denominators")
    if x.shape != y.shape:
        raise DataError("a ratio needs numerators and denominators of the same items", where=f"{x.size} and {y.size}")
    kept = ~(np.isnan(x) | np.isnan(y))
    x, y, dropped = x[kept], y[kept], int(x.size - kept.sum())
    if clusters is not None:
        labels = codes_of(np.asarray(clusters).ravel()[kept])
        x, y = (np.bincount(labels, weights=each).astype(np.float64) for each in (x, y))
    n = x.size

    def without(reason: str, value: float | None) -> Estimate:
        return undefined_estimate(reason, level=level, method="fieller", n=n, dropped=dropped, value=value)

    if n == 0:
        return without(NO_ITEMS, None)
    mean_x, mean_y = float(x.mean()), float(y.mean())
    if abs(mean_y) <= 1e-14 * float(np.abs(y).max()) or mean_y == 0.0:
        return without("the denominator is zero on average", None)
    ratio = mean_x / mean_y
    if not math.isfinite(ratio):
        return without("the denominator is too close to zero", None)
    if n < 2:
        return without(f"an interval needs at least two {'items' if clusters is None else 'clusters'}", ratio)
    ends = _ends(x, y, t_two_sided(level, n - 1.0) ** 2)
    if ends is None:
        return without(UNBOUNDED, ratio)
    low, high = ends
    return Estimate(
        value=ratio,
        ci_low=min(low, ratio),
        ci_high=max(high, ratio),
        level=level,
        method="fieller",
        n=n,
        dropped=dropped,
    )


def _ends(x: Floats, y: Floats, t2: float) -> tuple[float, float] | None:
    """Both ends of the set of ratios that a t-test keeps; None when it is no bounded interval."""
    # In units of the means' scale, so that squares neither overflow nor vanish.
    scale_x, scale_y = float(np.abs(x).max()) or 1.0, float(np.abs(y).max())
    x, y = x / scale_x, y / scale_y
    a = float(y.mean()) ** 2 - t2 * float(y.var(ddof=1)) / x.size
    half_b = float(x.mean() * y.mean()) - t2 * covariance(x, y) / x.size
    c = float(x.mean()) ** 2 - t2 * float(x.var(ddof=1)) / x.size
    if a <= 0.0:
        return None
    root = math.sqrt(max(0.0, half_b * half_b - a * c))
    unit = scale_x / scale_y
    low, high = (half_b - root) / a * unit, (half_b + root) / a * unit
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None
