"""Non-inferiority and equivalence: right/wrong answers by Tango's score, scores by t."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.binary import mcnemar_chi2
from batchtrial.stats.distributions import norm_sf
from batchtrial.stats.intervals import tango_z
from batchtrial.stats.noninferiority import (
    equivalence_binary,
    equivalence_from_summary,
    equivalence_scores,
    noninferiority_binary,
    noninferiority_from_summary,
    noninferiority_scores,
)


def test_published_noninferiority() -> None:
    # Tango 1998, table VII data at a margin of 0.1
    got = noninferiority_binary(9, 3, 32, 0.1)
    assert got.above_low.statistic == pytest.approx(2.5514560834141)
    assert got.above_low.p_value == pytest.approx(0.005363692135341)
    assert got.p_value == got.exact_p == pytest.approx(0.0066, abs=1e-4)
    assert got.is_met is True
    assert got.high is None


def test_margin_of_nothing_would_be_mcnemars_z() -> None:
    assert tango_z(40, 25, 300, 0.0) ** 2 == pytest.approx(mcnemar_chi2(40, 25).statistic)


def test_claim_holds_when_the_interval_lies_inside_the_margins_and_the_exact_test_agrees() -> None:
    for b in range(0, 14, 2):
        for c in range(0, 14, 2):
            got = equivalence_binary(b, c, 120, 0.05)
            low, high = got.estimate.ci_low, got.estimate.ci_high
            assert low is not None
            assert high is not None
            assert got.estimate.level == pytest.approx(0.9)
            assert got.is_met == (low >= -0.05 and high <= 0.05 and (got.exact_p or 0.0) <= 0.05)
            one_sided = noninferiority_binary(b, c, 120, 0.05)
            assert one_sided.is_met == (low >= -0.05 and (one_sided.exact_p or 0.0) <= 0.05)


def test_no_changed_item_needs_enough_items_before_it_is_non_inferior() -> None:
    assert noninferiority_binary(0, 0, 10, 0.1).is_met is False
    assert noninferiority_binary(0, 0, 100, 0.1).is_met is True


def test_scores_without_change_are_decided_like_answers_not_by_p_zero() -> None:
    few, many = equivalence_scores([0.0] * 10, -0.1, 0.1), equivalence_scores([0.0] * 100, -0.1, 0.1)
    assert few.is_met is False
    assert many.is_met is True
    assert few.p_value == pytest.approx(equivalence_binary(0, 0, 10, 0.1).p_value)
    assert "no item changed" in few.estimate.warnings[0]
    assert noninferiority_scores([0.0] * 4 + [None], 0.1).estimate.dropped == 1


def test_scores_that_cannot_be_judged_say_why() -> None:
    for d in ([0.2], [0.2, 0.2, 0.2], []):
        got = noninferiority_scores(d, 0.1)
        assert (got.p_value, got.is_met) == (None, None)
        assert got.above_low.reason
        assert equivalence_scores(d, -0.1, 0.1).is_met is None


def test_published_tost() -> None:
    # Lakens 2017, TOSTER example: n = 65, dz bounds -0.4 and 0.4
    sd = 0.876954958934608
    got = equivalence_from_summary(0.08, sd / 65**0.5, 64.0, -0.4 * sd, 0.4 * sd, n=65)
    assert got.above_low.statistic == pytest.approx(3.9603805754345633)
    assert got.p_value == pytest.approx(0.0077023501208044395)
    assert got.is_met is True


def test_summary_and_raw_scores_agree() -> None:
    d = [0.1, -0.2, 0.05, 0.0, 0.3, -0.1, 0.02]
    raw = noninferiority_scores(d, 0.2)
    assert raw.estimate.value is not None
    assert raw.estimate.se is not None
    summary = noninferiority_from_summary(raw.estimate.value, raw.estimate.se, 6.0, 0.2, n=7)
    assert summary.p_value == pytest.approx(raw.p_value)


def test_tiny_p_keeps_its_digits() -> None:
    z = tango_z(2_000, 2_100, 100_000, -0.01)
    got = noninferiority_binary(2_000, 2_100, 100_000, 0.01)
    assert got.p_value == norm_sf(z) < 1e-40
    assert got.exact_p is None


def test_impossible_margins_are_refused() -> None:
    for margin in (0.0, 1.0, -0.1):
        with pytest.raises(DataError, match="margin"):
            noninferiority_binary(1, 1, 10, margin)
    for low, high in ((0.1, 0.2), (-0.1, -0.05), (0.0, 0.1)):
        with pytest.raises(DataError, match="both sides"):
            equivalence_scores([0.1, 0.2], low, high)
    with pytest.raises(DataError, match="one half"):
        noninferiority_binary(1, 1, 10, 0.1, alpha=0.5)
    for se in (0.0, float("inf")):
        with pytest.raises(DataError, match="standard error"):
            equivalence_from_summary(0.0, se, 5.0, -0.1, 0.1, n=6)
        with pytest.raises(DataError, match="standard error"):
            noninferiority_from_summary(0.0, se, 5.0, 0.1, n=6)


def test_no_pairs_are_undefined() -> None:
    assert equivalence_binary(0, 0, 0, 0.1).is_met is None


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 40), st.floats(0.05, 0.9))
def test_equivalence_does_not_care_which_arm_is_called_treatment(b: int, c: int, rest: int, margin: float) -> None:
    one, other = equivalence_binary(b, c, b + c + rest, margin), equivalence_binary(c, b, b + c + rest, margin)
    assert one.is_met == other.is_met
    if one.p_value is not None:
        assert one.p_value == pytest.approx(other.p_value, rel=1e-9)
