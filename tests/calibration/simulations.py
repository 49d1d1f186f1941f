"""Coverage of paired intervals on simulated trials: single answers, several samples, scores, abstention, reused controls.

Answers come from `generator`, whose truth is known by quadrature. `python -m tests.calibration.simulations` prints tables and
gates; what a careless analysis would have got stands beside the product's method.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from batchtrial.stats.intervals import effective_tango, tango_many
from batchtrial.stats.judge import ppi_mean
from batchtrial.stats.permutation import sign_flip
from batchtrial.stats.results import Estimate
from batchtrial.stats.reuse import difference_with_reuse
from batchtrial.stats.scores import paired_t
from batchtrial.stats.selective import selective_difference
from batchtrial.stats.utility import utility_scores

from .exact_binary import tango_ends, weights
from .gates import Gate, Outcome, finish, near, table, three_errors
from .generator import SCENARIOS, Scenario, answers, discordance

Floats = NDArray[np.float64]

SEED = 20_250
SIZES = (20, 50, 100, 300)
REPLICATES = 4000
K = 5
USUAL = {50: 0.985, 100: 0.978, 300: 0.963}
"""Coverage that several samples of items of all kinds have; at 20 items it is 1 but for a few trials in a thousand."""


def holds(estimate: Estimate, truth: float) -> bool:
    """Whether the interval is there and holds the truth."""
    return estimate.ci_low is not None and estimate.ci_high is not None and estimate.ci_low <= truth <= estimate.ci_high


@lru_cache(maxsize=8)
def _ends(n: int) -> tuple[Floats, Floats]:
    return tango_ends(n)


def exact_coverage(scenario: Scenario, n: int) -> float:
    """Coverage of Tango's interval by enumeration, for single answers of this scenario."""
    low, high = _ends(n)
    inside = (low <= scenario.delta + 1e-9) & (high >= scenario.delta - 1e-9)
    return float(weights(n, *discordance(scenario)) @ inside)


def single_answers(replicates: int) -> Outcome:
    """Tango on one answer for each item: the simulated coverage must be the enumerated one."""
    rng = np.random.default_rng([SEED, 1])
    rows, gates = [], []
    for scenario in SCENARIOS:
        for n in SIZES:
            t, c = answers(scenario, n * replicates, 1, rng)
            d = (t - c).reshape(replicates, n)
            low, high = tango_many((d > 0).sum(axis=1), (d < 0).sum(axis=1), np.full(replicates, n))
            found = float(((low <= scenario.delta) & (scenario.delta <= high)).mean())
            exact = exact_coverage(scenario, n)
            rows.append((scenario.name, n, found, exact))
            gates.append(near(f"tango, one answer, {scenario.name}, n={n}", found, exact, replicates))
            if exact >= 0.945:
                gates.append(Gate(name=f"tango, one answer, {scenario.name}, n={n}", measured=found, at_least=0.925))
    title = "Tango's interval, one answer an item: coverage"
    return Outcome(tables=(table(title, ("scenario", "n", "simulated", "exact"), rows),), gates=tuple(gates))


def several_samples(replicates: int) -> Outcome:
    """Effective-n Tango on five samples an item, beside Student on item means, pooled pairs and majority votes."""
    rng = np.random.default_rng([SEED, 2])
    rows, gates = [], []
    for scenario in SCENARIOS:
        for n in SIZES:
            hits = np.zeros(4)
            pooled, voted = np.empty((2, replicates)), np.empty((2, replicates))
            for r in range(replicates):
                t, c = answers(scenario, n, K, rng)
                share_t, share_c = t.mean(axis=1), c.mean(axis=1)
                effective = effective_tango(share_t, share_c, samples_treatment=K, samples_control=K)
                hits[0] += holds(effective, scenario.delta)
                hits[1] += holds(paired_t(share_t - share_c).estimate, scenario.delta)
                pooled[:, r] = (t > c).sum(), (t < c).sum()
                vote = (share_t > 0.5).astype(int) - (share_c > 0.5)
                voted[:, r] = (vote > 0).sum(), (vote < 0).sum()
            for place, (b, c_only), size in ((2, pooled, n * K), (3, voted, n)):
                low, high = tango_many(b, c_only, np.full(replicates, size))
                hits[place] = ((low <= scenario.delta) & (scenario.delta <= high)).sum()
            found = (hits / replicates).tolist()
            rows.append((scenario.name, n, *found))
            gate = near(f"effective Tango, K={K}, {scenario.name}, n={n}", found[0], 0.95, replicates)
            # Wide on purpose, because of items that hardly ever change (`rare_flips.narrower`): no wider than it is, where they are of all kinds.
            usual = USUAL.get(n) if scenario.name.startswith(("S1", "S3", "S4")) else None
            gates.append(replace(gate, at_most=None if usual is None else near("", found[0], usual, replicates).at_most))
    header = ("scenario", "n", "effective Tango", "t on item means", "pooled pairs", "majority vote")
    return Outcome(tables=(table(f"{K} samples an item: coverage", header, rows),), gates=tuple(gates))


