"""Planned looks at grades, and at items that come in clusters: type I error, and power against one look at the end.

Every look goes through `stats.looks`: Student's t, with whole clusters and their CR2 standard error where there are some, turned into Z.
`python -m tests.calibration.looks_of_scores` prints it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from batchtrial.stats.looks import STOPS, Look, decide, statistic

from .gates import Gate, Outcome, finish, table, three_errors
from .planned_looks import FIXED, plan_of

Floats = NDArray[np.float64]
SEED = 19_020
REPLICATES = 2000
N_MAX = 500
PER_CLUSTER = 5
Made = tuple[Floats, Floats]


def grades(rng: np.random.Generator, effect: float) -> Made:
    """Grades in steps of a tenth, alike for an item in both arms but for noise."""
    level = rng.beta(4.0, 2.0, N_MAX)
    control, treatment = (level + rng.normal(scale=0.28, size=N_MAX) + add for add in (0.0, effect))
    return np.clip(treatment, 0.0, 1.0).round(1), np.clip(control, 0.0, 1.0).round(1)


def clustered_grades(rng: np.random.Generator, effect: float) -> Made:
    """Numbers without bounds, of which a document moves all of its items."""
    shift = np.repeat(rng.normal(scale=0.2, size=N_MAX // PER_CLUSTER), PER_CLUSTER)
    return effect + shift + rng.normal(scale=0.3, size=N_MAX), np.zeros(N_MAX)


def clustered_shares(rng: np.random.Generator, effect: float) -> Made:
    """Right or wrong, where the items of a document tend to change together."""
    together = np.repeat(rng.random(N_MAX // PER_CLUSTER), PER_CLUSTER)
    u = np.where(rng.random(N_MAX) < 0.4, together, rng.random(N_MAX))
    better = (0.2 + effect) / 2
    return (u < better).astype(np.float64), ((u >= better) & (u < 0.2)).astype(np.float64)


@dataclass(frozen=True, slots=True)
class World:
    """How answers come about. effect: of which one look at the end finds about four in five."""

    name: str
    make: Callable[[np.random.Generator, float], Made]
    effect: float
    is_share: bool = False
    is_clustered: bool = True


WORLDS: Final = (
    World("grades", grades, 0.05, is_clustered=False),
    World("grades in clusters", clustered_grades, 0.065),
    World("right or wrong in clusters", clustered_shares, 0.075, is_share=True),
)


def rates(world: World, effect: float, replicates: int) -> tuple[float, float, float]:
    """Share that crossed, share that one look at the end would have found, and share of items not bought."""
    rng, plan = np.random.default_rng([SEED, round(1000 * effect), len(world.name)]), plan_of(N_MAX)
    crossed = fixed = used = 0
    for _ in range(replicates):
        treatment, control = world.make(rng, effect)
        looks: list[Look] = []
        for n in (plan.border(k) for k in range(1, plan.looks + 1)):
            labels = np.arange(n) // PER_CLUSTER if world.is_clustered else None
            seen = statistic(treatment[:n], control[:n], is_right_or_wrong=world.is_share, clusters=labels, margin=None, higher_is_better=True)
            if not looks or looks[-1].decision not in STOPS:
                looks.append(decide(plan, looks, n, seen))
        crossed += looks[-1].decision == "crossed"
        fixed += abs(seen.z) >= FIXED
        used += looks[-1].n_items
    return crossed / replicates, fixed / replicates, 1.0 - used / (replicates * N_MAX)


def measure(effort: float = 1.0) -> Outcome:
    """All of it; effort scales the replicates."""
    replicates = max(200, int(REPLICATES * effort))
    rows, gates = [], []
    for world in WORLDS:
        null, there = rates(world, 0.0, replicates), rates(world, world.effect, replicates)
        slack = 0.025 + 3 * math.sqrt(0.25 / replicates) * (effort < 1)
        gates.append(Gate(name=f"type I, {world.name}", measured=null[0], at_most=three_errors(0.05, replicates)))
        gates.append(Gate(name=f"power lost, {world.name}", measured=there[1] - there[0], at_most=slack))
        rows.append((world.name, null[0], null[1], null[2], world.effect, there[0], there[1] - there[0], there[2]))
    header = ("endpoint", "type I", "one look", "not bought at 0", "effect", "power", "lost", "not bought")
    return Outcome(tables=(table(f"Five planned looks at {N_MAX} items, 5 to a cluster", header, rows),), gates=tuple(gates))


if __name__ == "__main__":
    sys.exit(finish(measure()))
