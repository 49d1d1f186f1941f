"""Selective risk: hand-computed fractions, ties, and arms that never answer or never fail."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.selective import NOTHING_ANSWERED, risk_coverage, selective_difference, selective_risk

ITEM = st.sampled_from([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.6, 0.2), (math.nan, 0.0)])


def test_risk_is_wrong_over_answered() -> None:
    got = selective_risk([1, 1, 1, 0, 1], [0, 1, 0, 0, 0])
    assert got.coverage.value == pytest.approx(4 / 5)
    assert got.risk.value == pytest.approx(1 / 4)
    assert got.accuracy.value == pytest.approx(3 / 4)
    assert (got.coverage.n, got.risk.n) == (5, 4)


def test_an_arm_that_never_answers_has_coverage_zero_and_no_risk() -> None:
    got = selective_risk([0, 0, 0], [0, 0, 0])
    assert got.coverage.value == 0.0
    assert (got.risk.value, got.risk.reason, got.accuracy.value) == (None, NOTHING_ANSWERED, None)
    difference = selective_difference([0, 0], [0, 0], [1, 1], [0, 1])
    assert (difference.risk.value, difference.risk.reason) == (None, NOTHING_ANSWERED)
    assert difference.test.p_value is None


def test_two_flawless_arms_differ_by_nothing_with_a_real_interval() -> None:
    got = selective_difference(np.ones(20), np.zeros(20), np.ones(20), np.zeros(20))
    assert (got.risk.value, got.test.p_value) == (0.0, 1.0)
    assert got.risk.ci_low is not None
    assert got.risk.ci_low < -0.1


def test_full_coverage_is_the_ordinary_paired_difference() -> None:
    rng = np.random.default_rng(1)
    wrong_t, wrong_c = rng.integers(0, 2, 50), rng.integers(0, 2, 50)
    got = selective_difference(np.ones(50), wrong_t, np.ones(50), wrong_c)
    d = wrong_t - wrong_c
    assert got.risk.value == pytest.approx(d.mean())
    assert got.risk.se == pytest.approx(d.std(ddof=1) / math.sqrt(50))


def test_linearised_variance_agrees_with_the_jackknife() -> None:
    rng = np.random.default_rng(7)
    n = 400
    a_t, a_c = rng.integers(0, 2, n), rng.integers(0, 2, n)
    w_t, w_c = a_t * (rng.random(n) < 0.3), a_c * (rng.random(n) < 0.4)
    got = selective_difference(a_t, w_t, a_c, w_c)
    left = [(w_t.sum() - w_t[i]) / (a_t.sum() - a_t[i]) - (w_c.sum() - w_c[i]) / (a_c.sum() - a_c[i]) for i in range(n)]
    assert got.risk.se == pytest.approx(math.sqrt((n - 1) * np.var(left)), rel=0.01)


def test_clusters_of_copies_widen_the_interval() -> None:
    rng = np.random.default_rng(9)
    a_t, a_c = np.ones(40), rng.integers(0, 2, 40)
    w_t, w_c = (rng.random(40) < 0.3).astype(float), a_c * (rng.random(40) < 0.4)
    once = selective_difference(a_t, w_t, a_c, w_c)
    copies = [np.repeat(x, 4) for x in (a_t, w_t, a_c, w_c)]
    clustered = selective_difference(*copies, clusters=np.repeat(np.arange(40), 4))
    naive = selective_difference(*copies)
    assert clustered.risk.se == pytest.approx(once.risk.se, rel=1e-6)
    assert naive.risk.se is not None
    assert once.risk.se is not None
    assert naive.risk.se < 0.6 * once.risk.se


def test_wrong_abstentions_are_refused() -> None:
    with pytest.raises(DataError):
        selective_risk([0], [1])
    with pytest.raises(DataError):
        selective_risk([1, 1], [1])


def test_areas_by_hand_with_ties() -> None:
    confidence, loss = [0.9, 0.5, 0.5, 0.5, 0.1], [0, 1, 0, 0, 1]
    orders = [[0, *p, 4] for p in itertools.permutations([1, 2, 3])]
    want = [Fraction(0)] * 5
    for order in orders:
        wrong = 0
        for k, i in enumerate(order, start=1):
            wrong += loss[i]
            want[k - 1] += Fraction(wrong, k * len(orders))
    got = risk_coverage(confidence, loss)
    assert got.risk_at_k == pytest.approx([float(r) for r in want])
    assert got.aurc == pytest.approx(float(sum(want) / 5))
    assert got.coverage == pytest.approx([0.2, 0.8, 1.0])


def test_augrc_is_its_closed_form_in_auroc_and_accuracy() -> None:
    rng = np.random.default_rng(4)
    confidence, loss = rng.integers(0, 6, 60), rng.integers(0, 2, 60)
    right, wrong = confidence[loss == 0], confidence[loss == 1]
    auroc = float(((right[:, None] > wrong) + 0.5 * (right[:, None] == wrong)).mean())
    acc = 1 - loss.mean()
    got = risk_coverage(confidence, loss)
    assert got.augrc == pytest.approx((1 - auroc) * acc * (1 - acc) + (1 - acc) ** 2 / 2)


def test_perfect_ranking_has_no_excess() -> None:
    got = risk_coverage([4, 3, 2, 1], [0, 0, 1, 1])
    assert got.e_aurc == pytest.approx(0.0, abs=1e-15)


def test_no_items_have_no_area() -> None:
    got = risk_coverage([math.nan], [1.0])
    assert (got.aurc, got.reason, got.dropped) == (None, "no items", 1)


@given(st.lists(st.tuples(ITEM, ITEM), max_size=25), st.booleans())
def test_any_answers_give_intervals_or_reasons(rows: list[tuple[tuple[float, float], tuple[float, float]]], is_clustered: bool) -> None:
    treatment, control = [t for t, _ in rows], [c for _, c in rows]
    columns = [[a for a, _ in treatment], [w for _, w in treatment], [a for a, _ in control], [w for _, w in control]]
    labels = [i // 3 for i in range(len(rows))] if is_clustered else None
    got = selective_difference(*columns, clusters=labels)
    swapped = selective_difference(*columns[2:], *columns[:2], clusters=labels)
    assert got.risk.is_defined or got.risk.reason
    if got.risk.value is not None and swapped.risk.value is not None:
        assert swapped.risk.value == pytest.approx(-got.risk.value, abs=1e-12)
        assert swapped.test.p_value == pytest.approx(got.test.p_value)
    one = selective_risk(columns[0], columns[1])
    assert one.risk.is_defined or one.risk.reason


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=30))
def test_areas_ignore_the_order_of_items(rows: list[tuple[int, int]]) -> None:
    got = risk_coverage([c for c, _ in rows], [x for _, x in rows])
    turned = risk_coverage([c for c, _ in rows[::-1]], [x for _, x in rows[::-1]])
    assert got.aurc == pytest.approx(turned.aurc)
    assert got.e_aurc is not None
    assert got.e_aurc >= 0.0
