"""Power: brute-force enumeration, references, round trips, and effects that nothing can find."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.pairing import sign_exact, sign_midp
from batchtrial.stats.power import (
    mcnemar_items,
    mcnemar_items_exact,
    mcnemar_mde,
    mcnemar_power,
    normal_items,
    paired_t_items,
    paired_t_mde,
    paired_t_power,
)


@pytest.mark.parametrize("n", [1, 6, 17])
@pytest.mark.parametrize(("p_t", "p_c"), [(0.2, 0.05), (0.3, 0.3), (0.4, 0.0), (0.6, 0.4)])
def test_power_is_the_sum_over_all_tables(n: int, p_t: float, p_c: float) -> None:
    for name, p_value in (("exact", sign_exact), ("midp", sign_midp)):
        want = sum(
            comb(n, b) * comb(n - b, c) * p_t**b * p_c**c * (1 - p_t - p_c) ** (n - b - c)
            for b in range(n + 1)
            for c in range(n + 1 - b)
            if p_value(b, c) <= 0.05
        )
        assert mcnemar_power(n, p_t, p_c, test="exact" if name == "exact" else "midp") == pytest.approx(want, abs=1e-12)


def test_enumeration_meets_the_normal_approximation_where_it_ends() -> None:
    assert mcnemar_power(20_000, 0.32, 0.31) == pytest.approx(mcnemar_power(20_001, 0.32, 0.31), abs=2e-3)


def test_one_sided_power_exceeds_two_sided_in_its_direction_only() -> None:
    two = mcnemar_power(80, 0.2, 0.08)
    assert mcnemar_power(80, 0.2, 0.08, sided=1) > two
    assert mcnemar_power(80, 0.08, 0.2, sided=1) < 1e-3


def test_paired_t_power_agrees_with_statsmodels() -> None:
    power = pytest.importorskip("statsmodels.stats.power").TTestPower()
    for n, dz in ((10, 0.5), (34, 0.5), (300, 0.1)):
        assert paired_t_power(n, dz) == pytest.approx(power.power(dz, n, 0.05, alternative="two-sided"), abs=1e-9)


@pytest.mark.parametrize("n", [2, 20, 300])
def test_mde_is_found_with_the_power_it_promises(n: int) -> None:
    got = paired_t_mde(n, 0.4)
    assert got.effect is not None
    assert paired_t_power(n, got.effect / 0.4) == pytest.approx(0.8, abs=1e-6)


def test_mcnemar_mde_is_found_with_the_power_it_promises() -> None:
    got = mcnemar_mde(200, 0.3)
    assert got.effect is not None
    assert mcnemar_power(200, (0.3 + got.effect) / 2, (0.3 - got.effect) / 2) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize(("n", "discordance"), [(20, 0.05), (0, 0.5), (50, 0.0)])
def test_no_detectable_effect_is_a_reason(n: int, discordance: float) -> None:
    got = mcnemar_mde(n, discordance)
    assert got.effect is None
    assert got.reason


def test_exact_size_reaches_its_power_and_stays_there() -> None:
    got = mcnemar_items_exact(0.18, 0.08)
    assert got.n_items is not None
    assert min(mcnemar_power(n, 0.18, 0.08) for n in range(got.n_items, got.n_items + 6)) >= 0.8
    connor = mcnemar_items(0.18, 0.08).n_items
    assert connor is not None
    assert abs(got.n_items - connor) < 0.1 * connor


@pytest.mark.parametrize("size", [normal_items(0.0, 0.1), paired_t_items(0.0), mcnemar_items(0.1, 0.1)])
def test_no_number_of_items_finds_nothing(size: object) -> None:
    assert getattr(size, "n_items") is None  # noqa: B009 (three record makers, one question)
    assert getattr(size, "reason")  # noqa: B009


def test_an_effect_that_nobody_could_afford_has_a_reason() -> None:
    for size in (normal_items(1e-200, 0.1), mcnemar_items(0.1, 0.1 + 1e-15), paired_t_items(1e-9)):
        assert size.n_items is None
        assert "more than" in (size.reason or "")


def test_effect_too_large_for_the_smallest_test_needs_two_items() -> None:
    assert paired_t_items(1e3).n_items == 2


@pytest.mark.parametrize(("p_t", "p_c"), [(-0.1, 0.2), (0.7, 0.4)])
def test_impossible_probabilities_are_refused(p_t: float, p_c: float) -> None:
    with pytest.raises(DataError):
        mcnemar_power(50, p_t, p_c)


def test_power_below_alpha_is_refused() -> None:
    with pytest.raises(DataError):
        normal_items(0.1, 0.1, power=0.05)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 120), st.floats(0, 1), st.floats(0, 1))
def test_power_is_a_probability_and_ignores_which_arm_is_which(n: int, psi: float, share: float) -> None:
    p_t, p_c = psi * share, psi * (1 - share)
    got = mcnemar_power(n, p_t, p_c)
    assert 0.0 <= got <= 1.0
    assert mcnemar_power(n, p_c, p_t) == pytest.approx(got, abs=1e-12)
