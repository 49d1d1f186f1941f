"""Subgroups: each line is the plain analysis of its items, corrected together, and independent of the other lines."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.binary import mcnemar_midp
from batchtrial.stats.intervals import tango
from batchtrial.stats.multiplicity import benjamini_hochberg
from batchtrial.stats.scores import paired_t
from batchtrial.stats.subgroups import subgroup_table

RNG = np.random.default_rng(6)
RIGHT_T, RIGHT_C = RNG.integers(0, 2, 90).astype(float), RNG.integers(0, 2, 90).astype(float)
LABELS = np.repeat(["squad", "nq", "trivia"], 30)


def test_binary_lines_are_tango_and_midp_of_their_items() -> None:
    got = subgroup_table(RIGHT_T, RIGHT_C, LABELS, seed=1)
    assert [row.label for row in got.rows] == ["nq", "squad", "trivia"]
    d = (RIGHT_T - RIGHT_C)[LABELS == "squad"]
    b, c = int((d > 0).sum()), int((d < 0).sum())
    assert got.rows[1].difference == tango(b, c, 30)
    assert got.rows[1].test == mcnemar_midp(b, c)
    assert got.rows[1].treatment == pytest.approx(RIGHT_T[LABELS == "squad"].mean())


def test_a_subgroup_of_few_documents_has_no_test() -> None:
    """Two documents whose items all gained alike would have p = 0."""
    gained = np.r_[np.full(9, 1.0), 0.9, RIGHT_T[:60]]
    clusters = np.r_[np.repeat([0, 1], 5), np.repeat(np.arange(2, 12), 6)]
    got = subgroup_table(gained, np.zeros(70), ["few"] * 10 + ["many"] * 60, seed=1, clusters=clusters)
    few, many = got.rows
    assert (few.test.p_value, few.q_value, got.m) == (None, None, 1)
    assert "not decidable with 2 documents" in (few.test.reason or "")
    assert many.test.p_value is not None


def test_q_values_are_corrected_over_this_table() -> None:
    got = subgroup_table(RIGHT_T, RIGHT_C, LABELS, seed=1)
    assert got.m == 3
    assert tuple(row.q_value for row in got.rows) == benjamini_hochberg([row.test.p_value for row in got.rows])


def test_scores_get_student_and_sign_flips_from_their_own_stream() -> None:
    t, c = RNG.normal(size=90), RNG.normal(size=90)
    whole = subgroup_table(t, c, LABELS, seed=4)
    without = subgroup_table(t[:60], c[:60], LABELS[:60], seed=4)
    assert whole.rows[1].difference == paired_t((t - c)[:30]).estimate
    assert whole.rows[1].test == without.rows[1].test
    assert whole.rows[1].test.method.startswith("sign_flip")


def test_opposite_effects_are_heterogeneous_and_equal_ones_are_not() -> None:
    gain, loss = np.tile([1.0, 1.0, 0.0], 20), np.zeros(60)
    opposite = subgroup_table(np.concatenate([gain, loss]), np.concatenate([loss, gain]), [0] * 60 + [1] * 60, seed=1)
    assert opposite.heterogeneity.p_value is not None
    assert opposite.heterogeneity.p_value == 1 / 2000
    same = subgroup_table(np.tile(gain, 2), np.tile(loss, 2), [0] * 60 + [1] * 60, seed=1)
    assert same.heterogeneity.p_value == pytest.approx(1.0)


def test_many_slices_of_few_items_do_not_differ_by_chance() -> None:
    """Cochran's Q had p < .001 in nine of ten such tables: three scores say next to nothing about how much they vary."""
    rng = np.random.default_rng(8)
    few = [subgroup_table(rng.normal(size=120), np.zeros(120), np.repeat(np.arange(40), 3).astype(str), seed=1).heterogeneity for _ in range(20)]
    assert {(test.p_value, test.reason) for test in few} == {(None, "fewer than two slices of 10 items")}
    ten = [subgroup_table(rng.normal(size=120), np.zeros(120), np.repeat(np.arange(12), 10), seed=1).heterogeneity.p_value for _ in range(60)]
    assert sum(p is not None and p <= 0.05 for p in ten) <= 7


