"""Standardised effect sizes: how large a difference is, in units of its spread or as a probability.

Each says what it divides by, because the same data give a dz and a d_av that differ by half. Prefer the plain difference with
its interval where the unit means something (percentage points of accuracy do).
"""

from __future__ import annotations

import math

import numpy as np

from batchtrial.stats.distributions import noncentral_t_cdf, noncentral_t_sf, norm_isf, z_two_sided
from batchtrial.stats.pairing import Scores, complete, paired_scores
from batchtrial.stats.results import Estimate, check_level, undefined_estimate
from batchtrial.stats.scores import ALL_EQUAL, Moments, few, moments
from batchtrial.stats.special import Floats
from batchtrial.stats.sums import dot

NO_INTERVAL = "no interval is computed for this effect size"
NO_SPREAD = "the differences do not vary, so there is nothing to divide by"


def cohen_dz(differences: Scores, level: float = 0.95) -> Estimate:
    """dz = mean / sd of the differences, with the exact interval for normal differences.

    differences: shape (n,); None and NaN are dropped and counted. The interval inverts the noncentral t law of sqrt(n) dz.
    No spread: 0 when the mean is 0, else None. n < 2: None.
    Source: Cohen 1988, section 2.3.5; Cumming & Finch 2001 for the interval. Reference: R effectsize.
    """
    return _standardised(moments(differences), level, "cohen_dz", 1.0)


def hedges_gz(differences: Scores, level: float = 0.95) -> Estimate:
    """dz times the exact small-sample factor J(n - 1) (`hedges_correction`), interval likewise. Source: Hedges 1981."""
    m = moments(differences)
    return _standardised(m, level, "hedges_gz", hedges_correction(m.n - 1.0) if m.n > 2 else 1.0)


def cohen_dav(treatment: Scores, control: Scores, level: float = 0.95) -> Estimate:
    """d_av = mean difference / sqrt((s_t^2 + s_c^2) / 2), comparable with effect sizes of unpaired studies. No interval.

    treatment, control: shape (n,), same order; incomplete pairs are dropped and counted. No spread in either arm: 0 when the
    means agree, else None. Source: Lakens 2013, Frontiers in Psychology 4:863. Reference: pingouin, paired cohen-d.
    """
    check_level(level)
    pairs = paired_scores(treatment, control)
    t, c = moments(pairs.treatment), moments(pairs.control)
    n, dropped = t.n, pairs.dropped
    if t.mean is None or c.mean is None or t.sd is None or c.sd is None:
        return undefined_estimate(few(n), level=level, method="cohen_dav", n=n, dropped=dropped)
    spread = math.sqrt((t.sd**2 + c.sd**2) / 2.0)
    if spread == 0.0:
        value, reason = (0.0, ALL_EQUAL) if t.mean == c.mean else (None, NO_SPREAD)
        return undefined_estimate(reason, level=level, method="cohen_dav", n=n, dropped=dropped, value=value)
    mean = float(np.mean(pairs.differences))
    return undefined_estimate(NO_INTERVAL, level=level, method="cohen_dav", n=n, dropped=dropped, value=mean / spread)


def hedges_correction(df: float) -> float:
    """J(df) = Gamma(df / 2) / (sqrt(df / 2) Gamma((df - 1) / 2)), exact, df > 1. Source: Hedges 1981, JES 6:107."""
    if not df > 1.0:
        raise ValueError(f"Hedges' J needs more than one degree of freedom, not {df!r}")
    return math.exp(math.lgamma(df / 2.0) - math.lgamma((df - 1.0) / 2.0)) / math.sqrt(df / 2.0)


