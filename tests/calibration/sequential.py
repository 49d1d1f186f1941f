"""Stopping early: how often each way of looking rejects without a difference, and what it finds and saves with one.

Trials of up to 1,000 items are looked at after every item. A naive reader stops at the first p <= .05; e-processes and spending
bounds may do the same honestly; group-sequential trials look five times. `python -m tests.calibration.sequential` prints it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from batchtrial.stats.binary import mcnemar_midp
from batchtrial.stats.evalues import betting_path, paired_evalue_path
from batchtrial.stats.sequential import group_sequential_bounds, spending_bounds

from .gates import Gate, Outcome, finish, table, three_errors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SEED = 20_252
REPLICATES = 2000
N_MAX = 1000
LOOKS = 5
NULLS = (0.30, 0.06, 0.01)
"""Rates of changed items without a difference."""

EFFECTS = ((0.18, 0.12), (0.20, 0.05))
"""Chances to be right in the treatment only and the control only: +6 and +15 percentage points."""

Stop = Callable[[Ints, float], int | None]
"""From the differences in order, and the planned rate of changed items: how many items were used when it rejected, or None."""


@lru_cache(maxsize=1)
def largest_minority() -> Ints:
    """For every count of changed items: the largest min(b, c) with mid-p <= .05, -1 when there is none."""
    limits, k = np.full(N_MAX + 1, -1), -1
    for m in range(1, N_MAX + 1):
        while (mcnemar_midp(m - k - 1, k + 1).p_value or 0.0) <= 0.05 and 2 * (k + 1) < m:
            k += 1
        limits[m] = k
    return limits


def first(rejects: NDArray[np.bool_]) -> int | None:
    """Items used at the first rejection."""
    return int(np.argmax(rejects)) + 1 if rejects.any() else None


def naive(d: Ints, rate: float) -> int | None:
    """Mid-p McNemar after every item, stopping at .05."""
    b, c = np.cumsum(d > 0), np.cumsum(d < 0)
    return first(np.minimum(b, c) <= largest_minority()[b + c])


def fixed(d: Ints, rate: float) -> int | None:
    """One mid-p test at the end."""
    b, c = int((d > 0).sum()), int((d < 0).sum())
    return d.size if min(b, c) <= largest_minority()[b + c] else None


def group_sequential(shape: str) -> Stop:
    """Five equally spaced looks with planned bounds."""

    def stop(d: Ints, rate: float) -> int | None:
        bounds = _planned(shape)
        ends = np.arange(1, LOOKS + 1) * d.size // LOOKS
        z = _z(d)[ends - 1]
        crossed = np.abs(z) >= np.asarray(bounds)
        return int(ends[np.argmax(crossed)]) if crossed.any() else None

    return stop


def spending_five(d: Ints, rate: float) -> int | None:
    """Five looks whose bounds follow the changed items seen, the last one spending what is left."""
    ends = np.arange(1, LOOKS + 1) * d.size // LOOKS
    information = np.cumsum(d != 0)[ends - 1].tolist()
    bounds = spending_bounds(information, max_information=rate * d.size, is_final=True).z_bounds
    z = np.abs(_z(d)[ends - 1]).tolist()
    crossed = [bound is not None and value >= bound for value, bound in zip(z, bounds, strict=True)]
    return int(ends[crossed.index(True)]) if any(crossed) else None


def spending_every_item(d: Ints, rate: float) -> int | None:
    """A look after every item, with O'Brien-Fleming spending on the changed items."""
    bounds = _bounds_by_count(round(rate * d.size))
    count = np.cumsum(d != 0)
    return first(np.abs(_z(d)) >= bounds[np.minimum(count, bounds.size - 1)] - 1e-12)


def evalue(concentration: float) -> Stop:
    """Beta-binomial e-process after every item, stopping at 20."""

    def stop(d: Ints, rate: float) -> int | None:
        return first(paired_evalue_path(d, concentration=concentration) >= np.log(20.0))

    return stop


