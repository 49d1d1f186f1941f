"""Conditional odds ratio of paired right/wrong answers.

Given that an item changed, the odds that the treatment is the one that got it right: b / c. It is the maximum likelihood
estimate of conditional logistic regression on the pairs, and each interval here is one for p = b / (b + c) turned into odds
p / (1 - p). Infinity is a legitimate answer (c = 0) and the only place in the package where a record holds one.
"""

from __future__ import annotations

import math
from typing import Literal

from batchtrial.amounts import counted
from batchtrial.errors import DataError
from batchtrial.stats.binary import FEW_CHANGED, NO_CHANGE, check_counts
from batchtrial.stats.distributions import binom_pmf, binom_sf, z_two_sided
from batchtrial.stats.intervals import wilson
from batchtrial.stats.results import Estimate, check_level, estimate_around
from batchtrial.stats.special import beta_quantile, increasing_root

_ONE_SIDED = "all changed items changed the same way, so the log odds ratio is infinite"

OddsMethod = Literal["midp", "clopper_pearson", "wilson", "wald"]


def odds_ratio(b: int, c: int, level: float = 0.95, method: OddsMethod = "midp") -> Estimate:
    """Conditional odds ratio b / c with an interval; n is b + c, se is None (see `log_odds_ratio`).

    method: "midp" (default), "clopper_pearson" (never below nominal), "wilson", or "wald" on the log scale (comparison
    only; it has no interval when b or c is 0). c = 0 gives infinity, b = 0 gives 0; b = c = 0 gives None with the interval
    (0, inf). Raises DataError on counts that are not whole or negative and on an unknown method.
    Source: Fagerland, Lydersen & Laake 2014, Statistics in Medicine 33:2850. Reference: R contingencytables.
    """
    b, c = check_counts(b, c)
    check_level(level)
    value = None if b + c == 0 else math.inf if c == 0 else b / c
    warnings = (f"only {counted(b + c, 'item')} changed: read with care",) if 0 < b + c < FEW_CHANGED else ()
    low: float | None
    high: float | None
    reason = None if b + c else NO_CHANGE
    if b + c == 0:
        low, high = 0.0, math.inf
    elif method == "midp":
        low, high = _midp_low(b, c, level), _inverse(_midp_low(c, b, level))
    elif method == "clopper_pearson":
        low, high = _exact_low(b, c, level), _inverse(_exact_low(c, b, level))
    elif method == "wilson":
        share = wilson(b, b + c, level)
        low, high = _odds(share.ci_low), _odds(share.ci_high)
    elif method == "wald":
        low, high, reason = _wald(b, c, level)
    else:
        raise DataError(f"no interval for the odds ratio is called {method!r}")
    return Estimate(
        value=value,
        ci_low=low,
        ci_high=high,
        level=level,
        method=f"odds_{method}",
        n=b + c,
        warnings=warnings,
        reason=reason,
    )


def log_odds_ratio(b: int, c: int, level: float = 0.95) -> Estimate:
    """log(b / c) with se = sqrt(1/b + 1/c) and its Wald interval: what conditional logistic regression reports.

    None when b or c is 0: the estimate has run off to infinity.
    """
    b, c = check_counts(b, c)
    check_level(level)
    if b == 0 or c == 0:
        return Estimate(value=None, ci_low=None, ci_high=None, level=level, method="log_odds_wald", n=b + c, reason=_ONE_SIDED)
    value, se = math.log(b / c), math.sqrt(1.0 / b + 1.0 / c)
    half = z_two_sided(level) * se
    return estimate_around(value, half, level=level, method="log_odds_wald", n=b + c, se=se)


def _wald(b: int, c: int, level: float) -> tuple[float | None, float | None, str | None]:
    log_ratio = log_odds_ratio(b, c, level)
    if log_ratio.ci_low is None or log_ratio.ci_high is None:
        return None, None, log_ratio.reason
    return math.exp(log_ratio.ci_low), math.exp(log_ratio.ci_high), None


def _exact_low(b: int, c: int, level: float) -> float:
    """Lower Clopper-Pearson end for b of b + c, as odds; the upper end is the inverse of the other arm's lower one."""
    if b == 0:
        return 0.0
    p, q = beta_quantile((1.0 - level) / 2.0, float(b), c + 1.0)
    return p / q


def _midp_low(b: int, c: int, level: float) -> float:
    """Odds of the p at which P(X > b) + P(X = b) / 2 = (1 - level) / 2, X binomial(b + c, p); 0 when b is 0."""
    if b == 0:
        return 0.0
    m, target = b + c, math.log((1.0 - level) / 2.0)

    def log_gap(log_odds: float) -> tuple[float, float]:
        p, q = 1.0 / (1.0 + math.exp(-log_odds)), 1.0 / (1.0 + math.exp(log_odds))
        tail = binom_sf(b, m, p) + 0.5 * float(binom_pmf(b, m, p))
        if tail <= 0.0:
            return -math.inf, 0.0
        slope = 0.5 * m * float(binom_pmf(b, m - 1, p) + binom_pmf(b - 1, m - 1, p))  # d tail / d p
        return math.log(tail) - target, slope * p * q / tail

    # At the observed odds the mid-p tail is near one half, so the end lies below them; c = 0 has no finite odds.
    return math.exp(increasing_root(log_gap, -700.0, math.log(b / c) if c else 40.0))


def _odds(share: float | None) -> float | None:
    return None if share is None else math.inf if share == 1.0 else share / (1.0 - share)


def _inverse(x: float) -> float:
    return math.inf if x == 0.0 else 1.0 / x