def cliffs_delta(treatment: Scores, control: Scores, level: float = 0.95) -> Estimate:
    """Cliff's delta of two independent groups: P(T > C) - P(T < C) over all m n pairs; ties count as neither.

    treatment: shape (m,), control: shape (n,), of any lengths; None and NaN are dropped and counted. This ignores pairing: for
    the same items in both arms use `ranks.rank_biserial` or (b - c) / n. n is m + n. Found by sorting, in O(N log N).
    Interval: Cliff's consistent variance with the asymmetric ends of Feng & Cliff, which stay in [-1, 1]; one score in a
    group, or complete separation, gives none.
    Source: Cliff 1993, Psychological Bulletin 114:494; Feng & Cliff 2004, JMASM 3:322. Reference: R effsize cliff.delta.
    """
    check_level(level)
    (t, dropped_t), (c, dropped_c) = complete(treatment, "treatment scores"), complete(control, "control scores")
    m, n, dropped = t.size, c.size, dropped_t + dropped_c
    if m == 0 or n == 0:
        return undefined_estimate("a group is empty", level=level, method="cliffs_delta", n=m + n, dropped=dropped)
    wins_t, ties = _dominance(t, c)
    wins_c, _ = _dominance(c, t)
    delta = float(wins_t.sum()) / m / n
    if m < 2 or n < 2 or abs(delta) == 1.0:
        reason = "complete separation, or a group of one: no interval"
        return undefined_estimate(reason, level=level, method="cliffs_delta", n=m + n, dropped=dropped, value=delta)
    row, column = wins_t / n - delta, wins_c / m + delta
    cells = 1.0 - ties / (float(m) * n) - delta * delta  # mean of (d_ij - delta)^2
    variance = (n * n * dot(row, row) + m * m * dot(column, column) - m * n * cells) / (float(m) * n * (m - 1.0) * (n - 1.0))
    variance = max(variance, (1.0 - delta * delta) / (float(m) * n - 1.0))  # Cliff's floor: the first can be negative
    z2, rest = z_two_sided(level) ** 2, 1.0 - delta * delta
    half = math.sqrt(z2 * variance) * math.sqrt(rest * rest + z2 * variance)
    centre, scale = delta - delta**3, rest + z2 * variance
    return Estimate(
        value=delta,
        ci_low=max(min((centre - half) / scale, delta), -1.0),
        ci_high=min(max((centre + half) / scale, delta), 1.0),
        level=level,
        method="cliffs_delta",
        n=m + n,
        dropped=dropped,
        se=math.sqrt(variance),
    )


def _dominance(scores: Floats, others: Floats) -> tuple[Floats, int]:
    """Per score: how many others lie below it minus how many above; and the number of tied pairs."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, side="left")
    upto = np.searchsorted(ordered, scores, side="right")
    return (below - (others.size - upto)).astype(np.float64), int((upto - below).sum())


def _standardised(m: Moments, level: float, method: str, factor: float) -> Estimate:
    check_level(level)
    if m.mean is None or m.sd is None:
        return undefined_estimate(few(m.n), level=level, method=method, n=m.n, dropped=m.dropped)
    if m.sd == 0.0:
        value, reason = (0.0, ALL_EQUAL) if m.mean == 0.0 else (None, NO_SPREAD)
        return undefined_estimate(reason, level=level, method=method, n=m.n, dropped=m.dropped, value=value)
    dz, root, df = m.mean / m.sd, math.sqrt(m.n), m.n - 1.0
    tail = (1.0 - level) / 2.0
    low = _shift(dz * root, df, tail, upper=True) / root * factor
    high = _shift(dz * root, df, tail, upper=False) / root * factor
    # At levels of a few percent the interval closes up beside dz, which is a biased estimate of its parameter.
    low, high = min(low, dz * factor), max(high, dz * factor)
    return Estimate(value=dz * factor, ci_low=low, ci_high=high, level=level, method=method, n=m.n, dropped=m.dropped)


def _shift(t: float, df: float, tail: float, *, upper: bool) -> float:
    """The noncentrality at which P(T >= t) (upper) or P(T <= t) is `tail`.

    On the normal scale the tail is almost a straight line in the noncentrality, so a secant gets there in a few steps; halving
    takes over where the tail is 0 or 1.
    """
    target = norm_isf(tail)

    def gap(shift: float) -> float:
        p = noncentral_t_sf(t, df, shift) if upper else noncentral_t_cdf(t, df, shift)
        return (target - norm_isf(p)) if upper else (norm_isf(p) - target)  # grows with the noncentrality

    width = math.sqrt(1.0 + t * t / (2.0 * df))
    reach = 12.0 * width + 2.0 * abs(t)
    low, high = t - reach, t + reach
    here = t - target * width if upper else t + target * width
    there = here + 0.1 * width
    found_there = gap(there)
    for _ in range(80):
        found = gap(here)
        low, high = (here, high) if found < 0.0 else (low, here)
        slope = (found - found_there) / (here - there) if math.isfinite(found - found_there) and here != there else 0.0
        guess = here - found / slope if slope > 0.0 else math.inf
        if abs(guess - here) <= 1e-12 * (width + abs(here)):
            return guess
        there, found_there = here, found
        here = guess if low < guess < high else 0.5 * (low + high)
    return here
