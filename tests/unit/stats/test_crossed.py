"""Paraphrases as a second sample: planted parts are found, and a lucky wording does not pass for a strategy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.crossed import crossed_mean


def test_planted_parts_are_found() -> None:
    rng = np.random.default_rng(1)
    d = 0.1 + rng.normal(0, 0.3, (3000, 1)) + rng.normal(0, 0.2, (1, 60)) + rng.normal(0, 0.5, (3000, 60))
    got = crossed_mean(d)
    assert got.sd_items == pytest.approx(0.3, rel=0.05)
    assert got.sd_paraphrases == pytest.approx(0.2, rel=0.3)
    assert got.sd_rest == pytest.approx(0.5, rel=0.02)


def test_one_lucky_wording_is_significant_over_items_but_not_as_a_strategy() -> None:
    rng = np.random.default_rng(2)
    d = np.array([[0.3, 0.02, -0.02]]) + rng.normal(0, 0.3, (400, 3))
    got = crossed_mean(d)
    assert got.these_wordings.ci_low is not None
    assert got.these_wordings.ci_low > 0.0
    assert got.strategy.ci_low is not None
    assert got.strategy.ci_low < 0.0
    assert got.strategy.warnings


def test_wordings_that_agree_leave_the_items_to_decide() -> None:
    rng = np.random.default_rng(3)
    d = np.repeat(rng.normal(0.1, 0.3, (200, 1)), 6, axis=1)
    got = crossed_mean(d)
    assert got.strategy.se == pytest.approx(got.these_wordings.se)


def test_items_and_paraphrases_play_the_same_part() -> None:
    d = np.random.default_rng(4).normal(size=(6, 9))
    assert crossed_mean(d.T).strategy.se == pytest.approx(crossed_mean(d).strategy.se)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (5, 1)])
def test_one_wording_says_nothing_about_the_strategy(shape: tuple[int, int]) -> None:
    got = crossed_mean(np.zeros(shape))
    assert got.strategy.ci_low is None
    assert got.strategy.reason


def test_incomplete_items_are_dropped_and_counted() -> None:
    d = np.random.default_rng(5).normal(size=(8, 4))
    d[2, 1] = math.nan
    assert crossed_mean(d).strategy.dropped == 1


def test_a_flat_list_is_refused() -> None:
    with pytest.raises(DataError):
        crossed_mean([0.1, 0.2])


@pytest.mark.parametrize("unit", [1e-200, 1e-9, 1e99])
def test_the_unit_of_the_score_does_not_matter(unit: float) -> None:
    d = np.random.default_rng(6).normal(size=(6, 5))
    plain, scaled = crossed_mean(d), crossed_mean(unit * d)
    assert scaled.test.p_value == pytest.approx(plain.test.p_value)
    with pytest.raises(DataError):
        crossed_mean(np.full((3, 3), math.inf))


@given(st.integers(2, 5), st.integers(2, 5), st.data())
def test_any_table_gives_an_interval_or_a_reason(n: int, p: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0, math.nan]), min_size=n * p, max_size=n * p))
    got = crossed_mean(np.reshape(values, (n, p)))
    back = crossed_mean(-np.reshape(values, (n, p)))
    assert got.strategy.is_defined or got.strategy.reason
    assert back.test.p_value == pytest.approx(got.test.p_value)
