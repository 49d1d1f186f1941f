"""Group-sequential bounds: published constants, level by an independent integration, and looks without information."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.sequential import (
    Shape,
    characteristics,
    discordant_z,
    drift_for_power,
    group_sequential_bounds,
    repeated_interval,
    spending_bounds,
    stagewise_test,
)

# Jennison & Turnbull 2000, tables 2.1 and 2.3, two-sided alpha = .05
PUBLISHED = [
    ("pocock", 2, 2.178),
    ("pocock", 5, 2.413),
    ("pocock", 10, 2.555),
    ("pocock", 20, 2.672),
    ("obrien_fleming", 2, 1.977),
    ("obrien_fleming", 5, 2.040),
    ("obrien_fleming", 10, 2.087),
    ("obrien_fleming", 20, 2.126),
]


@pytest.mark.parametrize(("shape", "looks", "constant"), PUBLISHED)
def test_constants_are_the_published_ones(shape: Shape, looks: int, constant: float) -> None:
    assert group_sequential_bounds(looks, shape=shape).constant == pytest.approx(constant, abs=6e-4)


def test_spending_bounds_are_the_published_ones() -> None:
    # Lan-DeMets bounds for five equal looks, as every textbook prints them
    got = spending_bounds([1, 2, 3, 4, 5], max_information=5)
    assert got.z_bounds == pytest.approx((4.877, 3.357, 2.680, 2.290, 2.031), abs=6e-4)
    assert got.alpha_spent[-1] == pytest.approx(0.05)


def test_level_agrees_with_the_multivariate_normal_integral() -> None:
    stats = pytest.importorskip("scipy.stats")
    bounds = group_sequential_bounds([0.3, 0.7, 1.0])
    t = np.asarray(bounds.information)
    correlation = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
    edge = np.asarray(bounds.z_bounds, dtype=float)
    inside = stats.multivariate_normal.cdf(edge, mean=np.zeros(3), cov=correlation, lower_limit=-edge, abseps=1e-7, releps=1e-7, maxpts=3_000_000)
    assert 1 - inside == pytest.approx(0.05, abs=1e-5)


def test_one_look_is_the_ordinary_test() -> None:
    got = group_sequential_bounds(1)
    assert got.z_bounds[0] == pytest.approx(1.959963984540054, abs=1e-9)
    assert got.nominal_p[0] == pytest.approx(0.05)


def test_an_added_look_leaves_the_past_alone() -> None:
    early = spending_bounds([12, 30], max_information=90)
    later = spending_bounds([12, 30, 31, 70], max_information=90)
    assert later.z_bounds[:2] == pytest.approx(early.z_bounds, abs=1e-7)


def test_a_look_without_new_information_cannot_stop_the_trial() -> None:
    got = spending_bounds([0, 20, 20, 90], max_information=90)
    assert (got.z_bounds[0], got.z_bounds[2]) == (None, None)
    assert got.alpha_spent[1] == got.alpha_spent[2]


@pytest.mark.parametrize(("information", "is_final"), [([30, 60], True), ([40, 120], False)])
def test_everything_is_spent_at_the_end_short_or_long(information: list[float], is_final: bool) -> None:
    got = spending_bounds(information, max_information=100, is_final=is_final)
    assert got.alpha_spent[-1] == pytest.approx(0.05)
    assert sum(characteristics(got, drift=0.0).stop_by_look[-1:]) == pytest.approx(0.05, abs=1e-9)


def test_power_and_inflation_are_the_published_ones() -> None:
    bounds = group_sequential_bounds(5)
    drift = drift_for_power(bounds, power=0.9)
    assert (drift / (1.959964 + 1.281552)) ** 2 == pytest.approx(1.026, abs=1e-3)  # Jennison & Turnbull table 2.4
    got = characteristics(bounds, drift=drift)
    assert got.power == pytest.approx(0.9)
    assert 0.6 < got.expected_information < 0.8
    assert characteristics(bounds, drift=-drift).power == pytest.approx(got.power)


def test_no_difference_uses_almost_everything() -> None:
    got = characteristics(group_sequential_bounds(5), drift=0.0)
    assert got.power == pytest.approx(0.05)
    assert got.expected_information > 0.98


def test_stagewise_p_on_the_bound_is_the_alpha_spent() -> None:
    bounds = group_sequential_bounds(5)
    for look in range(5):
        z = bounds.z_bounds[look]
        assert z is not None
        assert stagewise_test(bounds, look=look, z=z).p_value == pytest.approx(bounds.alpha_spent[look], rel=1e-6)


def test_stagewise_p_at_the_first_look_is_the_ordinary_one() -> None:
    assert stagewise_test(group_sequential_bounds(5), look=0, z=-1.0).p_value == pytest.approx(0.3173105, abs=1e-6)


def test_repeated_interval_is_wider_early_and_honest_without_information() -> None:
    bounds = group_sequential_bounds(5)
    first = repeated_interval(0.1, 0.03, z_bound=bounds.z_bounds[0], n=100)
    last = repeated_interval(0.1, 0.03, z_bound=bounds.z_bounds[4], n=100)
    assert first.ci_low is not None
    assert last.ci_low is not None
    assert first.ci_low < 0.0 < last.ci_low
    assert repeated_interval(0.0, 0.0, z_bound=2.0, n=5).ci_low is None
    assert repeated_interval(0.1, 0.1, z_bound=None, n=5).reason


def test_discordant_z_is_signed_and_zero_without_pairs() -> None:
    assert discordant_z(9, 3) == pytest.approx(6 / math.sqrt(12))
    assert discordant_z(3, 9) == -discordant_z(9, 3)
    assert discordant_z(0, 0) == 0.0


@pytest.mark.parametrize("looks", [0, 101, [0.5, 0.5, 1.0], [0.5, 0.9], [1.0, 0.5]])
def test_impossible_looks_are_refused(looks: int | list[float]) -> None:
    with pytest.raises(DataError):
        group_sequential_bounds(looks)


def test_falling_information_is_refused() -> None:
    with pytest.raises(DataError):
        spending_bounds([5, 4], max_information=10)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.sampled_from(["obrien_fleming", "pocock"]))
def test_any_information_spends_at_most_alpha(steps: list[int], shape: Shape) -> None:
    bounds = spending_bounds(np.cumsum(steps).tolist(), max_information=150, shape=shape)
    reached = characteristics(bounds, drift=0.0)
    assert reached.power <= 0.05 + 1e-9
    assert reached.power == pytest.approx(bounds.alpha_spent[-1], abs=1e-8)
