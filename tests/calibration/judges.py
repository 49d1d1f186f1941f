"""Coverage of a judged difference: taken as it stands (naive), by labels alone, and corrected by labels (PPI++), with clusters and strata.

No true effect; the judge errs at random and is lenient to the treatment. `python -m tests.calibration.judges` prints the table and the gates. The
naive difference stands in the table for contrast: it has to fail, and is never worded as a claim.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from batchtrial.phases.analyse.judges import by_labels
from batchtrial.stats.judge import ppi_mean
from batchtrial.stats.results import Estimate
from batchtrial.stats.scores import paired_t

from .gates import Gate, Outcome, finish, table, three_errors

Floats = NDArray[np.float64]
SEED = 20_261
REPLICATES = 2000
LEAST_IN_STRATUM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """n items judged by a judge right in `accuracy`, who passes `bias` of the treatment's wrong answers besides; some are labelled.

    size: items in a cluster. by_verdict: a third of the labels goes to each verdict of the judge, else they are drawn at random.
    """

    n: int
    labels: int
    accuracy: float
    bias: float
    size: int = 1
    by_verdict: bool = False

    @property
    def name(self) -> str:
        extra = f", clusters of {self.size}" if self.size > 1 else ""
        return f"right {self.accuracy:g}, bias {100 * self.bias:.0f} pp, n {self.n}, {self.labels} labels{extra}{', strata' * self.by_verdict}"


def worlds() -> Iterator[World]:
    """Accuracy, bias and labels crossed; then sizes, clusters and strata."""
    for accuracy, bias, labels in product((0.7, 0.85, 0.95), (0.0, 0.1, 0.15), (30, 100, 200)):
        yield World(n=500, labels=labels, accuracy=accuracy, bias=bias)
    for n, labels in ((200, 30), (200, 100), (2000, 100), (2000, 200)):
        yield World(n=n, labels=labels, accuracy=0.85, bias=0.1)
    for size, labels in ((5, 60), (10, 100), (20, 200)):
        yield World(n=600, labels=labels, accuracy=0.85, bias=0.1, size=size)
    for n, labels in ((500, 60), (500, 100), (2000, 200)):
        yield World(n=n, labels=labels, accuracy=0.85, bias=0.1, by_verdict=True)
    yield World(n=600, labels=100, accuracy=0.85, bias=0.1, size=10, by_verdict=True)


WORLDS = tuple(worlds())


def _chance(x: Floats) -> Floats:
    found: Floats = 1.0 / (1.0 + np.exp(-x))
    return found


def draw(world: World, rng: np.random.Generator) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """True differences where labelled, judged differences, and clusters; the true mean is 0."""
    n, clusters = world.n, np.arange(world.n) // world.size
    alike, own, other = rng.normal(0.0, 1.0 if world.size > 1 else 0.0, (3, clusters[-1] + 1))
    ease = 0.4 + rng.normal(size=n) + alike[clusters]
    control, treatment = (rng.random(n) < _chance(ease + 0.4 * effect[clusters]) for effect in (own, other))

    def judged(truth: NDArray[np.bool_], bias: float) -> NDArray[np.bool_]:
        verdict = np.where(rng.random(n) < world.accuracy, truth, ~truth)
        return verdict | (rng.random(n) < bias)

    f = judged(treatment, world.bias).astype(float) - judged(control, 0.0).astype(float)
    truth = np.full(n, np.nan)
    chosen = _chosen(world, f, rng)
    truth[chosen] = treatment[chosen].astype(float) - control[chosen].astype(float)
    return truth, f, clusters


def _chosen(world: World, f: Floats, rng: np.random.Generator) -> NDArray[np.intp]:
    if not world.by_verdict:
        return rng.choice(world.n, world.labels, replace=False).astype(np.intp)
    drawn = []
    for value in (-1.0, 0.0, 1.0):
        inside = np.flatnonzero(f == value)
        drawn.append(rng.choice(inside, min(inside.size, max(LEAST_IN_STRATUM, world.labels // 3)), replace=False))
    return np.concatenate(drawn)


def estimates(world: World, rng: np.random.Generator) -> tuple[Estimate, Estimate, Estimate]:
    """Naive, by labels alone, corrected."""
    truth, f, clusters = draw(world, rng)
    corrected = ppi_mean(truth, f, clusters=clusters if world.size > 1 else None, strata=f if world.by_verdict else None)
    return paired_t(f).estimate, paired_t(truth[~np.isnan(truth)]).estimate, corrected


@dataclass(frozen=True, slots=True, kw_only=True)
class Rare:
    """Items of which people prefer another answer in a share `discordance`; the judge says what people say, but favours the treatment in `lean`."""

    labels: int
    discordance: float
    lean: float
    n: int = 4000

    @property
    def name(self) -> str:
        return f"changed {100 * self.discordance:g} %, leans in {100 * self.lean:g} %, n {self.n:,}, {self.labels} labels"

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """(labels, verdicts); the true mean is 0."""
        u = rng.random(self.n)
        truth = np.select([u < self.discordance / 2, u < self.discordance], [1.0, -1.0])
        judged = np.where(rng.random(self.n) < self.lean, np.minimum(truth + 1.0, 1.0), truth)
        return np.where(np.arange(self.n) < self.labels, truth, np.nan), judged


RARES = tuple(Rare(labels=labels, discordance=d, lean=lean) for labels, d, lean in product((30, 50, 100), (0.05, 0.2), (0.02, 0.04, 0.08)))


def rare_errors(replicates: int) -> tuple[list[tuple[object, ...]], list[Gate]]:
    """False claims about a judge whose errors may be on none of the labelled items: as if what was seen were all, and as reports have it."""
    rows: list[tuple[object, ...]] = []
    gates = []
    for number, world in enumerate(RARES):
        rng, false = np.random.default_rng([SEED, 1, number]), np.zeros(2)
        for _ in range(replicates):
            labels, judged = world.draw(rng)
            for place, found in enumerate((ppi_mean(labels, judged), by_labels(labels, judged, None, 0.95))):
                false[place] += found.ci_low is not None and found.ci_high is not None and not found.ci_low <= 0.0 <= found.ci_high
        plain, used = (false / replicates).tolist()
        rows.append((world.name, plain, used))
        gates.append(Gate(name=f"false claims, {world.name}", measured=used, at_most=three_errors(0.05, replicates)))
    return rows, gates


def measure(effort: float = 1.0, chosen: Sequence[World] = WORLDS) -> Outcome:
    """Every world; effort scales the replicates, and the gates' slack follows."""
    replicates = max(200, int(REPLICATES * effort))
    slack = 3.0 * (0.95 * 0.05 / replicates) ** 0.5
    rows, gates = [], []
    for number, world in enumerate(chosen):
        rng = np.random.default_rng([SEED, number])
        hits, widths = np.zeros(3), np.zeros(3)
        for _ in range(replicates):
            for place, one in enumerate(estimates(world, rng)):
                if one.ci_low is not None and one.ci_high is not None:
                    hits[place] += one.ci_low <= 0.0 <= one.ci_high
                    widths[place] += one.ci_high - one.ci_low
        naive, alone, corrected = (hits / replicates).tolist()
        rows.append((world.name, naive, "biased" if world.by_verdict else alone, corrected, *(100 * widths[1:] / replicates).tolist()))
        gates.append(Gate(name=f"corrected, {world.name}", measured=corrected, at_least=0.945 - slack, at_most=0.955 + slack))
        if world.bias >= 0.1 and world.n >= 2000:
            gates.append(Gate(name=f"naive must be seen to fail, {world.name}", measured=naive, at_most=0.5))
    header = ("judge and labels", "naive", "labels alone", "corrected", "width alone, pp", "width corrected, pp")
    rare, further = rare_errors(max(200, replicates // 5))
    tables = (
        table("Coverage of a judged difference, 95 % intervals", header, rows),
        table("False claims by a judge who errs rarely", ("judge and labels", "textbook", "used"), rare),
    )
    return Outcome(tables=tables, gates=(*gates, *further))


def main() -> int:
    """Print the table and the gates; 1 when a gate is broken."""
    return finish(measure())


if __name__ == "__main__":
    sys.exit(main())
