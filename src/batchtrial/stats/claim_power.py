"""The chance that a planned trial may claim its goal: the power of the very test that will decide, at the level that the trial will have.

A difference of right/wrong answers, one sample and no clusters, is decided by mid-p McNemar, any other difference by sign flips, whose power
is that of the paired t-test; a margin on right/wrong answers by Tango's score test, with several samples or clusters on effective counts, whose
imagined changes and 3 % of width cost power that a t-test would promise; a margin on scores by one-sided t-tests. Trials that share a run
share its alpha, so each is planned at alpha / trials. `tests/calibration/planning` simulates what is promised here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from batchtrial.errors import DataError
from batchtrial.stats.clusters import clusters_needed
from batchtrial.stats.distributions import binom_pmf, norm_sf, t_two_sided, z_two_sided
from batchtrial.stats.intervals import design_effect_of_samples, tango_sd, tango_z_many
from batchtrial.stats.plan import Goal
from batchtrial.stats.power import MAX_ITEMS, DetectableEffect, SampleSize, check_design, rejected_losses, rising_root, t_power

Ints = NDArray[np.int64]

TOO_FEW_CHANGE = "too few changing items: not even changes in one direction only would be found"
LOOK_AHEAD = 5
"""Sizes beyond the found one that have to keep the power too: that of counts is a saw over n."""
_TAIL_SD = 6.5  # counts that far from their mean hold all but 1e-10 of the chance
_MOST_ENUMERATED = 500.0  # changed items to be expected; beyond, the normal approximation is within .005


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTest:
    """What will decide a primary endpoint.

    goal, margin: as `plan.Endpoint` has them, more being better. alpha: two-sided, of one trial (`level_of_trial`). is_share: right or wrong
    answers, so that the score methods apply. samples: of each item in each arm. design_effect: how much clusters inflate the variance of
    the mean difference; cluster_size: items in a cluster, on the average; None when items stand alone.
    """

    goal: Goal = "superiority"
    margin: float | None = None
    alpha: float = 0.05
    is_share: bool = True
    samples: int = 1
    design_effect: float = 1.0
    cluster_size: float | None = None

    def __post_init__(self) -> None:
        """Raises DataError for a margin without such a goal or the other way round, and for numbers out of range."""
        if (self.margin is None) != (self.goal == "superiority") or not (self.margin is None or self.margin > 0.0):
            raise DataError(f"a margin above 0 belongs to the goals noninferiority and equivalence, not {self.margin!r} to {self.goal}")
        if self.samples < 1 or not self.design_effect > 0.0 or not (self.cluster_size is None or self.cluster_size >= 1.0):
            raise DataError("samples and items in a cluster are at least 1, a design effect is above 0")

    @property
    def is_counted(self) -> bool:
        """One right or wrong answer of each item, items that stand alone: the counts of changed items are all there is."""
        return self.is_share and self.samples == 1 and self.cluster_size is None and self.design_effect == 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Variance of one item's difference of means, and of the difference of one answer in each arm; equal with one sample."""

    means: float
    single: float


def level_of_trial(alpha: float, n_trials: int) -> float:
    """The level at which a trial is planned when so many share a run: what is left to it when no other claims everything it declared."""
    if n_trials < 1:
        raise DataError(f"a run has at least one trial, not {n_trials}")
    return alpha / n_trials


def claim_power(n: int, effect: float, spread: Spread, test: PlannedTest) -> float:
    """The chance that n items, complete in both arms, let the goal be claimed when the true difference is `effect` (more is better).

    Variances are held fixed; where so few items change that `effect` cannot be, as many change as it needs. Counts are enumerated while at
    most 500 items are expected to change; everything else is the normal or Student's approximation.
    """
    if n < 2 or (test.cluster_size is not None and n / test.cluster_size < clusters_needed(test.alpha)):
        return 0.0
    p_b, p_c = _changing(spread.single, effect)
    if test.is_counted and n * (p_b + p_c) <= _MOST_ENUMERATED:
        return _counted_power(n, p_b, p_c, test)
    if test.goal == "superiority":
        # Flipping the sign of a share of k samples moves the sum by 2 / k, and p counts the ties: half a step is lost.
        lost = 1.0 / (test.samples * n) if test.is_share else 0.0
        return _score_tail(n, abs(effect), 0.0, spread, test) if test.is_counted else _t_tail(n, abs(effect) - lost, spread, test)
    margin = test.margin or 0.0
    if not test.is_share:
        above, below = _t_tail(n, effect + margin, spread, test), _t_tail(n, margin - effect, spread, test)
    else:
        above, below = _score_tail(n, effect, -margin, spread, test), _score_tail(n, -effect, -margin, spread, test)
    return above if test.goal == "noninferiority" else max(0.0, above + below - 1.0)


def items_for_claim(effect: float, spread: Spread, test: PlannedTest, *, power: float = 0.8) -> SampleSize:
    """Fewest items with which the goal is claimed with this chance, and at the five sizes after it; None with a reason when no number is enough."""
    check_design(test.alpha, power)
    distance = abs(effect) if test.goal == "superiority" else (test.margin or 0.0) - (abs(effect) if test.goal == "equivalence" else -effect)
    if distance <= 0.0:
        why = "no number of items finds a difference of 0" if test.goal == "superiority" else "the true difference does not keep the margin"
        return SampleSize(n=None, n_items=None, method="claim", reason=why)

    def is_enough(n: int) -> bool:
        return claim_power(n, effect, spread, test) >= power

    low, high = 1, 2
    while not is_enough(high):
        low, high = high, high * 2
        if high > MAX_ITEMS:
            return SampleSize(n=None, n_items=None, method="claim", reason=f"more than {MAX_ITEMS} items")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    while short := [later for later in range(high + 1, high + 1 + LOOK_AHEAD) if not is_enough(later)]:
        high = short[-1] + 1
    return SampleSize(n=float(high), n_items=high, method="claim")


