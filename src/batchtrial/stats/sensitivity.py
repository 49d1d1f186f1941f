"""Does the verdict hang on a threshold? The share of unsupported answers at every threshold that could have been
chosen.

An answer is unsupported when its support (the share of it that the context bears out, say) lies below a threshold.
The threshold is a choice; this table shows what other choices would have said. Its lines share their data and are
not separate findings: the declared threshold is tested, the others only describe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.clusters import clustered_mean
from batchtrial.stats.intervals import effective_tango
from batchtrial.stats.results import Estimate, check_level

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdPoint:
    """Share of items (or samples) whose answer is unsupported below this threshold, in each arm, and the paired difference."""

    threshold: float
    treatment: float | None
    control: float | None
    difference: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdSensitivity:
    """The whole table. is_sign_stable: no two thresholds point in opposite directions; is_verdict_stable: the
    intervals exclude
    zero on the same side at every threshold, or at none. Both False without items."""

    points: tuple[ThresholdPoint, ...]
    is_sign_stable: bool
    is_verdict_stable: bool
    n: int
    dropped: int


def threshold_sensitivity(
    support_treatment: ArrayLike,
    support_control: ArrayLike,
    *,
    thresholds: Sequence[float],
    answered_treatment: ArrayLike | None = None,
    answered_control: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> ThresholdSensitivity:
    """Difference in unsupported answers at every threshold, in the order given.

    support_*: shape (n,) or (n, K), support of each sample's answer; NaN: no answer was received. answered_*: same
    shape, False for an abstention, which is never unsupported whatever its support (which may then be NaN); None:
    all answered. An item is dropped when an arm has no sample left. clusters: one label for each item. Tango's
    interval on the effective sample size. Raises DataError when shapes differ or no threshold is given.
    """
    check_level(level)
    if not thresholds:
        raise DataError("at least one threshold is needed")
    arms = [_arm(support_treatment, answered_treatment), _arm(support_control, answered_control)]
    (support_t, answered_t), (support_c, answered_c) = arms
    labels = None if clusters is None else np.asarray(clusters).ravel()
    if len(support_t) != len(support_c) or (labels is not None and labels.size != len(support_t)):
        raise DataError("both arms list the same items, with one cluster label each")
    points = tuple(
        _point(
            float(threshold),
            _unsupported(support_t, answered_t, threshold),
            _unsupported(support_c, answered_c, threshold),
            labels,
            (support_t.shape[1], support_c.shape[1]),
            level,
        )
        for threshold in thresholds
    )
    first = points[0].difference
    known = [p.difference for p in points if p.difference.value is not None]
    signs = {np.sign(e.value) for e in known if e.value}
    return ThresholdSensitivity(
        points=points,
        is_sign_stable=bool(known) and len(signs) <= 1,
        is_verdict_stable=bool(known) and len({_side(e) for e in known}) == 1,
        n=first.n,
        dropped=first.dropped,
    )


def _arm(support: ArrayLike, answered: ArrayLike | None) -> tuple[Floats, NDArray[np.bool_]]:
    scores = np.asarray(support, dtype=np.float64)
    scores = scores[:, None] if scores.ndim == 1 else scores
    flags = np.ones(scores.shape, dtype=np.bool_) if answered is None else np.asarray(answered, dtype=np.bool_)
    flags = flags[:, None] if flags.ndim == 1 else flags
    if scores.ndim != 2 or flags.shape != scores.shape:
        raise DataError("support and answered need the same shape, items by samples", where=f"{scores.shape}, {flags.shape}")
    return scores, flags


def _unsupported(support: Floats, answered: NDArray[np.bool_], threshold: float) -> Floats:
    """Share of each item's samples that answered with too little support; NaN when no sample is left."""
    known = ~np.isnan(support) | ~answered
    below = answered & (np.nan_to_num(support, nan=np.inf) < threshold)
    counts = known.sum(axis=1)
    shares = np.full(len(support), np.nan)
    np.divide(below.sum(axis=1), counts, out=shares, where=counts > 0)
    return shares


def _point(
    threshold: float,
    t: Floats,
    c: Floats,
    labels: NDArray[np.generic] | None,
    n_samples: tuple[int, int],
    level: float,
) -> ThresholdPoint:
    variance, df, size = None, None, 1.0
    if labels is not None:
        clustered = clustered_mean(t - c, labels, level=level)
        variance = None if clustered.se_cr2 is None else clustered.se_cr2**2
        df, size = clustered.df, clustered.typical_size
    got = effective_tango(
        t,
        c,
        samples_treatment=max(1, n_samples[0]),
        samples_control=max(1, n_samples[1]),
        level=level,
        cluster_variance=variance,
        cluster_df=df,
        cluster_size=size,
    )
    kept = ~(np.isnan(t) | np.isnan(c))
    return ThresholdPoint(
        threshold=threshold,
        treatment=float(t[kept].mean()) if kept.any() else None,
        control=float(c[kept].mean()) if kept.any() else None,
        difference=replace(got, dropped=int((~kept).sum())),
    )


def _side(estimate: Estimate) -> int:
    if estimate.ci_low is not None and estimate.ci_low > 0.0:
        return 1
    return -1 if estimate.ci_high is not None and estimate.ci_high < 0.0 else 0
