"""Intervals of proportions and of paired differences: published tables, edges, symmetries."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.binary import mcnemar_midp
from batchtrial.stats.intervals import (
    agresti_min,
    bonett_price,
    clopper_pearson,
    effective_tango,
    jeffreys,
    newcombe,
    tango,
    tango_many,
    tango_z,
    tango_z_many,
    wald,
    wilson,
)
from batchtrial.stats.results import Estimate

TABLES = st.tuples(*[st.integers(0, 60)] * 4).filter(lambda t: sum(t) > 0)
LEVELS = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])


def ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.ci_low is not None
    assert estimate.ci_high is not None
    return estimate.ci_low, estimate.ci_high


def test_published_paired_intervals() -> None:
    assert ends(tango(9, 3, 32)) == pytest.approx((-0.027, 0.390), abs=5e-4)  # Tango 1998, table VII
    assert ends(tango(1, 7, 21)) == pytest.approx((-0.517, -0.026), abs=5e-4)  # Fagerland et al. 2014
    assert ends(newcombe(1, 1, 7, 12)) == pytest.approx((-0.507, -0.026), abs=5e-4)
    assert ends(bonett_price(1, 7, 21)) == pytest.approx((-0.508, -0.013), abs=5e-4)
    assert ends(wald(1, 7, 21)) == pytest.approx((-0.520, -0.052), abs=5e-4)
    assert ends(newcombe(20, 12, 2, 16)) == pytest.approx((0.0562, 0.3292), abs=5e-5)  # Newcombe 1998, method 10


def test_published_intervals_of_one_proportion() -> None:
    assert ends(wilson(81, 263)) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, table I
    assert ends(clopper_pearson(81, 263)) == pytest.approx((0.2527, 0.3676), abs=5e-5)
    assert ends(clopper_pearson(10, 10)) == pytest.approx((0.025**0.1, 1.0), rel=1e-10)
    assert ends(clopper_pearson(0, 20)) == pytest.approx((0.0, 1 - 0.025 ** (1 / 20)), rel=1e-10)


def test_no_change_is_not_certainty() -> None:
    z2 = 1.959963984540054**2
    for n in (1, 20, 5000):
        assert ends(tango(0, 0, n)) == pytest.approx((-z2 / (n + z2), z2 / (n + z2)), rel=1e-9)
    assert ends(wald(0, 0, 20)) == (0.0, 0.0)  # what the comparison intervals would have claimed


def test_all_items_changed_the_same_way_closes_the_interval_at_one() -> None:
    assert ends(tango(3, 0, 3)) == pytest.approx((-0.12299406351009101, 1.0))
    assert ends(tango(0, 3, 3)) == pytest.approx((-1.0, 0.12299406351009101))
    assert ends(tango(1, 0, 1))[1] == 1.0


def test_no_items_have_no_interval() -> None:
    for estimate in (tango(0, 0, 0), newcombe(0, 0, 0, 0), bonett_price(0, 0, 0), wald(0, 0, 0)):
        assert (estimate.value, estimate.ci_low, estimate.reason) == (None, None, "there are no complete pairs")
    for one_arm in (wilson(0, 0), clopper_pearson(0, 0), jeffreys(0, 0)):
        assert (one_arm.value, one_arm.reason) == (None, "there are no answers")


@pytest.mark.parametrize(("b", "c", "n"), [(3, 3, 5), (-1, 0, 5), (math.nan, 0, 5), (1, 1, math.inf)])
def test_impossible_tables_are_refused(b: float, c: float, n: float) -> None:
    for interval in (tango, bonett_price, wald, agresti_min):
        with pytest.raises(DataError, match="changed items"):
            interval(b, c, n)
    for one_arm in (wilson, clopper_pearson, jeffreys):
        with pytest.raises(DataError, match="right answers"):
            one_arm(6, 5)
    with pytest.raises(DataError, match="level"):
        tango(1, 1, 5, level=95)


def test_ends_are_where_the_score_statistic_is_z() -> None:
    for b, c, n in ((9, 3, 32), (40, 0, 1000), (0.7, 2.9, 14.2), (2e5, 3e5, 1e6)):
        low, high = ends(tango(b, c, n))
        assert tango_z(b, c, n, low) == pytest.approx(1.959963984540054, rel=1e-9)
        assert tango_z(b, c, n, high) == pytest.approx(-1.959963984540054, rel=1e-9)
    assert tango_z(9, 3, 32, 0.0) == pytest.approx(math.sqrt(3.0))  # McNemar's z at no difference


def test_many_tables_at_once_agree_with_one_by_one() -> None:
    rng = np.random.default_rng(8)
    n = rng.integers(1, 300, size=200)
    b = (rng.random(200) * (n + 1)).astype(int)
    c = (rng.random(200) * (n - b + 1)).astype(int)
    low, high = tango_many(b, c, n, 0.9)
    for i in range(200):
        assert (low[i], high[i]) == pytest.approx(ends(tango(b[i], c[i], n[i], 0.9)), abs=1e-13)
        assert tango_z_many(b[i], c[i], n[i], 0.25) == pytest.approx(tango_z(b[i], c[i], n[i], 0.25), rel=1e-12)


def test_one_arm_intervals_agree_with_statsmodels() -> None:
    reference = pytest.importorskip("statsmodels.stats.proportion").proportion_confint
    for x, n in ((0, 7), (3, 20), (19, 20), (20, 20), (4000, 9000)):
        assert ends(wilson(x, n)) == pytest.approx(reference(x, n, method="wilson"), abs=1e-12)
        assert ends(clopper_pearson(x, n)) == pytest.approx(reference(x, n, method="beta"), abs=1e-10)
        if 0 < x < n:  # statsmodels has no boundary rule
            assert ends(jeffreys(x, n)) == pytest.approx(reference(x, n, method="jeffreys"), abs=1e-10)


def test_one_sample_per_item_is_plain_tango() -> None:
    t, c = [1, 1, 0, 1, 0, 0, 1, 1], [0, 1, 0, 0, 1, 0, 1, 0]
    got = effective_tango(t, c)
    assert ends(got) == pytest.approx(ends(tango(3, 1, 8)), abs=1e-14)
    assert (got.design_effect, got.effective_n) == (1.0, 8.0)


def test_identical_answers_repeated_are_worth_no_more_than_one() -> None:
    t, c = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]
    repeated, single = effective_tango(t, c, samples_treatment=5, samples_control=5), effective_tango(t, c)
    assert repeated.design_effect == pytest.approx(1.03**2)
    assert single.design_effect == 1.0
    assert ends(repeated) == pytest.approx(ends(single), abs=0.02)


def test_answer_noise_that_averages_out_narrows_the_interval_down_to_its_floor() -> None:
    # every item is a fair coin in both arms, and five samples happen to average to the same share: all variance is noise
    t, c = np.full(40, 0.6), np.full(40, 0.4)
    got = effective_tango(t, c, samples_treatment=5, samples_control=5)
    assert got.design_effect == pytest.approx(0.2 * 1.03**2)
    assert got.effective_n == pytest.approx(200.0 / 1.03**2)
    assert effective_tango(t, c, samples_treatment=5, samples_control=1).design_effect == pytest.approx(0.6 * 1.03**2)


def test_dependent_items_widen_the_interval() -> None:
    t, c = [1, 1, 0, 0, 1, 1, 0, 0] * 5, [0, 0, 0, 0, 1, 1, 0, 1] * 5
    plain = effective_tango(t, c)
    d = np.subtract(t, c)
    naive = (np.mean(np.abs(d)) - d.mean() ** 2) / d.size
    doubled = effective_tango(t, c, cluster_variance=2 * float(naive))
    assert doubled.design_effect == pytest.approx(2.0)
    stretched = effective_tango(t, c, cluster_variance=2 * float(naive), cluster_df=5.0)
    assert stretched.design_effect == pytest.approx(2.0 * (2.5705818356363 / 1.959963984540054) ** 2, rel=1e-9)
    assert effective_tango(t, c, cluster_variance=0.5 * float(naive)).design_effect == 1.0
    assert ends(stretched)[0] < ends(doubled)[0] < ends(plain)[0]


def test_items_are_never_worth_less_than_one_of_them() -> None:
    got = effective_tango([0.0, 1e-300], [1e-300, 0.0], cluster_variance=0.25, cluster_df=0.01)
    assert (got.design_effect, got.effective_n) == (2.0, 1.0)


def test_shares_outside_zero_and_one_and_bad_variances_are_refused() -> None:
    with pytest.raises(DataError, match="share"):
        effective_tango([1.2], [0.0])
    with pytest.raises(DataError, match="sample"):
        effective_tango([1.0], [0.0], samples_treatment=0)
    with pytest.raises(DataError, match="variance"):
        effective_tango([1.0], [0.0], cluster_variance=-1.0)
    with pytest.raises(DataError, match="degrees of freedom"):
        effective_tango([1.0], [0.0], cluster_variance=0.1, cluster_df=0.0)
    assert effective_tango([None], [0.0]).reason == "there are no complete pairs"


@settings(deadline=None, derandomize=True, max_examples=150)
@given(TABLES, LEVELS)
def test_swapping_the_arms_mirrors_every_paired_interval(table: tuple[int, int, int, int], level: float) -> None:
    a, b, c, d = table
    n = a + b + c + d
    for one, other in (
        (tango(b, c, n, level), tango(c, b, n, level)),
        (bonett_price(b, c, n, level), bonett_price(c, b, n, level)),
        (newcombe(a, b, c, d, level), newcombe(a, c, b, d, level)),
        (wald(b, c, n, level), wald(c, b, n, level)),
    ):
        low, high = ends(one)
        assert ends(other) == pytest.approx((-high, -low), abs=1e-9)
        assert low <= (b - c) / n <= high


@settings(deadline=None, derandomize=True, max_examples=100)
@given(TABLES, LEVELS)
def test_more_confidence_is_a_wider_interval_inside_minus_one_and_one(table: tuple[int, int, int, int], level: float) -> None:
    a, b, c, d = table
    n = a + b + c + d
    for narrow, wide in (
        (tango(b, c, n, level), tango(b, c, n, level + 0.009)),
        (newcombe(a, b, c, d, level), newcombe(a, b, c, d, level + 0.009)),
        (wilson(b, n, level), wilson(b, n, level + 0.009)),
        (clopper_pearson(b, n, level), clopper_pearson(b, n, level + 0.009)),
    ):
        assert -1.0 <= ends(wide)[0] <= ends(narrow)[0] + 1e-12
        assert ends(narrow)[1] - 1e-12 <= ends(wide)[1] <= 1.0


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(40, 200), st.integers(40, 200), st.integers(200, 2000))
def test_duplicating_every_item_narrows_by_about_root_two(b: int, c: int, rest: int) -> None:
    n = b + c + rest
    once, twice = ends(tango(b, c, n)), ends(tango(2 * b, 2 * c, 2 * n))
    assert (once[1] - once[0]) / (twice[1] - twice[0]) == pytest.approx(math.sqrt(2.0), rel=0.01)


def test_small_midp_means_the_interval_excludes_zero() -> None:
    # The promise behind printing both: enumerated over every table of 30 items.
    for b in range(31):
        for c in range(31 - b):
            if (mcnemar_midp(b, c).p_value or 1.0) <= 0.05:
                low, high = ends(tango(b, c, 30))
                assert low > 0.0 or high < 0.0, (b, c)
