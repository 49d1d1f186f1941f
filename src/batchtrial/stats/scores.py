"""Mean of paired score differences: t intervals and t-tests.

A score is one number per item and arm (the mean over its samples). For scores the headline p is the sign-flip test of
`permutation`, the headline interval the one here; with clusters both give way to `clusters`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from batchtrial.errors import DataError
from batchtrial.stats.distributions import t_sf, t_two_sided
from batchtrial.stats.pairing import Scores, complete
from batchtrial.stats.results import Estimate, Test, check_level, undefined_estimate, undefined_test
from batchtrial.stats.special import Floats
from batchtrial.stats.sums import ROUNDING, dot, mean_of

NO_PAIRS = "there are no complete pairs"
TOO_FEW = "an interval needs at least two pairs"
ALL_EQUAL = "all differences are equal, so their spread is unknown"
SMALL_N = 30
"""Pairs below which a t interval for scores carries a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanComparison:
    """A mean difference: estimate with interval, test of "it is zero", standard deviation of the differences and df."""

    estimate: Estimate
    test: Test
    sd: float | None
    df: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Size, mean and spread of differences; sd has n - 1 below, and is None for n < 2."""

    n: int
    dropped: int
    mean: float | None
    sd: float | None

    @property
    def se(self) -> float | None:
        """Standard error of the mean, sd / sqrt(n)."""
        return None if self.sd is None else self.sd / math.sqrt(self.n)


def few(n: int) -> str:
    """Why fewer than two pairs have no interval."""
    return TOO_FEW if n else NO_PAIRS


def moments(differences: Scores) -> Moments:
    """Mean and standard deviation of the differences that are there (None and NaN are dropped and counted).

    A spread below the rounding error of the values counts as zero: 0.1 + 0.2 - 0.3 is not a difference.
    """
    d, dropped = complete(differences)
    if d.size == 0:
        return Moments(n=0, dropped=dropped, mean=None, sd=None)
    mean, sd = _mean_sd(d)
    return Moments(n=d.size, dropped=dropped, mean=mean, sd=sd)


def paired_t(differences: Scores, level: float = 0.95) -> MeanComparison:
    """Mean difference with Student's interval mean +- t s / sqrt(n) and the paired t-test, n - 1 degrees of freedom.

    differences: treatment minus control per item, shape (n,); None and NaN are dropped and counted.
    n < 2: no interval, no test. All differences zero: mean 0, p = 1, no interval (for right/wrong answers `tango` has one).
    All equal but not zero: no interval, no test; `permutation.sign_flip` still has a p.
    Source: Student 1908, Biometrika 6:1. Reference: R t.test, scipy ttest_rel.
    """
    check_level(level)
    m = moments(differences)
    if m.mean is None or m.sd is None or m.se is None or m.sd == 0.0:
        return _no_spread(m, level, "paired_t")
    df = m.n - 1.0
    t, half = m.mean / m.se, t_two_sided(level, df) * m.se
    warnings = _small(m.n)
    return MeanComparison(
        estimate=_mean_estimate(m, m.mean - half, m.mean + half, level, "paired_t", warnings),
        test=Test(statistic=t, p_value=two_sided_t(t, df), method="paired_t", n=m.n, dropped=m.dropped, warnings=warnings),
        sd=m.sd,
        df=df,
    )


def logit_t(differences: Scores, level: float = 0.95, bound: float = 1.0) -> MeanComparison:
    """t interval for a bounded mean difference, made on the logit scale so that it cannot leave [-bound, bound].

    differences: shape (n,), each in [-bound, bound]. With m = (mean / bound + 1) / 2 and its standard error e: logit(m) +-
    t e / (m (1 - m)), turned back; the test is the t-test of logit(m) = 0, which keeps its p coherent with the interval.
    n < 2, no spread: as `paired_t`. Raises DataError when a difference lies outside the bound.
    Source: the delta method on the logit, as evalstats does for scores in [0, 1].
    """
    check_level(level)
    if not 0.0 < bound < math.inf:
        raise DataError(f"a bound is a positive number, not {bound!r}")
    d, dropped = complete(differences)
    if d.size and float(np.abs(d).max()) > bound:
        raise DataError(f"a difference lies outside [-{bound:g}, {bound:g}]", hint="pass the range of the score as bound")
    m = moments(d)
    if m.mean is None or m.sd is None or m.se is None or m.sd == 0.0:
        return _no_spread(Moments(n=m.n, dropped=dropped, mean=m.mean, sd=m.sd), level, "logit_t")
    share = (m.mean / bound + 1.0) / 2.0
    df = m.n - 1.0
    centre, se = math.log(share / (1.0 - share)), m.se / (2.0 * bound * share * (1.0 - share))
    half = t_two_sided(level, df) * se
    low, high = (bound * math.tanh(end / 2.0) for end in (centre - half, centre + half))
    warnings = _small(m.n)
    m = Moments(n=m.n, dropped=dropped, mean=m.mean, sd=m.sd)
    return MeanComparison(
        estimate=_mean_estimate(m, low, high, level, "logit_t", warnings),
        test=Test(
            statistic=centre / se,
            p_value=two_sided_t(centre / se, df),
            method="logit_t",
            n=m.n,
            dropped=dropped,
            warnings=warnings,
        ),
        sd=m.sd,
        df=df,
    )


def two_sided_t(t: float, df: float) -> float:
    """P(|T| >= |t|) for Student's t."""
    return min(1.0, 2.0 * t_sf(abs(t), df))


def _mean_sd(d: Floats) -> tuple[float, float | None]:
    mean = mean_of(d)
    if d.size < 2:
        return mean, None
    deviation = d - mean
    sd = math.sqrt(dot(deviation, deviation) / (d.size - 1))
    largest = float(np.abs(d).max())
    return mean, (0.0 if sd <= ROUNDING * largest else sd)


def _mean_estimate(m: Moments, low: float, high: float, level: float, method: str, warnings: tuple[str, ...]) -> Estimate:
    return Estimate(
        value=m.mean,
        ci_low=low,
        ci_high=high,
        level=level,
        method=method,
        n=m.n,
        dropped=m.dropped,
        se=m.se,
        warnings=warnings,
    )


def _no_spread(m: Moments, level: float, method: str) -> MeanComparison:
    reason = ALL_EQUAL if m.n > 1 else few(m.n)
    estimate = undefined_estimate(reason, level=level, method=method, n=m.n, dropped=m.dropped, value=m.mean)
    if m.n >= 1 and m.mean == 0.0 and m.sd in (0.0, None):
        test = Test(statistic=0.0, p_value=1.0, method=method, n=m.n, dropped=m.dropped, warnings=("no item changed",))
    else:
        test = undefined_test(reason, method=method, n=m.n, dropped=m.dropped)
    return MeanComparison(estimate=estimate, test=test, sd=m.sd, df=None)


def _small(n: int) -> tuple[str, ...]:
    return (f"only {n} pairs: below {SMALL_N} the interval leans on normal differences",) if n < SMALL_N else ()
