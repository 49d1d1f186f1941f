"""The chance of any false claim in a whole plan, and in a run of several trials, beside what the rules before it gave.

Data are right/wrong answers of n items; endpoints are independent unless said, which is the worst case for the sum of their errors.
`python -m tests.calibration.one_alpha` prints the table and the gates.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchtrial.stats.binary import mcnemar_midp
from batchtrial.stats.distributions import norm_sf
from batchtrial.stats.intervals import bonett_price, tango_z
from batchtrial.stats.judging import judge_findings
from batchtrial.stats.multiplicity import holm
from batchtrial.stats.noninferiority import equivalence_binary, noninferiority_binary
from batchtrial.stats.plan import AnalysisPlan, Endpoint, Finding, Goal
from batchtrial.stats.shared_alpha import shares_of_alpha

from .gates import Gate, Outcome, finish, table, three_errors

SEED = 20_256
REPLICATES = 2000
BEFORE = 4
"""The rules before have no gate, and pass more exact tests, which take long: a part of the replicates is enough to see them fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A plan and the truth. changed: share of items that change; effects: of the primary and of each confirmatory endpoint."""

    name: str
    goal: Goal
    margin: float | None
    alpha: float
    effects: tuple[float, ...]
    n: int = 400
    changed: float = 0.2
    n_trials: int = 1
    is_named: bool = False

    @property
    def plan(self) -> AnalysisPlan:
        primary = Endpoint(name="e0", goal=self.goal, margin=self.margin)
        return AnalysisPlan(primary=primary, confirmatory=tuple(Endpoint(name=f"e{i}") for i in range(1, len(self.effects))), alpha=self.alpha)


WORLDS = (
    World(name="margin 5 pp, truth at it, one null behind", goal="noninferiority", margin=0.05, alpha=0.05, effects=(-0.05, 0.0), is_named=True),
    World(name="margin 10 pp, truth at it, one null behind", goal="noninferiority", margin=0.10, alpha=0.05, effects=(-0.10, 0.0), is_named=True),
    World(name="the same at alpha .01", goal="noninferiority", margin=0.10, alpha=0.01, effects=(-0.10, 0.0), is_named=True),
    World(name="margin 5 pp, no effect anywhere, four nulls behind", goal="noninferiority", margin=0.05, alpha=0.05, effects=(0.0,) * 5),
    World(name="margin 10 pp met, alpha .01, three nulls behind", goal="noninferiority", margin=0.10, alpha=0.01, effects=(0.0,) * 4, n=900),
    World(name="equivalence 5 pp, truth at it, two nulls behind", goal="equivalence", margin=0.05, alpha=0.05, effects=(-0.05, 0.0, 0.0), n=800),
    World(name="superiority, treatment worse, two nulls behind", goal="superiority", margin=None, alpha=0.05, effects=(-0.10, 0.0, 0.0)),
    World(name="three trials, no effect, one null behind each", goal="superiority", margin=None, alpha=0.05, effects=(0.0, 0.0), n_trials=3),
    World(name="three trials, margin 5 pp met, nulls behind", goal="noninferiority", margin=0.05, alpha=0.05, effects=(0.0, 0.0), n=900, n_trials=3),
    World(name="three trials, margin 5 pp, truth at it", goal="noninferiority", margin=0.05, alpha=0.05, effects=(-0.05, 0.0), n_trials=3),
)


def finding(world: World, place: int, rng: np.random.Generator, *, is_before: bool) -> Finding:
    """One endpoint of one trial. is_before: margins at one-sided alpha .05, as the rules before had it."""
    effect = world.effects[place]
    chances = [(world.changed + effect) / 2, (world.changed - effect) / 2, 1 - world.changed]
    b, c, _ = rng.multinomial(world.n, chances).tolist()
    p = None
    if place == 0 and world.margin is not None:
        p = margin_p(b, c, world, 0.05 if is_before else world.alpha / 2)
    return Finding(name=f"e{place}", estimate=bonett_price(b, c, world.n, 1 - world.alpha), test=mcnemar_midp(b, c), margin_test_p=p)


def margin_p(b: int, c: int, world: World, alpha: float) -> float | None:
    """Of Tango's test; where the margin is not kept, of the exact test too, which takes long and can only take claims away."""
    margin = world.margin or 0.0
    ps = [norm_sf(tango_z(b, c, world.n, -margin))]
    if world.goal == "equivalence":
        ps.append(norm_sf(tango_z(c, b, world.n, -margin)))
    if max(ps) > alpha or abs(world.effects[0]) < margin:
        return max(ps)
    test = equivalence_binary if world.goal == "equivalence" else noninferiority_binary
    return test(b, c, world.n, margin, alpha).p_value


