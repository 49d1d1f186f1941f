"""Means whose items come in clusters: passages, documents, templates.

Items of one cluster share their fate, so the number of clusters, not of items, decides how much is known. Everything
here is closed form and O(n): for a mean (a regression on the intercept alone) the leverage of cluster g is n_g / n,
and the matrix square roots of the general method collapse to one number for each cluster.

Nothing here knows what a cluster is; the caller gives labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.distributions import t_sf, t_two_sided
from batchtrial.stats.labels import codes_of
from batchtrial.stats.pairing import as_scores
from batchtrial.stats.results import Estimate, Test, check_alpha, check_level, estimate_around, undefined_estimate, undefined_test
from batchtrial.stats.sums import ROUNDING, mean_of

Floats = NDArray[np.float64]

FEW_CLUSTERS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusteredMean:
    """A mean with the standard errors that respect clusters.

    estimate: mean, CR2 interval with Satterthwaite degrees of freedom; test: two-sided t-test against `null`.
    se_cr0: Miller 2024 (no small-sample factor); se_cr1: times sqrt(G / (G - 1)); se_cr2: bias-reduced.
    df: Satterthwaite degrees of freedom of the CR2 variance; None where the estimate is undefined.
    typical_size: items in the cluster of a typical item, sum n_g^2 / n (Kish).
    se_cr2 squared and df are what `intervals.effective_tango` takes for clustered right/wrong answers.
    """

    estimate: Estimate
    test: Test
    n_items: int
    n_clusters: int
    se_cr0: float | None
    se_cr1: float | None
    se_cr2: float | None
    df: float | None
    typical_size: float = 1.0


def clustered_mean(values: ArrayLike, clusters: ArrayLike, *, null: float = 0.0, level: float = 0.95) -> ClusteredMean:
    """Mean of `values` with an interval and a test that respect clusters (CR2, Satterthwaite).

    values: shape (n,), usually differences treatment - control for each item; NaN is dropped and counted.
    clusters: shape (n,), any labels. Singleton clusters make CR2 equal to the ordinary t interval.
    Undefined (None, with the reason): no items, or one cluster only; with all clusters at the mean the interval is
    undefined too, because a spread of zero says nothing about the next cluster.
    Raises DataError when shapes differ. Source: Bell & McCaffrey 2002, Surv Methodol 28:169; Pustejovsky & Tipton
    2018, JBES 36:672; CR0 as in Miller 2024, arXiv:2411.00640. Reference: R clubSandwich.
    """
    check_level(level)
    x, codes, dropped = _kept(values, clusters)
    sizes = np.bincount(codes).astype(np.float64)
    n, n_clusters = x.size, sizes.size
    if n_clusters < 2:
        return _too_few(x, n_clusters, level=level, dropped=dropped)
    unit = float(np.abs(x).max()) or 1.0  # squares of tiny scores must not vanish
    mean = mean_of(x / unit) * unit
    sums = np.bincount(codes, weights=(x - mean) / unit)
    share = sizes / n
    se_cr0 = unit * math.sqrt(float((sums**2).sum())) / n
    se_cr2 = unit * math.sqrt(float((sums**2 / (1.0 - share)).sum())) / n
    if se_cr2 <= ROUNDING * unit:
        se_cr0 = se_cr2 = 0.0
    df = satterthwaite_df(sizes)
    warnings = (f"only {n_clusters} clusters",) if n_clusters < FEW_CLUSTERS else ()
    test, estimate = _inferred(mean, se_cr2, df, null=null, level=level, n=n_clusters, dropped=dropped, warnings=warnings)
    return ClusteredMean(
        estimate=estimate,
        test=test,
        n_items=n,
        n_clusters=n_clusters,
        se_cr0=se_cr0,
        se_cr1=se_cr0 * math.sqrt(n_clusters / (n_clusters - 1)),
        se_cr2=se_cr2,
        df=df,
        typical_size=float((sizes**2).sum() / n),
    )


def clusters_needed(alpha: float) -> int:
    """Fewest clusters with which a two-sided sign-flip test can reach alpha: if all agree, p is 2 / 2^G. Six at .05."""
    return max(2, math.ceil(1.0 - math.log2(check_alpha(alpha)) - 1e-9))


def satterthwaite_df(sizes: ArrayLike) -> float:
    """Degrees of freedom of the CR2 variance of a mean, from the cluster sizes alone; G - 1 for equal sizes.

    With w = n_g / n and u = w^2 / (1 - w): 1 / (sum w^2 + (sum u)^2 - sum u^2), that is (tr P)^2 / tr(P^2) under
    independent items of equal variance. Raises DataError for fewer than two clusters.
    """
    share = np.asarray(sizes, dtype=np.float64)
    if share.size < 2 or not (share > 0).all():
        raise DataError("Satterthwaite degrees of freedom need at least two clusters, none of them empty")
    share = share / share.sum()
    u = share**2 / (1.0 - share)
    return float(1.0 / ((share**2).sum() + u.sum() ** 2 - (u**2).sum()))


def are_one(labels: NDArray[Any]) -> bool:
    """Whether all are of the same cluster; no label is of none."""
    return labels.size > 0 and bool((labels == labels[0]).all())


def _kept(values: ArrayLike, clusters: ArrayLike) -> tuple[Floats, NDArray[np.intp], int]:
    x, labels = as_scores(values, "values"), np.asarray(clusters).ravel()
    if x.shape != labels.shape:
        raise DataError("every value needs one cluster label", where=f"{x.size} values, {labels.size} labels")
    kept = ~np.isnan(x)
    codes = codes_of(labels[kept])
    return x[kept], codes, int(x.size - kept.sum())


def _too_few(x: Floats, n_clusters: int, *, level: float, dropped: int) -> ClusteredMean:
    reason = "no items" if x.size == 0 else "one cluster only: its spread cannot be seen"
    value = mean_of(x) if x.size else None
    return ClusteredMean(
        estimate=undefined_estimate(reason, level=level, method="cr2_satterthwaite", n=n_clusters, dropped=dropped, value=value),
        test=undefined_test(reason, method="cr2_satterthwaite", n=n_clusters, dropped=dropped),
        n_items=x.size,
        n_clusters=n_clusters,
        se_cr0=None,
        se_cr1=None,
        se_cr2=None,
        df=None,
    )


def _inferred(
    mean: float, se: float, df: float, *, null: float, level: float, n: int, dropped: int, warnings: tuple[str, ...]
) -> tuple[Test, Estimate]:
    method = "cr2_satterthwaite"
    if se == 0.0:
        reason = "all clusters have the same mean: no spread to judge by"
        estimate = undefined_estimate(reason, level=level, method=method, n=n, dropped=dropped, value=mean, warnings=warnings)
        if mean == null:
            return Test(statistic=0.0, p_value=1.0, method=method, n=n, dropped=dropped, warnings=warnings), estimate
        return undefined_test(reason, method=method, n=n, dropped=dropped, warnings=warnings), estimate
    t = (mean - null) / se
    half = t_two_sided(level, df) * se
    test = Test(statistic=t, p_value=2.0 * t_sf(abs(t), df), method=method, n=n, dropped=dropped, warnings=warnings)
    return test, estimate_around(mean, half, level=level, method=method, n=n, dropped=dropped, se=se, warnings=warnings)