def test_slices_that_share_documents_are_not_tested_against_each_other() -> None:
    t, c = RNG.normal(size=80), RNG.normal(size=80)
    labels, documents = np.tile(["a", "b"], 40), np.repeat(np.arange(20), 4)
    over = subgroup_table(t, c, labels, seed=1, clusters=documents).heterogeneity
    assert (over.p_value, over.reason) == (None, "clusters reach over several slices, so that these are not independent")
    inside = subgroup_table(t, c, np.repeat(["a", "b"], 40), seed=1, clusters=documents).heterogeneity
    assert inside.p_value is not None
    assert inside.method == "permuted_q"


def test_a_large_table_is_tested_by_the_limit_law() -> None:
    d = np.tile([1.0, 0.0, 0.0, -1.0], 10_000)
    alike = subgroup_table(d, np.zeros(40_000), np.repeat([0, 1], 20_000), seed=1).heterogeneity
    other = subgroup_table(d + np.repeat([0.0, 0.1], 20_000), np.zeros(40_000), np.repeat([0, 1], 20_000), seed=1).heterogeneity
    assert (alike.p_value, alike.method) == (1.0, "shrunken_q")
    assert other.p_value is not None
    assert other.p_value < 1e-12


@pytest.mark.parametrize("n", [24, 24_000])
@pytest.mark.parametrize("clusters", [1, 2])
@pytest.mark.parametrize("difference", [0.0, 1.0, -0.1, 1 / 3])
def test_slices_with_the_same_difference_everywhere_do_not_differ(difference: float, clusters: int, n: int) -> None:
    """As where no item changed; Q was 0 / 0 there, and the run could not end."""
    treatment, control, labels = np.full(n, 0.4 + difference), np.full(n, 0.4), np.repeat(["a", "b"], n // 2)
    units = None if clusters == 1 else np.arange(n) // clusters
    got = subgroup_table(treatment, control, labels, seed=1, clusters=units).heterogeneity
    assert (got.statistic, got.p_value, got.n) == ((0.0, 1.0, 2) if n // 2 // clusters >= 10 else (None, None, 0))


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e-3, 1e90])
def test_whether_slices_differ_does_not_hang_on_the_unit_of_the_scores(scale: float) -> None:
    scores = np.random.default_rng(3).normal(size=40)
    labels = np.repeat(["a", "b"], 20)
    plain = subgroup_table(scores, np.zeros(40), labels, seed=1).heterogeneity
    scaled = subgroup_table(scores * scale, np.zeros(40), labels, seed=1).heterogeneity
    assert scaled.p_value == plain.p_value
    assert scaled.statistic == pytest.approx(plain.statistic, rel=1e-9)


def test_subgroups_without_change_or_pairs_stay_in_the_table() -> None:
    got = subgroup_table([1.0, 1.0, math.nan], [1.0, 1.0, 0.0], ["a", "a", "b"], seed=1)
    same, lost = got.rows
    assert (same.test.p_value, same.difference.value) == (1.0, 0.0)
    assert (lost.n, lost.dropped, lost.difference.value, lost.q_value) == (0, 1, None, None)
    assert got.heterogeneity.reason


def test_clusters_are_respected_inside_subgroups() -> None:
    t, c = np.repeat(RIGHT_T[:30], 3), np.repeat(RIGHT_C[:30], 3)
    units = np.repeat(np.arange(30), 3)
    got = subgroup_table(t, c, np.repeat("a", 90), seed=1, clusters=units)
    plain = paired_t(RIGHT_T[:30] - RIGHT_C[:30]).estimate
    assert got.rows[0].difference.se == pytest.approx(plain.se)
    assert got.rows[0].test.method == "cr2_satterthwaite"


def test_shapes_must_agree() -> None:
    with pytest.raises(DataError):
        subgroup_table([1.0], [1.0], ["a", "b"], seed=1)
    with pytest.raises(DataError):
        subgroup_table([1.0], [1.0], ["a"], seed=1, clusters=[1, 2])


VALUE = st.sampled_from([0.0, 1.0, 0.25, math.nan])


@given(st.lists(st.tuples(VALUE, VALUE, st.sampled_from("abc"), st.integers(0, 3)), max_size=25), st.booleans())
def test_any_table_has_numbers_or_reasons(rows: list[tuple[float, float, str, int]], is_clustered: bool) -> None:
    clusters = [row[3] for row in rows] if is_clustered else None
    got = subgroup_table([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], seed=2, clusters=clusters)
    for row in got.rows:
        assert row.difference.is_defined or row.difference.reason
        assert row.q_value is None or row.test.p_value is None or row.q_value >= row.test.p_value - 1e-12
