"""Do the lost pairs matter? Whether an arm loses the hard items, and how far the lost ones could move the result.

`pairing.missing_pairs` asks whether one arm loses more than the other. Here: whether what an arm loses are items
that the other arm finds hard (then even equal losses bias the difference), and the range of the difference under the
worst and the best that the lost answers could have been.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.distributions import binom_pmf
from batchtrial.stats.pairing import MANY_MISSING, as_scores, sign_midp
from batchtrial.stats.results import SMALLEST_P, Test, undefined_test

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossByDifficulty:
    """Items lost in one arm, by what the other arm scored on them.

    rate_when_right, rate_when_wrong: share of lost items among those that the other arm got right or wrong; None
    when there are none. test: Fisher's exact test that the two are the same.
    """

    rate_when_right: float | None
    rate_when_wrong: float | None
    n_lost: int
    n_known: int
    test: Test
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceBounds:
    """Mean difference over all items if every lost answer had been as bad or as good for the treatment as it can be.

    low, high: None without items. is_sign_safe: the observed sign holds over the whole range.
    """

    low: float | None
    high: float | None
    n_items: int
    n_lost: int
    is_sign_safe: bool


def loss_by_difficulty(lost_arm: ArrayLike, other_arm: ArrayLike, *, right_from: float = 0.5) -> LossByDifficulty:
    """Are the items that `lost_arm` lost those on which `other_arm` fails?

    lost_arm, other_arm: shape (n,), scores, NaN where no answer came; only items with a score in other_arm count,
    and a score of at least right_from counts as right. Raises DataError when shapes differ. Call it once for each
    arm.
    """
    lost, other = as_scores(lost_arm, "scores of the arm"), as_scores(other_arm, "scores of the other arm")
    if lost.shape != other.shape:
        raise DataError("the arms list the same items", where=f"{lost.size} and {other.size}")
    known = ~np.isnan(other)
    is_lost, is_right = np.isnan(lost[known]), other[known] >= right_from
    cells = [int((is_lost & is_right).sum()), int((~is_lost & is_right).sum())]
    cells += [int((is_lost & ~is_right).sum()), int((~is_lost & ~is_right).sum())]
    lost_right, kept_right, lost_wrong, kept_wrong = cells
    n, n_lost = sum(cells), lost_right + lost_wrong
    rates = [a / (a + b) if a + b else None for a, b in ((lost_right, kept_right), (lost_wrong, kept_wrong))]
    if n == 0:
        test = undefined_test("no item has a score in the other arm", method="fisher_exact", n=0)
    else:
        p = fisher_exact(lost_right, kept_right, lost_wrong, kept_wrong)
        test = Test(statistic=float(lost_wrong), p_value=p, method="fisher_exact", n=n)
    warnings: tuple[str, ...] = ()
    if test.p_value is not None and test.p_value < 0.05:
        kind = "fails" if (rates[1] or 0.0) > (rates[0] or 0.0) else "succeeds"
        warnings = (f"items are lost where the other arm {kind} (p = {test.p_value:.2g}): the pairs left are a biased sample",)
    return LossByDifficulty(
        rate_when_right=rates[0],
        rate_when_wrong=rates[1],
        n_lost=n_lost,
        n_known=n,
        test=test,
        warnings=warnings,
    )


def is_loss_doubtful(lost_treatment: ArrayLike, lost_control: ArrayLike) -> bool:
    """Whether so much was lost, or so much more in one arm, that a conclusion has to survive it.

    lost_*: shape (n,), share of each item's answers that never came, 0 or 1 with one sample. Doubtful: more than 5 % of the pairs,
    or a mid-p below .05 for "an item loses as much in the one arm as in the other".
    """
    t, c = as_scores(lost_treatment, "lost in the treatment"), as_scores(lost_control, "lost in the control")
    if t.shape != c.shape:
        raise DataError("the arms list the same items", where=f"{t.size} and {c.size}")
    if not t.size:
        return False
    more, less = int(np.count_nonzero(t > c)), int(np.count_nonzero(c > t))
    return float(np.fmax(t, c).mean()) > MANY_MISSING or sign_midp(more, less) < 0.05


def difference_bounds(treatment: ArrayLike, control: ArrayLike, *, lowest: float = 0.0, highest: float = 1.0) -> DifferenceBounds:
    """Range of the mean difference over all items, lost answers set to the extremes of the score.

    treatment, control: shape (n,), NaN where no answer came; lowest, highest: range of the score. Assumes nothing
    about why answers were lost. Raises DataError when shapes differ or a score leaves the range. Source: Manski 1989.
    """
    t, c = as_scores(treatment, "treatment"), as_scores(control, "control")
    if t.shape != c.shape:
        raise DataError("the arms list the same items", where=f"{t.size} and {c.size}")
    seen = np.concatenate([t, c])
    seen = seen[~np.isnan(seen)]
    if not lowest < highest or (seen.size and (seen.min() < lowest or seen.max() > highest)):
        raise DataError("a score lies outside its range", where=f"[{lowest:g}, {highest:g}]")
    n_lost = int((np.isnan(t) | np.isnan(c)).sum())
    if t.size == 0:
        return DifferenceBounds(low=None, high=None, n_items=0, n_lost=0, is_sign_safe=False)
    low = float((np.nan_to_num(t, nan=lowest) - np.nan_to_num(c, nan=highest)).mean())
    high = float((np.nan_to_num(t, nan=highest) - np.nan_to_num(c, nan=lowest)).mean())
    return DifferenceBounds(low=low, high=high, n_items=t.size, n_lost=n_lost, is_sign_safe=low > 0.0 or high < 0.0)


def fisher_exact(a: int, b: int, c: int, d: int) -> float:
    """Two-sided p of Fisher's exact test of the table [[a, b], [c, d]]; 1 when a margin is empty.

    The probability, under fixed margins, of all tables no likelier than this one. Raises DataError on negative
    counts. Source: Fisher 1935. Reference: R fisher.test.
    """
    if min(a, b, c, d) < 0:
        raise DataError("counts are not negative", where=f"{a}, {b}, {c}, {d}")
    row, column, n = a + b, a + c, a + b + c + d
    if row in (0, n) or column in (0, n):
        return 1.0
    counts = np.arange(max(0, row + column - n), min(row, column) + 1)
    # Two binomials with one chance, given their sum: any chance will do, the column's share keeps the terms large.
    share = column / n
    chances = binom_pmf(counts, row, share) * binom_pmf(column - counts, n - row, share)
    chances = chances / chances.sum()
    seen = chances[a - counts[0]]
    return min(1.0, max(math.fsum(chances[chances <= seen * (1.0 + 1e-7)].tolist()), SMALLEST_P))
