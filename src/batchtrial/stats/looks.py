"""Planned looks at a growing paired trial: the statistic of a look, what the plan decides there, and the estimate of a trial that ended.

A look sees the longest complete prefix of the items. Its bound comes from the alpha that may be spent by then (`sequential.spending_bounds`, items as
information); futility is not binding: to go on in spite of it costs no alpha. A trial that ended is told by the stage-wise ordering, because the
plain mean of a trial that stopped early is too large.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from batchtrial.errors import DataError
from batchtrial.stats.clusters import clustered_mean, clusters_needed
from batchtrial.stats.distributions import norm_cdf, norm_isf, t_sf
from batchtrial.stats.intervals import tango_z
from batchtrial.stats.results import Estimate, Test
from batchtrial.stats.scores import moments
from batchtrial.stats.sequential import Bounds, discordant_z, spending_bounds, stagewise_drifts, stagewise_test

Floats = NDArray[np.float64]
Decision = Literal["go on", "too few changed", "crossed", "futile", "end"]
STOPS: Final = ("crossed", "futile", "end")
"""Decisions after which nothing more is sent."""
FUTILE_FROM: Final = 0.2
"""Share of the planned items before which nothing is futile."""
METHOD: Final = "stagewise_median"
AT_THE_LOOK: Final = "p is read at the level of the look, the interval is not"
"""What is to be known of a comparison behind the one that the looks are at: the two may say different things, and neither is borderline for that."""
_LARGEST_Z: Final = 30.0
"""A statistic beyond it, of items that all changed alike, says no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """What a look sees of one endpoint, in the direction of the treatment being better where there is a margin.

    z: standard normal under "no difference", or "worse by the margin". variance: of one pair's difference, as z has it. n: complete pairs;
    changed: those that differ; b, c: treatment only and control only right, None for other scores. shift: what z is about, minus the margin or 0.
    sign: -1 where less is better and a margin is tested, so that z is about minus the difference. is_of_changed: z = (b - c) / sqrt(b + c).
    n_clusters: None when items stand alone.
    """

    z: float
    variance: float
    n: int
    changed: int
    b: int | None = None
    c: int | None = None
    shift: float = 0.0
    sign: float = 1.0
    is_of_changed: bool = False
    n_clusters: int | None = None

    @property
    def n_known(self) -> float | None:
        """Pairs, where z is of the changed ones."""
        return float(self.n) if self.is_of_changed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LookPlan:
    """What was declared: two-sided alpha of this trial, planned items, equally spaced looks, least predictive power, least changed items."""

    alpha: float
    n_max: int
    looks: int
    futility: float | None
    min_changed: int

    def border(self, look: int) -> int:
        """Items of the prefix that a look (from 1) sees."""
        return -(-self.n_max * look // self.looks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A look that was taken. n_items: of the prefix. power: chance to cross later as things stand, where it was asked. endpoint: its name."""

    n_items: int
    z: float
    changed: int
    bound: float | None
    decision: Decision
    power: float | None = None
    endpoint: str = ""


_ROUNDING: Final = 1e-12  # spreads below this share of the mean are rounding, not data


def statistic(
    treatment: Floats, control: Floats, *, is_right_or_wrong: bool, clusters: NDArray[np.int64] | None, margin: float | None, higher_is_better: bool
) -> Statistic:
    """Of complete pairs. is_right_or_wrong: one sample an item, each right or wrong. clusters: a label an item; None when items stand alone."""
    sign = 1.0 if margin is None or higher_is_better else -1.0
    d, shift = sign * (treatment - control), 0.0 if margin is None else -margin
    n, changed = int(d.size), int(np.count_nonzero(d))
    n_clusters = None if clusters is None else int(np.unique(clusters).size)
    about = {"n": n, "changed": changed, "shift": shift, "sign": sign, "n_clusters": n_clusters}
    if is_right_or_wrong:
        b, c = int((d > 0).sum()), int((d < 0).sum())
        about |= {"b": b if sign > 0 else c, "c": c if sign > 0 else b}
        if clusters is None:
            z = discordant_z(b, c) if margin is None else tango_z(b, c, n, shift) if n else 0.0
            se = _score_se(b, c, n, z, shift)
            return Statistic(z=z, variance=n * se**2, is_of_changed=margin is None, **about)  # type: ignore[arg-type]
    mean, se, df = _student(d, clusters)
    if se <= _ROUNDING * abs(mean):
        # All differ by the same, so that there is no spread to judge by: it is shown as surely as their signs alone say, and of a margin not at all.
        t, tail = (mean, 0.5 ** min(n if n_clusters is None else n_clusters, 600)) if margin is None else (0.0, 0.5)
    else:
        t = (mean - shift) / se
        tail = t_sf(abs(t), df)
    z = math.copysign(min(norm_isf(max(tail, 1e-200)), _LARGEST_Z), t) if t else 0.0
    # As z has it, so that the estimate is the mean where only one look was taken.
    return Statistic(z=z, variance=n * ((mean - shift) / z) ** 2 if z else n * se**2, **about)  # type: ignore[arg-type]


def by_margin_test(seen: Statistic, mean: float, p: float | None) -> Statistic:
    """The same by the one-sided p of the margin's own test. mean: of the differences, more being better; p: None where there is no such test."""
    if p is None:
        return replace(seen, z=0.0, variance=0.0)
    z = math.copysign(min(norm_isf(max(min(p, 1.0 - p), 1e-200)), _LARGEST_Z), 0.5 - p)
    return replace(seen, z=z, variance=seen.n * ((mean - seen.shift) / z) ** 2 if z else seen.variance)


def _score_se(b: int, c: int, n: int, z: float, shift: float) -> float:
    """Standard error under what z tests."""
    if n == 0:
        return 0.0
    found = (b - c) / n - shift
    return found / z if z and found else math.sqrt(b + c) / n


def _student(d: Floats, clusters: NDArray[np.int64] | None) -> tuple[float, float, float]:
    """Mean, standard error and degrees of freedom; a standard error of 0 where there is none."""
    if clusters is not None:
        found = clustered_mean(d, clusters)
        return found.estimate.value or 0.0, found.se_cr2 or 0.0, found.df or 1.0
    m = moments(d)
    return (0.0, 0.0, 1.0) if m.mean is None or m.se is None else (m.mean, m.se, m.n - 1.0)


def bounds_of(plan: LookPlan, past: Sequence[Look], n_items: int, *, with_planned: bool = False) -> Bounds:
    """Bounds of the looks that spent alpha and of one at so many items; with_planned: and of those planned after it."""
    information = [float(look.n_items) for look in past if look.bound is not None] + [float(n_items)]
    if with_planned:
        information += [float(border) for k in range(1, plan.looks + 1) if (border := plan.border(k)) > n_items]
    return _bounds(tuple(information), plan.n_max, plan.alpha)


@lru_cache(maxsize=256)
def _bounds(information: tuple[float, ...], n_max: int, alpha: float) -> Bounds:
    return spending_bounds(information, max_information=n_max, alpha=alpha, is_final=information[-1] >= n_max)


def decide(plan: LookPlan, past: Sequence[Look], n_items: int, seen: Statistic) -> Look:
    """The look at this prefix. past: the looks before it, in order. Raises DataError for a prefix that was looked at already, or after a stop."""
    if any(look.decision in STOPS or look.n_items >= n_items for look in past):
        raise DataError("this look was taken, or the trial had stopped", where=f"{n_items} items")
    is_last = n_items >= plan.n_max
    # With so few documents the analysis decides nothing: a trial that stopped here would have thrown away those that it was to ask about.
    has_few_clusters = seen.n_clusters is not None and seen.n_clusters < clusters_needed(plan.alpha)
    if not is_last and (seen.changed < plan.min_changed or has_few_clusters):
        return Look(n_items=n_items, z=seen.z, changed=seen.changed, bound=None, decision="too few changed")
    bound = bounds_of(plan, past, n_items).z_bounds[-1]
    taken = Look(n_items=n_items, z=seen.z, changed=seen.changed, bound=bound, decision="go on")
    if bound is not None and abs(seen.z) >= bound:
        return _but(taken, "crossed")
    if is_last:
        return _but(taken, "end")
    t = n_items / plan.n_max
    if plan.futility is None or t < FUTILE_FROM:
        return taken
    power = predictive_power(seen.z, t, bounds_of(plan, past, n_items, with_planned=True).z_bounds[-1], one_sided=seen.shift != 0.0)
    return _but(taken, "futile" if power < plan.futility else "go on", power)


def _but(look: Look, decision: Decision, power: float | None = None) -> Look:
    return Look(n_items=look.n_items, z=look.z, changed=look.changed, bound=look.bound, decision=decision, power=power)


def predictive_power(z: float, t: float, final_bound: float | None, *, one_sided: bool = False) -> float:
    """Chance that the last look crosses, given z at fraction t and a flat prior on the effect; on both sides unless one_sided.

    Source: Lan & Wittes 1988.
    """
    if final_bound is None or not 0.0 < t < 1.0:
        return 1.0
    gap = math.sqrt(1.0 - t)
    upper = norm_cdf(((z if one_sided else abs(z)) - final_bound * math.sqrt(t)) / gap)
    return upper if one_sided else min(1.0, upper + norm_cdf((-abs(z) - final_bound * math.sqrt(t)) / gap))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a trial that ended at a look shows. test: of no difference (two-sided), or of the margin (one-sided)."""

    estimate: Estimate
    test: Test


def ended(plan: LookPlan, looks: Sequence[Look], seen: Statistic, *, level: float) -> Ended:
    """Stage-wise median-unbiased estimate with its interval, and the stage-wise p-value. looks: all that were taken, the last one included."""
    *past, last = looks
    bounds = bounds_of(plan, past, last.n_items)
    place, t = len(bounds.information) - 1, bounds.information[-1]
    test = stagewise_test(bounds, look=place, z=last.z)
    if seen.shift:
        test = _one_sided(bounds, place, last.z, test)
    if seen.n == 0 or seen.variance <= 0.0:
        reason = "no item changed"
        return Ended(estimate=Estimate(value=None, ci_low=None, ci_high=None, level=level, method=METHOD, n=seen.n, reason=reason), test=test)
    scale = math.sqrt(seen.variance * t / seen.n)
    n_full = None if seen.n_known is None else seen.n_known / t
    drifts = stagewise_drifts(bounds, look=place, z=last.z, level=level, n_full=n_full)
    low, middle, high = (seen.sign * (drift * scale + seen.shift) for drift in drifts)
    low, high = min(low, high), max(low, high)
    return Ended(estimate=Estimate(value=middle, ci_low=low, ci_high=high, level=level, method=METHOD, n=seen.n), test=test)


def _one_sided(bounds: Bounds, place: int, z: float, two_sided: Test) -> Test:
    """Half of the two-sided p on the side of the claim, one less that half on the other."""
    half = (two_sided.p_value or 0.0) / 2.0
    p = half if z >= 0 else 1.0 - half
    return Test(statistic=z, p_value=p, method=f"{two_sided.method}, one-sided", n=two_sided.n)
