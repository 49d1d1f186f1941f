"""Signed ranks: exact laws with ties, Hodges-Lehmann over distinct values, rank-biserial."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats import ranks
from batchtrial.stats.ranks import hodges_lehmann, rank_biserial, signed_rank_tail, wilcoxon

# Hollander & Wolfe 1973, depression scores; R: V = 40, one-sided p = 0.01953125
DEPRESSION = [0.952, -0.147, 1.022, 0.43, 0.62, 0.59, 0.49, -0.08, 0.01]


def test_published_wilcoxon_and_shift() -> None:
    got = wilcoxon(DEPRESSION)
    assert (got.w_plus, got.w_minus, got.method) == (40.0, 5.0, "wilcoxon_wilcox_exact")
    assert got.p_value == pytest.approx(0.0390625, rel=1e-12)
    assert wilcoxon(DEPRESSION, alternative="greater").p_value == pytest.approx(0.01953125, rel=1e-12)
    assert wilcoxon(DEPRESSION, alternative="less").p_value == pytest.approx(1 - 7 / 512, rel=1e-12)
    shift = hodges_lehmann(DEPRESSION)
    assert (shift.value, shift.ci_low, shift.ci_high) == pytest.approx((0.46, 0.01, 0.786))


def test_exact_law_with_ties_against_every_pattern() -> None:
    d = np.array([1.0, 1.0, -1.0, 2.0, 2.0, 3.0, -4.0, 0.0])
    midranks = np.array([2.0, 2.0, 2.0, 4.5, 4.5, 6.0, 7.0])
    seen = abs(float(midranks @ np.sign(d[:7])))
    sums = [abs(float(np.dot(s, midranks))) for s in itertools.product((-1, 1), repeat=7)]
    got = wilcoxon(d)
    assert got.p_value == pytest.approx(sum(x >= seen - 1e-9 for x in sums) / 128, rel=1e-12)
    assert (got.n, got.n_zero, got.has_ties) == (7, 1, True)


def test_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(1)
    for n in (8, 30, 50, 400):
        d = rng.normal(0.2, 1.0, n)
        if n <= 50:
            assert wilcoxon(d).p_value == pytest.approx(stats.wilcoxon(d, method="exact").pvalue, rel=1e-10)
        for correction in (True, False):
            want = stats.wilcoxon(d, method="asymptotic", correction=correction).pvalue
            got = wilcoxon(d, method="normal", correction=correction).p_value
            assert got == pytest.approx(want, rel=1e-9)
    tied = rng.integers(-3, 5, 200).astype(float)
    for zero_method in ("wilcox", "pratt"):
        want = stats.wilcoxon(tied, zero_method=zero_method, method="asymptotic", correction=False).pvalue
        got = wilcoxon(tied, zero_method=zero_method, correction=False).p_value
        assert got == pytest.approx(want, rel=1e-9)


def test_nothing_changed_and_nothing_there() -> None:
    same = wilcoxon([0.0] * 6)
    assert (same.p_value, same.statistic, same.n, same.n_zero) == (1.0, 0.0, 0, 6)
    assert wilcoxon([0.0] * 6, method="normal").p_value == 1.0
    assert wilcoxon([]).reason
    assert (rank_biserial([0.0, 0.0]), rank_biserial([])) == (0.0, None)
    assert hodges_lehmann([]).value is None


def test_one_changed_item_is_no_evidence() -> None:
    assert wilcoxon([0.0, 0.0, 0.5]).p_value == 1.0
    alone = hodges_lehmann([0.5])
    assert (alone.value, alone.ci_low, alone.ci_high) == (0.5, 0.5, 0.5)
    assert "cannot give an interval" in alone.warnings[0]


def test_exact_law_that_would_be_too_large_is_refused() -> None:
    d = np.random.default_rng(3).normal(size=4_000)
    with pytest.raises(DataError, match="too many"):
        wilcoxon(d, method="exact")
    assert wilcoxon(d).method == "wilcoxon_wilcox_normal_cc"


def test_unknown_options_are_refused() -> None:
    with pytest.raises(DataError, match="zsplit"):
        wilcoxon([1.0], zero_method="zsplit")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="bayes"):
        wilcoxon([1.0], method="bayes")  # type: ignore[arg-type]


def test_signed_rank_tail_against_every_pattern() -> None:
    sums = [sum(r for r, s in zip(range(1, 8), signs, strict=True) if s) for signs in itertools.product((0, 1), repeat=7)]
    for w in range(-1, 29):
        assert signed_rank_tail(7, w) == pytest.approx(sum(x <= w for x in sums) / 128, abs=1e-12)


def test_shift_is_the_median_of_walsh_averages_with_repeated_values() -> None:
    rng = np.random.default_rng(2)
    d = rng.integers(-5, 6, 90) / 5
    walsh = np.sort([(d[i] + d[j]) / 2 for i in range(90) for j in range(i, 90)])
    got = hodges_lehmann(d)
    assert got.value == pytest.approx(float(np.median(walsh)))
    assert "tied or zero" in got.warnings[0]
    k = ranks._interval_rank(90, 0.95)[0]
    assert (got.ci_low, got.ci_high) == pytest.approx((walsh[k - 1], walsh[-k]))


def test_counting_agrees_with_listing() -> None:
    d = np.random.default_rng(4).standard_t(2, 500)
    values, counts = np.unique(d, return_counts=True)
    listed = np.sort(((d[:, None] + d[None, :]) / 2)[np.triu_indices(500)])
    for place in (1, 2, 60_000, 125_249, 125_250):
        got = ranks._walsh_by_counting(values, counts, place)
        assert got == pytest.approx(listed[place - 1], abs=1e-11 * float(np.ptp(d)))


def test_large_samples_use_the_normal_rank() -> None:
    d = np.random.default_rng(6).normal(0.3, 1.0, 5_000)
    got = hodges_lehmann(d)
    assert got.ci_low is not None
    assert got.ci_high is not None
    assert got.ci_low < 0.3 < got.ci_high
    assert got.ci_high - got.ci_low == pytest.approx(2 * 1.96 / np.sqrt(5_000 * 3 / np.pi), rel=0.05)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=25))
def test_swapping_the_arms_mirrors_everything(d: list[float]) -> None:
    mirrored = [-x for x in reversed(d)]
    for zero_method in ("wilcox", "pratt"):
        one, other = wilcoxon(d, zero_method=zero_method), wilcoxon(mirrored, zero_method=zero_method)
        assert one.p_value == pytest.approx(other.p_value, rel=1e-12)
        assert (one.w_plus, one.w_minus) == (other.w_minus, other.w_plus)
    assert rank_biserial(d) == pytest.approx(-(rank_biserial(mirrored) or 0.0))
    here, there = hodges_lehmann(d), hodges_lehmann(mirrored)
    assert here.value == pytest.approx(-(there.value or 0.0))
    assert here.ci_low == pytest.approx(-(there.ci_high or 0.0))
