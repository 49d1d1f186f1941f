"""Probability distributions on the standard library and NumPy alone.

The statistics of this package always call these functions, whether SciPy is installed or not, so that a result never
depends on which packages are there. SciPy is the reference of the tests: the two agree to 1e-10 relative, in the tails
too (tests/unit/stats/test_distributions.py).

Scalars in, floats out; `each` maps such a function over arrays, and `binom_pmf` takes arrays itself. Upper tails have
functions of their own (`*_sf`) because 1 - cdf loses every digit where it matters. All raise ValueError outside the
domain. Sources of the numerical methods stand in `special` and beside the functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from batchtrial.stats.special import (
    HALF_LOG_2PI,
    Floats,
    beta_quantile,
    beta_tails,
    check_probability,
    deviances,
    gamma_tails,
    increasing_root,
    log_gamma_density,
    stirling_errors,
)

_STANDARD_NORMAL: Final = NormalDist()
_LARGE_DF: Final = 2e5  # above it 1 - x in the incomplete beta has too few digits left


def each(function: Callable[..., float], *arguments: ArrayLike) -> Floats:
    """Apply a scalar function to every element of the broadcast arguments; the result has their common shape."""
    arrays = np.broadcast_arrays(*(np.asarray(argument, dtype=np.float64) for argument in arguments))
    values = [function(*row) for row in zip(*(array.ravel().tolist() for array in arrays), strict=True)]
    return np.array(values, dtype=np.float64).reshape(arrays[0].shape)


# Normal


def norm_pdf(z: float) -> float:
    """Density of the standard normal at z."""
    return math.exp(-0.5 * z * z - HALF_LOG_2PI)


def norm_cdf(z: float) -> float:
    """P(Z <= z) for a standard normal Z."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def norm_sf(z: float) -> float:
    """P(Z > z) for a standard normal Z, accurate where it is tiny."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def norm_ppf(p: float) -> float:
    """The z with P(Z <= z) = p; -inf at 0 and inf at 1. Wichura's algorithm AS 241 in the standard library."""
    check_probability(p)
    if p in (0.0, 1.0):
        return math.inf if p else -math.inf
    return _STANDARD_NORMAL.inv_cdf(p)


def norm_isf(p: float) -> float:
    """The z with P(Z > z) = p, accurate for tiny p."""
    return -norm_ppf(p) + 0.0


def z_two_sided(level: float) -> float:
    """Half-width of the central interval of the standard normal that holds `level`: 1.96 for 0.95."""
    return norm_isf((1.0 - level) / 2.0)


# Binomial


def binom_pmf(k: ArrayLike, n: ArrayLike, p: ArrayLike) -> Floats:
    """P(X = k) for X binomial(n, p); arrays broadcast, counts outside 0..n get 0.

    k and n are whole numbers (n up to 10^15), 0 <= p <= 1. Loader (2000): relative error about 1e-14 at any n.
    """
    k_, n_, p_ = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (k, n, p)))
    if np.any((p_ < 0.0) | (p_ > 1.0)) or np.any(n_ < 0.0):
        raise ValueError("binomial: n >= 0 and 0 <= p <= 1 are needed")
    inside = (k_ >= 0.0) & (k_ <= n_)
    kk = np.where(inside, k_, 0.0)
    rest = n_ - kk
    with np.errstate(divide="ignore", invalid="ignore"):
        edge = np.where(kk == 0.0, n_ * np.log1p(-p_), n_ * np.log(p_))  # k = 0 and k = n: no Stirling needed
        edge = np.where((n_ == 0.0) | ((kk == 0.0) & (p_ == 0.0)) | ((rest == 0.0) & (p_ == 1.0)), 0.0, edge)
        middle = (
            stirling_errors(n_)
            - stirling_errors(kk)
            - stirling_errors(rest)
            - deviances(kk, n_ * p_)
            - deviances(rest, n_ * (1.0 - p_))
            + 0.5 * (np.log(n_) - np.log(kk) - np.log(rest))
            - HALF_LOG_2PI
        )
        log_pmf = np.where((kk == 0.0) | (rest == 0.0), edge, middle)
        log_pmf = np.where((kk > 0.0) & (rest > 0.0) & ((p_ == 0.0) | (p_ == 1.0)), -np.inf, log_pmf)
        return np.asarray(np.where(inside, np.exp(log_pmf), 0.0), dtype=np.float64)


