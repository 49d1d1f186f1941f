"""Probability distributions on the standard library and NumPy alone.

The statistics of this package always call these functions, whether SciPy is installed or not, so that a result never
depends on which packages are there. SciPy is the reference of the tests: the two agree to 1e-10 relative, in the tails
too (tests/unit/stats/test_distributions.py).

Scalars in, floats out; `each` maps such a function over arrays, and `binom_pmf` takes arrays itself. Upper tails have
functions of their own (`*_sf`) because 1 - cdf loses every digit where it matters. All raise ValueError outside the domain.

Sources. Continued fractions by the modified Lentz method (Thompson & Barnett 1986): DLMF 8.17.22 for the incomplete beta,
8.9.2 for the incomplete gamma. Their prefactors, and binomial probabilities, in the saddle-point form of Loader (2000),
"Fast and accurate computation of binomial probabilities", because log-gamma differences lose nine digits at n = 10^6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_STANDARD_NORMAL: Final = NormalDist()
_HALF_LOG_2PI: Final = 0.5 * math.log(2.0 * math.pi)
_TINY: Final = 1e-300  # stands in for a zero denominator in Lentz's recursion
_EPSILON: Final = 2.0**-53
_MAX_TERMS: Final = 200_000


def each(function: Callable[..., float], *arguments: ArrayLike) -> Floats:
    """Apply a scalar function to every element of the broadcast arguments; the result has their common shape."""
    arrays = np.broadcast_arrays(*(np.asarray(argument, dtype=np.float64) for argument in arguments))
    values = [function(*row) for row in zip(*(array.ravel().tolist() for array in arrays), strict=True)]
    return np.array(values, dtype=np.float64).reshape(arrays[0].shape)


# Normal


def norm_pdf(z: float) -> float:
    """Density of the standard normal at z."""
    return math.exp(-0.5 * z * z - _HALF_LOG_2PI)


def norm_cdf(z: float) -> float:
    """P(Z <= z) for a standard normal Z."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def norm_sf(z: float) -> float:
    """P(Z > z) for a standard normal Z, accurate where it is tiny."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def norm_ppf(p: float) -> float:
    """The z with P(Z <= z) = p; -inf at 0 and inf at 1. Wichura's algorithm AS 241 in the standard library."""
    _check_probability(p)
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
            _stirling_errors(n_)
            - _stirling_errors(kk)
            - _stirling_errors(rest)
            - _deviances(kk, n_ * p_)
            - _deviances(rest, n_ * (1.0 - p_))
            + 0.5 * (np.log(n_) - np.log(kk) - np.log(rest))
            - _HALF_LOG_2PI
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
    _check_probability(p)
    if n < 0:
        raise ValueError(f"binomial: n = {n} is negative")
    if k < 0:
        return 0.0, 1.0
    if k >= n:
        return 1.0, 0.0
    upper, lower = _beta_tails(k + 1.0, float(n - k), p, 1.0 - p)
    return lower, upper


# Beta


