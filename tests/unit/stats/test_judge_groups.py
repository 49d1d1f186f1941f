"""Labels with clusters and strata: against plain matrix algebra, the plain formula, and a population whose mean is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from batchtrial.errors import DataError
from batchtrial.stats.judge import ppi_mean
from batchtrial.stats.labelled_groups import Group, spread

Floats = NDArray[np.float64]


def by_matrices(groups: list[Group], clusters: NDArray[np.intp]) -> tuple[float, float]:
    """CR2 and its degrees of freedom as their papers write them, cluster by cluster with matrix roots."""
    n = sum(group.values.size for group in groups)
    x, y, unit, phi = np.zeros((n, len(groups))), np.zeros(n), np.zeros(n, dtype=int), np.zeros(n)
    at = 0
    for k, group in enumerate(groups):
        rows = slice(at, at + group.values.size)
        x[rows, k], y[rows], unit[rows] = 1.0, group.values, clusters[group.places]
        phi[rows] = group.values.var(ddof=1)
        at += group.values.size
    c = np.array([group.weight for group in groups])
    bread = np.linalg.inv(x.T @ x)
    hat = x @ bread @ x.T
    residuals = y - hat @ y
    pulls, total = [], 0.0
    for one in np.unique(unit):
        mine = unit == one
        values, vectors = np.linalg.eigh(np.eye(int(mine.sum())) - hat[np.ix_(mine, mine)])
        root = vectors @ np.diag(values**-0.5) @ vectors.T
        pull = root @ x[mine] @ bread @ c
        total += float(pull @ residuals[mine]) ** 2
        pulls.append((np.eye(n) - hat)[mine].T @ pull)
    p = np.array(pulls).T
    inner = p.T @ np.diag(phi) @ p
    return math.sqrt(total), float(np.trace(inner) ** 2 / (inner**2).sum())


def test_spread_is_the_one_of_the_papers() -> None:
    rng = np.random.default_rng(3)
    clusters = rng.integers(0, 9, 60).astype(np.intp)
    order = rng.permutation(60)
    groups = [Group(order[:15], rng.normal(size=15), 1.0), Group(order[15:40], rng.normal(size=25), 0.6), Group(order[40:], rng.normal(size=20), 0.3)]
    got = spread(groups, clusters, np.zeros(60))
    se, df = by_matrices(groups, clusters)
    assert got.se == pytest.approx(se, rel=1e-12)
    assert got.df == pytest.approx(df, rel=1e-12)


def labelled(n: int, m: int, seed: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    truth = rng.choice([-1.0, 0.0, 1.0], n, p=[0.2, 0.5, 0.3])
    judged = np.where(rng.random(n) < 0.8, truth, rng.choice([-1.0, 0.0, 1.0], n))
    truth[m:] = math.nan
    return truth, judged


def test_items_that_each_stand_alone_give_the_plain_interval() -> None:
    truth, judged = labelled(400, 80, 1)
    plain, grouped = ppi_mean(truth, judged), ppi_mean(truth, judged, clusters=np.arange(400))
    assert grouped.value == pytest.approx(plain.value)
    assert grouped.se == pytest.approx(plain.se)
    assert plain.ci_low == pytest.approx(grouped.ci_low, abs=0.002)


def test_clusters_that_repeat_an_item_widen_the_interval() -> None:
    truth, judged = labelled(100, 40, 2)
    times = 6
    alone = ppi_mean(np.repeat(truth, times), np.repeat(judged, times))
    together = ppi_mean(np.repeat(truth, times), np.repeat(judged, times), clusters=np.repeat(np.arange(100), times))
    assert alone.se is not None
    assert together.se == pytest.approx(ppi_mean(truth, judged, weight=float(alone.method[11:-1])).se, rel=0.02)
    assert together.se is not None
    assert together.se > 2 * alone.se


def test_strata_are_weighted_by_their_share_of_all_items() -> None:
    """A stratum that is labelled ten times as often says no more than its share."""
    judged = np.repeat([0.0, 1.0], [900, 100])
    truth = np.full(1000, math.nan)
    truth[:20] = np.resize([0.0, 0.0, 0.0, 0.0, 1.0], 20)  # .2 of 900
    truth[900:940] = np.resize([1.0, 1.0, 1.0, 0.0], 40)  # .75 of 100
    got = ppi_mean(truth, judged, strata=judged)
    assert got.value is not None
    assert got.value == pytest.approx(0.9 * 0.2 + 0.1 * 0.75)
    within = 0.9**2 * truth[:20].var(ddof=1) / 20 + 0.1**2 * truth[900:940].var(ddof=1) / 40
    between = (0.9 * (0.2 - got.value) ** 2 + 0.1 * (0.75 - got.value) ** 2) / 1000
    assert got.se == pytest.approx(math.sqrt(within + between))


@pytest.mark.parametrize(
    ("strata", "clusters", "why"), [([0, 0, 0, 1], None, "in each stratum, and 1 has 1"), (None, [0, 0, 0, 0], "single cluster")]
)
def test_too_little_gives_a_reason(strata: list[int] | None, clusters: list[int] | None, why: str) -> None:
    got = ppi_mean([1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0], strata=strata, clusters=clusters)
    assert got.ci_low is None
    assert why in (got.reason or "")


def test_items_without_a_judged_score_are_dropped_with_their_cluster() -> None:
    truth, judged = labelled(60, 20, 4)
    judged[::7] = math.nan
    kept = ~np.isnan(judged)
    clusters = np.arange(60) // 3
    assert ppi_mean(truth, judged, clusters=clusters).se == ppi_mean(truth[kept], judged[kept], clusters=clusters[kept]).se


def test_as_many_clusters_as_items() -> None:
    with pytest.raises(DataError, match="cluster"):
        ppi_mean([1.0, 0.0], [1.0, 0.0], clusters=[1])
