"""Planned looks as the pipeline takes them: type I error, power against one look at the end, what is not bought, and coverage after a stop.

Every trial goes through `stats.looks`, which is what a run asks at each look. `python -m tests.calibration.planned_looks` prints it; so does how a
reader would fare who looks at whatever came back first, when the provider returns hard items late.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from batchtrial.stats.looks import STOPS, Look, LookPlan, Statistic, bounds_of, decide, statistic
from batchtrial.stats.sequential import stagewise_chance

from .gates import Gate, Outcome, finish, table, three_errors

Floats = NDArray[np.float64]
SEED = 19_019
REPLICATES = 2000
SIZES = (500, 2000)
CHANGED = (0.1, 0.2, 0.3)
EFFECTS = (0.05, 0.10)
COVERED = (0.0, 0.02, 0.05, 0.10)
FIXED = 1.959964
LATE = 0.3
"""Share of the items that are hard, of which the treatment's answers come last."""


def plan_of(n_max: int, futility: float | None = 0.05) -> LookPlan:
    return LookPlan(alpha=0.05, n_max=n_max, looks=5, futility=futility, min_changed=10)


def trials(n: int, changed: float, effect: float, replicates: int) -> Iterator[tuple[Floats, Floats]]:
    """Right or wrong answers of both arms; items that do not change are wrong in both."""
    rng = np.random.default_rng([SEED, n, round(1000 * changed), round(1000 * effect)])
    better = (changed + effect) / 2
    for _ in range(replicates):
        u = rng.random(n)
        yield (u < better).astype(np.float64), ((u >= better) & (u < changed)).astype(np.float64)


def seen_at(treatment: Floats, control: Floats, n: int) -> Statistic:
    return statistic(treatment[:n], control[:n], is_right_or_wrong=True, clusters=None, margin=None, higher_is_better=True)


def carried_through(plan: LookPlan, treatment: Floats, control: Floats) -> tuple[list[Look], Statistic]:
    """The looks of a trial up to its end, and what the last one saw."""
    looks: list[Look] = []
    for k in range(1, plan.looks + 1):
        seen = seen_at(treatment, control, plan.border(k))
        looks.append(decide(plan, looks, plan.border(k), seen))
        if looks[-1].decision in STOPS:
            break
    return looks, seen


def holds(plan: LookPlan, looks: list[Look], seen: Statistic, effect: float) -> bool:
    """Whether the stage-wise interval of a trial holds the planted effect."""
    bounds = bounds_of(plan, looks[:-1], looks[-1].n_items)
    if seen.variance <= 0.0:
        return effect == 0.0
    drift = effect / math.sqrt(seen.variance * bounds.information[-1] / seen.n)
    n_full = seen.n / bounds.information[-1]
    return 0.025 <= stagewise_chance(bounds, look=len(bounds.information) - 1, z=looks[-1].z, drift=drift, n_full=n_full) <= 0.975


def rates(n: int, changed: float, effect: float, replicates: int) -> tuple[float, float, float]:
    """Share that crossed, share that one look at the end would have found, and share of items not bought."""
    plan, crossed, fixed, used = plan_of(n), 0, 0, 0
    for treatment, control in trials(n, changed, effect, replicates):
        looks, _ = carried_through(plan, treatment, control)
        crossed += looks[-1].decision == "crossed"
        fixed += abs(seen_at(treatment, control, n).z) >= FIXED
        used += looks[-1].n_items
    return crossed / replicates, fixed / replicates, 1.0 - used / (replicates * n)


def coverage(n: int, changed: float, effect: float, replicates: int) -> float:
    """Of the stage-wise interval."""
    plan = plan_of(n)
    return sum(holds(plan, *carried_through(plan, *both), effect) for both in trials(n, changed, effect, replicates)) / replicates


def as_it_comes(replicates: int) -> tuple[float, float]:
    """Chance to stop with a difference where there is none, when the treatment's answers to hard items are late.

    First for who looks at each arm's share of right answers among what is back; second for looks at whole prefixes.
    """
    rng, plan = np.random.default_rng(SEED), plan_of(500)
    naive = ours = 0
    for _ in range(replicates):
        is_hard = rng.random(500) < LATE
        chance = np.where(is_hard, 0.3, 0.8)
        treatment, control = (rng.random(500) < chance).astype(np.float64), (rng.random(500) < chance).astype(np.float64)
        late = is_hard & (rng.random(500) < 0.5)
        naive += any(_pooled_z(treatment[:n][~late[:n]], control[:n]) >= FIXED for n in (100, 200, 300, 400, 500))
        ours += carried_through(plan, treatment, control)[0][-1].decision == "crossed"
    return naive / replicates, ours / replicates


def _pooled_z(treatment: Floats, control: Floats) -> float:
    share = np.concatenate([treatment, control]).mean()
    spread = math.sqrt(share * (1 - share) * (1 / treatment.size + 1 / control.size))
    return abs(float(treatment.mean() - control.mean())) / spread if spread else 0.0


def measure(effort: float = 1.0) -> Outcome:
    """All of it; effort scales the replicates."""
    replicates = max(200, int(REPLICATES * effort))
    rows, covered, gates = [], [], []
    for n in SIZES:
        for changed in CHANGED:
            null = rates(n, changed, 0.0, replicates)
            gates.append(Gate(name=f"type I, n {n}, changed {changed:g}", measured=null[0], at_most=three_errors(0.05, replicates)))
            found = [rates(n, changed, effect, replicates) for effect in EFFECTS if effect <= changed]
            for effect, (power, fixed, _) in zip(EFFECTS, found, strict=False):
                slack = 0.025 + 3 * math.sqrt(0.25 / replicates) * (effort < 1)
                gates.append(Gate(name=f"power lost, n {n}, changed {changed:g}, effect {effect:g}", measured=fixed - power, at_most=slack))
            cells = [x for power, fixed, saved in found for x in (power, fixed - power, saved)]
            rows.append((n, changed, null[0], null[2], *cells))
        for effect in COVERED:
            share = coverage(n, 0.2, effect, replicates)
            slack = 0.01 + 3 * math.sqrt(0.0475 / replicates) * (effort < 1)
            covered.append((n, effect, share))
            gates.append(Gate(name=f"coverage, n {n}, effect {effect:g}", measured=share, at_least=0.95 - slack, at_most=0.95 + slack))
    naive, ours = as_it_comes(replicates)
    gates.append(Gate(name="what comes first: a reader of it must be wrong", measured=naive, at_least=0.2))
    gates.append(Gate(name="what comes first: whole prefixes", measured=ours, at_most=three_errors(0.05, replicates)))
    header = (
        "n_max",
        "changed",
        "type I",
        "not bought at 0",
        *(f"{what} at +{100 * e:g} pp" for e in EFFECTS for what in ("power", "lost", "not bought")),
    )
    tables = (
        table("Planned looks: five, O'Brien-Fleming spending, futility at 5 %", header, rows),
        table("Coverage of the stage-wise interval, a fifth of the items changed", ("n_max", "effect", "coverage"), covered),
        table("Hard items of the treatment late, no difference", ("who looks at what came first", "whole prefixes"), [(naive, ours)]),
    )
    return Outcome(tables=tables, gates=tuple(gates))


if __name__ == "__main__":
    sys.exit(finish(measure()))
