"""Random-intercept logistic model: likelihood by brute-force integration, boundary, separation, and grouped patterns."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from batchtrial.errors import DataError
from batchtrial.stats.glmm import fit_random_intercept

Floats = NDArray[np.float64]
NAMES = ("intercept", "treatment")


def arms(n_items: int) -> tuple[Floats, NDArray[np.int64]]:
    """Design and item labels: all rows of the control, then all of the treatment."""
    is_treatment = np.repeat([0.0, 1.0], n_items)
    return np.column_stack([np.ones(2 * n_items), is_treatment]), np.tile(np.arange(n_items), 2)


def planted(n_items: int, k: int, beta: float, sd: float, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    u = rng.normal(0.0, sd, n_items)
    chances = [1 / (1 + np.exp(-(0.3 + shift + u))) for shift in (0.0, beta)]
    return np.concatenate([rng.binomial(k, p) for p in chances]).astype(float)


def brute_force_loglik(y: Floats, k: int, beta: tuple[float, float], sd: float) -> float:
    """Trapezoid over a fine grid of intercepts, which for such integrands is exact to many digits."""
    u = np.linspace(-9.0, 9.0, 4001)
    density = np.exp(-(u**2) / 2) / math.sqrt(2 * math.pi) * (u[1] - u[0])
    n_items = y.size // 2
    total = 0.0
    for i in range(n_items):
        inner = density.copy()
        for count, shift in ((y[i], beta[0]), (y[n_items + i], beta[0] + beta[1])):
            p = 1 / (1 + np.exp(-(shift + sd * u)))
            inner = inner * math.comb(k, int(count)) * p**count * (1 - p) ** (k - count)
        total += math.log(inner.sum())
    return total


def test_maximum_and_its_curvature_agree_with_brute_force_integration() -> None:
    y, (design, items) = planted(60, 4, 0.8, 1.2, 3), arms(60)
    got = fit_random_intercept(y, np.full(120, 4), design, items, names=NAMES, n_nodes=25)
    b0, b1 = (c.log_odds.value for c in got.coefficients)
    assert b0 is not None
    assert b1 is not None
    assert got.sd is not None
    best = brute_force_loglik(y, 4, (b0, b1), got.sd)
    assert got.log_likelihood == pytest.approx(best, abs=1e-6)
    theta, step = np.array([b0, b1, got.sd]), 1e-3

    def at(shift: Floats) -> float:
        moved = theta + shift
        return brute_force_loglik(y, 4, (float(moved[0]), float(moved[1])), float(moved[2]))

    unit = np.eye(3) * step
    assert all(at(sign * unit[i]) < best for sign in (1, -1) for i in range(3))
    hessian = np.empty((3, 3))
    for i, j in itertools.product(range(3), repeat=2):
        corners = (at(a * unit[i] + b * unit[j]) * a * b for a in (1, -1) for b in (1, -1))
        hessian[i, j] = sum(corners) / (4 * step**2)
    want = np.sqrt(np.diag(np.linalg.inv(-hessian)))[:2]
    assert [c.log_odds.se for c in got.coefficients] == pytest.approx(want.tolist(), rel=1e-4)


def test_planted_effect_is_found() -> None:
    design, items = arms(4000)
    got = fit_random_intercept(planted(4000, 3, 0.5, 1.5, 1), np.full(8000, 3), design, items, names=NAMES)
    effect = got.coefficients[1]
    assert effect.log_odds.value == pytest.approx(0.5, abs=0.1)
    assert got.sd == pytest.approx(1.5, abs=0.1)
    assert effect.test.p_value is not None
    assert effect.test.p_value < 1e-10


def test_wide_intercepts_agree_with_brute_force_integration() -> None:
    # Mostly agreeing single answers, as at temperature 0: the posterior has a plateau where few nodes fail.
    y = np.concatenate([np.repeat([1.0, 0.0, 1.0, 0.0], [40, 40, 3, 7]), np.repeat([1.0, 0.0, 0.0, 1.0], [40, 40, 3, 7])])
    design, items = arms(90)
    got = fit_random_intercept(y, np.ones(180), design, items, names=NAMES)
    b0, b1 = (c.log_odds.value for c in got.coefficients)
    assert b0 is not None
    assert b1 is not None
    assert got.sd is not None
    assert got.sd > 4.0
    assert got.log_likelihood == pytest.approx(brute_force_loglik(y, 1, (b0, b1), got.sd), abs=1e-6)
    assert b1 == pytest.approx(math.log(7 / 3), rel=0.15)  # near the conditional estimate, log(b / c)


def test_items_that_do_not_differ_give_the_ordinary_regression_at_the_boundary() -> None:
    design, items = arms(300)
    y = np.tile([1.0, 2.0, 2.0], 200)  # less spread than chance alone would give
    y[300:] = np.tile([2.0, 3.0, 2.0], 100)
    got = fit_random_intercept(y, np.full(600, 4), design, items, names=NAMES)
    assert (got.is_at_boundary, got.sd) == (True, 0.0)
    p_c, p_t = y[:300].mean() / 4, y[300:].mean() / 4
    assert got.coefficients[0].log_odds.value == pytest.approx(math.log(p_c / (1 - p_c)), abs=1e-6)
    assert got.coefficients[1].log_odds.value == pytest.approx(math.log(p_t / (1 - p_t)) - math.log(p_c / (1 - p_c)), abs=1e-6)
    se = math.sqrt(sum(1 / (1200 * p * (1 - p)) for p in (p_c, p_t)))
    assert got.coefficients[1].log_odds.se == pytest.approx(se, rel=1e-4)


def test_an_arm_that_is_always_right_is_flagged_not_estimated() -> None:
    design, items = arms(30)
    y = np.concatenate([np.tile([0.0, 1.0], 15), np.ones(30)])
    got = fit_random_intercept(y, np.ones(60), design, items, names=NAMES)
    assert got.is_separated
    assert (got.coefficients[1].log_odds.value, got.sd) == (None, None)
    assert got.reason


def test_items_right_or_wrong_throughout_are_flagged() -> None:
    design, items = arms(40)
    y = np.tile(np.tile([0.0, 5.0], 20), 2)
    assert fit_random_intercept(y, np.full(80, 5), design, items, names=NAMES).is_separated


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_everything_right_or_wrong_has_no_model(value: float) -> None:
    design, items = arms(5)
    got = fit_random_intercept(np.full(10, value), np.ones(10), design, items, names=NAMES)
    assert got.is_separated
    assert got.reason


def test_order_of_rows_and_split_of_samples_do_not_matter() -> None:
    y, (design, items) = planted(50, 2, 0.7, 1.0, 5), arms(50)
    whole = fit_random_intercept(y, np.full(100, 2), design, items, names=NAMES)
    single = np.column_stack([y > 0, y > 1]).astype(float).ravel()  # two rows of one sample each
    order = np.random.default_rng(0).permutation(200)
    split = fit_random_intercept(
        single[order],
        np.ones(200),
        np.repeat(design, 2, axis=0)[order],
        np.repeat(items, 2)[order],
        names=NAMES,
    )
    for a, b in zip(whole.coefficients, split.coefficients, strict=True):
        assert b.log_odds.value == pytest.approx(a.log_odds.value, rel=1e-6)
        assert b.log_odds.se == pytest.approx(a.log_odds.se, rel=1e-6)


def test_missing_rows_are_dropped_and_counted() -> None:
    y, (design, items) = planted(50, 2, 0.7, 1.0, 5), arms(50)
    y[3] = math.nan
    trials = np.full(100, 2.0)
    trials[60] = 0.0
    y[60] = 0.0
    assert fit_random_intercept(y, trials, design, items, names=NAMES).dropped == 2


@pytest.mark.parametrize("lost", [slice(None, 30), slice(30, None)])
def test_an_arm_without_answers_leaves_no_model_and_a_reason(lost: slice) -> None:
    """The rows that are left were said to have columns that say the same, and a run that had lost an arm could not end."""
    design, items = arms(30)
    y, trials = planted(30, 1, 0.5, 1.0, seed=3), np.ones(60)
    y[lost], trials[lost] = 0.0, 0.0
    fit = fit_random_intercept(y, trials, design, items, names=NAMES)
    assert fit.reason is not None
    assert "an arm has none" in fit.reason
    assert (fit.dropped, fit.is_separated, fit.coefficients[1].log_odds.value) == (30, False, None)


def test_wrong_arguments_are_refused() -> None:
    design, items = arms(4)
    y = np.array([0, 1, 0, 1, 1, 1, 0, 1.0])
    with pytest.raises(DataError, match="say the same"):
        fit_random_intercept(y, np.ones(8), np.ones((8, 2)), items, names=NAMES)
    with pytest.raises(DataError, match="must match"):
        fit_random_intercept(y[:7], np.ones(8), design, items, names=NAMES)
    with pytest.raises(DataError, match="right answers"):
        fit_random_intercept(y * 2, np.ones(8), design, items, names=NAMES)
    with pytest.raises(DataError, match="nodes"):
        fit_random_intercept(y, np.ones(8), design, items, names=NAMES, n_nodes=3)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12).flatmap(lambda n: st.lists(st.integers(0, 3), min_size=2 * n, max_size=2 * n)))
def test_any_counts_give_estimates_or_a_reason(counts: list[int]) -> None:
    n_items = len(counts) // 2
    design, items = arms(n_items)
    got = fit_random_intercept(counts, np.full(2 * n_items, 3), design, items, names=NAMES)
    for coefficient in got.coefficients:
        assert coefficient.log_odds.is_defined or coefficient.log_odds.reason
        assert coefficient.test.p_value is None or 0.0 < coefficient.test.p_value <= 1.0