def beta_cdf(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b), a > 0 and b > 0."""
    _check_probability(x)
    return _beta_tails(a, b, x, 1.0 - x)[0]


def beta_sf(x: float, a: float, b: float) -> float:
    """1 - I_x(a, b), accurate where it is tiny."""
    _check_probability(x)
    return _beta_tails(a, b, x, 1.0 - x)[1]


def beta_ppf(p: float, a: float, b: float) -> float:
    """The x with I_x(a, b) = p."""
    return _beta_quantile(p, a, b)[0]


def _beta_quantile(p: float, a: float, b: float) -> tuple[float, float]:
    """The x with I_x(a, b) = p, as the pair (x, 1 - x), both to full relative accuracy."""
    _check_probability(p)
    if p in (0.0, 1.0):
        return p, 1.0 - p
    centre = a / (a + b)
    if p > _beta_tails(a, b, centre, b / (a + b))[0]:
        y, x = _beta_quantile_left(1.0 - p, b, a)
        return x, y
    return _beta_quantile_left(p, a, b)


def _beta_quantile_left(p: float, a: float, b: float) -> tuple[float, float]:
    """Quantile at or left of the mean, searched in log x because the left tail is a power of x."""

    def log_gap(u: float) -> tuple[float, float]:
        x = math.exp(u)
        lower = _beta_tails(a, b, x, -math.expm1(u))[0]
        if lower <= 0.0:
            return -math.inf, 0.0
        slope = math.exp(_log_beta_density(a, b, x, -math.expm1(u))) / lower / -math.expm1(u)
        return math.log(lower) - math.log(p), slope

    u = _increasing_root(log_gap, -740.0, math.log(a / (a + b)) + 1e-12)
    return math.exp(u), -math.expm1(u)


def _beta_tails(a: float, b: float, x: float, y: float) -> tuple[float, float]:
    """(I_x(a, b), 1 - I_x(a, b)) where y = 1 - x is given apart, so that neither end loses digits."""
    if not (a > 0.0 and b > 0.0):
        raise ValueError(f"beta: a and b are positive, not {a!r} and {b!r}")
    if x <= 0.0:
        return 0.0, 1.0
    if y <= 0.0:
        return 1.0, 0.0
    if x <= (a + 1.0) / (a + b + 2.0):
        lower = min(1.0, math.exp(_log_beta_density(a, b, x, y)) / a / _beta_fraction(a, b, x))
        return lower, 1.0 - lower
    upper = min(1.0, math.exp(_log_beta_density(b, a, y, x)) / b / _beta_fraction(b, a, y))
    return 1.0 - upper, upper


def _log_beta_density(a: float, b: float, x: float, y: float) -> float:
    """log of x^a y^b / B(a, b), y = 1 - x."""
    if a + b < 30.0:
        return a * math.log(x) + b * math.log(y) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    n = a + b
    stirling = _stirling_error(n) - _stirling_error(a) - _stirling_error(b)
    return stirling - _deviance(a, n * x) - _deviance(b, n * y) + 0.5 * math.log(a * b / n) - _HALF_LOG_2PI


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Denominator continued fraction of DLMF 8.17.22, converging in O(sqrt(max(a, b))) terms left of the mean."""
    f = c = 1.0
    d = 0.0
    for term in range(1, _MAX_TERMS):
        m, odd = divmod(term, 2)
        if odd:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / (1.0 + step * d or _TINY)
        c = 1.0 + step / c or _TINY
        change = c * d
        f *= change
        if abs(change - 1.0) <= _EPSILON:
            return f
    raise ArithmeticError(f"incomplete beta did not converge at a={a!r}, b={b!r}, x={x!r}")


# Student t and F


def t_sf(t: float, df: float) -> float:
    """P(T > t) for Student's t with df > 0 degrees of freedom (not necessarily whole; inf is the normal)."""
    if not df > 0.0:
        raise ValueError(f"Student t: df is positive, not {df!r}")
    if math.isinf(df):
        return norm_sf(t)
    if math.isinf(t):
        return 0.0 if t > 0.0 else 1.0
    scale = math.hypot(math.sqrt(df), t)
    x, y = df / scale / scale, (t / scale) ** 2
    half = 0.5 * _beta_tails(df / 2.0, 0.5, x, y)[0]
    return half if t >= 0.0 else 1.0 - half


def t_cdf(t: float, df: float) -> float:
    """P(T <= t) for Student's t."""
    return t_sf(-t, df)


def t_isf(p: float, df: float) -> float:
    """The t with P(T > t) = p."""
    _check_probability(p)
    if not df > 0.0:
        raise ValueError(f"Student t: df is positive, not {df!r}")
    if math.isinf(df):
        return norm_isf(p)
    if p > 0.5:
        return -t_isf(1.0 - p, df)
    if p == 0.0:
        return math.inf
    x, y = _beta_quantile(2.0 * p, df / 2.0, 0.5)
    return math.sqrt(df) * math.sqrt(y / x)


