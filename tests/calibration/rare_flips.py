"""Several samples of near-certain items, a share of which flips under the treatment: coverage and false claims of non-inferiority.

A sample of such items often shows no flip, and its spread is answer noise alone: a method that trusts it promises too much. The table
has the method used, the one before it (no imagined changes), and Student's t with pseudo-answers, a = .5.
`python -m tests.calibration.rare_flips` prints the table and the gates.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchtrial.phases.comparison import Paired, compare
from batchtrial.stats.distributions import t_two_sided, z_two_sided
from batchtrial.stats.intervals import tango_z_many
from batchtrial.stats.plan import Endpoint

from .gates import Gate, Outcome, finish, table

Floats = NDArray[np.float64]

SEED = 20_257
REPLICATES = 3000
SIZES = (50, 100, 200)
RATES, SAMPLES, NOISES = (0.01, 0.02, 0.03, 0.05, 0.1), (2, 3, 5, 10), (0.0, 0.02, 0.1)
FRESH_SIZES, FRESH_RATES, FRESH_SAMPLES, FRESH_NOISES = (75, 150, 400), (0.015, 0.04, 0.07), (4, 8, 20), (0.005, 0.01, 0.05)
IMAGINED, WIDER = 2.0, 1.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """Shares of right samples of many trials, shape (trials, items), and the true difference. Some items are wrong under both when mixed."""

    treatment: Floats
    control: Floats
    truth: float


def trials(n: int, rate: float, k: int, noise: float, replicates: int, rng: np.random.Generator, *, is_mixed: bool = False) -> Trials:
    """Items answered right with chance 1 - noise, of which a share `rate` turns wrong; mixed: half begin wrong, and a third of `rate` turns right."""
    is_wrong = (rng.random((replicates, n)) < 0.5) & is_mixed
    flips = rng.random((replicates, n)) < np.where(is_wrong, rate / 3.0, rate)
    before = np.where(is_wrong, noise, 1.0 - noise)
    after = np.where(flips, 1.0 - before, before)
    lost = (rate / 2.0 - rate / 6.0) if is_mixed else rate
    return Trials(treatment=rng.binomial(k, after) / k, control=rng.binomial(k, before) / k, truth=-lost * (1.0 - 2.0 * noise))


def effective(made: Trials, k: int, imagined: float, wider: float = 1.0) -> tuple[Floats, Floats, Floats]:
    """b, c and n of the product's interval, for all trials at once."""
    t, c = made.treatment, made.control
    n = t.shape[1]
    b, less = (t * (1 - c)).sum(axis=1), (c * (1 - t)).sum(axis=1)
    single, seen = b + less - (b - less) ** 2 / n, (t - c).var(axis=1, ddof=1) * n
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = np.where(single > 0.0, np.clip((seen + imagined) / (single + imagined), 1.0 / k, 1.0), 1.0)
    effect = effect * wider**2
    return b / effect, less / effect, n / effect


def found(made: Trials, k: int, imagined: float, wider: float = 1.0) -> tuple[float, float]:
    """(coverage of the 95 % interval, false claims of non-inferiority at the truth as margin, one-sided .025)."""
    z = tango_z_many(*effective(made, k, imagined, wider), made.truth)
    limit = z_two_sided(0.95)
    return float((np.abs(z) <= limit).mean()), float((z > limit).mean())


def pseudo(made: Trials, a: float = 0.5) -> float:
    """Coverage of Student's interval with a pseudo-answers each way."""
    d = made.treatment - made.control
    n = d.shape[1] + 2.0 * a
    centre = d.sum(axis=1) / n
    variance = ((d**2).sum(axis=1) + 2.0 * a) / n - centre**2
    return float((np.abs(centre - made.truth) <= t_two_sided(0.95, d.shape[1] - 1.0) * np.sqrt(variance / n)).mean())


def agrees(rng: np.random.Generator) -> float:
    """Largest difference between the arrays here and the pipeline's own comparison: interval ends against Z, over some trials."""
    worst = 0.0
    for k, noise in ((2, 0.02), (5, 0.1), (10, 0.02)):
        made = trials(60, 0.05, k, noise, 5, rng)
        b, c, n = effective(made, k, IMAGINED, WIDER)
        for i in range(5):
            one = compare(
                Paired(treatment=made.treatment[i], control=made.control[i], samples_treatment=k, samples_control=k),
                level=0.95,
                seed=1,
                flips=999,
                endpoint=Endpoint(name="x", goal="noninferiority", margin=-made.truth),
            )
            low, high = one.estimate.ci_low or 0.0, one.estimate.ci_high or 0.0
            ends = tango_z_many(b[i], c[i], n[i], np.array([low, high]))
            worst = max(worst, float(np.abs(np.abs(ends) - z_two_sided(0.95)).max()))
    return worst


def measure(effort: float = 1.0) -> Outcome:
    """The grid of VALIDITY section 3 and a fresh one; effort scales the replicates ."""
    replicates = max(300, int(REPLICATES * effort))
    rng = np.random.default_rng(SEED)
    grids = {
        "named": (itertools.product(SIZES, RATES, SAMPLES, NOISES), False),
        "fresh": (itertools.product(FRESH_SIZES, FRESH_RATES, FRESH_SAMPLES, FRESH_NOISES), False),
        "fresh, half of the items wrong": (itertools.product(FRESH_SIZES, FRESH_RATES, FRESH_SAMPLES, FRESH_NOISES), True),
    }
    rows, gates = [], []
    for name, (grid, is_mixed) in grids.items():
        by_size: dict[int, list[tuple[float, ...]]] = {}
        for n, rate, k, noise in grid:
            made = trials(n, rate, k, noise, replicates, rng, is_mixed=is_mixed)
            by_size.setdefault(n, []).append((*found(made, k, 0.0), pseudo(made), *found(made, k, IMAGINED, WIDER)))
        for n, cells in by_size.items():
            old, old_claims, student, new, new_claims = (list(column) for column in zip(*cells, strict=True))
            rows.append((name, n, len(cells), min(old), max(old_claims), min(student), min(new), max(new_claims)))
            gates.append(Gate(name=f"several samples, {name}, n={n}: lowest coverage", measured=min(new), at_least=0.93))
            gates.append(Gate(name=f"several samples, {name}, n={n}: false non-inferiority", measured=max(new_claims), at_most=0.055))
    gates.append(Gate(name="several samples: the pipeline computes what is measured here", measured=agrees(rng), at_most=1e-6))
    header = (
        "scenarios",
        "n",
        "cells",
        "before: coverage",
        "before: false claims",
        "pseudo-answers",
        "used: coverage",
        "used: false claims",
    )
    return Outcome(tables=(table("Rare flips, several samples: worst cell", header, rows),), gates=tuple(gates))


def main() -> int:
    """Print tables and gates; 1 when a gate is broken."""
    return finish(measure())


if __name__ == "__main__":
    sys.exit(main())
