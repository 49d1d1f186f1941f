"""Incomplete beta and gamma functions, Stirling errors and a root finder: what `distributions` is built of.

Continued fractions by the modified Lentz method (Thompson & Barnett 1986): DLMF 8.17.22 for the incomplete beta, 8.9.2
for the incomplete gamma. Prefactors in the saddle-point form of Loader (2000), "Fast and accurate computation of
binomial probabilities", because differences of log-gammas lose nine digits at n = 10^6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HALF_LOG_2PI: Final = 0.5 * math.log(2.0 * math.pi)
_TINY: Final = 1e-300  # stands in for a zero denominator in Lentz's recursion
_EPSILON: Final = 2.0**-53
_MAX_TERMS: Final = 200_000


def beta_tails(a: float, b: float, x: float, y: float) -> tuple[float, float]:
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
    return stirling - _deviance(a, n * x) - _deviance(b, n * y) + 0.5 * math.log(a * b / n) - HALF_LOG_2PI


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Denominator continued fraction of DLMF 8.17.22, converging in O(sqrt(max(a, b))) terms left of the mean."""
    f = c = 1.0
    d = 0.0
    for term in range(1, _MAX_TERMS):
        m, odd = divmod(term, 2)
        k = a + 2 * m
        step = -(a + m) * (a + b + m) * x / (k * (k + 1)) if odd else m * (b - m) * x / ((k - 1) * k)
        d = 1.0 / (1.0 + step * d or _TINY)
        c = 1.0 + step / c or _TINY
        change = c * d
        f *= change
        if abs(change - 1.0) <= _EPSILON:
            return f
    raise ArithmeticError(f"incomplete beta did not converge at a={a!r}, b={b!r}, x={x!r}")


def beta_quantile(p: float, a: float, b: float) -> tuple[float, float]:
    """The x with I_x(a, b) = p, as the pair (x, 1 - x), both to full relative accuracy."""
    check_probability(p)
    if p in (0.0, 1.0):
        return p, 1.0 - p
    centre = a / (a + b)
    if p > beta_tails(a, b, centre, b / (a + b))[0]:
        y, x = _beta_quantile_left(1.0 - p, b, a)
        return x, y
    return _beta_quantile_left(p, a, b)


def _beta_quantile_left(p: float, a: float, b: float) -> tuple[float, float]:
    """Quantile at or left of the mean, searched in log x because the left tail is a power of x."""

    def log_gap(u: float) -> tuple[float, float]:
        x = math.exp(u)
        lower = beta_tails(a, b, x, -math.expm1(u))[0]
        if lower <= 0.0:
            return -math.inf, 0.0
        slope = math.exp(_log_beta_density(a, b, x, -math.expm1(u))) / lower / -math.expm1(u)
        return math.log(lower) - math.log(p), slope

    u = increasing_root(log_gap, -740.0, math.log(a / (a + b)) + 1e-12)
    return math.exp(u), -math.expm1(u)


def gamma_tails(a: float, x: float) -> tuple[float, float]:
    if not a > 0.0 or x < 0.0 or math.isnan(x):
        raise ValueError(f"incomplete gamma: a > 0 and x >= 0 are needed, not {a!r} and {x!r}")
    if x == 0.0:
        return 0.0, 1.0
    if math.isinf(x):
        return 1.0, 0.0
    density = math.exp(log_gamma_density(a, x))
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


def log_gamma_density(a: float, x: float) -> float:
    """log of x^a e^-x / Gamma(a)."""
    if a < 15.0:
        return a * math.log(x) - x - math.lgamma(a)
    return 0.5 * math.log(a) - HALF_LOG_2PI - _stirling_error(a) - _deviance(a, x)


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


def _stirling_error(n: float) -> float:
    """log(n!) minus Stirling's formula, for real n > 0."""
    if n < 15.0:
        return math.lgamma(n + 1.0) - (n + 0.5) * math.log(n) + n - HALF_LOG_2PI
    r = 1.0 / (n * n)
    return (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * (1 / 1188 - r * 691 / 360360))))) / n


_STIRLING_ERRORS: Final = np.array([0.0] + [_stirling_error(float(n)) for n in range(1, 16)])


def stirling_errors(n: Floats) -> Floats:
    """`_stirling_error` of whole numbers; 0 at n = 0, where the caller does not use it."""
    r = 1.0 / np.square(np.maximum(n, 15.0))
    series = 1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * (1 / 1188 - r * 691 / 360360))))
    series = series / np.maximum(n, 1.0)
    return np.where(n < 16.0, _STIRLING_ERRORS[np.minimum(n, 15.0).astype(np.intp)], series)


def _deviance(x: float, mean: float) -> float:
    """x log(x / mean) + mean - x without cancellation near x = mean (Loader's bd0), x >= 0 and mean >= 0."""
    if x == 0.0 or mean == 0.0:
        return mean if x == 0.0 else math.inf
    if abs(x - mean) >= 0.1 * (x + mean):
        return x * math.log(x / mean) + mean - x
    v = (x - mean) / (x + mean)
    return (x - mean) * v + 2.0 * x * v * sum(v ** (2 * j) / (2 * j + 1) for j in range(1, 9))


def deviances(x: Floats, mean: Floats) -> Floats:
    """`_deviance` of arrays; meaningless where x or mean is 0, where the caller does not use it."""
    v = (x - mean) / (x + mean)
    square = v * v
    series = np.zeros_like(v)
    for j in range(8, 0, -1):
        series = square * (1.0 / (2 * j + 1) + series)
    near = (x - mean) * v + 2.0 * x * v * series
    return np.where(np.abs(v) >= 0.1, x * np.log(x / mean) + mean - x, near)


def increasing_root(gap_and_slope: Callable[[float], tuple[float, float]], low: float, high: float) -> float:
    """Root of an increasing function between low and high.

    Newton steps; bisection whenever one would leave the bracket. The function returns its value and its slope.
    """
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


def check_probability(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"not a probability: {p!r}")
