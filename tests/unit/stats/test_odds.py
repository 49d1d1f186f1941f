"""The conditional odds ratio and its intervals, infinite ends included."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.odds import OddsMethod, log_odds_ratio, odds_ratio

METHODS: tuple[OddsMethod, ...] = ("midp", "clopper_pearson", "wilson")


def test_published_intervals() -> None:
    # Ezra 2010, contingencytables: 12.5 with these three intervals
    wald, exact, midp = (odds_ratio(25, 2, method=m) for m in ("wald", "clopper_pearson", "midp"))
    assert (wald.value, wald.ci_low, wald.ci_high) == pytest.approx((12.5, 2.9608, 52.7731), abs=1e-4)
    assert (exact.ci_low, exact.ci_high) == pytest.approx((3.1169, 108.8892), abs=1e-4)
    assert (midp.ci_low, midp.ci_high) == pytest.approx((3.4681, 78.2972), abs=1e-4)


def test_one_sided_changes_have_an_infinite_end() -> None:
    for method in METHODS:
        all_better, all_worse = odds_ratio(6, 0, method=method), odds_ratio(0, 6, method=method)
        assert all_better.value == all_better.ci_high == math.inf
        assert (all_worse.value, all_worse.ci_low) == (0.0, 0.0)
        assert all_better.ci_low == pytest.approx(1.0 / (all_worse.ci_high or 0.0), rel=1e-9)
    wald = odds_ratio(6, 0, method="wald")
    assert (wald.value, wald.ci_low, wald.ci_high) == (math.inf, None, None)
    assert "infinite" in (wald.reason or "")


def test_one_sided_midp_end_has_a_closed_form() -> None:
    # c = 0: (1/2) p^m = alpha / 2
    p = 0.05 ** (1 / 6)
    assert odds_ratio(6, 0).ci_low == pytest.approx(p / (1 - p), rel=1e-9)


def test_no_change_is_undefined_with_the_whole_line_as_interval() -> None:
    methods: tuple[OddsMethod, ...] = (*METHODS, "wald")
    for method in methods:
        none = odds_ratio(0, 0, method=method)
        assert (none.value, none.ci_low, none.ci_high) == (None, 0.0, math.inf)
        assert none.reason
    assert log_odds_ratio(3, 0).reason


def test_log_odds_of_conditional_logistic_regression() -> None:
    got = log_odds_ratio(25, 2)
    assert (got.value, got.se) == pytest.approx((math.log(12.5), math.sqrt(1 / 25 + 1 / 2)))


def test_unknown_method_is_refused() -> None:
    with pytest.raises(DataError, match="baptista"):
        odds_ratio(3, 4, method="baptista_pike")  # type: ignore[arg-type]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(0, 300), st.integers(0, 300), st.sampled_from(METHODS))
def test_swapping_the_arms_inverts_the_odds(b: int, c: int, method: OddsMethod) -> None:
    one, other = odds_ratio(b, c, method=method), odds_ratio(c, b, method=method)
    assert one.ci_low is not None
    assert one.ci_high is not None
    assert other.ci_low is not None
    if b + c and b:
        assert one.ci_low <= (b / c if c else math.inf) <= one.ci_high
    if one.ci_high not in (0.0, math.inf):
        assert other.ci_low == pytest.approx(1.0 / one.ci_high, rel=1e-8)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(1, 200), st.integers(1, 200))
def test_midp_interval_lies_inside_the_exact_one(b: int, c: int) -> None:
    midp, exact = odds_ratio(b, c), odds_ratio(b, c, method="clopper_pearson")
    assert (exact.ci_low or 0.0) < (midp.ci_low or 0.0) < (midp.ci_high or 0.0) < (exact.ci_high or 0.0)