def binom_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k) for X binomial(n, p)."""
    return _binom_tails(k, n, p)[0]


def binom_sf(k: int, n: int, p: float) -> float:
    """P(X > k) for X binomial(n, p)."""
    return _binom_tails(k, n, p)[1]


def _binom_tails(k: int, n: int, p: float) -> tuple[float, float]:
    check_probability(p)
    if n < 0:
        raise ValueError(f"binomial: n = {n} is negative")
    if k < 0:
        return 0.0, 1.0
    if k >= n:
        return 1.0, 0.0
    upper, lower = beta_tails(k + 1.0, float(n - k), p, 1.0 - p)
    return lower, upper


# Beta


def beta_cdf(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b), a > 0 and b > 0."""
    check_probability(x)
    return beta_tails(a, b, x, 1.0 - x)[0]


def beta_sf(x: float, a: float, b: float) -> float:
    """1 - I_x(a, b), accurate where it is tiny."""
    check_probability(x)
    return beta_tails(a, b, x, 1.0 - x)[1]


def beta_ppf(p: float, a: float, b: float) -> float:
    """The x with I_x(a, b) = p."""
    return beta_quantile(p, a, b)[0]


# Student t and F


def t_sf(t: float, df: float) -> float:
    """P(T > t) for Student's t with df > 0 degrees of freedom (not necessarily whole; inf is the normal)."""
    _check_df(df)
    if t < 0.0:
        return 1.0 - t_sf(-t, df)
    if math.isinf(df) or math.isinf(t):
        return norm_sf(t)
    if df > _LARGE_DF:
        return norm_sf(_normal_equivalent(t, df))
    scale = math.hypot(math.sqrt(df), t)
    return 0.5 * beta_tails(df / 2.0, 0.5, df / scale / scale, (t / scale) ** 2)[0]


def t_cdf(t: float, df: float) -> float:
    """P(T <= t) for Student's t."""
    return t_sf(-t, df)


def t_isf(p: float, df: float) -> float:
    """The t with P(T > t) = p."""
    check_probability(p)
    _check_df(df)
    if math.isinf(df):
        return norm_isf(p)
    if p > 0.5:
        return -t_isf(1.0 - p, df)
    if p == 0.0:
        return math.inf
    if df > _LARGE_DF:
        z = t = norm_isf(p)
        for _ in range(4):  # the transform is so close to the identity that each turn gains five digits
            t += z - _normal_equivalent(t, df)
        return t
    x, y = beta_quantile(2.0 * p, df / 2.0, 0.5)
    return math.sqrt(df) * math.sqrt(y / x)


def t_ppf(p: float, df: float) -> float:
    """The t with P(T <= t) = p."""
    return -t_isf(p, df) + 0.0


def t_two_sided(level: float, df: float) -> float:
    """Half-width of the central interval of Student's t that holds `level`."""
    return t_isf((1.0 - level) / 2.0, df)