def detectable(n: int, spread: Spread, test: PlannedTest, *, power: float = 0.8, effect: float = 0.0) -> DetectableEffect:
    """The smallest difference that n items claim with this chance; with a margin, the smallest margin at the true difference `effect`.

    effect: without a margin, the difference for which `spread` was taken: as many items change as then.
    """
    check_design(test.alpha, power)
    changed = sum(_changing(spread.single, effect))
    if test.goal == "superiority" and test.is_counted and n * changed <= _MOST_ENUMERATED:
        if n < 2 or changed < 1e-200 or _counted_power(n, changed, 0.0, test) < power:
            return DetectableEffect(effect=None, method="claim", reason=TOO_FEW_CHANGE)
        one_way = rising_root(lambda size: _counted_power(n, (changed + size) / 2.0, (changed - size) / 2.0, test), power, 0.0, changed, within=1e-5)
        return DetectableEffect(effect=one_way, method="claim")
    if spread.means <= 0.0 and test.goal == "superiority":
        return DetectableEffect(effect=None, method="claim", reason="no variance: any difference would be certain")
    top = 1.0 if test.is_share else 1e6 * math.sqrt(max(spread.means, 1e-300))

    def reached(size: float) -> float:
        if test.goal == "superiority":
            return claim_power(n, size, spread, test)
        return claim_power(n, effect, spread, replace(test, margin=size))

    found = rising_root(reached, power, 0.0, top * (1.0 - 1e-9), within=1e-5)
    return DetectableEffect(effect=found, method="claim", reason=None if found is not None else "not within reach")


def _changing(single: float, effect: float) -> tuple[float, float]:
    """Chance that an item is right in the treatment only, and in the control only."""
    changed = min(1.0, max(single + effect**2, abs(effect)))
    return (changed + effect) / 2.0, (changed - effect) / 2.0


def _df(n: int, test: PlannedTest) -> float:
    return (n if test.cluster_size is None else n / test.cluster_size) - 1.0


def _t_tail(n: int, distance: float, spread: Spread, test: PlannedTest) -> float:
    """Chance that a t-test at one-sided alpha / 2 finds a difference that lies so far on the right side."""
    sd = math.sqrt(spread.means * test.design_effect)
    if sd == 0.0:
        return 1.0 if distance > 0.0 else 0.0
    return t_power(distance / sd * math.sqrt(n), _df(n, test), test.alpha / 2.0)


def _score_tail(n: int, effect: float, edge: float, spread: Spread, test: PlannedTest) -> float:
    """Chance that Tango's Z at `edge` exceeds its quantile, from the standard deviation that it takes at the expected counts and the true one."""
    b, c = _changing(spread.single, effect)
    seen, single = spread.means * n, max(b + c - effect**2, 1e-300) * n
    worth = design_effect_of_samples(seen, single, 1.0 / test.samples)
    level = 1.0 - test.alpha
    if test.cluster_size is not None or test.design_effect > 1.0:
        df = _df(n, test) if test.cluster_size is not None else math.inf
        stretch = (t_two_sided(level, df) / z_two_sided(level)) ** 2 if math.isfinite(df) else 1.0
        worth = max(worth, seen * test.design_effect * stretch / single)
    taken = float(tango_sd(*(np.asarray(x) for x in (b * n, c * n, float(n), edge)))) * math.sqrt(worth)
    true = math.sqrt(max(seen * test.design_effect, 1e-300))
    return norm_sf((z_two_sided(level) * taken - (effect - edge) * n) / true)


def _counted_power(n: int, p_b: float, p_c: float, test: PlannedTest) -> float:
    """Of mid-p McNemar, or of Tango's test at the margin, over all likely counts of changed items."""
    b, c = np.meshgrid(_likely(n, p_b), _likely(n, p_c), indexing="ij")
    inside = b + c <= n
    b, c = b[inside], c[inside]
    claimed = _is_claimed(b, c, n, test)
    b, c = b[claimed], c[claimed]
    chance = binom_pmf(b, n, p_b) * binom_pmf(c, n - b, min(1.0, p_c / (1.0 - p_b)) if p_b < 1.0 else 0.0)
    return min(1.0, float(chance.sum()))


def _is_claimed(b: Ints, c: Ints, n: int, test: PlannedTest) -> NDArray[np.bool_]:
    if test.margin is None:
        changed = b + c
        first = int(changed.min()) if changed.size else 0
        most = np.asarray([_most_losses(m, test.alpha) for m in range(first, int(changed.max()) + 1)] if changed.size else [-1])
        return np.asarray(np.minimum(b, c) <= most[changed - first])
    if test.margin >= 1.0:
        return np.zeros(b.shape, dtype=np.bool_)
    z = z_two_sided(1.0 - test.alpha)
    claimed = tango_z_many(b, c, n, -test.margin) >= z
    return claimed & (tango_z_many(c, b, n, -test.margin) >= z) if test.goal == "equivalence" else claimed


@lru_cache(maxsize=20_000)
def _most_losses(changed: int, alpha: float) -> int:
    return rejected_losses(changed, alpha, 2, "midp")


def _likely(n: int, p: float) -> Ints:
    reach = _TAIL_SD * math.sqrt(n * p * (1.0 - p)) + 8.0
    return np.arange(max(0, math.floor(n * p - reach)), min(n, math.ceil(n * p + reach)) + 1)
