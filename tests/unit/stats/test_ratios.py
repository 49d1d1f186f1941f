"""Fieller's interval is the inverted t-test, and says when it is unbounded."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.ratios import UNBOUNDED, fieller_ratio
from batchtrial.stats.scores import paired_t


def test_ends_are_where_the_t_test_just_rejects() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(1.0, 0.5, 30)
    x = 2.0 * y + rng.normal(0.0, 0.3, 30)
    got = fieller_ratio(x, y)
    assert got.ci_low is not None
    assert got.ci_high is not None
    for end in (got.ci_low, got.ci_high):
        assert paired_t(x - end * y).test.p_value == pytest.approx(0.05, abs=1e-9)


def test_unbounded_exactly_when_the_denominator_may_be_zero() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(1.0, 1.0, 25)
    for shift in (0.05, 0.3, 0.6, 1.2):
        y = rng.normal(shift, 1.0, 25)
        p = paired_t(y).test.p_value
        assert p is not None
        assert (fieller_ratio(x, y).reason == UNBOUNDED) == (p > 0.05)


def test_proportional_values_give_a_point() -> None:
    y = np.array([1.0, 1.1, 0.9])
    got = fieller_ratio(2 * y, y)
    assert [got.value, got.ci_low, got.ci_high] == pytest.approx([2.0, 2.0, 2.0], abs=1e-6)


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0], [2.0]), ([1.0, 2.0], [1.0, -1.0]), ([1.0, math.nan], [0.0, 1.0])])
def test_undefined_ratios_have_a_reason(x: list[float], y: list[float]) -> None:
    got = fieller_ratio(x, y)
    assert got.ci_low is None
    assert got.reason


def test_shapes_must_agree() -> None:
    with pytest.raises(DataError):
        fieller_ratio([1.0], [1.0, 2.0])


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), max_size=20))
def test_any_values_give_an_interval_that_holds_the_ratio_or_a_reason(rows: list[tuple[float, float]]) -> None:
    got = fieller_ratio([x for x, _ in rows], [y for _, y in rows])
    assert got.is_defined or got.reason