def _normal_equivalent(t: float, df: float) -> float:
    """The z with the normal tail that Student has at t >= 0, for large df. Hill (1970), Algorithm 395."""
    a = df - 0.5
    b = 48.0 * a * a
    y = a * math.log1p(t * t / df)
    correction = ((((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y * y + 100.0 + b) + y + 3.0) / b
    return (correction + 1.0) * math.sqrt(y)


def _check_df(df: float) -> None:
    if not df > 0.0:
        raise ValueError(f"degrees of freedom are positive, not {df!r}")


def f_sf(f: float, df1: float, df2: float) -> float:
    """P(F > f) for Fisher's F with df1 and df2 degrees of freedom."""
    if f <= 0.0:
        return 1.0
    return beta_tails(df2 / 2.0, df1 / 2.0, df2 / (df2 + df1 * f), df1 * f / (df2 + df1 * f))[0]


def noncentral_t_cdf(t: float, df: float, shift: float) -> float:
    """P((Z + shift) / S <= t), Z standard normal and S^2 chi-square(df) / df: the law of t when an effect is there."""
    return _noncentral_t(t, df, shift, upper=False)


def noncentral_t_sf(t: float, df: float, shift: float) -> float:
    """P((Z + shift) / S > t): the power of a one-sided t-test with critical value t."""
    return _noncentral_t(t, df, shift, upper=True)


def _noncentral_t(t: float, df: float, shift: float, *, upper: bool) -> float:
    """Integral over u = log S by the trapezoid rule.

    In u the density of S is analytic and dies off at both ends, which makes the plain trapezoid rule converge
    geometrically; all terms are positive, so both tails keep their relative accuracy.
    """
    _check_df(df)
    if math.isinf(df):
        return norm_sf(t - shift) if upper else norm_cdf(t - shift)
    left, right = _log_chi_range(df)
    step = 1.0 / (6.0 * (2.0 + math.sqrt(2.0 * df) + abs(t)))
    count = math.ceil((right - left) / step)
    u = np.linspace(left, right, count + 1)
    half = df / 2.0
    log_peak = math.log(2.0) + log_gamma_density(half, half)
    log_density = log_peak - half * (np.expm1(2.0 * u) - 2.0 * u)
    z = t * np.exp(u) - shift
    inner = each(norm_sf if upper else norm_cdf, z)
    return min(1.0, float(np.sum(np.exp(log_density) * inner)) * (right - left) / count)


def _log_chi_range(df: float) -> tuple[float, float]:
    """Where the density of log S exceeds e^-110 of its peak (at 0); (df/2)(e^2u - 1 - 2u) is the drop."""
    drop = 220.0 / df
    right = min(math.sqrt(drop / 2.0), 0.5 * math.log1p(drop + math.sqrt(2.0 * drop)))
    left = max(-math.sqrt(drop / 2.0) - drop, -(drop + 1.0) / 2.0)
    return left, right


# Chi-square and gamma


def gamma_p(a: float, x: float) -> float:
    """Regularised lower incomplete gamma function P(a, x), a > 0 and x >= 0."""
    return gamma_tails(a, x)[0]


def gamma_q(a: float, x: float) -> float:
    """Regularised upper incomplete gamma function Q(a, x) = 1 - P(a, x), accurate where it is tiny."""
    return gamma_tails(a, x)[1]


def chi2_cdf(x: float, df: float) -> float:
    """P(X <= x) for chi-square with df > 0 degrees of freedom."""
    return gamma_tails(df / 2.0, max(x, 0.0) / 2.0)[0]


def chi2_sf(x: float, df: float) -> float:
    """P(X > x) for chi-square with df > 0 degrees of freedom."""
    return gamma_tails(df / 2.0, max(x, 0.0) / 2.0)[1]


def chi2_ppf(p: float, df: float) -> float:
    """The x with P(X <= x) = p for chi-square with df degrees of freedom."""
    check_probability(p)
    return _chi2_quantile(p, df, upper=False) if p <= 0.5 else _chi2_quantile(1.0 - p, df, upper=True)


def chi2_isf(p: float, df: float) -> float:
    """The x with P(X > x) = p for chi-square with df degrees of freedom, accurate for tiny p."""
    check_probability(p)
    return _chi2_quantile(p, df, upper=True) if p <= 0.5 else _chi2_quantile(1.0 - p, df, upper=False)


def _chi2_quantile(p: float, df: float, *, upper: bool) -> float:
    """Searched in log x and in the logarithm of the tail that is asked for."""
    _check_df(df)
    if p == 0.0:
        return math.inf if upper else 0.0
    a = df / 2.0

    def log_gap(u: float) -> tuple[float, float]:
        tail = gamma_tails(a, math.exp(u))[upper]
        if tail <= 0.0:
            return (math.inf if upper else -math.inf), 0.0
        gap = math.log(tail) - math.log(p)
        return (-gap if upper else gap), math.exp(log_gamma_density(a, math.exp(u))) / tail

    return 2.0 * math.exp(increasing_root(log_gap, -740.0, math.log(a + 800.0 + 50.0 * math.sqrt(a))))


__all__ = [
    "beta_cdf",
    "beta_ppf",
    "beta_sf",
    "binom_cdf",
    "binom_pmf",
    "binom_sf",
    "chi2_cdf",
    "chi2_isf",
    "chi2_ppf",
    "chi2_sf",
    "each",
    "f_sf",
    "gamma_p",
    "gamma_q",
    "noncentral_t_cdf",
    "noncentral_t_sf",
    "norm_cdf",
    "norm_isf",
    "norm_pdf",
    "norm_ppf",
    "norm_sf",
    "t_cdf",
    "t_isf",
    "t_ppf",
    "t_sf",
    "t_two_sided",
    "z_two_sided",
]
