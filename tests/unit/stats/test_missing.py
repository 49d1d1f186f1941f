"""Lost answers: Fisher's test by enumeration, the direction of the warning, and bounds by brute force."""

from __future__ import annotations

import itertools
import math
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.missing import difference_bounds, fisher_exact, loss_by_difficulty

NAN = math.nan


@pytest.mark.parametrize("table", [(3, 1, 1, 3), (0, 10, 8, 2), (5, 0, 0, 7), (12, 30, 4, 40), (0, 0, 3, 4)])
def test_fisher_is_the_sum_of_tables_no_likelier(table: tuple[int, int, int, int]) -> None:
    a, b, c, d = table
    row, column, n = a + b, a + c, a + b + c + d
    tables = range(max(0, row + column - n), min(row, column) + 1)
    weights = {k: comb(row, k) * comb(n - row, column - k) for k in tables}
    want = sum(w for w in weights.values() if w <= weights[a]) / comb(n, column)
    assert fisher_exact(*table) == pytest.approx(want, rel=1e-10)


def test_fisher_agrees_with_scipy_on_large_counts() -> None:
    stats = pytest.importorskip("scipy.stats")
    for table in ((120, 9000, 180, 8900), (3, 5000, 40, 5000)):
        want = stats.fisher_exact([table[:2], table[2:]]).pvalue
        assert fisher_exact(*table) == pytest.approx(want, rel=1e-8)


def test_losing_what_the_other_arm_fails_on_is_noticed() -> None:
    control = [1.0] * 50 + [0.0] * 50
    treatment = [1.0] * 50 + [NAN] * 15 + [0.0] * 35
    got = loss_by_difficulty(treatment, control)
    assert (got.rate_when_right, got.rate_when_wrong, got.n_lost) == (0.0, 0.3, 15)
    assert got.test.p_value is not None
    assert got.test.p_value < 1e-4
    assert "fails" in got.warnings[0]


def test_losses_spread_evenly_say_nothing() -> None:
    control = [1.0, 0.0] * 40
    treatment = [NAN, NAN, 1.0, 0.0] * 20
    got = loss_by_difficulty(treatment, control)
    assert got.test.p_value == pytest.approx(1.0)
    assert got.warnings == ()


def test_items_lost_in_both_arms_are_not_counted() -> None:
    got = loss_by_difficulty([NAN, 1.0], [NAN, 1.0])
    assert (got.n_known, got.n_lost, got.rate_when_wrong) == (1, 0, None)
    assert loss_by_difficulty([NAN], [NAN]).test.reason


def test_bounds_are_the_extremes_of_all_fillings() -> None:
    treatment, control = [1.0, NAN, 0.0, NAN], [0.0, 1.0, NAN, NAN]
    means = []
    for fill in itertools.product((0.0, 1.0), repeat=4):
        t = [1.0, fill[0], 0.0, fill[1]]
        c = [0.0, 1.0, fill[2], fill[3]]
        means.append(sum(a - b for a, b in zip(t, c, strict=True)) / 4)
    got = difference_bounds(treatment, control)
    assert (got.low, got.high) == (min(means), max(means))
    assert (got.n_lost, got.is_sign_safe) == (3, False)


def test_few_losses_cannot_turn_a_large_difference() -> None:
    assert difference_bounds([1.0] * 19 + [NAN], [0.0] * 20).is_sign_safe
    assert difference_bounds([], []).low is None


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(DataError):
        difference_bounds([2.0], [0.0])
    with pytest.raises(DataError):
        difference_bounds([1.0], [])
    with pytest.raises(DataError):
        loss_by_difficulty([1.0], [])
    with pytest.raises(DataError):
        fisher_exact(-1, 0, 0, 0)


@given(st.tuples(*[st.integers(0, 300)] * 4))
def test_fisher_is_a_p_value_that_ignores_how_the_table_is_turned(table: tuple[int, int, int, int]) -> None:
    a, b, c, d = table
    p = fisher_exact(a, b, c, d)
    assert 0.0 < p <= 1.0
    assert fisher_exact(a, c, b, d) == pytest.approx(p, rel=1e-6)
    assert fisher_exact(d, c, b, a) == pytest.approx(p, rel=1e-6)
