"""Abstention-aware utility: hand-scored items, the meaning of the penalty, and arms that never differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.scores import paired_t
from batchtrial.stats.utility import (
    PENALTIES,
    break_even_penalty,
    penalty_for_confidence,
    utility_curve,
    utility_scores,
)

RIGHT, WRONG, ABSTAIN = (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)


def columns(items: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [a for a, _ in items], [w for _, w in items]


def test_scores_are_one_zero_and_minus_the_penalty() -> None:
    assert utility_scores(*columns([RIGHT, ABSTAIN, WRONG]), 3.0).tolist() == [1.0, 0.0, -3.0]


def test_shares_of_samples_average_the_scores() -> None:
    assert utility_scores([0.8], [0.2], 3.0)[0] == pytest.approx(0.6 - 3.0 * 0.2)


def test_penalty_makes_answering_pay_above_the_confidence() -> None:
    penalty = penalty_for_confidence(0.75)
    assert penalty == pytest.approx(3.0)
    assert 0.75 * 1 - 0.25 * penalty == pytest.approx(0.0)


def test_curve_is_the_paired_difference_at_every_penalty() -> None:
    treatment = [RIGHT, ABSTAIN, RIGHT, ABSTAIN, RIGHT, RIGHT]
    control = [RIGHT, WRONG, WRONG, RIGHT, RIGHT, WRONG]
    curve = utility_curve(*columns(treatment), *columns(control))
    assert tuple(point.penalty for point in curve) == PENALTIES
    d = utility_scores(*columns(treatment), 9.0) - utility_scores(*columns(control), 9.0)
    assert curve[3].difference == paired_t(d).estimate
    assert curve[0].treatment == pytest.approx(4 / 6)
    assert curve[0].control == pytest.approx(3 / 6)


def test_no_change_is_not_certainty() -> None:
    arm = columns([RIGHT] * 10 + [WRONG] * 10)
    point = utility_curve(*arm, *arm, penalties=[3.0])[0]
    z2 = 1.959963984540054**2
    assert (point.difference.value, point.test.p_value) == (0.0, 1.0)
    assert point.difference.ci_high == pytest.approx(4.0 * z2 / (20 + z2))


def test_clusters_are_respected() -> None:
    rng = np.random.default_rng(0)
    t = [np.repeat(x, 3) for x in (np.ones(15), rng.integers(0, 2, 15).astype(float))]
    c = [np.repeat(x, 3) for x in (np.ones(15), rng.integers(0, 2, 15).astype(float))]
    alone = utility_curve(*t, *c, penalties=[1.0])[0]
    clustered = utility_curve(*t, *c, penalties=[1.0], clusters=np.repeat(np.arange(15), 3))[0]
    assert clustered.difference.se is not None
    assert alone.difference.se is not None
    assert clustered.difference.se > 1.5 * alone.difference.se


def test_break_even_is_where_the_curve_crosses_zero() -> None:
    treatment = columns([ABSTAIN, ABSTAIN, ABSTAIN, RIGHT, RIGHT, RIGHT] * 10)
    control = columns([WRONG, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT] * 10)
    penalty = break_even_penalty(*treatment, *control).value
    assert penalty == pytest.approx(2.0)
    assert utility_curve(*treatment, *control, penalties=[2.0])[0].difference.value == pytest.approx(0.0)


@pytest.mark.parametrize("penalty", [-1.0, math.inf, math.nan])
def test_impossible_penalties_are_refused(penalty: float) -> None:
    with pytest.raises(DataError):
        utility_scores([1.0], [0.0], penalty)


def test_a_wrong_abstention_and_unequal_arms_are_refused() -> None:
    with pytest.raises(DataError):
        utility_scores([0.0], [1.0], 1.0)
    with pytest.raises(DataError):
        utility_curve([1.0], [0.0], [1.0, 1.0], [0.0, 0.0])
    with pytest.raises(DataError):
        penalty_for_confidence(1.0)


ITEMS = st.lists(st.tuples(st.sampled_from([RIGHT, WRONG, ABSTAIN]), st.sampled_from([RIGHT, WRONG, ABSTAIN])), max_size=20)


@given(ITEMS, st.floats(0, 100))
def test_swapping_the_arms_flips_the_difference_and_keeps_p(rows: list[tuple[tuple[float, float], tuple[float, float]]], penalty: float) -> None:
    treatment, control = columns([t for t, _ in rows]), columns([c for _, c in rows])
    there = utility_curve(*treatment, *control, penalties=[penalty])[0]
    back = utility_curve(*control, *treatment, penalties=[penalty])[0]
    assert there.difference.is_defined or there.difference.reason
    assert there.test.p_value == pytest.approx(back.test.p_value)
    if there.difference.value is not None and back.difference.value is not None:
        assert there.difference.value == pytest.approx(-back.difference.value)
