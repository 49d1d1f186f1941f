"""Intervals for one proportion and for the difference of two paired proportions.

Paired, with b items right in the treatment only, c in the control only, n in all: delta = (b - c) / n, treatment minus
control. `tango` is the default. `wald` and `agresti_min` are here to show what they would have said: on small samples their
intervals miss the truth up to a third of the time (tests/calibration), and nothing else in the package uses them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from batchtrial.errors import DataError
from batchtrial.stats.distributions import beta_ppf, t_two_sided, z_two_sided
from batchtrial.stats.pairing import Scores, paired_scores
from batchtrial.stats.results import Estimate, check_level, undefined_estimate
from batchtrial.stats.scores import NO_PAIRS
from batchtrial.stats.special import Floats
from batchtrial.stats.sums import mean_of

NO_ANSWERS = "there are no answers"
IMAGINED = 2.0
"""Changed items, one each way, that are imagined beside those seen: answers that nearly never change do not prove that none would."""
_DISCRETE = 1.03
"""How much wider the interval of several samples is: where they all agree, item means take few values, and the score interval of so discrete a
sum falls to .927 of .95 at some sizes; so it stays above .94 from fifty items on (tests/calibration)."""
_BISECTIONS = 60  # halves [-1, 1] down to the last bit of a double


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveTango(Estimate):
    """`Estimate` of a paired difference, with the sample size that the answers are worth.

    design_effect: variance of the difference over what one independent answer per item and arm would give; effective_n is
    n / design_effect.
    """

    design_effect: float
    effective_n: float


def tango(b: float, c: float, n: float, level: float = 0.95) -> Estimate:
    """Tango's score interval for delta = (b - c) / n: the headline interval for paired right/wrong answers.

    The ends are the delta with Z(delta) = +-z, where Z = (b - c - n delta) / sqrt(n (2 q + delta (1 - delta))) and q is the
    maximum likelihood estimate of the control-only probability at that delta: q = (sqrt(B^2 - 4 A C) - B) / (2 A), A = 2 n,
    B = (2 n - b + c) delta - b - c, C = -c delta (1 - delta). Found by bisection to the last bit.
    b, c, n need not be whole (`effective_tango`). No changed item gives +-z^2 / (n + z^2), not a point; n = 0 gives None.
    Raises DataError unless 0 <= b, c and b + c <= n.
    Source: Tango 1998, Statistics in Medicine 17:891. Reference: R contingencytables, ratesci.
    """
    z = z_two_sided(check_level(level))
    _check_pairs(b, c, n)
    if n == 0:
        return undefined_estimate(NO_PAIRS, level=level, method="tango", n=0)
    low, high = _tango_ends(b, c, n, z)
    return _estimate((b - c) / n, low, high, level, "tango", n)


def tango_z(b: float, c: float, n: float, delta: float) -> float:
    """Tango's score statistic Z for "the true difference is delta" (formula in `tango`); n > 0, -1 <= delta <= 1.

    Positive when the data lie above delta; infinite at delta = +-1 unless the data are there too, which gives 0.
    """
    numerator = b - c - n * delta
    if numerator == 0.0:
        return 0.0
    big_b = (2.0 * n - b + c) * delta - b - c
    minus_c = c * delta * (1.0 - delta)
    root = math.sqrt(max(big_b * big_b + 8.0 * n * minus_c, 0.0))
    # For B > 0 the textbook form subtracts two nearly equal numbers; this is the same root without that.
    q = 2.0 * minus_c / (root + big_b) if big_b > 0.0 else (root - big_b) / (4.0 * n)
    variance = n * (2.0 * q + delta * (1.0 - delta))
    return numerator / math.sqrt(variance) if variance > 0.0 else math.copysign(math.inf, numerator)


def tango_many(b: ArrayLike, c: ArrayLike, n: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Tango intervals of many tables at once: arrays of one shape in, (low, high) of that shape out; n > 0 throughout."""
    z = z_two_sided(check_level(level))
    b_, c_, n_ = (np.asarray(x, dtype=np.float64) for x in (b, c, n))
    delta = (b_ - c_) / n_
    ends = []
    for edge in (-1.0, 1.0):
        outside, inside = np.full_like(delta, edge), delta.copy()  # |Z| is above z at the first, below at the second
        for _ in range(_BISECTIONS):
            middle = 0.5 * (outside + inside)
            too_far = np.abs(tango_z_many(b_, c_, n_, middle)) > z
            outside, inside = np.where(too_far, middle, outside), np.where(too_far, inside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def tango_z_many(b: ArrayLike, c: ArrayLike, n: ArrayLike, delta: ArrayLike) -> Floats:
    """`tango_z` of arrays; they broadcast."""
    b_, c_, n_, d = (np.asarray(x, dtype=np.float64) for x in (b, c, n, delta))
    numerator = b_ - c_ - n_ * d
    with np.errstate(divide="ignore", invalid="ignore"):
        z = numerator / tango_sd(b_, c_, n_, d)
    return np.where(numerator == 0.0, 0.0, z)


def tango_sd(b: Floats, c: Floats, n: Floats, delta: Floats) -> Floats:
    """Standard deviation of b - c under "the true difference is delta", the denominator of Tango's Z; arrays broadcast."""
    big_b = (2.0 * n - b + c) * delta - b - c
    minus_c = c * delta * (1.0 - delta)
    root = np.sqrt(np.maximum(big_b * big_b + 8.0 * n * minus_c, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(big_b > 0.0, 2.0 * minus_c / (root + big_b), (root - big_b) / (4.0 * n))
    return np.asarray(np.sqrt(np.maximum(n * (2.0 * q + delta * (1.0 - delta)), 0.0)))


def effective_tango(
    treatment: Scores,
    control: Scores,
    *,
    samples_treatment: int = 1,
    samples_control: int = 1,
    level: float = 0.95,
    cluster_variance: float | None = None,
    cluster_df: float | None = None,
    cluster_size: float = 1.0,
) -> EffectiveTango:
    """Tango's interval for several samples per item, for clustered items, or both.

    treatment, control: share of right samples per item, shape (n_items,), in [0, 1]; None or NaN drops the pair.
    samples_*: samples per item behind each share. cluster_variance: variance of the mean difference when items of a cluster
    are dependent (CR2), with cluster_df its Satterthwaite degrees of freedom (None: normal).

    b = sum p_t (1 - p_c) and c = sum p_c (1 - p_t) are the changed items to expect from one answer each. The design effect
    is (S + 2) / (N + 2), S the sum of squares of the differences of item means, N what it would be with n such single answers:
    the same as one imagined changed item each way, because on items that hardly ever change a sample without a change has a ratio
    S / N of 1/K and would promise too much. It lies between (1/K_t + 1/K_c) / 2 (all variance is answer noise) and 1; with several
    samples it is then raised by 6 % (the interval by 3 %). Clusters can raise it to n at most: cluster_variance (t_df / z)^2 over the variance of
    n single answers, with cluster_size, of a typical item's (`effect_of_clusters`). Then Tango's interval of (b, c, n), each divided by it.
    samples_* give the floor only: a lost sample changes neither method nor width. The imagined changes make it wider than it has to be on
    few items of middling chances (.985 for 50 items, five samples); smaller ones claim too much elsewhere (tests/calibration/rare_flips).
    One sample, no clusters: exactly `tango`. Raises DataError on shares outside [0, 1] and on a negative variance.
    Source: effective sample sizes as of Eliasziw & Donner 1991, Statistics in Medicine 10:1981, on the score interval.
    """
    t, c, dropped = _shares(treatment, control, samples_treatment, samples_control)
    n, z = t.size, z_two_sided(check_level(level))
    b_sum, c_sum = float(np.sum(t * (1.0 - c))), float(np.sum(c * (1.0 - t)))
    naive = max((b_sum + c_sum) / n - ((b_sum - c_sum) / n) ** 2, 0.0) / n if n else 0.0
    seen = float(np.var(t - c, ddof=1)) * n if n > 1 else 0.0
    effect = design_effect_of_samples(seen, naive * n * n if n > 1 else 0.0, 0.5 / samples_treatment + 0.5 / samples_control)
    if cluster_variance is not None:
        wide = cluster_variance * n * n * _stretch(cluster_variance, cluster_df, level)
        effect = max(effect, min(effect_of_clusters(wide, naive * n * n, cluster_size), float(n)))
    low, high = _tango_ends(b_sum / effect, c_sum / effect, n / effect, z) if n else (None, None)
    return EffectiveTango(
        value=mean_of(t - c) if n else None,
        ci_low=low,
        ci_high=high,
        level=level,
        method="effective_tango",
        n=n,
        dropped=dropped,
        reason=None if n else NO_PAIRS,
        design_effect=effect,
        effective_n=n / effect,
    )


def design_effect_of_samples(seen: float, single: float, floor: float) -> float:
    """What several samples of each item do to the variance of a difference, as `effective_tango` takes it.

    seen: sum of squares of the differences of item means; single: what it would be with one answer in each arm, 0 when nothing changed.
    floor: what it is when all variance is answer noise, (1/K_t + 1/K_c) / 2; 1 with one sample.
    """
    effect = float(np.clip((seen + IMAGINED) / (single + IMAGINED), floor, 1.0)) if single > 0.0 else 1.0
    return effect * (_DISCRETE**2 if floor < 1.0 else 1.0)


def newcombe(a: int, b: int, c: int, d: int, level: float = 0.95, *, correction: bool = True) -> Estimate:
    """Newcombe's method 10 for delta: Wilson intervals of both arms, squared and added with their correlation.

    a: both right, d: both wrong. low = delta - sqrt(l_t^2 - 2 phi l_t u_c + u_c^2), where l_t is how far the treatment's
    Wilson interval reaches down and u_c how far the control's reaches up; high likewise. phi is the correlation of the two
    answers, 0 when a margin is zero. correction: n/2 is taken from a positive a d - b c before phi, not past zero; that is
    method 10, without it method 8.
    Source: Newcombe 1998, Statistics in Medicine 17:2635. Reference: R contingencytables.
    """
    _check_pairs(b, c, a + b + c + d)
    n = a + b + c + d
    if n == 0:
        return undefined_estimate(NO_PAIRS, level=check_level(level), method="newcombe", n=0)
    p_t, p_c, delta = (a + b) / n, (a + c) / n, (b - c) / n
    (low_t, high_t), (low_c, high_c) = _wilson(a + b, n, level), _wilson(a + c, n, level)
    margins = float(a + b) * float(c + d) * float(a + c) * float(b + d)
    cross = float(a) * d - float(b) * c
    if correction and cross > 0.0:
        cross = max(cross - n / 2.0, 0.0)
    phi = cross / math.sqrt(margins) if margins else 0.0
    down = _root_of_squares(p_t - low_t, high_c - p_c, phi)
    up = _root_of_squares(high_t - p_t, p_c - low_c, phi)
    return _estimate(delta, max(delta - down, -1.0), min(delta + up, 1.0), level, "newcombe", n)


def bonett_price(b: float, c: float, n: float, level: float = 0.95) -> Estimate:
    """Bonett and Price's adjusted Wald interval for delta: one added to b and c, two to n, ends kept in [-1, 1].

    A fast substitute for `tango` inside loops; its lowest coverage is .928 where Tango's is .933.
    Source: Bonett & Price 2012, Journal of Educational and Behavioral Statistics 37:479. Reference: R contingencytables.
    """
    return _adjusted_wald(b, c, n, level, method="bonett_price", added=1.0)


def wald(b: float, c: float, n: float, level: float = 0.95) -> Estimate:
    """Wald interval for delta, for comparison only: a point when nothing changed, coverage down to .63."""
    return _adjusted_wald(b, c, n, level, method="wald", added=0.0)


def agresti_min(b: float, c: float, n: float, level: float = 0.95) -> Estimate:
    """Agresti and Min's interval (half an answer added to each cell), for comparison only; may leave [-1, 1].

    Source: Agresti & Min 2005, Statistics in Medicine 24:729.
    """
    return _adjusted_wald(b, c, n, level, method="agresti_min", added=0.5)


def wilson(x: float, n: float, level: float = 0.95) -> Estimate:
    """Wilson's score interval for a proportion x / n: the default for one arm.

    Source: Wilson 1927, JASA 22:209. Reference: Newcombe 1998, Statistics in Medicine 17:857, table I.
    """
    _check_count(x, n)
    if n == 0:
        return undefined_estimate(NO_ANSWERS, level=check_level(level), method="wilson", n=0)
    low, high = _wilson(x, n, level)
    return _estimate(x / n, low, high, level, "wilson", n)


def clopper_pearson(x: int, n: int, level: float = 0.95) -> Estimate:
    """Clopper and Pearson's exact interval for x / n: coverage never below `level`, usually well above.

    Ends are beta quantiles: (alpha/2; x, n - x + 1) and (1 - alpha/2; x + 1, n - x). Source: Biometrika 1934, 26:404.
    """
    _check_count(x, n)
    tail = (1.0 - check_level(level)) / 2.0
    if n == 0:
        return undefined_estimate(NO_ANSWERS, level=level, method="clopper_pearson", n=0)
    low = beta_ppf(tail, x, n - x + 1.0) if x > 0 else 0.0
    high = beta_ppf(1.0 - tail, x + 1.0, float(n - x)) if x < n else 1.0
    return _estimate(x / n, low, high, level, "clopper_pearson", n)


def jeffreys(x: int, n: int, level: float = 0.95) -> Estimate:
    """Jeffreys' interval for x / n: quantiles of Beta(x + 1/2, n - x + 1/2); low is 0 at x = 0 and high is 1 at x = n.

    Source: Brown, Cai & DasGupta 2001, Statistical Science 16:101, section 4.1, with their rule for the boundary.
    """
    _check_count(x, n)
    tail = (1.0 - check_level(level)) / 2.0
    if n == 0:
        return undefined_estimate(NO_ANSWERS, level=level, method="jeffreys", n=0)
    low = beta_ppf(tail, x + 0.5, n - x + 0.5) if x > 0 else 0.0
    high = beta_ppf(1.0 - tail, x + 0.5, n - x + 0.5) if x < n else 1.0
    # At levels of a few percent the quantiles can close up on one side of x / n.
    return _estimate(x / n, min(low, x / n), max(high, x / n), level, "jeffreys", n)


def _tango_ends(b: float, c: float, n: float, z: float) -> tuple[float, float]:
    delta = (b - c) / n
    ends = []
    for outside in (-1.0, 1.0):
        inside = delta
        for _ in range(_BISECTIONS):
            middle = 0.5 * (outside + inside)
            if abs(tango_z(b, c, n, middle)) > z:
                outside = middle
            else:
                inside = middle
        ends.append(inside)
    return ends[0], ends[1]


def _wilson(x: float, n: float, level: float) -> tuple[float, float]:
    z = z_two_sided(check_level(level))
    p, shrink = x / n, 1.0 + z * z / n
    centre = (p + z * z / (2.0 * n)) / shrink
    half = z * math.sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n)) / shrink
    # Exactly 0 and 1 at the ends, which rounding would miss by one digit and odds would turn into 10^16.
    return (0.0 if x == 0 else max(centre - half, 0.0)), (1.0 if x == n else min(centre + half, 1.0))


def _adjusted_wald(b: float, c: float, n: float, level: float, *, method: str, added: float) -> Estimate:
    _check_pairs(b, c, n)
    z = z_two_sided(check_level(level))
    if n == 0:
        return undefined_estimate(NO_PAIRS, level=level, method=method, n=0)
    size = n + 2.0 * added if method == "bonett_price" else n + 4.0 * added
    p_b, p_c = (b + added) / size, (c + added) / size
    centre = p_b - p_c
    se = math.sqrt(max(p_b + p_c - centre * centre, 0.0) / size)
    low, high = centre - z * se, centre + z * se
    delta = (b - c) / n
    if method == "bonett_price":
        low, high = max(low, -1.0), min(high, 1.0)
    return _estimate(delta, min(low, delta), max(high, delta), level, method, n, se=se)


def effect_of_clusters(seen: float, single: float, size: float) -> float:
    """Design effect of clusters, no less than with one changed item each way imagined beside those seen, and with it all of its cluster.

    seen, single: variance of a sum of differences with and without clusters, in squares of a whole change; size: items of a typical
    cluster. Where nothing changed there are only as many answers as clusters: a document that turns would turn as a whole.
    """
    return max(seen / single if single > 0.0 else 1.0, (seen + IMAGINED * size) / (single + IMAGINED))


def _stretch(cluster_variance: float, cluster_df: float | None, level: float) -> float:
    """(t_df / z)^2: what few clusters add to the width of an interval, folded into the variance."""
    if not 0.0 <= cluster_variance < math.inf:
        raise DataError(f"a variance is not negative, unlike {cluster_variance!r}")
    if cluster_df is None:
        return 1.0
    if not cluster_df > 0.0:
        raise DataError(f"degrees of freedom are positive, not {cluster_df!r}")
    ratio = t_two_sided(level, cluster_df) / z_two_sided(level)
    return min(ratio, 1e6) ** 2


def _root_of_squares(x: float, y: float, phi: float) -> float:
    return math.sqrt(max(x * x - 2.0 * phi * x * y + y * y, 0.0))


def _estimate(value: float, low: float, high: float, level: float, method: str, n: float, se: float | None = None) -> Estimate:
    return Estimate(value=value, ci_low=low, ci_high=high, level=level, method=method, n=round(n), se=se)


def _shares(treatment: Scores, control: Scores, samples_treatment: int, samples_control: int) -> tuple[Floats, Floats, int]:
    """Complete pairs of shares, and how many were dropped."""
    pairs = paired_scores(treatment, control)
    t, c = pairs.treatment, pairs.control
    if samples_treatment < 1 or samples_control < 1:
        raise DataError(f"an item has at least one sample per arm, not {samples_treatment} and {samples_control}")
    if t.size and (min(t.min(), c.min()) < 0.0 or max(t.max(), c.max()) > 1.0):
        raise DataError("a share of right samples lies between 0 and 1")
    return t, c, pairs.dropped


def _check_pairs(b: float, c: float, n: float) -> None:
    if not (b >= 0 and c >= 0 and b + c <= n * (1.0 + 1e-12)) or math.isinf(n):
        raise DataError(f"changed items cannot be more than all items: b={b!r}, c={c!r}, n={n!r}")


def _check_count(x: float, n: float) -> None:
    if not 0 <= x <= n or math.isinf(n):
        raise DataError(f"a count of right answers lies between 0 and the number of answers: x={x!r}, n={n!r}")
