"""Signed ranks: Wilcoxon's test, the Hodges-Lehmann estimate and the rank-biserial correlation.

Secondary analyses. On scores with many unchanged items Wilcoxon's test drops what did not change and asks whether the rest is
symmetric about zero, which is not the question of the mean: its sign can even differ from the mean's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from batchtrial.errors import DataError
from batchtrial.stats.distributions import norm_sf, z_two_sided
from batchtrial.stats.lattice import flip_tail
from batchtrial.stats.pairing import Scores, complete
from batchtrial.stats.results import Estimate, Test, check_level, undefined_estimate, undefined_test
from batchtrial.stats.special import Floats
from batchtrial.stats.sums import dot

EXACT_RANKS = 50
"""Non-zero differences up to which signed-rank laws are exact."""

_MOST_PAIRS = 200_000  # Walsh averages that are listed; above, they are counted by bisection
_COUNTED_TO = 1e-12  # of the range of the differences
_SAME = 1e-12  # relative: differences this close share a rank
NO_PAIRS = "there are no complete pairs"

ZeroMethod = Literal["wilcox", "pratt"]
Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRanks(Test):
    """`Test` of signed ranks; w_plus and w_minus are the rank sums of positive and negative differences, statistic is w_plus.

    n: differences that are not zero; n_zero: those that are; has_ties: whether some share a rank.
    """

    w_plus: float = 0.0
    w_minus: float = 0.0
    n_zero: int = 0
    has_ties: bool = False


def wilcoxon(
    differences: Scores,
    *,
    zero_method: ZeroMethod = "wilcox",
    alternative: Alternative = "two-sided",
    method: Literal["auto", "exact", "normal"] = "auto",
    correction: bool = True,
) -> SignedRanks:
    """Wilcoxon's signed-rank test.

    differences: treatment minus control, shape (n,); None and NaN are dropped and counted. zero_method: "wilcox" leaves zeros
    out before ranking, "pratt" ranks them and then leaves them out. Ties get mid-ranks.
    method "exact": the conditional law given the ranks, ties included; "normal": variance sum r^2 / 4, with a continuity
    correction of one half unless correction is False; "auto": exact up to 50 non-zero differences.
    All zero: W = 0, p = 1. Nothing left: undefined. Raises DataError on unknown options and where an exact law would be too
    large (thousands of differences).
    Source: Wilcoxon 1945, Biometrics Bulletin 1:80; Pratt 1959, JASA 54:655. Reference: R coin wilcoxsign_test.
    """
    if zero_method not in ("wilcox", "pratt") or alternative not in ("two-sided", "greater", "less"):
        raise DataError(f"unknown zero_method or alternative: {zero_method!r}, {alternative!r}")
    if method not in ("auto", "exact", "normal"):
        raise DataError(f"unknown method {method!r}", hint="auto, exact or normal")
    d, dropped = complete(differences)
    name = f"wilcoxon_{zero_method}"
    if d.size == 0:
        empty = undefined_test(NO_PAIRS, method=name, n=0, dropped=dropped)
        return SignedRanks(statistic=None, p_value=None, method=name, n=0, dropped=dropped, reason=empty.reason)
    ranks, signs, has_ties = _signed_ranks(d, zero_method)
    n_zero = int(d.size - ranks.size)
    plus, minus = float(ranks[signs > 0].sum()), float(ranks[signs < 0].sum())
    exact = ranks.size <= EXACT_RANKS if method == "auto" else method == "exact"
    p = _exact_p(ranks, plus - minus, alternative) if exact else _normal_p(ranks, plus - minus, alternative, correction)
    return SignedRanks(
        statistic=plus,
        p_value=p,
        method=f"{name}_{'exact' if exact else 'normal_cc' if correction else 'normal'}",
        n=ranks.size,
        dropped=dropped,
        warnings=() if ranks.size else ("no item changed",),
        w_plus=plus,
        w_minus=minus,
        n_zero=n_zero,
        has_ties=has_ties,
    )


def rank_biserial(differences: Scores, *, zero_method: ZeroMethod = "wilcox") -> float | None:
    """Matched-pairs rank-biserial correlation (W+ - W-) / (W+ + W-), in [-1, 1]; 0 when no difference is non-zero.

    None without a complete pair. Source: Kerby 2014, Comprehensive Psychology 3:1.
    """
    d, _ = complete(differences)
    if d.size == 0:
        return None
    ranks, signs, _ = _signed_ranks(d, zero_method)
    total = float(ranks.sum())
    return dot(ranks, signs) / total if total else 0.0


def hodges_lehmann(differences: Scores, level: float = 0.95) -> Estimate:
    """Median of the n (n + 1) / 2 Walsh averages (d_i + d_j) / 2, i <= j, with the interval that inverts Wilcoxon's test.

    The ends are the k-th smallest and k-th largest Walsh average, k from the exact signed-rank law for n <= 50, from its
    normal approximation above. Ties and zeros make the interval wider than need be, which a warning says. Walsh averages are
    counted over distinct values, so a million items take seconds and no n^2 memory. n < 1: None.
    At small n no interval reaches the level: the widest one is given, with a warning.
    Source: Hodges & Lehmann 1963, Annals of Mathematical Statistics 34:598. Reference: R wilcox.test(conf.int = TRUE).
    """
    check_level(level)
    d, dropped = complete(differences)
    n = d.size
    if n == 0:
        return undefined_estimate(NO_PAIRS, level=level, method="hodges_lehmann", n=0, dropped=dropped)
    values, counts = np.unique(d, return_counts=True)
    total = n * (n + 1) // 2
    k, reaches = _interval_rank(n, level)
    places = (k, (total + 1) // 2, total // 2 + 1, total - k + 1)
    low, left, right, high = _walsh(values, counts.astype(np.int64), places)
    warnings = []
    if not reaches:
        warnings.append(f"{n} pairs cannot give an interval of level {level:g}; the widest one is shown")
    if values.size < n or bool((d == 0.0).any()):
        warnings.append("tied or zero differences: the interval is wider than its level")
    middle = 0.5 * (left + right)
    return Estimate(
        value=middle,
        # Among tied averages each place is found to within rounding, so that neighbours may come out in the wrong order.
        ci_low=min(low, middle),
        ci_high=max(high, middle),
        level=level,
        method="hodges_lehmann",
        n=n,
        dropped=dropped,
        warnings=tuple(warnings),
    )


def signed_rank_tail(n: int, w: int) -> float:
    """P(W+ <= w) for ranks 1..n without ties, each sign a fair coin."""
    if w < 0:
        return 0.0
    total = n * (n + 1) // 2
    # W+ <= w exactly when the signed sum total - 2 W+ is at least total - 2 w.
    return _tail_at_least(np.arange(1, n + 1, dtype=np.int64), total - 2 * w)


def _signed_ranks(d: Floats, zero_method: ZeroMethod) -> tuple[Floats, Floats, bool]:
    """Mid-ranks of the non-zero |d| with their signs; values equal up to rounding are tied."""
    size = np.abs(d)
    tolerance = _SAME * float(size.max(initial=0.0))
    nonzero = size > tolerance
    ranked = size if zero_method == "pratt" else size[nonzero]
    order = np.argsort(ranked, kind="stable")
    ordered = ranked[order]
    fresh = np.concatenate([[True], np.diff(ordered) > tolerance]) if ordered.size else np.zeros(0, dtype=bool)
    block = np.cumsum(fresh) - 1
    width = np.bincount(block) if ordered.size else np.zeros(0, dtype=np.intp)
    last = np.cumsum(width)
    mid = last - (width - 1) / 2.0
    ranks = np.empty(ordered.size)
    ranks[order] = mid[block]
    kept = ranks[nonzero] if zero_method == "pratt" else ranks
    tied = bool(np.unique(kept).size < kept.size)
    return kept, np.sign(d[nonzero]), tied


def _exact_p(ranks: Floats, signed_sum: float, alternative: Alternative) -> float:
    if ranks.size == 0:
        return 1.0
    doubled = np.rint(2.0 * ranks).astype(np.int64)  # mid-ranks are halves
    observed = round(2.0 * signed_sum)
    if alternative == "two-sided":
        return 1.0 if observed == 0 else min(1.0, 2.0 * _tail_at_least(doubled, abs(observed)))
    return _tail_at_least(doubled, observed if alternative == "greater" else -observed)


def _tail_at_least(steps: NDArray[np.int64], observed: int) -> float:
    """P(sum of +-steps >= observed): by the lattice for positive sums, by symmetry for the others."""
    sizes, counts = np.unique(steps, return_counts=True)
    if observed <= 0:
        # P(S >= -s) = 1 - P(S <= -s - 1) = 1 - P(S >= s + 1)
        return 1.0 - _tail_at_least(steps, 1 - observed)
    tail = flip_tail(sizes, counts.astype(np.int64), observed)
    if tail is None:
        raise DataError(f"{steps.size} differences are too many for an exact signed-rank law", hint="use method='normal'")
    return tail


def _normal_p(ranks: Floats, signed_sum: float, alternative: Alternative, correction: bool) -> float:
    if ranks.size == 0:
        return 1.0
    sd = math.sqrt(dot(ranks, ranks)) / 2.0
    centred, half = signed_sum / 2.0, 0.5 if correction else 0.0  # W+ minus its expectation
    if alternative == "two-sided":
        return min(1.0, 2.0 * norm_sf(max(abs(centred) - half, 0.0) / sd))
    return norm_sf((centred - half) / sd) if alternative == "greater" else norm_sf((-centred - half) / sd)


@lru_cache(maxsize=512)
def _interval_rank(n: int, level: float) -> tuple[int, bool]:
    """k of the k-th smallest Walsh average that ends the interval (1 is the smallest), and whether the level is reached."""
    tail = (1.0 - level) / 2.0
    if n > EXACT_RANKS:
        mean, sd = n * (n + 1) / 4.0, math.sqrt(n * (n + 1) * (2 * n + 1) / 24.0)
        return max(1, math.floor(mean - z_two_sided(level) * sd)), True
    low, high = 0, n * (n + 1) // 2  # smallest w with P(W+ <= w) >= tail: R's qsignrank
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if signed_rank_tail(n, middle) >= tail else (middle + 1, high)
    return max(low, 1), low >= 1


def _walsh(values: Floats, counts: NDArray[np.int64], places: tuple[int, ...]) -> tuple[float, ...]:
    """Walsh averages at these places (1 is the smallest) of the multiset with distinct ascending values."""
    u = values.size
    if u * (u + 1) // 2 > _MOST_PAIRS:
        return tuple(_walsh_by_counting(values, counts, place) for place in places)
    i, j = np.triu_indices(u)
    weights = np.where(i == j, counts[i] * (counts[i] + 1) // 2, counts[i] * counts[j])
    averages = 0.5 * values[i] + 0.5 * values[j]
    order = np.argsort(averages, kind="stable")
    upto = np.cumsum(weights[order])
    return tuple(float(averages[order[int(np.searchsorted(upto, place))]]) for place in places)


def _walsh_by_counting(values: Floats, counts: NDArray[np.int64], place: int) -> float:
    """The Walsh average at this place to 1e-12 of the range, from how many lie at or below x.

    Pairs (i, j) with d_i + d_j <= 2 x are counted by one sorted search, pairs of an item with itself once more. Interpolation
    and halving take turns: the first is fast where the count is smooth, the second where it is a staircase.
    """
    upto = np.concatenate([[0], np.cumsum(counts)])

    def surplus(x: float) -> float:
        ordered = int(np.sum(counts * upto[np.searchsorted(values, 2.0 * x - values, side="right")]))
        itself = int(upto[int(np.searchsorted(values, x, side="right"))])
        return (ordered + itself) // 2 - place + 0.5

    low, high = float(values[0]), float(values[-1])
    width = _COUNTED_TO * (high - low)
    below, above = surplus(low), surplus(high)
    for turn in range(200):
        if below >= 0.0 or high - low <= width:
            break
        share = 0.5 if turn % 2 else min(max(below / (below - above), 0.01), 0.99)
        middle = low + share * (high - low)
        found = surplus(middle)
        if found >= 0.0:
            high, above = middle, found
        else:
            low, below = middle, found
    return low if below >= 0.0 else high
