"""Do effects differ between slices of the items? A test that keeps its level with many slices of few items, where Cochran's Q does not.

Q divides by variances that each slice tells of itself: with three items in each of forty slices it has p < .001 in nine of ten trials without a
difference (tests/calibration/corners.py). Here the law of Q is that of the same items dealt anew to the slices, and small slices are left out.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.distributions import chi2_sf
from batchtrial.stats.labels import codes_of
from batchtrial.stats.pairing import as_scores
from batchtrial.stats.results import Test, undefined_test

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
METHOD: Final = "permuted_q"
DEALS: Final = 1_999
FEWEST: Final = 10
"""Items, or clusters, below which a slice is left out."""
LARGE: Final = 20_000
"""Items, or clusters, from which the limit law of Q is used: the slices that are shown are then large but for a few."""
REACHES_OVER: Final = "clusters reach over several slices, so that these are not independent"
_BORROWED: Final = 1.0
"""Items' worth of the variance of all that each slice's own is mixed with."""
_AT_ONCE: Final = 1 << 22
_TIE: Final = 1e-9
_ROUNDING: Final = 1e-12


def effects_differ(differences: ArrayLike, labels: ArrayLike, *, seed: int, clusters: ArrayLike | None = None) -> Test:
    """Whether the mean difference is the same in every slice.

    differences: shape (n,), NaN where a pair is not complete; labels: the slice of each item; clusters: one label for each item, whole clusters are
    dealt. Slices of fewer than `FEWEST` items, or clusters, are left out: they cannot tell how much they vary. Statistic: sum of w (a - mean)^2, a
    the slice's mean deviation, w its units over their variance. p = (1 + deals with as large a Q) / (1 + deals): exact when slices have nothing to
    do with the differences, and in the limit when only their means are alike. Fewer than two slices that are large enough, and clusters in several
    slices: undefined. Raises DataError when shapes differ. Source: Chung & Romano 2013, Annals of Statistics 41:484.
    """
    d, groups = as_scores(differences, "differences"), np.asarray(labels).ravel()
    units = None if clusters is None else np.asarray(clusters).ravel()
    if d.shape != groups.shape or (units is not None and units.shape != d.shape):
        raise DataError("differences, labels and clusters of the same items are needed", where=f"{d.size} and {groups.size}")
    kept = ~np.isnan(d)
    d, codes = d[kept], np.unique(groups[kept], return_inverse=True)[1]
    unit, of_units = (np.arange(d.size), codes) if units is None else _whole(units[kept], codes)
    if (of_units[unit] != codes).any():
        return undefined_test(REACHES_OVER, method=METHOD, n=int(codes.max()) + 1)
    is_large = np.bincount(of_units, minlength=1) >= FEWEST
    n_slices = int(is_large.sum())
    if n_slices < 2:
        return undefined_test(f"fewer than two slices of {FEWEST} {'items' if units is None else 'clusters'}", method=METHOD, n=n_slices)
    mine = is_large[codes]
    sums = np.bincount(unit[mine], weights=d[mine] - d[mine].mean(), minlength=of_units.size).astype(np.float64)
    order = np.argsort(of_units, kind="stable")
    order = order[is_large[of_units[order]]]
    dealt, starts, sizes = sums[order], *np.unique(of_units[order], return_index=True, return_counts=True)[1:]
    largest = float(np.abs(dealt).max())
    if largest <= _ROUNDING * float(np.abs(d).max()):  # the same difference everywhere, as where no item changed: however dealt, Q is 0
        return Test(statistic=0.0, p_value=1.0, method=METHOD, n=n_slices)
    dealt = dealt / 2.0 ** math.frexp(largest)[1]  # which changes no digit of Q, and squares of tiny scores must not vanish
    seen = float(_q(dealt[None, :], starts, sizes)[0])
    if dealt.size >= LARGE:
        return Test(statistic=seen, p_value=chi2_sf(seen, n_slices - 1), method="shrunken_q", n=n_slices)
    return Test(statistic=seen, p_value=_by_deals(dealt, starts, sizes, seen, seed), method=METHOD, n=n_slices, seed=seed)


def _whole(labels: NDArray[np.generic], codes: Places) -> tuple[Places, Places]:
    """The cluster of each item, and a slice of each cluster."""
    unit = codes_of(labels)
    own = np.zeros(int(unit.max(initial=-1)) + 1, dtype=codes.dtype)
    own[unit] = codes
    return unit, own


def _by_deals(d: Floats, starts: Places, sizes: Places, seen: float, seed: int) -> float:
    rng, reached, left = np.random.default_rng(seed), 0, DEALS
    while left:
        rows = min(left, max(1, _AT_ONCE // d.size))
        dealt = rng.permuted(np.broadcast_to(d, (rows, d.size)), axis=1)
        reached += int(np.count_nonzero(_q(dealt, starts, sizes) >= seen * (1.0 - _TIE) - _TIE))
        left -= rows
    return (1 + reached) / (1 + DEALS)


def _q(d: Floats, starts: Places, sizes: Places) -> Floats:
    """Q of each row; its items stand slice by slice."""
    means = np.add.reduceat(d, starts, axis=1) / sizes
    inside = np.maximum(np.add.reduceat(d * d, starts, axis=1) - sizes * means**2, 0.0)
    total = np.maximum((d * d).mean(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    weights = sizes * (sizes - 1.0 + _BORROWED) / (inside + _BORROWED * total)
    middle = (weights * means).sum(axis=1, keepdims=True) / weights.sum(axis=1, keepdims=True)
    found: Floats = (weights * (means - middle) ** 2).sum(axis=1)
    return found
