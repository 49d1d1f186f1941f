"""Coverage when items come in clusters of 1 to 12: CR2 beside what ignoring clusters, CR0 with z and a cluster bootstrap get.

`python -m tests.calibration.clusters` prints the table and the gates.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from batchtrial.stats.clusters import clustered_mean
from batchtrial.stats.distributions import t_two_sided, z_two_sided
from batchtrial.stats.intervals import effective_tango
from batchtrial.stats.results import Estimate
from batchtrial.stats.scores import paired_t

from .gates import Gate, Outcome, finish, near, table
from .generator import Scenario, clustered_answers

Floats = NDArray[np.float64]

SEED = 20_251
REPLICATES = 4000
MID = Scenario(name="mid", control=0.55, treatment=0.60, sd_item=1.0, sd_effect=0.3, sd_cluster=1.0, sd_cluster_effect=1.0)
SAME = replace(MID, name="no difference", treatment=0.55)
SPARSE = Scenario(name="hallucination", control=0.10, treatment=0.03, sd_item=1.0, sd_effect=0.3, sd_cluster=1.0, sd_cluster_effect=0.5)
LARGEST = 12
RESAMPLES = 199


def labels(n_clusters: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """One label an item; cluster sizes geometric, from 1 to 12."""
    sizes = np.minimum(rng.geometric(0.25, n_clusters), LARGEST)
    return np.repeat(np.arange(n_clusters), sizes)


def within(mean: float, half: float, truth: float) -> bool:
    """Whether mean +- half holds the truth."""
    return abs(mean - truth) <= half


def held(estimate: Estimate, truth: float) -> bool:
    """Whether the interval is there and holds the truth."""
    return estimate.ci_low is not None and estimate.ci_high is not None and estimate.ci_low <= truth <= estimate.ci_high


def percentile(d: Floats, where: NDArray[np.intp], rng: np.random.Generator) -> tuple[float, float]:
    """Percentile cluster bootstrap of the mean, for contrast."""
    sums, sizes = np.bincount(where, weights=d), np.bincount(where)
    drawn = rng.integers(0, sums.size, (RESAMPLES, sums.size))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.sort(means)[[4, RESAMPLES - 5]]
    return float(low), float(high)


def dense(replicates: int, n_clusters: Sequence[int] = (5, 10, 20, 50, 100)) -> Outcome:
    """Differences of mid-range accuracies, one answer an item; the effect differs between clusters."""
    rng = np.random.default_rng([SEED, 1])
    rows, gates = [], []
    for g in n_clusters:
        hits = np.zeros(5)
        for _ in range(replicates):
            where = labels(g, rng)
            t, c = clustered_answers(MID, where, 1, rng)
            d = (t - c)[:, 0]
            got, mean = clustered_mean(d, where), float(d.mean())
            hits[0] += held(paired_t(d).estimate, MID.delta)
            hits[1] += within(mean, z_two_sided(0.95) * (got.se_cr0 or 0.0), MID.delta)
            hits[2] += within(mean, t_two_sided(0.95, g - 1.0) * (got.se_cr1 or 0.0), MID.delta)
            hits[3] += held(got.estimate, MID.delta)
            low, high = percentile(d, where, rng)
            hits[4] += low <= MID.delta <= high
        found = (hits / replicates).tolist()
        rows.append((g, *found))
        slack = max(0.012, 3.5 * math.sqrt(0.95 * 0.05 / replicates))
        gates.append(Gate(name=f"CR2, {g} clusters", measured=found[3], at_least=0.95 - slack, at_most=0.95 + slack))
    header = ("clusters", "ignored", "CR0 and z", "CR1 and t", "CR2, Satterthwaite", "percentile bootstrap")
    return Outcome(tables=(table("Clusters of 1 to 12 items: coverage", header, rows),), gates=tuple(gates))


def sparse(replicates: int, n_clusters: Sequence[int] = (10, 20, 50, 100)) -> Outcome:
    """Rare events in clusters: effective-n Tango with the CR2 variance against CR2 itself."""
    rng = np.random.default_rng([SEED, 2])
    rows, gates = [], []
    for g in n_clusters:
        hits = np.zeros(2)
        for _ in range(replicates):
            where = labels(g, rng)
            t, c = (arm[:, 0] for arm in clustered_answers(SPARSE, where, 1, rng))
            got = clustered_mean(t - c, where)
            variance = None if got.se_cr2 is None else got.se_cr2**2
            hits[0] += held(got.estimate, SPARSE.delta)
            hits[1] += held(effective_tango(t, c, cluster_variance=variance, cluster_df=got.df), SPARSE.delta)
        found = (hits / replicates).tolist()
        rows.append((g, *found))
        floor = near(f"effective Tango, rare events, {g} clusters", found[1], 0.95, replicates)
        gates.append(Gate(name=floor.name, measured=found[1], at_least=floor.at_least))
    header = ("clusters", "CR2, Satterthwaite", "effective Tango")
    return Outcome(tables=(table("Rare events in clusters: coverage", header, rows),), gates=tuple(gates))


def measure(effort: float = 1.0) -> Outcome:
    """Everything; effort scales the replicates (the gates' slack follows)."""
    parts = (dense(max(200, int(REPLICATES * effort))), sparse(max(200, int(REPLICATES * effort / 2))))
    return Outcome(
        tables=tuple(text for part in parts for text in part.tables),
        gates=tuple(gate for part in parts for gate in part.gates),
    )


def main() -> int:
    """Print tables and gates; 1 when a gate is broken."""
    return finish(measure())


if __name__ == "__main__":
    sys.exit(main())
