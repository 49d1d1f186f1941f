"""What the planner promises, simulated: power at the detectable effect, sizes that reach their power, variance shares of a pilot.

`python -m tests.calibration.planning` prints the tables and the gates.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from batchtrial.stats.binary import mcnemar_midp
from batchtrial.stats.designs import VarianceShares, variance_shares
from batchtrial.stats.power import mcnemar_items_exact, mcnemar_mde, mcnemar_power, normal_items, paired_t_items, paired_t_power
from batchtrial.stats.scores import paired_t

from .gates import Gate, Outcome, finish, table
from .generator import SCENARIOS, Scenario, answers, discordance, moments

SEED = 20_254
REPLICATES = 4000
POWER = 0.8
SLACK = 0.02


def rejects_midp(b: int, c: int) -> bool:
    """The product's headline test at .05."""
    return (mcnemar_midp(b, c).p_value or 0.0) <= 0.05


def simulated_midp(n: int, p_t: float, p_c: float, replicates: int, rng: np.random.Generator) -> float:
    """Power of the mid-p test on n items."""
    counts = rng.multinomial(n, [p_t, p_c, 1.0 - p_t - p_c], size=replicates)
    return sum(rejects_midp(int(b), int(c)) for b, c, _ in counts) / replicates


def single_answers(replicates: int) -> Outcome:
    """One answer an item: the enumerated detectable effect and size, met by simulation."""
    rng = np.random.default_rng([SEED, 1])
    rows, gates = [], []
    for n, psi in ((100, 0.30), (300, 0.30), (1000, 0.10), (500, 0.067)):
        effect = mcnemar_mde(n, psi).effect
        assert effect is not None
        p_t, p_c = (psi + effect) / 2, (psi - effect) / 2
        found = simulated_midp(n, p_t, p_c, replicates, rng)
        rows.append((f"n={n}, changed {psi:g}", 100.0 * effect, mcnemar_power(n, p_t, p_c), found))
        gates.append(Gate(name=f"power at the detectable effect, n={n}", measured=found, at_least=POWER - SLACK, at_most=POWER + SLACK))
    for scenario in (SCENARIOS[0], SCENARIOS[4]):
        p_t, p_c = discordance(scenario)
        size = mcnemar_items_exact(p_t, p_c).n_items
        assert size is not None
        found = simulated_midp(size, p_t, p_c, replicates, rng)
        rows.append((f"{scenario.name}, n={size}", 100.0 * scenario.delta, mcnemar_power(size, p_t, p_c), found))
        gates.append(Gate(name=f"power at the planned size, {scenario.name}", measured=found, at_least=POWER - SLACK, at_most=POWER + SLACK))
    header = ("design", "effect, pp", "enumerated power", "simulated power")
    return Outcome(tables=(table("One answer an item: planned and simulated power", header, rows),), gates=tuple(gates))


def several_samples(replicates: int) -> Outcome:
    """Item means of K samples: size from the true variance shares, power by simulation; and what K = 5 saves."""
    rng = np.random.default_rng([SEED, 2])
    rows, gates = [], []
    for scenario in (SCENARIOS[0], SCENARIOS[3]):
        sizes = {}
        for k in (1, 5):
            shares = true_shares(scenario)
            sd = math.sqrt(shares.of_difference(k, k))
            n = paired_t_items(scenario.delta / sd).n_items
            assert n is not None
            sizes[k] = n
            hits = 0
            for _ in range(replicates):
                t, c = answers(scenario, n, k, rng)
                hits += (paired_t((t - c).mean(axis=1)).test.p_value or 0.0) <= 0.05
            found = hits / replicates
            rows.append((scenario.name, k, n, 2 * n * k, paired_t_power(n, scenario.delta / sd), found))
            name = f"power at the planned size, {scenario.name}, K={k}"
            gates.append(Gate(name=name, measured=found, at_least=POWER - SLACK, at_most=POWER + SLACK))
        gates.append(Gate(name=f"items that K=5 needs of K=1, {scenario.name}", measured=sizes[5] / sizes[1], at_most=0.4))
    header = ("scenario", "samples", "items", "answers", "planned power", "simulated power")
    return Outcome(tables=(table("Item means: planned and simulated power", header, rows),), gates=tuple(gates))


def pilots(replicates: int) -> Outcome:
    """Variance shares of pilots with 100 items and 5 samples: unbiased, and how far the planned size scatters."""
    rng = np.random.default_rng([SEED, 3])
    rows, gates = [], []
    for scenario in (SCENARIOS[0], SCENARIOS[3]):
        truth, found, sizes = true_shares(scenario), [], []
        for _ in range(replicates):
            pilot = variance_shares(*answers(scenario, 100, 5, rng))
            found.append((pilot.between, pilot.treatment, pilot.control))
            sizes.append(normal_items(scenario.delta, pilot.of_difference(1, 1)).n_items or 0)
        mean = np.mean(found, axis=0).tolist()
        wanted = normal_items(scenario.delta, truth.of_difference(1, 1)).n_items or 1
        low, high = np.quantile(sizes, [0.1, 0.9]) / wanted
        rows.append((scenario.name, truth.between, mean[0], truth.treatment, mean[1], truth.control, mean[2], float(low), float(high)))
        gates += [
            Gate(name=f"sigma_T^2 over truth, {scenario.name}", measured=mean[1] / truth.treatment, at_least=0.98, at_most=1.02),
            Gate(name=f"sigma_C^2 over truth, {scenario.name}", measured=mean[2] / truth.control, at_least=0.98, at_most=1.02),
        ]
    header = (
        "scenario",
        "omega^2",
        "pilot",
        "sigma_T^2",
        "pilot",
        "sigma_C^2",
        "pilot",
        "size over truth, 10 %",
        "90 %",
    )
    return Outcome(tables=(table("Pilots of 100 items, 5 samples", header, rows),), gates=tuple(gates))


def true_shares(scenario: Scenario) -> VarianceShares:
    """The variance shares of a scenario, by quadrature."""
    omega2, noise_c, noise_t = moments(scenario)
    return VarianceShares(between=omega2, treatment=noise_t, control=noise_c, n_items=0)


def measure(effort: float = 1.0) -> Outcome:
    """Everything; effort scales the replicates (the power gates stay at .02)."""
    parts = (
        single_answers(max(2000, int(REPLICATES * effort))),
        several_samples(max(2000, int(REPLICATES * effort))),
        pilots(max(300, int(REPLICATES * effort / 8))),
    )
    return Outcome(
        tables=tuple(text for part in parts for text in part.tables),
        gates=tuple(gate for part in parts for gate in part.gates),
    )


def main() -> int:
    """Print tables and gates; 1 when a gate is broken."""
    return finish(measure())


if __name__ == "__main__":
    sys.exit(main())
