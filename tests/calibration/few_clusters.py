"""False claims and coverage when many questions stand on few documents, by the pipeline's own comparison and judgement.

One document with 300 questions must show nothing, however alike its answers are; five cannot decide; from six on the errors have to keep
their level, also where hardly an answer changes but some documents turn as a whole. Beside it what the same pairs claim when their documents are
ignored. `python -m tests.calibration.few_clusters` prints the table
and the gates.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from batchtrial.phases.analyse.comparison import compare
from batchtrial.phases.analyse.paired import Paired
from batchtrial.stats.judging import judge_findings
from batchtrial.stats.plan import AnalysisPlan, Endpoint, Finding, Goal

from .gates import Gate, Outcome, finish, table, three_errors
from .generator import Scenario, clustered_answers

SEED = 20_259
REPLICATES = 1000
IGNORED = 4
"""Pairs without their documents have no gate and take longer: a part of the replicates is enough to see them fail."""
ALPHA = 0.05
COVERAGE = 0.93
"""Floor of coverage from ten clusters on; below, only false claims are held to their level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Documents of so many questions; the treatment differs by -margin, or not at all, and documents differ in what it does to them.

    turned: documents of which the treatment gets every answer wrong, and others none: then nothing else differs, and the margin is their share.
    """

    name: str
    sizes: tuple[int, ...]
    goal: Goal = "superiority"
    margin: float | None = None
    right: float = 0.6
    sd_cluster: float = 1.0
    sd_effect: float = 1.0
    samples: int = 1
    is_scored: bool = False
    is_named: bool = False
    turned: float | None = None

    @property
    def scenario(self) -> Scenario:
        return Scenario(
            name=self.name,
            control=self.right,
            treatment=self.right - (self.margin or 0.0),
            sd_item=1.0,
            sd_effect=0.3,
            sd_cluster=self.sd_cluster,
            sd_cluster_effect=self.sd_effect,
        )

    @property
    def nominal(self) -> float:
        return ALPHA if self.margin is None else ALPHA / 2.0


def _alike(n_clusters: int, size: int) -> tuple[int, ...]:
    return (size,) * n_clusters


WORLDS = (
    World(name="one document, equivalence 5 pp", sizes=(300,), goal="equivalence", margin=0.05, sd_effect=0.3, is_named=True),
    World(name="one document, non-inferiority 5 pp", sizes=(300,), goal="noninferiority", margin=0.05, is_named=True),
    World(name="one document, a difference", sizes=(300,), is_named=True),
    World(name="three documents, a difference", sizes=_alike(3, 100), is_named=True),
    World(name="five documents, equivalence 10 pp", sizes=_alike(5, 60), goal="equivalence", margin=0.1, is_named=True),
    World(name="six documents, a difference", sizes=_alike(6, 50), is_named=True),
    World(name="six documents, non-inferiority 10 pp", sizes=_alike(6, 50), goal="noninferiority", margin=0.1, is_named=True),
    World(name="eight documents, equivalence 10 pp", sizes=_alike(8, 40), goal="equivalence", margin=0.1),
    World(name="ten documents, a difference", sizes=_alike(10, 30)),
    World(name="ten documents, rare errors, 7 pp", sizes=_alike(10, 30), goal="noninferiority", margin=0.07, right=0.95),
    World(name="one of twelve has half of the questions", sizes=(110, *_alike(11, 10))),
    World(name="the same, non-inferiority 10 pp", sizes=(110, *_alike(11, 10)), goal="noninferiority", margin=0.1),
    World(name="fifteen documents, three samples", sizes=_alike(15, 10), samples=3),
    World(name="fifteen documents, three samples, 8 pp", sizes=_alike(15, 10), samples=3, goal="noninferiority", margin=0.08),
    World(name="twelve documents, scores", sizes=_alike(12, 20), is_scored=True),
    World(name="twelve documents, scores, 8 pp", sizes=_alike(12, 20), is_scored=True, goal="noninferiority", margin=0.08),
    World(name="six documents, one in ten turns", sizes=_alike(6, 100), goal="noninferiority", margin=0.1, turned=0.1),
    World(name="twenty documents, one in twenty turns", sizes=_alike(20, 30), goal="noninferiority", margin=0.05, turned=0.05),
    World(name="a hundred documents, one in fifty turns", sizes=_alike(100, 5), goal="noninferiority", margin=0.02, turned=0.02),
    World(name="the same, scores", sizes=_alike(100, 5), goal="noninferiority", margin=0.02, turned=0.02, is_scored=True),
    World(name="forty documents, strong ones", sizes=_alike(40, 8), sd_cluster=2.0, sd_effect=2.0),
)


def draw(world: World, labels: NDArray[np.intp], rng: np.random.Generator) -> tuple[Paired, float]:
    """One trial, and the true difference."""
    if world.turned is not None:
        return _turned(world, labels, rng)
    t, c = (arm.mean(axis=1) for arm in clustered_answers(world.scenario, labels, world.samples, rng))
    truth, k = world.scenario.delta, world.samples
    if world.is_scored:
        t, c = 0.15 + 0.75 * t, 0.15 + 0.75 * c
        truth *= 0.75
    return Paired(
        treatment=t, control=c, clusters=labels.astype(np.int64), samples_treatment=k, samples_control=k, known_share=not world.is_scored
    ), truth


def _turned(world: World, labels: NDArray[np.intp], rng: np.random.Generator) -> tuple[Paired, float]:
    """All right under the control; scores move a little besides."""
    is_turned = (rng.random(len(world.sizes)) < (world.turned or 0.0))[labels]
    noise = rng.uniform(-0.01, 0.0, labels.size) if world.is_scored else np.zeros(labels.size)
    treatment = np.where(is_turned, 0.0, 1.0 + noise)
    truth = -(world.turned or 0.0) - (0.005 * (1.0 - (world.turned or 0.0)) if world.is_scored else 0.0)
    return Paired(treatment=treatment, control=np.ones(labels.size), clusters=labels.astype(np.int64), known_share=not world.is_scored), truth


def judged(world: World, pairs: Paired, truth: float) -> tuple[bool, bool]:
    """Whether something false is claimed, and whether the interval, where there is one, holds the truth."""
    margin = None if world.margin is None else -truth  # scores have the margin that the truth just misses, too
    endpoint = Endpoint(name="x", goal=world.goal, margin=margin)
    one = compare(pairs, level=1.0 - ALPHA, seed=1, flips=999, endpoint=endpoint, is_verdict_only=True)
    p = None if one.margin is None else one.margin.p_value
    finding = Finding(name="x", estimate=one.estimate, test=one.test, margin_test_p=p, not_decidable=one.not_decidable)
    (said,) = judge_findings(AnalysisPlan(primary=endpoint, alpha=ALPHA), [finding])
    is_false = said.is_claim and said.verdict in (("superior", "inferior") if margin is None else ("non-inferior", "superior", "equivalent"))
    low, high = one.estimate.ci_low, one.estimate.ci_high
    return is_false, low is None or high is None or low <= truth <= high


def measure(effort: float = 1.0, worlds: Sequence[World] = WORLDS) -> Outcome:
    """Every world; effort scales the replicates (the gates' slack follows)."""
    replicates = max(200, int(REPLICATES * effort))
    rows, gates = [], []
    for number, world in enumerate(worlds):
        rng = np.random.default_rng([SEED, number])
        labels = np.repeat(np.arange(len(world.sizes)), world.sizes)
        used: list[tuple[bool, bool]] = []
        ignored: list[tuple[bool, bool]] = []
        for place in range(replicates):
            pairs, truth = draw(world, labels, rng)
            used.append(judged(world, pairs, truth))
            if place % IGNORED == 0:
                ignored.append(judged(world, replace(pairs, clusters=None), truth))
        (claims, covers), (naive, naive_covers) = (np.mean(found, axis=0).tolist() for found in (used, ignored))
        is_decided = len(world.sizes) >= 6
        shown = covers if len(world.sizes) > 1 else "none"
        rows.append((world.name + (" *" if world.is_named else ""), len(world.sizes), world.nominal, naive, claims, naive_covers, shown))
        limit = three_errors(world.nominal, replicates) if is_decided else 0.0
        gates.append(Gate(name=f"false claims, {world.name}", measured=claims, at_most=limit))
        if len(world.sizes) >= 10:
            floor = COVERAGE - 3.0 * (COVERAGE * (1.0 - COVERAGE) / replicates) ** 0.5
            gates.append(Gate(name=f"coverage, {world.name}", measured=covers, at_least=floor))
    gates.append(Gate(name="documents ignored: false claims of one document must be seen", measured=float(rows[1][3]), at_least=0.1))
    header = ("documents and truth", "documents", "nominal", "ignored: false claims", "used: false claims", "ignored: coverage", "used: coverage")
    return Outcome(tables=(table("Many questions on few documents", header, rows),), gates=tuple(gates))


def main() -> int:
    """Print tables and gates; 1 when a gate is broken."""
    return finish(measure())


if __name__ == "__main__":
    sys.exit(main())