def f1_like(n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Scores in [0, 1] with atoms at both ends; half of the items are answered alike but for the shift of the atoms.

    Means .40 + .30 / 2 and .30 + .35 / 2: the true difference is .075.
    """
    kind, middle, shared = rng.random((2, n)), rng.beta(2.0, 2.0, (2, n)), rng.random(n) < 0.5
    kind[1], middle[1] = np.where(shared, kind[0], kind[1]), np.where(shared, middle[0], middle[1])
    control = np.where(kind[0] < 0.35, 0.0, np.where(kind[0] < 0.65, 1.0, middle[0]))
    treatment = np.where(kind[1] < 0.30, 0.0, np.where(kind[1] < 0.70, 1.0, middle[1]))
    return treatment, control


def abstaining(n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
    """Answered and wrong, treatment then control; the chances are the same on every item but share its difficulty."""
    hard = rng.random(n) < 0.5
    answered_t, answered_c = rng.random(n) < np.where(hard, 0.6, 0.9), rng.random(n) < np.where(hard, 0.9, 0.95)
    wrong_t = answered_t & (rng.random(n) < np.where(hard, 0.4, 0.1))
    wrong_c = answered_c & (rng.random(n) < np.where(hard, 0.5, 0.1))
    return tuple(x.astype(np.float64) for x in (answered_t, wrong_t, answered_c, wrong_c))  # type: ignore[return-value]


F1_TRUTH = 0.55 - 0.475
UTILITY_TRUTH = (0.75 - (0.165 * 4.0)) - (0.925 - (0.2725 * 4.0))
RISK_TRUTH = 0.165 / 0.75 - 0.2725 / 0.925


def scores(replicates: int) -> Outcome:
    """Student on F1-like scores and on utility with penalty 3, and the linearised difference of selective risks."""
    rng = np.random.default_rng([SEED, 3])
    rows, gates = [], []
    for n in SIZES:
        hits = np.zeros(4)
        for _ in range(replicates):
            t, c = f1_like(n, rng)
            hits[0] += holds(paired_t(t - c).estimate, F1_TRUTH)
            columns = abstaining(n, rng)
            d = utility_scores(*columns[:2], 3.0) - utility_scores(*columns[2:], 3.0)
            hits[1] += holds(paired_t(d).estimate, UTILITY_TRUTH)
            hits[2] += holds(selective_difference(*columns).risk, RISK_TRUTH)
            p = sign_flip(np.where(rng.random(n) < 0.5, 1.0, -1.0) * rng.integers(0, 6, n) / K, seed=0).p_value
            hits[3] += (p or 0.0) <= 0.05
        found = (hits / replicates).tolist()
        rows.append((n, *found))
        gates += [
            near(f"t on F1-like scores, n={n}", found[0], 0.95, replicates),
            near(f"t on utility, n={n}", found[1], 0.95, replicates),
            near(f"selective risk difference, n={n}", found[2], 0.95, replicates),
            Gate(name=f"size of sign flips, n={n}", measured=found[3], at_most=three_errors(0.05, replicates)),
        ]
    header = ("n", "t, F1-like", "t, utility (penalty 3)", "selective risk difference", "size of sign flips")
    return Outcome(tables=(table("Scores and abstention: coverage, and size", header, rows),), gates=tuple(gates))


def borrowed(replicates: int) -> Outcome:
    """Reused control answers, and judged answers with labels on some: coverage and the share of variance that is left."""
    rng = np.random.default_rng([SEED, 4])
    rows, gates = [], []
    scenario = SCENARIOS[0]
    for n in (100, 300):
        hits, ratios = np.zeros(2), []
        for _ in range(replicates):
            t, c = (arm[:, 0] for arm in answers(scenario, 4 * n, 1, rng))
            run = np.where(np.arange(4 * n) < n, t, np.nan)
            got = difference_with_reuse(run, c, treatment_source="m", control_source="m")
            hits[0] += holds(got.estimate, scenario.delta)
            ratios.append(got.variance_ratio or 1.0)
            judged = np.where(rng.random(4 * n) < 0.9, t, 1.0 - t)
            hits[1] += holds(ppi_mean(run, judged), scenario.treatment)
        found = (hits / replicates).tolist()
        rows.append((n, found[0], float(np.mean(ratios)), found[1]))
        gates += [
            near(f"reused control, n={n}", found[0], 0.95, replicates),
            Gate(name=f"variance left by a reused control, n={n}", measured=float(np.mean(ratios)), at_most=0.9),
            near(f"PPI, {n} labels", found[1], 0.95, replicates),
        ]
    header = ("n (of 4n items)", "reused control", "variance left", "PPI mean, 90 % judge")
    return Outcome(tables=(table("Borrowed strength: coverage", header, rows),), gates=tuple(gates))


PARTS: Sequence[tuple[Callable[[int], Outcome], int]] = (
    (single_answers, REPLICATES),
    (several_samples, REPLICATES // 2),
    (scores, REPLICATES // 2),
    (borrowed, REPLICATES // 2),
)


def measure(effort: float = 1.0) -> Outcome:
    """Everything; effort scales the replicates (the gates' slack follows)."""
    outcomes = [part(max(200, int(replicates * effort))) for part, replicates in PARTS]
    return Outcome(
        tables=tuple(text for outcome in outcomes for text in outcome.tables),
        gates=tuple(gate for outcome in outcomes for gate in outcome.gates),
    )


def main() -> int:
    """Print tables and gates; 1 when a gate is broken."""
    return finish(measure())


if __name__ == "__main__":
    sys.exit(main())
