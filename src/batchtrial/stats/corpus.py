"""Scores of a whole set of answers (BLEU, chrF) in two arms: the difference with a paired bootstrap over items.

Such a score is no mean over answers, so that none of the other tests holds for it. Each item brings counts, whose sums give the score; a replicate
draws items, or clusters of them, with replacement, the same ones in both arms. Source: Koehn 2004, "Statistical significance tests for machine
translation evaluation"; the formulas are those of sacrebleu 2 (Papineni et al. 2002 with exponential smoothing; Popovic 2015), with which
tests compare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from batchtrial.stats.distributions import norm_isf, norm_sf, t_sf, t_two_sided
from batchtrial.stats.labels import codes_of
from batchtrial.stats.results import check_level

Floats = NDArray[np.float64]
Score = Callable[[Floats], Floats]
"""Sums of counts (m, k) in, scores (m,) from 0 to 100 out."""
REPLICATES: Final = 1_999
MOST_UNITS: Final = 2_000
"""Units that are drawn one by one; more are first put together at random, which leaves the spread as it is."""
FEWEST_UNITS: Final = 6
_DIGITS: Final = 9
"""Of a score: beyond them the logarithms of two machines may differ."""
_TINY: Final = 1e-16
_BETA_SQUARED: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusDifference:
    """Scores of both arms, and treatment minus control. ci_low, ci_high, p_value: None with a reason."""

    control: float | None
    treatment: float | None
    difference: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    n_items: int
    n_units: int
    replicates: int
    level: float
    reason: str | None = None


def bleu(sums: Floats) -> Floats:
    """BLEU of counts (length, reference length, 4 x matches, 4 x n-grams): geometric mean of precisions, times the penalty for short answers."""
    length, wanted, matches, grams = sums[:, 0], sums[:, 1], sums[:, 2:6], sums[:, 6:10]
    with np.errstate(divide="ignore", invalid="ignore"):
        penalty = np.where(length < wanted, np.where(length > 0, np.exp(1.0 - wanted / np.maximum(length, _TINY)), 0.0), 1.0)
        halves = np.cumsum((matches == 0) & (grams > 0), axis=1)
        precision = np.where(matches > 0, 100.0 * matches / grams, 100.0 / (2.0**halves * grams))
        # An order without any n-gram ends the list, and its precision is nought.
        is_whole: NDArray[np.bool_] = np.all(grams > 0, axis=1) & np.any(matches > 0, axis=1)
        logs = np.log(np.where(is_whole[:, None], precision, 1.0))
        mean = (((logs[:, 0] + logs[:, 1]) + logs[:, 2]) + logs[:, 3]) / 4.0
    return _rounded(np.where(is_whole, penalty * np.exp(mean), 0.0))


def chrf(sums: Floats) -> Floats:
    """chrF2 of counts (n-grams of the answer, of the reference, matches) of each order: F of mean precision and recall, recall counting double."""
    answer, wanted, matches = sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]
    is_there = (answer > 0) & (wanted > 0)
    orders = is_there.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = (np.where(is_there, matches / of, 0.0).sum(axis=1) / np.maximum(orders, 1) for of in (answer, wanted))
        both = _BETA_SQUARED * precision + recall
        score = np.where(both > 0, 100.0 * (1.0 + _BETA_SQUARED) * precision * recall / both, 0.0)
    return _rounded(score)


def _rounded(scores: Floats) -> Floats:
    found: Floats = np.round(scores, _DIGITS)
    return found


FORMULAS: Final = MappingProxyType({"bleu": bleu, "chrf": chrf})


def corpus_difference(
    treatment: Floats, control: Floats, score: Score, *, seed: int, level: float = 0.95, clusters: NDArray[np.int64] | None = None
) -> CorpusDifference:
    """The difference of two corpus scores with a percentile interval, and p by where nought lies in the distribution of the difference.

    The percentiles lie further out than their level, as far as Student's quantile of the units lies beyond the normal one: few units drawn anew vary
    by (u - 1) / u of what they should, and plain percentiles of ten documents find a difference in one of six trials without any (Hesterberg 2015,
    The American Statistician 69:371).

    treatment, control: counts, shape (n_items, k), NaN where an arm has no answer; only complete pairs count. clusters: shape (n_items,), equal for
    items that depend on each other: then whole clusters are drawn. Same inputs and seed, same result: sums are of whole numbers.
    """
    check_level(level)
    keep = ~(np.isnan(treatment).any(axis=1) | np.isnan(control).any(axis=1))
    arms = np.concatenate([treatment[keep], control[keep]], axis=1)
    n, k = int(keep.sum()), treatment.shape[1]
    if n == 0:
        return CorpusDifference(
            control=None, treatment=None, difference=None, n_items=0, n_units=0, replicates=0, level=level, reason="no complete pairs"
        )
    units = arms if clusters is None else _summed(arms, codes_of(clusters[keep]))
    total = units.sum(axis=0, keepdims=True)
    ours, theirs = float(score(total[:, :k])[0]), float(score(total[:, k:])[0])
    given = {"control": theirs, "treatment": ours, "difference": ours - theirs, "n_items": n, "n_units": len(units), "level": level}
    if len(units) < FEWEST_UNITS:
        return CorpusDifference(**given, replicates=0, reason=f"only {len(units)} {'items' if clusters is None else 'clusters'}")  # type: ignore[arg-type]
    if np.array_equal(units[:, :k], units[:, k:]):  # every replicate would have no difference, and the interval no width
        return CorpusDifference(**given, replicates=0, p_value=1.0, reason="no item changed")  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    if len(units) > MOST_UNITS:
        units = _summed(units, rng.permutation(len(units)) % MOST_UNITS)
    drawn = np.empty((REPLICATES, 2 * k))
    for place in range(REPLICATES):
        drawn[place] = np.einsum("u,uk->k", rng.multinomial(len(units), np.full(len(units), 1.0 / len(units))).astype(np.float64), units)
    differences = np.sort(score(drawn[:, :k]) - score(drawn[:, k:]))
    stretch, df = (len(units) / (len(units) - 1.0)) ** 0.5, len(units) - 1.0
    outside = norm_sf(stretch * t_two_sided(level, df))
    low, high = np.quantile(differences, [outside, 1.0 - outside], method="linear").tolist()
    fewer = min(1 + int((differences <= 0).sum()), 1 + int((differences >= 0).sum())) / (REPLICATES + 1)
    p_value = 1.0 if fewer >= 0.5 else 2.0 * t_sf(norm_isf(fewer) / stretch, df)
    return CorpusDifference(**given, ci_low=low, ci_high=high, p_value=p_value, replicates=REPLICATES)  # type: ignore[arg-type]


def _summed(counts: Floats, groups: NDArray[np.int64]) -> Floats:
    """Counts of each group, in the order of their numbers."""
    found = np.zeros((int(groups.max()) + 1, counts.shape[1]))
    np.add.at(found, groups, counts)
    return found
