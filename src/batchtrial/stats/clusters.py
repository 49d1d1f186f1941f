"""Means whose items come in clusters: passages, documents, templates.

Items of one cluster share their fate, so the number of clusters, not of items, decides how much is known. Everything
here is closed form and O(n): for a mean (a regression on the intercept alone) the leverage of cluster g is n_g / n,
and the matrix square roots of the general method collapse to one number for each cluster.

Nothing here knows what a cluster is; the caller gives labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.distributions import t_sf, t_two_sided, z_two_sided
from batchtrial.stats.results import Estimate, Test, check_level, undefined_estimate, undefined_test

Floats = NDArray[np.float64]

FEW_CLUSTERS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusteredMean:
    """A mean with the standard errors that respect clusters.

    estimate: mean, CR2 interval with Satterthwaite degrees of freedom; test: two-sided t-test against `null`.
    se_cr0: Miller 2024 (no small-sample factor); se_cr1: times sqrt(G / (G - 1)); se_cr2: bias-reduced.
    df: Satterthwaite degrees of freedom of the CR2 variance; None where the estimate is undefined.
    """

    estimate: Estimate
    test: Test
    n_items: int
    n_clusters: int
    se_cr0: float | None
    se_cr1: float | None
    se_cr2: float | None
    df: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignEffect:
    """How many times larger the variance is than that of as many independent items; 1 / value scales the effective n.

    value: at least 1 / K for K samples for each item, at least 1 for clusters; clusters and samples multiply in
    neither case, since the variance of cluster sums already holds both. `reason` says why a value of 1 was assumed.
    """

    value: float
    n: int
    method: str
    warnings: tuple[str, ...] = ()
    reason: str | None = None


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
    mean = float(x.mean())
    sums = np.bincount(codes, weights=x - mean)
    share = sizes / n
    var_cr0 = float((sums**2).sum()) / n**2
    se_cr2 = math.sqrt(float((sums**2 / (1.0 - share)).sum()) / n**2)
    df = satterthwaite_df(sizes)
    warnings = (f"only {n_clusters} clusters",) if n_clusters < FEW_CLUSTERS else ()
    test, estimate = _inferred(
        mean, se_cr2, df, null=null, level=level, n=n_clusters, dropped=dropped, warnings=warnings
    )
    return ClusteredMean(
        estimate=estimate,
        test=test,
        n_items=n,
        n_clusters=n_clusters,
        se_cr0=math.sqrt(var_cr0),
        se_cr1=math.sqrt(var_cr0 * n_clusters / (n_clusters - 1)),
        se_cr2=se_cr2,
        df=df,
    )


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


def cluster_design_effect(differences: ArrayLike, clusters: ArrayLike, *, level: float = 0.95) -> DesignEffect:
    """Variance inflation by clusters for an effective-n interval on the same differences, never below 1.

    CR2 variance over the variance of independent items, times (t / z)^2 so that a score interval, which uses z, is
    as wide as few clusters demand. Source: the effective sample size of Kish 1965; small-sample factor from Bell &
    McCaffrey 2002.
    """
    check_level(level)
    x, codes, _ = _kept(differences, clusters)
    clustered = clustered_mean(x, codes, level=level)
    if clustered.se_cr2 is None or clustered.df is None:
        return DesignEffect(value=1.0, n=x.size, method="clusters_cr2", reason="fewer than two clusters")
    naive = float(x.var()) / x.size
    if naive <= 0.0:
        return DesignEffect(value=1.0, n=x.size, method="clusters_cr2", reason="all differences are equal")
    widen = (t_two_sided(level, clustered.df) / z_two_sided(level)) ** 2
    ratio = max(1.0, clustered.se_cr2**2 / naive * widen)
    return DesignEffect(value=ratio, n=x.size, method="clusters_cr2", warnings=clustered.estimate.warnings)


def sample_design_effect(treatment: ArrayLike, control: ArrayLike, *, n_samples: int) -> DesignEffect:
    """Variance of the mean difference over that of one 0/1 answer for each item and arm, in [1 / K, 1].

    treatment, control: shape (n,), share of right answers among the K samples of each item, NaN where missing.
    The single-answer variance is b + c - (b - c)^2 with b = mean p_T (1 - p_C), c = mean p_C (1 - p_T): what the
    same items would show with independent single answers. Raises DataError when shapes differ or K < 1.
    """
    p_t, p_c = (np.asarray(arm, dtype=np.float64).ravel() for arm in (treatment, control))
    if p_t.shape != p_c.shape or n_samples < 1:
        raise DataError("the two arms need one share for each item, and at least one sample")
    kept = np.isfinite(p_t) & np.isfinite(p_c)
    p_t, p_c = p_t[kept], p_c[kept]
    n = p_t.size
    if n < 2:
        return DesignEffect(value=1.0, n=n, method="samples", reason="fewer than two items")
    b, c = float((p_t * (1 - p_c)).mean()), float((p_c * (1 - p_t)).mean())
    single = b + c - (b - c) ** 2
    if single <= 0.0:
        return DesignEffect(value=1.0, n=n, method="samples", reason="no item changed between the arms")
    ratio = float((p_t - p_c).var(ddof=1)) / single
    return DesignEffect(value=min(1.0, max(1.0 / n_samples, ratio)), n=n, method="samples")


def _kept(values: ArrayLike, clusters: ArrayLike) -> tuple[Floats, NDArray[np.intp], int]:
    x = np.asarray(values, dtype=np.float64).ravel()
    labels = np.asarray(clusters).ravel()
    if x.shape != labels.shape:
        raise DataError("every value needs one cluster label", where=f"{x.size} values, {labels.size} labels")
    kept = np.isfinite(x)
    codes = np.unique(labels[kept], return_inverse=True)[1]
    return x[kept], codes, int(x.size - kept.sum())


def _too_few(x: Floats, n_clusters: int, *, level: float, dropped: int) -> ClusteredMean:
    reason = "no items" if x.size == 0 else "one cluster only: its spread cannot be seen"
    value = float(x.mean()) if x.size else None
    return ClusteredMean(
        estimate=undefined_estimate(
            reason, level=level, method="cr2_satterthwaite", n=n_clusters, dropped=dropped, value=value
        ),
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
    if se <= 1e-12 * max(1.0, abs(mean)):
        reason = "all clusters have the same mean: no spread to judge by"
        estimate = undefined_estimate(
            reason, level=level, method=method, n=n, dropped=dropped, value=mean, warnings=warnings
        )
        if math.isclose(mean, null, abs_tol=1e-12):
            return Test(statistic=0.0, p_value=1.0, method=method, n=n, dropped=dropped, warnings=warnings), estimate
        return undefined_test(reason, method=method, n=n, dropped=dropped, warnings=warnings), estimate
    t = (mean - null) / se
    half = t_two_sided(level, df) * se
    test = Test(statistic=t, p_value=2.0 * t_sf(abs(t), df), method=method, n=n, dropped=dropped, warnings=warnings)
    estimate = Estimate(
        value=mean,
        ci_low=mean - half,
        ci_high=mean + half,
        level=level,
        method=method,
        n=n,
        dropped=dropped,
        se=se,
        warnings=warnings,
    )
    return test, estimate
