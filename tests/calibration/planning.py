"""What the planner promises, simulated: power at the detectable effect, claims at the planned size, variance shares of a pilot.

A promised claim is made by the pipeline's own comparison and judgement, one trial alone or three sharing alpha.

`python -m tests.calibration.planning` prints the tables and the gates.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from batchtrial.phases.analyse.comparison import compare
from batchtrial.phases.analyse.paired import Paired
from batchtrial.stats.binary import mcnemar_midp
from batchtrial.stats.claim_power import PlannedTest, Spread, claim_power, items_for_claim, level_of_trial
from batchtrial.stats.clusters import clustered_mean
from batchtrial.stats.designs import VarianceShares, variance_shares
from batchtrial.stats.judging import judge_findings
from batchtrial.stats.plan import AnalysisPlan, Endpoint, Finding, Goal
from batchtrial.stats.power import mcnemar_items_exact, mcnemar_mde, mcnemar_power, normal_items, paired_t_items, paired_t_power
from batchtrial.stats.scores import paired_t
from batchtrial.stats.shared_alpha import shares_of_alpha

from . import clusters
from .gates import Gate, Outcome, finish, table
from .generator import SCENARIOS, Scenario, answers, clustered_answers, discordance, moments
from .simulations import f1_like

SEED = 20_254
REPLICATES = 4000
FLIPS = 999
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A design whose size is asked of the planner. kind: what is drawn: `answers`, clusters of them, or scores with this standard deviation."""

    name: str
    scenario: Scenario
    goal: Goal = "superiority"
    margin: float | None = None
    samples: int = 1
    n_trials: int = 1
    is_clustered: bool = False
    is_scored: bool = False

    @property
    def effect(self) -> float:
        return F1_TRUTH if self.is_scored else self.scenario.delta

    def draw(self, n: int, rng: np.random.Generator) -> Paired:
        """One trial of n items."""
        k, labels = self.samples, None
        if self.is_scored:
            t, c = f1_like(n, rng)
            return Paired(treatment=t, control=c, known_share=False)
        if self.is_clustered:
            labels = np.repeat(np.arange(n // CLUSTER + 1), CLUSTER)[:n]
            t, c = clustered_answers(self.scenario, labels, k, rng)
        else:
            t, c = answers(self.scenario, n, k, rng)
        return Paired(treatment=t.mean(axis=1), control=c.mean(axis=1), clusters=labels, samples_treatment=k, samples_control=k, known_share=True)

    def planned(self) -> tuple[Spread, PlannedTest]:
        """What the planner is told: true variances, those of scores and clusters from a large pilot."""
        test = PlannedTest(goal=self.goal, margin=self.margin, alpha=level_of_trial(ALPHA, self.n_trials), samples=self.samples)
        if not (self.is_scored or self.is_clustered):
            return true_shares(self.scenario).spread(self.samples), test
        pilot = self.draw(40_000, np.random.default_rng([SEED, 9]))
        d = pilot.treatment - pilot.control
        variance = float(d.var(ddof=1))
        spread = Spread(means=variance, single=variance)
        if self.is_scored:
            return spread, replace(test, is_share=False)
        se = clustered_mean(d, pilot.clusters if pilot.clusters is not None else []).se_cr2 or 0.0
        return spread, replace(test, design_effect=se**2 * d.size / variance, cluster_size=float(CLUSTER))


ALPHA = 0.05
CLUSTER = 8
F1_TRUTH = 0.075
MID, NULL, BIG = SCENARIOS[0], SCENARIOS[2], SCENARIOS[3]
PROMISES = (
    *(Promise(name="a difference", scenario=MID, samples=k, n_trials=t) for k in (1, 3, 5) for t in (1, 3)),
    *(Promise(name="not worse by 10 pp", scenario=NULL, goal="noninferiority", margin=0.10, n_trials=t) for t in (1, 3)),
    *(Promise(name="not worse by 7 pp", scenario=NULL, goal="noninferiority", margin=0.07, samples=k, n_trials=t) for k in (3, 5) for t in (1, 3)),
    Promise(name="the same within 12 pp", scenario=NULL, goal="equivalence", margin=0.12),
    Promise(name="the same within 8 pp", scenario=NULL, goal="equivalence", margin=0.08, samples=5, n_trials=3),
    Promise(name="a large difference, few items", scenario=BIG, samples=5, n_trials=3),
    Promise(name="a difference, clusters", scenario=clusters.MID, is_clustered=True),
    Promise(name="not worse by 10 pp, clusters", scenario=clusters.SAME, goal="noninferiority", margin=0.10, is_clustered=True, n_trials=3),
    Promise(name="a difference of scores", scenario=MID, is_scored=True, n_trials=3),
    Promise(name="scores not worse by 2 pp", scenario=MID, is_scored=True, goal="noninferiority", margin=0.02),
)


def claimed(promise: Promise, n: int, rng: np.random.Generator) -> bool:
    """Whether the first trial of a run reaches its goal, the other trials having no difference to speak of."""
    endpoint = Endpoint(name="x", goal=promise.goal, margin=promise.margin)
    plan = AnalysisPlan(primary=endpoint, alpha=ALPHA)
    first = _found(promise, promise.draw(n, rng), endpoint)
    # The others decide only what share is left to the first: nothing that they could claim is there.
    others = [replace(first, test=replace(first.test, p_value=float(p)), margin_test_p=float(p)) for p in rng.random(promise.n_trials - 1)]
    share = shares_of_alpha([(plan, [one]) for one in (first, *others)])[0]
    return judge_findings(plan, [first], share=share)[0].reaches_goal


def _found(promise: Promise, pairs: Paired, endpoint: Endpoint) -> Finding:
    one = compare(pairs, level=1.0 - ALPHA, seed=1, flips=FLIPS, endpoint=endpoint, is_verdict_only=True)
    p = None if one.margin is None else one.margin.p_value
    return Finding(name="x", estimate=one.estimate, test=one.test, margin_test_p=p, not_decidable=one.not_decidable)


def promised(replicates: int, promises: Sequence[Promise] = PROMISES) -> Outcome:
    """Claims at the size that the planner gives, beside what it promises there and what a t-test at the whole alpha would have been told."""
    rows, gates = [], []
    for number, promise in enumerate(promises):
        rng = np.random.default_rng([SEED, 4, number])
        spread, test = promise.planned()
        n = items_for_claim(promise.effect, spread, test, power=POWER).n_items
        assert n is not None
        wanted = claim_power(n, promise.effect, spread, test)
        distance = abs(promise.effect) if promise.margin is None else promise.margin + promise.effect
        before = normal_items(distance, spread.means * test.design_effect).n_items
        found = sum(claimed(promise, n, rng) for _ in range(replicates)) / replicates
        what = f"{promise.name}, K={promise.samples}, {promise.n_trials} trial{'s' * (promise.n_trials > 1)}"
        rows.append((promise.name, promise.samples, promise.n_trials, before, n, wanted, found))
        slack = 0.01 + 3.0 * math.sqrt(wanted * (1.0 - wanted) / replicates)
        gates.append(Gate(name=f"claims at the planned size: {what}", measured=found, at_least=wanted - slack, at_most=wanted + slack))
    header = ("goal", "samples", "trials", "items, normal formula", "items", "planned power", "claimed")
    return Outcome(tables=(table("What the analysis claims at the planned size", header, rows),), gates=tuple(gates))


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
    """Everything; effort scales the replicates (the power gates stay at .02); below 1 a few of the promises."""
    parts = (
        single_answers(max(2000, int(REPLICATES * effort))),
        several_samples(max(2000, int(REPLICATES * effort))),
        promised(max(200, int(REPLICATES * effort * 0.4)), PROMISES if effort >= 1.0 else PROMISES[2::6]),
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
