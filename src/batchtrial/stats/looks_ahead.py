"""What planned looks would do before anything is bought: how often they find an effect, and how many items they need on average."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from batchtrial.stats.distributions import norm_cdf, norm_isf
from batchtrial.stats.looks import FUTILE_FROM, LookPlan, bounds_of, predictive_power

PATHS = 40_000
SEED = 19
_STEPS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """A true effect under planned looks. power: chance to cross; fixed_power: of one look at the end; items: that are bought on average."""

    effect: float
    power: float
    fixed_power: float
    items: float


def looks_ahead(plan: LookPlan, effect: float, variance: float) -> Ahead:
    """Of a true difference. variance: of one item's difference, with clusters and samples. Seeded; standard error of a chance below .003."""
    drift = effect * math.sqrt(plan.n_max / variance)
    ends = [plan.border(k) for k in range(1, plan.looks + 1)]
    t = np.asarray(ends) / plan.n_max
    bounds = [math.inf if z is None else z for z in bounds_of(plan, (), ends[0], with_planned=True).z_bounds]
    futile = [_futile_below(plan, float(at), bounds[-1]) for at in t]
    steps = np.diff(t, prepend=0.0)
    moved = np.random.default_rng(SEED).normal(size=(PATHS, t.size)) * np.sqrt(steps) + drift * steps
    z = np.abs(np.cumsum(moved, axis=1) / np.sqrt(t))
    crossed, stops = z >= np.asarray(bounds), (z >= np.asarray(bounds)) | (z < np.asarray(futile))
    stops[:, -1] = True
    at_look = stops.argmax(axis=1)
    end, half = norm_isf(plan.alpha / 2.0), abs(drift)
    return Ahead(
        effect=effect,
        power=float(crossed[np.arange(PATHS), at_look].mean()),
        fixed_power=norm_cdf(half - end) + norm_cdf(-half - end),
        items=float(np.asarray(ends)[at_look].mean()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLook:
    """What decides at a look: the |Z| that crosses, and the |Z| below which it is futile (0 where none is)."""

    n_items: int
    bound: float | None
    futile_below: float


def planned_looks(plan: LookPlan) -> tuple[PlannedLook, ...]:
    """The looks of a plan before anything was seen."""
    ends = [plan.border(k) for k in range(1, plan.looks + 1)]
    bounds = bounds_of(plan, (), ends[0], with_planned=True).z_bounds
    last = math.inf if bounds[-1] is None else bounds[-1]
    return tuple(
        PlannedLook(n_items=end, bound=z, futile_below=_futile_below(plan, end / plan.n_max, last)) for end, z in zip(ends, bounds, strict=True)
    )


def _futile_below(plan: LookPlan, t: float, final_bound: float) -> float:
    """The |Z| below which a look stops for futility; 0 where none does."""
    if plan.futility is None or not FUTILE_FROM <= t < 1.0 or predictive_power(0.0, t, final_bound) >= plan.futility:
        return 0.0
    low, high = 0.0, final_bound
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if predictive_power(middle, t, final_bound) < plan.futility else (low, middle)
    return low