def t_ppf(p: float, df: float) -> float:
    """The t with P(T <= t) = p."""
    return -t_isf(p, df) + 0.0


def t_two_sided(level: float, df: float) -> float:
    """Half-width of the central interval of Student's t that holds `level`."""
    return t_isf((1.0 - level) / 2.0, df)


def f_sf(f: float, df1: float, df2: float) -> float:
    """P(F > f) for Fisher's F with df1 and df2 degrees of freedom."""
    if f <= 0.0:
        return 1.0
    return _beta_tails(df2 / 2.0, df1 / 2.0, df2 / (df2 + df1 * f), df1 * f / (df2 + df1 * f))[0]


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
    if not df > 0.0:
        raise ValueError(f"noncentral t: df is positive, not {df!r}")
    if math.isinf(df):
        return norm_sf(t - shift) if upper else norm_cdf(t - shift)
    left, right = _log_chi_range(df)
    step = 1.0 / (6.0 * (2.0 + math.sqrt(2.0 * df) + abs(t)))
    count = math.ceil((right - left) / step)
    u = np.linspace(left, right, count + 1)
    half = df / 2.0
    log_peak = math.log(2.0) + _log_gamma_density(half, half)
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
    return _gamma_tails(a, x)[0]


def gamma_q(a: float, x: float) -> float:
    """Regularised upper incomplete gamma function Q(a, x) = 1 - P(a, x), accurate where it is tiny."""
    return _gamma_tails(a, x)[1]


def chi2_cdf(x: float, df: float) -> float:
    """P(X <= x) for chi-square with df > 0 degrees of freedom."""
    return _gamma_tails(df / 2.0, max(x, 0.0) / 2.0)[0]


def chi2_sf(x: float, df: float) -> float:
    """P(X > x) for chi-square with df > 0 degrees of freedom."""
    return _gamma_tails(df / 2.0, max(x, 0.0) / 2.0)[1]


def chi2_ppf(p: float, df: float) -> float:
    """The x with P(X <= x) = p for chi-square with df degrees of freedom."""
    _check_probability(p)
    if p in (0.0, 1.0):
        return math.inf if p else 0.0
    a = df / 2.0

    def log_gap(u: float) -> tuple[float, float]:
        x = math.exp(u)
        lower, upper = _gamma_tails(a, x)
        density = math.exp(_log_gamma_density(a, x))  # derivative with respect to u
        if p <= 0.5:
            return (math.log(lower) - math.log(p), density / lower) if lower > 0.0 else (-math.inf, 0.0)
        return (math.log1p(-p) - math.log(upper), density / upper) if upper > 0.0 else (math.inf, 0.0)

    return 2.0 * math.exp(_increasing_root(log_gap, -740.0, math.log(a + 800.0 + 50.0 * math.sqrt(a))))


def chi2_isf(p: float, df: float) -> float:
    """The x with P(X > x) = p for chi-square with df degrees of freedom."""
    return chi2_ppf(1.0 - p, df)


def _gamma_tails(a: float, x: float) -> tuple[float, float]:
    if not a > 0.0 or x < 0.0 or math.isnan(x):
        raise ValueError(f"incomplete gamma: a > 0 and x >= 0 are needed, not {a!r} and {x!r}")
    if x == 0.0:
        return 0.0, 1.0
    if math.isinf(x):
        return 1.0, 0.0
    density = math.exp(_log_gamma_density(a, x))
    if x < a + 1.0:
        term = total = 1.0 / a
        for n in range(1, _MAX_TERMS):
            term *= x / (a + n)
            total += term
            if term <= total * _EPSILON:
                break
        lower = min(1.0, density * total)
        return lower, 1.0 - lower
    upper = min(1.0, density / _gamma_fraction(a, x))
    return 1.0 - upper, upper


