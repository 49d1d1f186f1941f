"""t intervals and t-tests of paired score differences."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.clusters import clustered_mean
from batchtrial.stats.scores import logit_t, moments, paired_t

SCORES = st.lists(st.floats(-1, 1).map(lambda x: round(x, 4)), min_size=2, max_size=60)
SLEEP = [-1.2, -2.4, -1.3, -1.3, 0.0, -1.0, -1.8, -0.8, -4.6, -1.4]  # Student 1908


def test_students_sleep_data() -> None:
    got = paired_t(SLEEP)
    assert got.test.statistic == pytest.approx(-4.062127683382037)
    assert got.test.p_value == pytest.approx(0.00283289019738427)
    assert (got.estimate.ci_low, got.estimate.ci_high) == pytest.approx((-2.459885763276982, -0.700114236723017))


def test_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(2)
    t, c = rng.normal(0.5, 0.3, 83), rng.normal(0.4, 0.2, 83)
    got, want = paired_t(t - c, 0.9), stats.ttest_rel(t, c)
    assert got.test.p_value == pytest.approx(want.pvalue, rel=1e-10)
    interval = want.confidence_interval(0.9)
    assert (got.estimate.ci_low, got.estimate.ci_high) == pytest.approx((interval.low, interval.high), rel=1e-10)


def test_missing_differences_are_dropped_and_counted() -> None:
    got = paired_t([0.5, None, -0.25, math.nan, 0.75])
    assert (got.estimate.n, got.estimate.dropped, got.test.n, got.test.dropped) == (3, 2, 3, 2)


def test_one_pair_has_a_difference_but_no_interval() -> None:
    for method in (paired_t, logit_t):
        got = method([0.5])
        assert (got.estimate.value, got.estimate.ci_low, got.test.p_value) == (0.5, None, None)
        assert "two pairs" in (got.estimate.reason or "")
        empty = method([])
        assert (empty.estimate.value, empty.test.p_value) == (None, None)


def test_arms_that_agree_everywhere_have_p_one_and_no_t_interval() -> None:
    for method in (paired_t, logit_t):
        got = method([0.0] * 12)
        assert (got.estimate.value, got.estimate.ci_low, got.test.p_value) == (0.0, None, 1.0)
        assert "spread" in (got.estimate.reason or "")


def test_equal_differences_that_are_not_zero_are_undefined_even_after_rounding() -> None:
    got = paired_t([0.1 + 0.2, 0.3, 0.3])
    assert got.estimate.value == pytest.approx(0.3)
    assert (got.test.p_value, got.sd) == (None, 0.0)


def test_logit_interval_stays_inside_the_bound_and_matches_the_delta_method() -> None:
    d = [1.0] * 9 + [0.9]
    got = logit_t(d)
    assert got.estimate.ci_high is not None
    assert got.estimate.ci_high < 1.0 < (paired_t(d).estimate.ci_high or 0.0)
    m = (np.mean(d) + 1) / 2
    half = 2.2621571627982049 * np.std(d, ddof=1) / math.sqrt(10) / 2 / (m * (1 - m))
    top = math.log(m / (1 - m)) + half
    assert got.estimate.ci_high == pytest.approx(2 / (1 + math.exp(-top)) - 1, rel=1e-10)


def test_logit_scales_with_the_bound_and_refuses_what_lies_outside() -> None:
    d = np.array([0.1, 0.5, -0.2, 0.4])
    small, large = logit_t(d).estimate, logit_t(5 * d, bound=5.0).estimate
    assert large.ci_low == pytest.approx(5 * (small.ci_low or 0.0), rel=1e-12)
    with pytest.raises(DataError, match="outside"):
        logit_t([1.5, 0.0])
    with pytest.raises(DataError, match="bound"):
        logit_t([0.5, 0.0], bound=0.0)


def test_few_pairs_warn_and_huge_scores_are_refused() -> None:
    assert "only 10 pairs" in paired_t(SLEEP).estimate.warnings[0]
    assert paired_t(np.tile(SLEEP, 3)).estimate.warnings == ()
    with pytest.raises(DataError, match="beyond"):
        paired_t([1e200, 0.0])


def test_moments_of_nothing() -> None:
    nothing = moments([])
    assert (nothing.n, nothing.mean, nothing.se) == (0, None, None)


@settings(deadline=None, derandomize=True)
@given(SCORES)
def test_swap_order_and_scale(d: list[float]) -> None:
    one, other, scaled = paired_t(d), paired_t([-x for x in reversed(d)]), paired_t([3 * x for x in d])
    if one.estimate.value is None or one.estimate.ci_low is None or one.estimate.ci_high is None:
        assert other.estimate.ci_low is None
        return
    assert other.estimate.ci_low == pytest.approx(-one.estimate.ci_high, abs=1e-9)
    assert other.test.p_value == pytest.approx(one.test.p_value, rel=1e-9)
    assert scaled.estimate.ci_low == pytest.approx(3 * one.estimate.ci_low, abs=1e-9)
    assert scaled.test.p_value == pytest.approx(one.test.p_value, rel=1e-6)


@settings(deadline=None, derandomize=True)
@given(SCORES)
def test_duplicating_every_item_divides_the_standard_error_by_root_two(d: list[float]) -> None:
    n = len(d)
    once, twice = moments(d).se, moments(d + d).se
    assert once is not None
    assert twice is not None
    # exact up to the n - 1 that Student divides by
    assert twice == pytest.approx(once * math.sqrt((n - 1) / (2 * n - 1)), rel=1e-9, abs=1e-15)


def test_thirds_that_cancel_have_a_mean_of_nothing() -> None:
    d = [1.0 - 2.0 / 3.0, 1.0 - 2.0 / 3.0, 1.0 - 2.0 / 3.0, -1.0] * 3
    assert math.fsum(d) != 0.0
    assert moments(d).mean == 0.0
    assert clustered_mean(d, [0, 1, 2] * 4).estimate.value == 0.0
    assert moments([*d, 1e-9]).mean != 0.0
