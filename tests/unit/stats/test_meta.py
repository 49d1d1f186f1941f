"""Meta-analysis: closed forms, the never-narrower rule, and datasets without spread."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.meta import (
    Tau2Method,
    between_variance,
    dataset_effect,
    laplace_variance,
    meta_analysis,
    stratified_mean,
)
from batchtrial.stats.results import Estimate


def width(estimate: Estimate) -> float:
    assert estimate.ci_low is not None
    assert estimate.ci_high is not None
    return estimate.ci_high - estimate.ci_low


def test_equal_variances_give_the_plain_mean_and_the_t_interval() -> None:
    y = np.array([0.10, 0.02, -0.05, 0.20])
    got = meta_analysis(y, np.full(4, 1e-4))
    assert got.random.value == pytest.approx(y.mean())
    assert got.tau2 == pytest.approx(y.var(ddof=1) - 1e-4)
    assert got.random_hk.se == pytest.approx(y.std(ddof=1) / 2)


@pytest.mark.parametrize("method", ["dl", "pm", "reml"])
def test_methods_agree_for_two_datasets_of_equal_variance(method: Tau2Method) -> None:
    assert between_variance([0.0, 1.0], [0.1, 0.1], method=method) == pytest.approx(0.4, rel=1e-9)


def test_statsmodels_agrees_on_paule_mandel_and_dersimonian_laird() -> None:
    combine = pytest.importorskip("statsmodels.stats.meta_analysis")
    rng = np.random.default_rng(1)
    y, v = rng.normal(0.1, 0.2, 7), rng.uniform(0.005, 0.03, 7)
    cases: list[tuple[Tau2Method, str]] = [("pm", "iterated"), ("dl", "dl")]
    for ours, theirs in cases:  # the reference stops iterating at 1e-5
        want = combine.combine_effects(y, v, method_re=theirs)
        got = meta_analysis(y, v, tau2_method=ours)
        assert got.tau2 == pytest.approx(want.tau2, rel=1e-5)
        assert got.random_z.value == pytest.approx(want.mean_effect_re, rel=1e-5)
        assert got.random_hk.se == pytest.approx(want.sd_eff_w_re_hksj, rel=1e-5)


def test_interval_is_never_narrower_than_the_plain_one_scaled_by_t() -> None:
    alike = meta_analysis([0.05, 0.05, 0.050001], [0.001, 0.001, 0.001])
    assert width(alike.random) > width(alike.random_z)
    assert width(alike.random_hk) < 0.01 * width(alike.random_z)


def test_one_dataset_is_its_own_mean_and_says_what_it_cannot_say() -> None:
    got = meta_analysis([0.12], [0.004])
    assert got.random.value == got.fixed.value == 0.12
    assert got.random.ci_low == got.fixed.ci_low
    assert (got.tau2, got.i2_q, got.heterogeneity.p_value) == (0.0, None, None)
    assert got.random_hk.reason
    assert got.prediction.ci_low is None


def test_prediction_interval_needs_three_and_warns_below_five() -> None:
    assert meta_analysis([0.1, 0.2], [0.01, 0.01]).prediction.ci_low is None
    three = meta_analysis([0.1, 0.2, 0.4], [0.01, 0.01, 0.02])
    assert width(three.prediction) > width(three.random)
    assert three.prediction.warnings


def test_no_datasets_is_a_reason_not_a_number() -> None:
    got = meta_analysis([math.nan], [0.1])
    assert (got.random.value, got.random.reason, got.random.dropped) == (None, "no datasets", 1)


def test_zero_variance_is_refused_and_has_a_remedy() -> None:
    with pytest.raises(DataError, match="variance of zero"):
        meta_analysis([0.0, 0.1], [0.0, 0.01])
    effect, variance = dataset_effect(np.zeros(50))
    assert (effect, variance) == (0.0, laplace_variance(0, 0, 50))
    assert meta_analysis([effect, 0.1], [variance, 0.01]).n_datasets == 2


def test_laplace_variance_is_the_closed_form() -> None:
    assert laplace_variance(9, 3, 32) == pytest.approx((10 / 34 + 4 / 34 - (6 / 34) ** 2) / 34)


@pytest.mark.parametrize("counts", [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(DataError):
        laplace_variance(*counts)


def test_stratified_mean_weighs_by_what_it_is_told() -> None:
    got = stratified_mean([0.1, 0.3, math.nan], [0.01, 0.04, 0.01], weights=[3, 1, 9])
    assert got.value == pytest.approx(0.15)
    assert got.se == pytest.approx(math.sqrt(0.75**2 * 0.01 + 0.25**2 * 0.04))
    assert got.dropped == 1


@given(
    st.lists(st.tuples(st.floats(-1, 1) | st.just(math.nan), st.floats(1e-8, 1.0)), max_size=8),
    st.sampled_from(["dl", "pm", "reml"]),
)
def test_any_datasets_give_numbers_or_a_reason(rows: list[tuple[float, float]], method: Tau2Method) -> None:
    y, v = [a for a, _ in rows], [b for _, b in rows]
    got = meta_analysis(y, v, tau2_method=method)
    flipped = meta_analysis([-a for a in y], v, tau2_method=method)
    for name in ("fixed", "random", "random_z", "random_hk", "prediction"):
        estimate = getattr(got, name)
        assert estimate.is_defined or estimate.reason
    if got.random.value is not None and flipped.random.value is not None:
        assert got.tau2 is not None
        assert got.tau2 >= 0
        assert flipped.random.value == pytest.approx(-got.random.value, abs=1e-6)
        assert width(got.random) >= width(got.random_z) * (1 - 1e-9)
