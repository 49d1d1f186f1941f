"""One number from several datasets: fixed-effect and random-effects meta-analysis, and the mean over these datasets
only.

Two questions hide behind "the average effect". `stratified_mean` answers for the datasets at hand. `meta_analysis`
takes them as a sample of datasets and answers for the next one too; with the two to ten datasets of a prompt trial
only intervals of Hartung-Knapp type hold their level, and among them the one that is never narrower than the plain
interval.

Nothing here knows about items; a dataset is an effect and its variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.distributions import chi2_sf, t_sf, t_two_sided, z_two_sided
from batchtrial.stats.pairing import as_scores
from batchtrial.stats.results import Estimate, Test, check_level, estimate_around, undefined_estimate, undefined_test

Floats = NDArray[np.float64]
Tau2Method = Literal["dl", "pm", "reml"]

FEW_DATASETS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaAnalysis:
    """Effect over datasets, how much datasets differ, and where the next one may lie.

    fixed: inverse-variance mean, z interval; random_z: random-effects mean, z interval (too narrow for few datasets);
    random_hk: Hartung-Knapp; random: Hartung-Knapp, never narrower than z variance would make it (the headline).
    test: of `random` against 0; heterogeneity: Cochran's Q. tau2: variance between datasets, squared unit of the
    effect. i2_q, i2_tau2: share of variation between datasets in percent, from Q and from tau2. prediction: 95 % (or
    `level`) interval for a new dataset's effect, t with k - 2 degrees of freedom. prediction_z: the same with normal
    quantiles.
    """

    fixed: Estimate
    random: Estimate
    random_z: Estimate
    random_hk: Estimate
    prediction: Estimate
    prediction_z: Estimate
    test: Test
    heterogeneity: Test
    tau2: float | None
    tau2_method: str
    i2_q: float | None
    i2_tau2: float | None
    n_datasets: int


def meta_analysis(effects: ArrayLike, variances: ArrayLike, *, tau2_method: Tau2Method = "pm", level: float = 0.95) -> MetaAnalysis:
    """Fixed-effect and random-effects mean of k datasets.

    effects: shape (k,), one difference for each dataset; variances: shape (k,), squared standard errors, above 0.
    A missing effect or variance drops the dataset, counted in `dropped`. One dataset: random = fixed, no
    heterogeneity. Raises DataError when shapes differ or a variance is not positive: a dataset without spread must
    come with `laplace_variance`, because dropping it or weighing it infinitely would both be wrong.
    Sources: DerSimonian & Laird 1986; Paule & Mandel 1982; Viechtbauer 2005, JEBS 30:261 (REML); Hartung & Knapp
    2001; Roever, Knapp & Friede 2015, BMC Med Res Methodol 15:99 (never narrower); Higgins, Thompson & Spiegelhalter
    2009.
    """
    check_level(level)
    y, v, dropped = _kept(effects, variances)
    if y.size == 0:
        return _nothing(level, dropped, tau2_method)
    tau2 = between_variance(y, v, method=tau2_method)
    weights = 1.0 / (v + tau2)
    mean = float((weights * y).sum() / weights.sum())
    se = math.sqrt(1.0 / float(weights.sum()))
    q, i2_q, i2_tau2 = _spread(y, v, tau2)
    fixed = _normal(float((y / v).sum() / (1.0 / v).sum()), float((1.0 / v).sum()) ** -0.5, y.size, level, dropped, "fixed")
    random_z = _normal(mean, se, y.size, level, dropped, f"{tau2_method}_z")
    random_hk, random, test = _hartung_knapp(y, weights, random_z, tau2_method)
    heterogeneity = (
        Test(statistic=q, p_value=chi2_sf(q, y.size - 1), method="cochran_q", n=y.size, dropped=dropped)
        if y.size > 1
        else undefined_test("one dataset: nothing to compare", method="cochran_q", n=1, dropped=dropped)
    )
    return MetaAnalysis(
        fixed=fixed,
        random=random,
        random_z=random_z,
        random_hk=random_hk,
        prediction=_prediction(random, tau2, use_t=True),
        prediction_z=_prediction(random_z, tau2, use_t=False),
        test=test,
        heterogeneity=heterogeneity,
        tau2=tau2,
        tau2_method=tau2_method,
        i2_q=i2_q,
        i2_tau2=i2_tau2,
        n_datasets=y.size,
    )


def between_variance(effects: ArrayLike, variances: ArrayLike, *, method: Tau2Method = "pm") -> float:
    """Variance between datasets by DerSimonian-Laird, Paule-Mandel or restricted likelihood; 0 for one dataset."""
    y, v, _ = _kept(effects, variances)
    if y.size < 2:
        return 0.0
    if method == "dl":
        w = 1.0 / v
        q = float((w * (y - (w * y).sum() / w.sum()) ** 2).sum())
        return max(0.0, (q - (y.size - 1)) / float(w.sum() - (w**2).sum() / w.sum()))
    return _paule_mandel(y, v) if method == "pm" else _restricted_ml(y, v)


def stratified_mean(effects: ArrayLike, variances: ArrayLike, *, weights: ArrayLike | None = None, level: float = 0.95) -> Estimate:
    """Mean over these datasets and no others, with weights fixed beforehand (default: all the same); z interval.

    weights: shape (k,), for instance item counts. Raises DataError as `meta_analysis`, and for weights that are not
    positive.
    """
    check_level(level)
    y, v, dropped = _kept(effects, variances)
    if y.size == 0:
        return undefined_estimate("no datasets", level=level, method="stratified", n=0, dropped=dropped)
    shares = np.ones(y.size) if weights is None else np.asarray(weights, dtype=np.float64).ravel()
    if weights is not None and dropped:
        shares = shares[~(np.isnan(as_scores(effects)) | np.isnan(as_scores(variances)))]
    if shares.shape != y.shape or not (shares > 0).all():
        raise DataError("every dataset needs one weight above 0")
    shares = shares / shares.sum()
    return _normal(float((shares * y).sum()), math.sqrt(float((shares**2 * v).sum())), y.size, level, dropped, "stratified")


def laplace_variance(b: int, c: int, n: int, *, bound: float = 1.0) -> float:
    """Variance of a mean paired difference that is never zero: one pseudo-pair added to each discordant cell.

    b, c: pairs in favour of treatment and control, n: all pairs; bound: largest possible |difference| of one pair.
    Source: Bonett & Price 2012, JEBS 37:479. Raises DataError unless 0 <= b + c <= n and n >= 1.
    """
    if n < 1 or b < 0 or c < 0 or b + c > n:
        raise DataError("counts of pairs do not add up", where=f"b={b}, c={c}, n={n}")
    p_b, p_c = (b + 1) / (n + 2), (c + 1) / (n + 2)
    return bound**2 * (p_b + p_c - (p_b - p_c) ** 2) / (n + 2)


def dataset_effect(differences: ArrayLike, *, bound: float = 1.0) -> tuple[float, float]:
    """Mean difference and its variance for one dataset; without spread the variance is `laplace_variance`.

    differences: shape (n,), NaN dropped. Raises DataError when nothing is left.
    """
    d = as_scores(differences, "differences")
    d = d[~np.isnan(d)]
    if d.size == 0:
        raise DataError("a dataset without a single pair has no effect")
    spread = float(d.var(ddof=1)) / d.size if d.size > 1 else 0.0
    if spread <= 1e-14 * bound**2:
        spread = laplace_variance(int((d > 0).sum()), int((d < 0).sum()), d.size, bound=bound)
    return float(d.mean()), spread


def _kept(effects: ArrayLike, variances: ArrayLike) -> tuple[Floats, Floats, int]:
    y, v = as_scores(effects, "effects"), as_scores(variances, "variances")
    if y.shape != v.shape:
        raise DataError("every effect needs one variance", where=f"{y.size} effects, {v.size} variances")
    kept = ~(np.isnan(y) | np.isnan(v))
    if kept.any() and not v[kept].min() > max(0.0, (1e-60 * float(np.abs(y[kept]).max())) ** 2):
        raise DataError("a dataset has a variance of zero or less", hint="use laplace_variance for it; never drop it")
    return y[kept], v[kept], int(y.size - kept.sum())


def _q_statistic(y: Floats, v: Floats, tau2: float) -> float:
    w = 1.0 / (v + tau2)
    return float((w * (y - (w * y).sum() / w.sum()) ** 2).sum())


def _paule_mandel(y: Floats, v: Floats) -> float:
    """The tau2 at which the generalised Q equals its expectation k - 1; Q falls in tau2, so bisection cannot fail."""
    target = y.size - 1.0
    if _q_statistic(y, v, 0.0) <= target:
        return 0.0
    low, high = 0.0, float(np.ptp(y)) ** 2 + float(v.max())
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _q_statistic(y, v, middle) > target else (low, middle)
    return (low + high) / 2


def _restricted_ml(y: Floats, v: Floats) -> float:
    """Best point of a grid, then Fisher scoring with step halving, so that a second mode is not taken for the first."""
    spread = float(np.ptp(y)) ** 2 + float(v.max())
    grid = np.concatenate([[0.0], spread * np.geomspace(1e-8, 1.0, 200)])
    tau2 = float(grid[int(np.argmax([_restricted_loglik(y, v, t) for t in grid]))])
    for _ in range(100):
        w = 1.0 / (v + tau2)
        mean = (w * y).sum() / w.sum()
        ratio = (w**2).sum() / w.sum()
        score = 0.5 * float((w**2 * (y - mean) ** 2).sum() - w.sum() + ratio)
        information = 0.5 * float((w**2).sum() - 2 * (w**3).sum() / w.sum() + ratio**2)
        step = score / information
        while _restricted_loglik(y, v, max(0.0, tau2 + step)) < _restricted_loglik(y, v, tau2) and abs(step) > 1e-15 * spread:
            step /= 2
        change = max(0.0, tau2 + step) - tau2
        tau2 += change
        if abs(change) <= 1e-13 * spread:
            break
    return tau2


def _restricted_loglik(y: Floats, v: Floats, tau2: float) -> float:
    w = 1.0 / (v + tau2)
    return 0.5 * float(np.log(w).sum() - np.log(w.sum())) - 0.5 * _q_statistic(y, v, tau2)


def _spread(y: Floats, v: Floats, tau2: float) -> tuple[float, float | None, float | None]:
    """Q, I2 from Q, I2 from tau2 (percent); the two differ except for DerSimonian-Laird."""
    q, df = _q_statistic(y, v, 0.0), y.size - 1
    if df < 1:
        return q, None, None
    w = 1.0 / v
    typical = df * float(w.sum()) / float(w.sum() ** 2 - (w**2).sum())
    return q, 100.0 * max(0.0, (q - df) / q) if q > 0 else 0.0, 100.0 * tau2 / (tau2 + typical)


def _normal(mean: float, se: float, k: int, level: float, dropped: int, method: str) -> Estimate:
    half = z_two_sided(level) * se
    return estimate_around(mean, half, level=level, method=method, n=k, dropped=dropped, se=se)


def _hartung_knapp(y: Floats, weights: Floats, plain: Estimate, name: str) -> tuple[Estimate, Estimate, Test]:
    k, (mean, se) = y.size, _numbers(plain)
    if k < 2:
        why = "one dataset: the spread between datasets cannot be seen"
        hk = undefined_estimate(why, level=plain.level, method=f"{name}_hk", n=k, dropped=plain.dropped, value=mean)
        alone = _normal(mean, se, k, plain.level, plain.dropped, "fixed")
        p = 2.0 * t_sf(abs(mean) / se, math.inf)
        return hk, alone, Test(statistic=mean / se, p_value=p, method="fixed", n=k, dropped=plain.dropped)
    factor = float((weights * (y - mean) ** 2).sum()) / (k - 1)
    quantile = t_two_sided(plain.level, k - 1)
    warnings = (f"only {k} datasets",) if k < FEW_DATASETS else ()

    def scaled(multiplier: float, method: str) -> Estimate:
        wide = se * math.sqrt(multiplier)
        return Estimate(
            value=mean,
            ci_low=mean - quantile * wide,
            ci_high=mean + quantile * wide,
            level=plain.level,
            method=method,
            n=k,
            dropped=plain.dropped,
            se=wide,
            warnings=warnings,
        )

    t = mean / (se * math.sqrt(max(1.0, factor)))
    test = Test(
        statistic=t,
        p_value=2.0 * t_sf(abs(t), k - 1),
        method=f"{name}_mkh",
        n=k,
        dropped=plain.dropped,
        warnings=warnings,
    )
    return scaled(factor, f"{name}_hk"), scaled(max(1.0, factor), f"{name}_mkh"), test


def _prediction(mean: Estimate, tau2: float, *, use_t: bool) -> Estimate:
    method = "prediction_t" if use_t else "prediction_z"
    value, se = _numbers(mean)
    if use_t and mean.n < 3:
        why = "a prediction interval needs three datasets"
        return undefined_estimate(why, level=mean.level, method=method, n=mean.n, dropped=mean.dropped, value=value)
    quantile = t_two_sided(mean.level, mean.n - 2) if use_t else z_two_sided(mean.level)
    half = quantile * math.sqrt(tau2 + se**2)
    return Estimate(
        value=value,
        ci_low=value - half,
        ci_high=value + half,
        level=mean.level,
        method=method,
        n=mean.n,
        dropped=mean.dropped,
        warnings=("too few datasets for a useful prediction interval",) if mean.n < FEW_DATASETS else (),
    )


def _numbers(estimate: Estimate) -> tuple[float, float]:
    """Value and standard error of an estimate that has both; anything else is a fault of ours."""
    if estimate.value is None or estimate.se is None:
        raise ValueError(f"{estimate.method}: value and standard error are needed here")
    return estimate.value, estimate.se


def _nothing(level: float, dropped: int, tau2_method: str) -> MetaAnalysis:
    why = "no datasets"
    empty = undefined_estimate(why, level=level, method="meta", n=0, dropped=dropped)
    test = undefined_test(why, method="meta", n=0, dropped=dropped)
    return MetaAnalysis(
        fixed=empty,
        random=empty,
        random_z=empty,
        random_hk=empty,
        prediction=empty,
        prediction_z=empty,
        test=test,
        heterogeneity=test,
        tau2=None,
        tau2_method=tau2_method,
        i2_q=None,
        i2_tau2=None,
        n_datasets=0,
    )
