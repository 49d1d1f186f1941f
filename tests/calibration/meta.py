"""Coverage of the mean over few datasets: fixed effect, DerSimonian-Laird with z, Hartung-Knapp, and never narrower.

`python -m tests.calibration.meta` prints the table and the gates.
"""

from __future__ import annotations

import sys

import numpy as np

from batchtrial.stats.meta import meta_analysis
from batchtrial.stats.results import Estimate

from .gates import Gate, Outcome, finish, near, table

SEED = 20_255
REPLICATES = 3000
MEAN = 0.05
STANDARD_ERROR = 0.025
"""Of one dataset's effect, on average; datasets differ in size by up to a factor of four."""


def held(estimate: Estimate) -> bool:
    """Whether the interval is there and holds the true mean."""
    return estimate.ci_low is not None and estimate.ci_high is not None and estimate.ci_low <= MEAN <= estimate.ci_high


def measure(effort: float = 1.0) -> Outcome:
    """k = 3, 5 and 10 datasets that differ (tau = 0.05) or do not; effort scales the replicates."""
    replicates = max(300, int(REPLICATES * effort))
    rng = np.random.default_rng(SEED)
    rows, gates = [], []
    for tau in (0.05, 0.0):
        for k in (3, 5, 10):
            hits = np.zeros(5)
            for _ in range(replicates):
                v = STANDARD_ERROR**2 * rng.uniform(0.4, 1.6, k)
                y = MEAN + tau * rng.normal(size=k) + np.sqrt(v) * rng.normal(size=k)
                got, plain = meta_analysis(y, v), meta_analysis(y, v, tau2_method="dl")
                named = (got.fixed, plain.random_z, got.random_hk, got.random)
                hits[:4] += [held(estimate) for estimate in named]
                new = MEAN + tau * rng.normal()
                ends = (got.prediction.ci_low, got.prediction.ci_high)
                hits[4] += ends[0] is not None and ends[1] is not None and ends[0] <= new <= ends[1]
            found = (hits / replicates).tolist()
            rows.append((f"{tau:g}", k, *found))
            floor = near(f"never narrower, tau={tau:g}, k={k}", found[3], 0.95, replicates)
            gates.append(Gate(name=floor.name, measured=found[3], at_least=floor.at_least))
            if tau:
                gates.append(Gate(name=f"fixed effect must be seen to fail, k={k}", measured=found[0], at_most=0.7))
    header = ("tau", "datasets", "fixed", "DL and z", "Hartung-Knapp", "never narrower", "prediction")
    return Outcome(tables=(table("Mean over few datasets: coverage", header, rows),), gates=tuple(gates))


def main() -> int:
    """Print tables and gates; 1 when a gate is broken."""
    return finish(measure())


if __name__ == "__main__":
    sys.exit(main())