def betting(d: Ints, rate: float) -> int | None:
    """Betting e-process after every item, stopping at 20."""
    return first(betting_path(d) >= np.log(20.0))


RULES: Mapping[str, Stop] = {
    "naive, every item": naive,
    "fixed size, mid-p": fixed,
    "O'Brien-Fleming, 5 looks": group_sequential("obrien_fleming"),
    "Pocock, 5 looks": group_sequential("pocock"),
    "spending, 5 looks": spending_five,
    "spending, every item": spending_every_item,
    "e-process a=5, every item": evalue(5.0),
    "e-process a=1, every item": evalue(1.0),
    "betting, every item": betting,
}


def simulate(rule: Stop, chances: tuple[float, float], replicates: int) -> tuple[float, float]:
    """Share of trials that reject, and mean items used; every rule sees the same trials."""
    rng = np.random.default_rng([SEED, round(1e4 * chances[0]), round(1e4 * chances[1])])
    rejected, used = 0, 0
    for _ in range(replicates):
        u = rng.random(N_MAX)
        d = (u < chances[0]).astype(np.int64) - ((u >= chances[0]) & (u < sum(chances)))
        stopped = rule(d, sum(chances))
        rejected += stopped is not None
        used += N_MAX if stopped is None else stopped
    return rejected / replicates, used / replicates


def measure(effort: float = 1.0) -> Outcome:
    """Every rule without a difference and with two; effort scales the replicates."""
    replicates = max(200, int(REPLICATES * effort))
    rows, gates = [], []
    for name, rule in RULES.items():
        sizes = [simulate(rule, (rate / 2, rate / 2), replicates)[0] for rate in NULLS]
        powers = [simulate(rule, chances, replicates) for chances in EFFECTS]
        rows.append((name, *sizes, *(x for power, items in powers for x in (power, round(items)))))
        if name.startswith("naive"):
            gates.append(Gate(name=f"{name}: type I error must be seen", measured=sizes[0], at_least=0.25))
            continue
        for rate, size in zip(NULLS, sizes, strict=True):
            limit = three_errors(0.05, replicates)
            gates.append(Gate(name=f"{name}: type I error, changed {rate:g}", measured=size, at_most=limit))
        if "a=5" in name:
            gates.append(Gate(name=f"{name}: power at +6 pp", measured=powers[0][0], at_least=0.70))
        if name.startswith("O'Brien"):
            gates.append(Gate(name=f"{name}: power at +6 pp", measured=powers[0][0], at_least=0.89))
            gates.append(Gate(name=f"{name}: items at +6 pp", measured=powers[0][1], at_most=740.0))
    header = (
        "rule",
        *(f"type I, changed {rate:g}" for rate in NULLS),
        *(x for t, c in EFFECTS for x in (f"power at +{100 * (t - c):.0f} pp", "items used")),
    )
    return Outcome(tables=(table(f"Stopping early, at most {N_MAX} items", header, rows),), gates=tuple(gates))


def main() -> int:
    """Print tables and gates; 1 when a gate is broken."""
    return finish(measure())


def _z(d: Ints) -> Floats:
    """Signed (b - c) / sqrt(b + c) after every item."""
    return np.asarray(np.cumsum(d) / np.sqrt(np.maximum(np.cumsum(d != 0), 1)))


@lru_cache(maxsize=4)
def _planned(shape: str) -> tuple[float, ...]:
    bounds = group_sequential_bounds(LOOKS, shape="pocock" if shape == "pocock" else "obrien_fleming")
    return tuple(z for z in bounds.z_bounds if z is not None)


@lru_cache(maxsize=8)
def _bounds_by_count(planned: int) -> Floats:
    """Bound by count of changed items, up to the planned one; infinite where nothing may stop the trial, and beyond the plan."""
    found = spending_bounds(range(1, planned + 1), max_information=planned).z_bounds
    return np.asarray([np.inf, *(np.inf if z is None else z for z in found), np.inf])


if __name__ == "__main__":
    sys.exit(main())
