"""False findings in corners: slices of few items, scores of whole sets of answers, scores that hardly move, joint intervals of few right answers.

Nothing differs in any of these worlds but what a margin allows, by the product's own functions. Beside it what was found by the textbook's method.
`python -m tests.calibration.corners` prints the table and the gates.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchtrial.phases.analyse.comparison import compare
from batchtrial.phases.analyse.paired import Paired
from batchtrial.phases.report.across_trials import joint_interval
from batchtrial.stats import dataset_effect, max_t, meta_analysis, noninferiority_scores
from batchtrial.stats.corpus import chrf, corpus_difference
from batchtrial.stats.differ import effects_differ
from batchtrial.stats.plan import Endpoint

from .gates import Gate, Outcome, finish, table, three_errors

SEED = 20_261
REPLICATES = 200
Found = tuple[bool, bool]
"""Whether the textbook's method, and the one that is used, finds what is not there."""


@dataclass(frozen=True, slots=True)
class Corner:
    name: str
    nominal: float
    draw: Callable[[np.random.Generator], Found]


def slices(n_slices: int, size: int, spread: float = 1.0) -> Callable[[np.random.Generator], Found]:
    """Slices of scores whose effects are alike; the first one varies `spread` times as much."""

    def draw(rng: np.random.Generator) -> Found:
        labels = np.repeat(np.arange(n_slices), size)
        d = rng.normal(size=labels.size) * np.where(labels == 0, spread, 1.0)
        each = [dataset_effect(d[labels == k], bound=10.0) for k in range(n_slices)]
        cochran = meta_analysis([e for e, _ in each], [v for _, v in each]).heterogeneity.p_value
        used = effects_differ(d, labels, seed=1).p_value
        return cochran is not None and cochran <= 0.05, used is not None and used <= 0.05

    return draw


def corpus(n: int, size: int) -> Callable[[np.random.Generator], Found]:
    """chrF of n documents of so many answers; plain percentiles are not in the product any more, and reckoned here."""

    def draw(rng: np.random.Generator) -> Found:
        level = rng.normal(0.5, 0.1, n)
        arms = []
        for _ in range(2):
            share = np.clip(level + rng.normal(0.0, 0.1, n), 0.02, 0.98)
            length = rng.integers(20, 60, (n, size))
            matches = rng.binomial(length, share[:, None])
            counts = np.stack([length, length, matches], axis=2).reshape(n * size, 3)
            arms.append(np.tile(counts, 6).astype(np.float64))
        found = corpus_difference(arms[0], arms[1], chrf, seed=1, clusters=np.repeat(np.arange(n), size))
        units = np.stack([arm.reshape(n, size, 18).sum(axis=1) for arm in arms])
        weights = rng.multinomial(n, np.full(n, 1.0 / n), size=999).astype(np.float64)
        drawn = chrf(weights @ units[0]) - chrf(weights @ units[1])
        low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
        return not low <= 0.0 <= high, found.p_value is not None and found.p_value <= 0.05

    return draw


def still(n: int, falls: float) -> Callable[[np.random.Generator], Found]:
    """Scores that differ in the third digit, of which a few fall from one to nought; the margin is their share."""

    def draw(rng: np.random.Generator) -> Found:
        treatment = np.where(rng.random(n) < falls, 0.0, 1.0 - rng.uniform(0.0, 0.004, n))
        endpoint = Endpoint(name="x", goal="noninferiority", margin=falls)
        pairs = Paired(treatment=treatment, control=np.ones(n), known_share=False)
        margin = compare(pairs, level=0.95, seed=1, flips=1, endpoint=endpoint, is_verdict_only=True).margin
        plain = noninferiority_scores(treatment - 1.0, falls, 0.025)
        return bool(plain.is_met), margin is not None and bool(margin.is_met)

    return draw


def joint(n: int, changed: float) -> Callable[[np.random.Generator], Found]:
    """Whether an interval of three trials of right and wrong answers misses that there is no difference."""

    def draw(rng: np.random.Generator) -> Found:
        u = rng.random((n, 3))
        better, worse = (u < changed / 2), (u >= changed / 2) & (u < changed)
        got = max_t(better.astype(np.float64) - worse, seed=1, flips=999)
        plain, used = False, False
        for k, one in enumerate(got.estimates):
            pairs = Paired(treatment=better[:, k].astype(np.float64), control=worse[:, k].astype(np.float64))
            low, high = joint_interval(one, pairs, got.critical)
            plain |= one.ci_low is None or one.ci_high is None or not one.ci_low <= 0.0 <= one.ci_high
            used |= low is None or high is None or not low <= 0.0 <= high
        return plain, used

    return draw


CORNERS: Final = (
    Corner("slices differ: 40 of 3 scores", 0.05, slices(40, 3)),
    Corner("slices differ: 12 of 10 scores", 0.05, slices(12, 10)),
    Corner("slices differ: 5 of 30, one varies three times as much", 0.05, slices(5, 30, 3.0)),
    Corner("chrF of 8 answers", 0.05, corpus(8, 1)),
    Corner("chrF of 10 documents of 10", 0.05, corpus(10, 10)),
    Corner("chrF of 60 answers", 0.05, corpus(60, 1)),
    Corner("100 still scores, one in fifty falls", 0.025, still(100, 0.02)),
    Corner("300 still scores, one in two hundred falls", 0.025, still(300, 0.005)),
    Corner("joint intervals, 20 pairs, a fifth changed", 0.05, joint(20, 0.2)),
    Corner("joint intervals, 300 pairs, one in fifty changed", 0.05, joint(300, 0.02)),
)


def measure(effort: float = 1.0, corners: tuple[Corner, ...] = CORNERS) -> Outcome:
    """Every corner; effort scales the replicates (the gates' slack follows)."""
    replicates = max(100, int(REPLICATES * effort))
    rows, gates = [], []
    for corner in corners:
        rng = np.random.default_rng([SEED, len(corner.name)])
        plain, used = np.mean([corner.draw(rng) for _ in range(replicates)], axis=0).tolist()
        rows.append((corner.name, corner.nominal, plain, used))
        gates.append(Gate(name=corner.name, measured=used, at_most=three_errors(corner.nominal, replicates)))
    return Outcome(tables=(table("Found where nothing is", ("corner", "nominal", "textbook", "used"), rows),), gates=tuple(gates))


if __name__ == "__main__":
    sys.exit(finish(measure()))