def is_false(world: World, place: int, verdict: str) -> bool:
    """Whether a claimed verdict is untrue. A margin that the truth just touches is not kept."""
    effect, margin = world.effects[place], world.margin or 0.0
    return {
        "superior": effect <= 0.0,
        "inferior": effect >= 0.0,
        "non-inferior": effect <= -margin,
        "equivalent": abs(effect) >= margin,
    }[verdict]


def claims(world: World, rng: np.random.Generator) -> bool:
    """Whether a run claims anything false by the rules that are used."""
    trials = [[finding(world, i, rng, is_before=False) for i in range(len(world.effects))] for _ in range(world.n_trials)]
    shares = shares_of_alpha([(world.plan, findings) for findings in trials])
    judged = [judge_findings(world.plan, findings, share=share) for findings, share in zip(trials, shares, strict=True)]
    return any(one.is_claim and is_false(world, i, one.verdict) for trial in judged for i, one in enumerate(trial))


def claims_before(world: World, rng: np.random.Generator) -> bool:
    """The rules before: margins one-sided at .05 whatever alpha, any conclusion about the primary opens the gate, trials stand alone."""
    return any(_trial_before(world, rng) for _ in range(world.n_trials))


def _trial_before(world: World, rng: np.random.Generator) -> bool:
    first, *rest = [finding(world, i, rng, is_before=True) for i in range(len(world.effects))]
    delta, p = first.estimate.value or 0.0, first.test.p_value or 1.0
    met = first.margin_test_p is not None and first.margin_test_p <= 0.05
    goal = {"noninferiority": "non-inferior", "equivalence": "equivalent"}.get(world.goal, "")
    said = []
    if met:
        said.append(goal)
    if p <= world.alpha and delta != 0.0 and not (met and delta < 0.0):
        said.append("superior" if delta > 0.0 else "inferior")
    if any(is_false(world, 0, verdict) for verdict in said):
        return True
    adjusted = holm([one.test.p_value for one in rest])
    return bool(said) and any(q is not None and q <= world.alpha for q in adjusted)


def measure(effort: float = 1.0, worlds: Sequence[World] = WORLDS) -> Outcome:
    """Every world; effort scales the replicates (the gates' slack follows)."""
    replicates = max(200, int(REPLICATES * effort))
    rows, gates = [], []
    for number, world in enumerate(worlds):
        found = [
            float(np.mean([rule(world, rng) for _ in range(times)]))
            for rule, times, rng in (
                (claims, replicates, np.random.default_rng([SEED, number])),
                (claims_before, replicates // BEFORE, np.random.default_rng([SEED, number])),
            )
        ]
        rows.append((world.name + (" *" if world.is_named else ""), world.alpha, found[1], found[0]))
        gates.append(Gate(name=f"any false claim: {world.name}", measured=found[0], at_most=three_errors(world.alpha, replicates)))
    header = ("plan and truth", "alpha", "before", "used")
    return Outcome(tables=(table("Chance of any false claim in a plan", header, rows),), gates=tuple(gates))


def main() -> int:
    """Print tables and gates; 1 when a gate is broken."""
    return finish(measure())


if __name__ == "__main__":
    sys.exit(main())
