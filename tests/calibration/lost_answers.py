"""False claims when the treatment loses a part of its wrong answers and does nothing else, beside what counting the pairs that are left gives.

`python -m tests.calibration.lost_answers` prints the table and the gates.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchtrial.phases.analyse.comparison import compare
from batchtrial.phases.analyse.lost_answers import lost_answers
from batchtrial.phases.analyse.paired import Paired
from batchtrial.stats.judging import judge_findings
from batchtrial.stats.plan import AnalysisPlan, Endpoint, Finding, Goal

from .gates import Gate, Outcome, finish, table, three_errors

SEED = 20_258
REPLICATES = 1500
ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Items right with chance `right`; the treatment differs by `effect`; it loses `lost` of its wrong answers, both arms `even` of all."""

    name: str
    right: float
    n: int = 200
    effect: float = 0.0
    lost: float = 0.25
    even: float = 0.0
    samples: int = 1
    is_scored: bool = False
    goal: Goal = "superiority"
    margin: float | None = None


WORLDS = (
    World(name="half right", right=0.5),
    World(name="70 % right", right=0.7),
    World(name="90 % right", right=0.9),
    World(name="half right, n = 1,000", right=0.5, n=1000),
    World(name="half of its wrong answers", right=0.7, lost=0.5),
    World(name="scores", right=0.5, is_scored=True),
    World(name="three samples", right=0.5, samples=3),
    World(name="non-inferiority 10 pp, truth at it", right=0.6, effect=-0.1, goal="noninferiority", margin=0.1),
    World(name="equivalence 10 pp, truth at it", right=0.6, effect=-0.1, n=400, goal="equivalence", margin=0.1),
    World(name="8 % lost in both arms alike", right=0.6, lost=0.0, even=0.08),
)


def draw(world: World, rng: np.random.Generator) -> Paired:
    """One trial: the answers of both arms depend on the item, the loss on what the answer was."""
    hard = rng.normal(0.0, 0.15, world.n)
    arms, gone = [], []
    for effect, lost in ((0.0, 0.0), (world.effect, world.lost)):
        chance = np.clip(world.right + effect + hard, 0.0, 1.0)[:, None]
        answers = (rng.random((world.n, world.samples)) < chance).astype(np.float64)
        is_lost = (rng.random(answers.shape) < np.where(answers == 0.0, lost, 0.0)) | (rng.random(answers.shape) < world.even)
        if world.is_scored:
            answers = np.where(answers == 1.0, 0.9, 0.15)
        there = (~is_lost).sum(axis=1)
        sums = np.where(is_lost, 0.0, answers).sum(axis=1)
        arms.append(np.where(there > 0, sums / np.maximum(there, 1), np.nan))
        gone.append(is_lost.mean(axis=1))
    k = world.samples
    return Paired(treatment=arms[1], control=arms[0], samples_treatment=k, samples_control=k, lost_treatment=gone[1], lost_control=gone[0])


def claims(world: World, rng: np.random.Generator) -> tuple[bool, bool]:
    """Whether a trial claims something false: counting the pairs that are left, and by the rule."""
    endpoint, pairs = Endpoint(name="x", goal=world.goal, margin=world.margin), draw(world, rng)
    one = compare(pairs, level=1 - ALPHA, seed=1, flips=999, endpoint=endpoint, is_verdict_only=True)
    p = None if one.margin is None else one.margin.p_value
    left = Finding(name="x", estimate=one.estimate, test=one.test, margin_test_p=p)
    plan, said = AnalysisPlan(primary=endpoint, alpha=ALPHA), []
    (naive,) = judge_findings(plan, [left])
    said.append(naive.is_claim and _is_false(world, naive.verdict))
    if not said[0]:
        return False, False  # the rule only takes claims away
    lost = lost_answers(pairs, one, share=1.0, level=1 - ALPHA, seed=1, flips=999, endpoint=endpoint)
    (held,) = judge_findings(plan, [Finding(name="x", estimate=one.estimate, test=one.test, margin_test_p=p, lost=lost)])
    return True, held.is_claim and _is_false(world, held.verdict)


def _is_false(world: World, verdict: str) -> bool:
    if world.goal == "superiority":
        return verdict in ("superior", "inferior")
    return verdict in ("non-inferior", "superior", "equivalent")


def measure(effort: float = 1.0, worlds: Sequence[World] = WORLDS) -> Outcome:
    """Every world; effort scales the replicates (the gates' slack follows)."""
    replicates = max(200, int(REPLICATES * effort))
    rows, gates = [], []
    for number, world in enumerate(worlds):
        rng = np.random.default_rng([SEED, number])
        naive, used = np.mean([claims(world, rng) for _ in range(replicates)], axis=0).tolist()
        nominal = ALPHA if world.goal == "superiority" else ALPHA / 2
        rows.append((world.name, nominal, naive, used))
        gates.append(Gate(name=f"lost answers, {world.name}", measured=used, at_most=three_errors(nominal, replicates)))
    title = "The treatment loses a quarter of its wrong answers and does nothing: false claims"
    return Outcome(tables=(table(title, ("items", "nominal", "pairs that are left", "used"), rows),), gates=tuple(gates))


def main() -> int:
    """Print tables and gates; 1 when a gate is broken."""
    return finish(measure())


if __name__ == "__main__":
    sys.exit(main())