def _log_gamma_density(a: float, x: float) -> float:
    """log of x^a e^-x / Gamma(a)."""
    if a < 15.0:
        return a * math.log(x) - x - math.lgamma(a)
    return 0.5 * math.log(a) - _HALF_LOG_2PI - _stirling_error(a) - _deviance(a, x)


def _gamma_fraction(a: float, x: float) -> float:
    """Denominator of DLMF 8.9.2 in its contracted form, for x >= a + 1."""
    b = x + 1.0 - a
    f = c = b
    d = 0.0
    for n in range(1, _MAX_TERMS):
        step = -n * (n - a)
        b += 2.0
        d = 1.0 / (b + step * d or _TINY)
        c = b + step / c or _TINY
        change = c * d
        f *= change
        if abs(change - 1.0) <= _EPSILON:
            return f
    raise ArithmeticError(f"incomplete gamma did not converge at a={a!r}, x={x!r}")


# Shared pieces


def _stirling_error(n: float) -> float:
    """log(n!) minus Stirling's formula, for real n > 0."""
    if n < 15.0:
        return math.lgamma(n + 1.0) - (n + 0.5) * math.log(n) + n - _HALF_LOG_2PI
    r = 1.0 / (n * n)
    return (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * (1 / 1188 - r * 691 / 360360))))) / n


_STIRLING_ERRORS: Final = np.array([0.0] + [_stirling_error(float(n)) for n in range(1, 16)])


def _stirling_errors(n: Floats) -> Floats:
    """`_stirling_error` of whole numbers; 0 at n = 0, where the caller does not use it."""
    r = 1.0 / np.square(np.maximum(n, 15.0))
    series = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * (1 / 1188 - r * 691 / 360360))))) / np.maximum(n, 1)
    return np.where(n < 16.0, _STIRLING_ERRORS[np.minimum(n, 15.0).astype(np.intp)], series)


def _deviance(x: float, mean: float) -> float:
    """x log(x / mean) + mean - x without cancellation near x = mean (Loader's bd0), x >= 0 and mean >= 0."""
    if x == 0.0 or mean == 0.0:
        return mean if x == 0.0 else math.inf
    if abs(x - mean) >= 0.1 * (x + mean):
        return x * math.log(x / mean) + mean - x
    v = (x - mean) / (x + mean)
    return (x - mean) * v + 2.0 * x * v * sum(v ** (2 * j) / (2 * j + 1) for j in range(1, 9))


def _deviances(x: Floats, mean: Floats) -> Floats:
    """`_deviance` of arrays; meaningless where x or mean is 0, where the caller does not use it."""
    v = (x - mean) / (x + mean)
    square = v * v
    series = np.zeros_like(v)
    for j in range(8, 0, -1):
        series = square * (1.0 / (2 * j + 1) + series)
    near = (x - mean) * v + 2.0 * x * v * series
    return np.where(np.abs(v) >= 0.1, x * np.log(x / mean) + mean - x, near)


def _increasing_root(gap_and_slope: Callable[[float], tuple[float, float]], low: float, high: float) -> float:
    """Root of an increasing function between low and high: Newton steps, bisection whenever one would leave the bracket."""
    u = 0.5 * (max(low, high - 4.0) + high)
    for _ in range(200):
        gap, slope = gap_and_slope(u)
        if gap == 0.0:
            return u
        if gap < 0.0:
            low = u
        else:
            high = u
        guess = u - gap / slope if slope > 0.0 and math.isfinite(gap) else math.nan
        if not low < guess < high:
            guess = 0.5 * (low + high)
        if abs(guess - u) <= 1e-15 * max(1.0, abs(u)) or high - low <= 1e-15:
            return guess
        u = guess
    return u


def _check_probability(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"not a probability: {p!r}")


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
