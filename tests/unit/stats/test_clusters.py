"""Clustered means against the general matrix formulas, SciPy-free, and their edge cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from batchtrial.errors import DataError
from batchtrial.stats.clusters import clustered_mean, satterthwaite_df

Floats = NDArray[np.float64]


def general_cr2(x: Floats, labels: NDArray[np.int64]) -> tuple[float, float]:
    """CR2 standard error and Satterthwaite df by the matrix definition, O(n^3)."""
    n = x.size
    design = np.ones((n, 1))
    bread = np.linalg.inv(design.T @ design)
    hat = design @ bread @ design.T
    residual_maker = np.eye(n) - hat
    residual = residual_maker @ x
    variance, vectors = 0.0, []
    for label in np.unique(labels):
        members = labels == label
        block = residual_maker[np.ix_(members, members)]
        values, basis = np.linalg.eigh(block)
        root = basis @ np.diag([v**-0.5 if v > 1e-9 else 0.0 for v in values]) @ basis.T
        row = (bread @ design[members].T @ root).ravel()
        variance += float(row @ residual[members]) ** 2
        vectors.append(residual_maker[:, members] @ row)
    p = np.array(vectors) @ np.array(vectors).T
    return math.sqrt(variance), float(np.trace(p) ** 2 / np.trace(p @ p))


@pytest.mark.parametrize("seed", range(5))
def test_closed_form_equals_the_matrix_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, size=25)
    x = rng.normal(size=25) + labels * 0.3
    se, df = general_cr2(x, labels)
    got = clustered_mean(x, labels)
    assert got.se_cr2 == pytest.approx(se, rel=1e-10)
    assert got.df == pytest.approx(df, rel=1e-10)


def test_equal_clusters_have_one_degree_less_than_clusters() -> None:
    assert satterthwaite_df([4, 4, 4, 4, 4]) == pytest.approx(4.0)


def test_singletons_give_the_ordinary_t_interval() -> None:
    x = np.array([0.0, 1.0, 1.0, -1.0, 0.0, 1.0])
    got = clustered_mean(x, range(6))
    assert got.se_cr2 == pytest.approx(x.std(ddof=1) / math.sqrt(6))
    assert got.df == pytest.approx(5.0)


def test_one_cluster_says_nothing_about_the_next() -> None:
    got = clustered_mean([1.0, 0.0], ["a", "a"])
    assert got.estimate.value == 0.5
    assert got.estimate.ci_low is None
    assert got.test.p_value is None
    assert "cluster" in (got.estimate.reason or "")


def test_identical_arms_have_p_one_and_no_made_up_interval() -> None:
    got = clustered_mean(np.zeros(12), np.repeat(range(4), 3))
    assert got.test.p_value == 1.0
    assert (got.estimate.value, got.estimate.ci_low) == (0.0, None)


def test_constant_difference_is_not_certainty() -> None:
    got = clustered_mean(np.ones(12), np.repeat(range(4), 3))
    assert got.test.p_value is None
    assert got.estimate.ci_low is None


def test_missing_values_are_dropped_with_their_cluster_when_it_empties() -> None:
    got = clustered_mean([1.0, math.nan, 0.0, 0.5], ["a", "b", "c", "d"])
    assert (got.n_items, got.n_clusters, got.estimate.dropped) == (3, 3, 1)


def test_few_clusters_warn() -> None:
    assert clustered_mean([1.0, 0.0, 0.5], [1, 2, 3]).estimate.warnings == ("only 3 clusters",)


def test_duplicating_every_item_inside_its_cluster_changes_nothing() -> None:
    x, labels = np.array([1.0, 0.0, 0.5, -1.0, 0.25]), np.arange(5)
    once, twice = clustered_mean(x, labels), clustered_mean(np.tile(x, 2), np.tile(labels, 2))
    assert twice.se_cr2 == pytest.approx(once.se_cr2)
    assert twice.estimate.ci_low == pytest.approx(once.estimate.ci_low)


def test_shapes_must_agree() -> None:
    with pytest.raises(DataError):
        clustered_mean([1.0], [1, 2])


@pytest.mark.parametrize("unit", [1e-200, 1e-9, 1e99])
def test_the_unit_of_the_score_does_not_matter(unit: float) -> None:
    x, labels = np.array([1.0, 0.25, 0.5, -1.0, 0.25, 0.5]), [1, 1, 2, 2, 3, 3]
    plain, scaled = clustered_mean(x, labels), clustered_mean(unit * x, labels)
    assert scaled.test.p_value == pytest.approx(plain.test.p_value)
    assert (scaled.se_cr2 or 0.0) / unit == pytest.approx(plain.se_cr2)


def test_infinite_scores_are_refused() -> None:
    with pytest.raises(DataError):
        clustered_mean([math.inf, 0.0], [1, 2])


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 0.5, 1.0, math.nan]), st.integers(0, 4)), max_size=40))
def test_any_data_give_an_interval_that_holds_its_estimate_or_a_reason(rows: list[tuple[float, int]]) -> None:
    got = clustered_mean([v for v, _ in rows], [g for _, g in rows])
    swapped = clustered_mean([-v for v, _ in rows], [g for _, g in rows])
    assert got.estimate.is_defined or got.estimate.reason
    assert got.test.p_value is None or 0.0 < got.test.p_value <= 1.0
    if got.estimate.ci_low is not None:
        assert swapped.estimate.ci_high == pytest.approx(-got.estimate.ci_low)
        assert swapped.test.p_value == pytest.approx(got.test.p_value)
