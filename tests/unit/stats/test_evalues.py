"""E-values: exact fractions, the martingale property by enumeration, and honest ends of the range."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.evalues import (
    anytime_evalue,
    betting_evalue,
    betting_interval,
    betting_path,
    paired_evalue,
    paired_evalue_path,
)


def uniform_prior_evalue(b: int, c: int) -> Fraction:
    return Fraction(2 ** (b + c) * math.factorial(b) * math.factorial(c), math.factorial(b + c + 1))


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (9, 3), (60, 60), (0, 40)])
def test_uniform_prior_matches_exact_fractions(b: int, c: int) -> None:
    got = paired_evalue(b, c, concentration=1.0)
    assert got.e_value == pytest.approx(float(uniform_prior_evalue(b, c)), rel=1e-12)


@pytest.mark.parametrize("concentration", [1.0, 5.0])
def test_expectation_under_the_null_is_one_after_every_item(concentration: float) -> None:
    for n in range(1, 9):
        paths = [paired_evalue_path(signs, concentration=concentration)[-1] for signs in itertools.product((-1, 1), repeat=n)]
        assert np.mean(np.exp(paths)) == pytest.approx(1.0, rel=1e-12)


def test_betting_expectation_under_a_fair_null_is_one() -> None:
    answers = (-1.0, -0.25, 0.0, 0.25, 1.0)
    for n in range(1, 6):
        paths = [betting_path(values)[-1] for values in itertools.product(answers, repeat=n)]
        assert np.mean(np.exp(paths)) == pytest.approx(1.0, rel=1e-12)


def test_path_ends_where_the_counts_say() -> None:
    differences = [0, 1, 1, -1, 0, 1]
    assert paired_evalue_path(differences)[-1] == pytest.approx(paired_evalue(3, 1).log_e, rel=1e-12)


def test_anytime_p_remembers_the_highest_point() -> None:
    path = [0.0, math.log(40.0), math.log(2.0)]
    got = anytime_evalue(path, method="beta_binomial")
    assert got.anytime_p == pytest.approx(1 / 40)
    assert got.e_value == pytest.approx(2.0)


def test_a_huge_evalue_keeps_its_logarithm_and_a_positive_p() -> None:
    got = paired_evalue(1_000_000, 0)
    assert got.e_value is None
    assert got.log_e > 600_000
    assert got.anytime_p > 0.0


def test_strong_effect_is_found_and_the_sign_does_not_matter() -> None:
    values = np.tile([1.0, 0.5, 0.0, 0.5], 50)
    up, down = betting_evalue(values), betting_evalue(-values)
    assert up.anytime_p < 1e-6
    assert up.log_e == pytest.approx(down.log_e, rel=1e-12)


def test_missing_differences_are_skipped_and_counted() -> None:
    got = betting_evalue([0.5, math.nan, 0.25])
    assert (got.n, got.dropped) == (2, 1)
    assert betting_path([0.5, math.nan, 0.25])[-1] == betting_path([0.5, 0.25])[-1]


@pytest.mark.parametrize("bad", [[2.0], [0.5, -1.5]])
def test_a_difference_outside_the_bound_is_refused(bad: list[float]) -> None:
    with pytest.raises(DataError):
        betting_path(bad)


def test_scores_are_refused_by_the_paired_path() -> None:
    with pytest.raises(DataError):
        paired_evalue_path([0.5])


def test_no_items_say_so() -> None:
    got = betting_interval([])
    assert got.value is None
    assert got.reason == "no items"


def test_interval_agrees_with_the_evalue_at_zero() -> None:
    rng = np.random.default_rng(5)
    values = rng.choice([-1.0, 0.0, 0.5, 1.0], size=200, p=[0.1, 0.5, 0.1, 0.3])
    interval = betting_interval(values)
    assert interval.ci_low is not None
    assert interval.ci_high is not None
    assert (interval.ci_low > 0.0) == (betting_evalue(values).anytime_p < 0.05)
    assert interval.ci_low <= values.mean() <= interval.ci_high


def test_every_null_outside_the_interval_was_ruled_out_and_the_ends_are_close_to_it() -> None:
    rng = np.random.default_rng(8)
    values = rng.choice([-1.0, 0.0, 1.0], size=3000, p=[0.1, 0.6, 0.3])
    got = betting_interval(values)
    assert got.ci_low is not None
    assert got.ci_high is not None
    for end, outward in ((got.ci_low, -1), (got.ci_high, 1)):
        assert betting_path(values, null=end + outward * 1e-9).max() > math.log(20.0)
        assert betting_path(values, null=end - outward * 0.003).max() < math.log(20.0)


@given(st.lists(st.floats(-1, 1) | st.just(math.nan), max_size=30))
def test_any_bounded_scores_give_numbers(values: list[float]) -> None:
    evidence = betting_evalue(values)
    interval = betting_interval(values)
    assert math.isfinite(evidence.log_e)
    assert 0.0 < evidence.anytime_p <= 1.0
    if interval.value is not None and interval.ci_low is not None and interval.ci_high is not None:
        assert -1.0 <= interval.ci_low <= interval.value <= interval.ci_high <= 1.0


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_swapping_the_arms_keeps_the_evidence(b: int, c: int) -> None:
    assert paired_evalue(b, c).log_e == paired_evalue(c, b).log_e
