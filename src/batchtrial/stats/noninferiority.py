"""Is the treatment at most a margin worse (non-inferior), or within margins on both sides (equivalent)?

A margin is a difference that the plan calls too small to matter, in the unit of the difference (0.03 is three percentage
points). Not significant is not equivalent: only these tests can say "no relevant difference". For right/wrong answers they
use Tango's score statistic, whose size holds at the ceiling, where the t-test's is .134 at a nominal .05; up to 5,000 pairs
the claim must also pass the exact test, so that its size is at most the nominal one whatever the truth (tests/calibration).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from batchtrial.errors import DataError
from batchtrial.stats.distributions import norm_sf, t_sf, t_two_sided
from batchtrial.stats.intervals import tango, tango_z
from batchtrial.stats.pairing import Scores
from batchtrial.stats.results import Estimate, Test, check_alpha, estimate_around, undefined_estimate, undefined_test
from batchtrial.stats.scores import ALL_EQUAL, NO_PAIRS, Moments, few, moments
from batchtrial.stats.unconditional import MOST_PAIRS, exact_margin_p

_NO_SCORE_CHANGED = "no item changed: tested as right/wrong answers without a changed item"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginTest:
    """A test against margins, with the interval that decides the same question.

    low, high: the margins; high is None for non-inferiority. above_low tests "the difference is low or less", below_high
    "high or more"; both are one-sided. exact_p: the larger of their exact unconditional p-values, computed for whole counts up
    to 5,000 pairs when the score tests pass, else None. p_value is the largest of the three. estimate has level 1 - 2 alpha:
    where the claim holds, that interval lies inside the margins. is_met is None when the p-value is.
    """

    low: float
    high: float | None
    alpha: float
    above_low: Test
    below_high: Test | None
    estimate: Estimate
    exact_p: float | None = None

    @property
    def p_value(self) -> float | None:
        """The largest of the one-sided p-values; None when one of the two tests is undefined."""
        ps = [test.p_value for test in (self.above_low, self.below_high) if test is not None]
        known = [p for p in (*ps, self.exact_p) if p is not None]
        return None if any(p is None for p in ps) else max(known)

    @property
    def is_met(self) -> bool | None:
        """Whether the claim holds at alpha."""
        return None if self.p_value is None else self.p_value <= self.alpha


def noninferiority_binary(b: float, c: float, n: float, margin: float, alpha: float = 0.05) -> MarginTest:
    """Is the treatment's accuracy more than control's minus `margin`? One-sided test of Tango's Z at -margin.

    b, c: items right in the treatment only and in the control only; n: pairs. Counts need not be whole (effective sizes).
    Raises DataError unless 0 < margin < 1. Source: Tango 1998, Statistics in Medicine 17:891, section 3; for the exact p
    `unconditional.exact_margin_p`.
    """
    return _binary(b, c, n, -_margin(margin, 1.0), None, alpha)


def equivalence_binary(b: float, c: float, n: float, margin: float, alpha: float = 0.05) -> MarginTest:
    """Do the arms' accuracies differ by less than `margin`? Two one-sided tests of Tango's Z at -margin and +margin."""
    return _binary(b, c, n, -_margin(margin, 1.0), margin, alpha)


def noninferiority_scores(differences: Scores, margin: float, alpha: float = 0.05) -> MarginTest:
    """Is the mean difference above -margin? One-sided paired t-test; None and NaN are dropped and counted.

    All differences zero: decided as `noninferiority_binary` without a changed item, because a t-test would give p = 0 from
    two items. Needs scores in [0, 1] for that, so the margin is below 1. All equal but not zero: undefined.
    """
    return _scores(moments(differences), -_margin(margin, math.inf), None, alpha)


def equivalence_scores(differences: Scores, low: float, high: float, alpha: float = 0.05) -> MarginTest:
    """Does the mean difference lie between low < 0 and high > 0? Two one-sided paired t-tests (TOST).

    Degenerate cases as in `noninferiority_scores`. Source: Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15:657.
    """
    return _scores(moments(differences), low, _bounds(low, high)[1], alpha)


def equivalence_from_summary(mean: float, se: float, df: float, low: float, high: float, *, n: int, alpha: float = 0.05) -> MarginTest:
    """TOST from a mean difference, its standard error and degrees of freedom (clustered, or published by others)."""
    _bounds(low, high)
    if not (se > 0.0 and math.isfinite(mean) and math.isfinite(se)):
        raise DataError(f"a standard error is positive, not {se!r}")
    return _from_t(mean, se, df, low, high, alpha, n=n, dropped=0)


def noninferiority_from_summary(mean: float, se: float, df: float, margin: float, *, n: int, alpha: float = 0.05) -> MarginTest:
    """Non-inferiority from a mean difference, its standard error and degrees of freedom (clustered items)."""
    if not (se > 0.0 and math.isfinite(mean) and math.isfinite(se)):
        raise DataError(f"a standard error is positive, not {se!r}")
    return _from_t(mean, se, df, -_margin(margin, math.inf), None, alpha, n=n, dropped=0)


def _binary(
    b: float,
    c: float,
    n: float,
    low: float,
    high: float | None,
    alpha: float,
    *,
    dropped: int = 0,
    warnings: tuple[str, ...] = (),
) -> MarginTest:
    estimate = tango(b, c, n, 1.0 - 2.0 * check_one_sided_alpha(alpha))
    method = "tango_margin"

    def tail(margin: float) -> Test:
        if n == 0:
            return undefined_test(NO_PAIRS, method=method, n=0, dropped=dropped)
        z = tango_z(b, c, n, margin)
        return _one_sided(z, norm_sf, upper=margin < 0.0, method=method, n=round(n), dropped=dropped)

    tested = _margin_test(low, high, alpha, tail, replace(estimate, dropped=dropped, warnings=warnings))
    if not (tested.is_met and n <= MOST_PAIRS and b == int(b) and c == int(c) and n == int(n)):
        return tested
    exact = [exact_margin_p(int(b), int(c), int(n), -low)]
    if high is not None:
        exact.append(exact_margin_p(int(c), int(b), int(n), high))
    return replace(tested, exact_p=max(exact))


def _scores(m: Moments, low: float, high: float | None, alpha: float) -> MarginTest:
    level = 1.0 - 2.0 * check_one_sided_alpha(alpha)
    if m.mean is not None and m.se is not None and m.se > 0.0:
        return _from_t(m.mean, m.se, m.n - 1.0, low, high, alpha, n=m.n, dropped=m.dropped)
    if m.n >= 1 and m.mean == 0.0 and low > -1.0 and (high is None or high < 1.0):
        return _binary(0.0, 0.0, m.n, low, high, alpha, dropped=m.dropped, warnings=(_NO_SCORE_CHANGED,))
    reason = ALL_EQUAL if m.n > 1 else few(m.n)
    estimate = undefined_estimate(reason, level=level, method="t_margin", n=m.n, dropped=m.dropped, value=m.mean)
    test = undefined_test(reason, method="t_margin", n=m.n, dropped=m.dropped)
    return MarginTest(low=low, high=high, alpha=alpha, above_low=test, below_high=None if high is None else test, estimate=estimate)


def _from_t(mean: float, se: float, df: float, low: float, high: float | None, alpha: float, *, n: int, dropped: int) -> MarginTest:
    level = 1.0 - 2.0 * check_one_sided_alpha(alpha)
    half = t_two_sided(level, df) * se
    estimate = estimate_around(mean, half, level=level, method="t_margin", n=n, dropped=dropped, se=se)

    def tail(margin: float) -> Test:
        t = (mean - margin) / se
        return _one_sided(t, lambda x: t_sf(x, df), upper=margin < 0.0, method="t_margin", n=n, dropped=dropped)

    return _margin_test(low, high, alpha, tail, estimate)


def _margin_test(low: float, high: float | None, alpha: float, tail: Callable[[float], Test], estimate: Estimate) -> MarginTest:
    return MarginTest(
        low=low,
        high=high,
        alpha=alpha,
        above_low=tail(low),
        below_high=None if high is None else tail(high),
        estimate=estimate,
    )


def _one_sided(statistic: float, sf: Callable[[float], float], *, upper: bool, method: str, n: int, dropped: int = 0) -> Test:
    """Large positive statistics speak against the lower margin (upper tail), large negative ones against the upper."""
    p = sf(statistic if upper else -statistic)
    finite = statistic if math.isfinite(statistic) else math.copysign(1e308, statistic)
    return Test(statistic=finite, p_value=p, method=method, n=n, dropped=dropped)


def check_one_sided_alpha(alpha: float) -> float:
    """A one-sided alpha whose interval has level 1 - 2 alpha; raises DataError unless 0 < alpha < 0.5."""
    if check_alpha(alpha) >= 0.5:
        raise DataError(f"a one-sided significance level lies below one half, not {alpha!r}")
    return alpha


def _margin(margin: float, below: float) -> float:
    if not 0.0 < margin < below:
        limit = "" if math.isinf(below) else f" and below {below:g}"
        raise DataError(f"a margin is positive{limit}, not {margin!r}", hint="three percentage points are 0.03")
    return margin


def _bounds(low: float, high: float) -> tuple[float, float]:
    if not -math.inf < low < 0.0 < high < math.inf:
        raise DataError(f"equivalence margins lie on both sides of zero, not {low!r} and {high!r}")
    return low, high
