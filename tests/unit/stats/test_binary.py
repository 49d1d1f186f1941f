"""McNemar's tests, Cochran's Q and the posterior probability of being better."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.binary import cochran_q, mcnemar_chi2, mcnemar_exact, mcnemar_midp, probability_better

COUNTS = st.integers(0, 400)


def test_published_values() -> None:
    # Fagerland, Lydersen & Laake 2013, airway hyper-responsiveness: b = 1, c = 7
    assert mcnemar_exact(1, 7).p_value == pytest.approx(0.0703125)
    assert mcnemar_midp(1, 7).p_value == pytest.approx(0.0390625)
    assert mcnemar_chi2(1, 7).p_value == pytest.approx(0.033894853524689295)
    assert mcnemar_chi2(1, 7, correction=True).p_value == pytest.approx(0.07709987174354202)


def test_equal_counts_are_no_evidence() -> None:
    for tie in (0, 1, 7, 500):
        assert mcnemar_exact(tie, tie).p_value == 1.0
        assert mcnemar_midp(tie, tie).p_value == 1.0
        corrected = mcnemar_chi2(tie, tie, correction=True)
        assert (corrected.statistic, corrected.p_value) == (0.0, 1.0)


def test_one_single_change_is_a_coin_toss() -> None:
    assert mcnemar_midp(1, 0).p_value == 0.5
    assert mcnemar_exact(1, 0).p_value == 1.0


def test_no_change_is_flagged_and_few_changes_warn() -> None:
    assert "no item changed" in mcnemar_midp(0, 0).warnings[0]
    assert "only 4 items" in mcnemar_midp(3, 1).warnings[0]
    assert mcnemar_midp(8, 4).warnings == ()


def test_a_million_changes_are_quick_and_never_give_zero() -> None:
    assert mcnemar_exact(1_003_000, 1_000_000).p_value == pytest.approx(0.034088365079432, rel=1e-9)
    assert 0.0 < (mcnemar_midp(5_000, 0).p_value or 0.0) < 1e-300


@pytest.mark.parametrize(("b", "c"), [(-1, 2), (1, 2.5), (math.nan, 1), (math.inf, 1)])
def test_impossible_counts_are_refused(b: float, c: float) -> None:
    for test in (mcnemar_exact, mcnemar_midp, mcnemar_chi2, probability_better):
        with pytest.raises(DataError, match="whole and not negative"):
            test(b, c)  # type: ignore[arg-type]


def test_agrees_with_statsmodels_and_scipy() -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    binomtest = pytest.importorskip("scipy.stats").binomtest
    for b, c in ((3, 9), (0, 6), (121, 59), (40, 41), (999, 1100)):
        table = [[5, b], [c, 5]]
        assert mcnemar_exact(b, c).p_value == pytest.approx(binomtest(b, b + c).pvalue, rel=1e-10)
        assert mcnemar_chi2(b, c).p_value == pytest.approx(tables.mcnemar(table, exact=False, correction=False).pvalue, rel=1e-9)
        assert mcnemar_chi2(b, c, correction=True).statistic == pytest.approx(
            tables.mcnemar(table, exact=False, correction=True).statistic, rel=1e-12
        )


def test_cochran_q_with_two_arms_is_mcnemar() -> None:
    x = np.array([[1, 0]] * 9 + [[0, 1]] * 3 + [[1, 1]] * 5 + [[0, 0]] * 2)
    assert cochran_q(x).statistic == pytest.approx(mcnemar_chi2(9, 3).statistic)
    assert cochran_q(x).n == 12


def test_cochran_q_agrees_with_statsmodels() -> None:
    reference = pytest.importorskip("statsmodels.stats.contingency_tables").cochrans_q
    x = (np.random.default_rng(5).random((60, 4)) < [0.5, 0.6, 0.7, 0.55]).astype(int)
    want = reference(x)
    assert cochran_q(x).statistic == pytest.approx(want.statistic, rel=1e-12)
    assert cochran_q(x).p_value == pytest.approx(want.pvalue, rel=1e-10)


def test_cochran_q_without_change_and_without_items() -> None:
    assert cochran_q([[1, 1, 1], [0, 0, 0]]).p_value == 1.0
    assert cochran_q(np.zeros((0, 3))).reason == "there are no items"
    for wrong in ([[1], [0]], [[0.5, 1]], [1, 0]):
        with pytest.raises(DataError, match="Cochran"):
            cochran_q(wrong)


def test_probability_better_is_a_beta_tail() -> None:
    assert probability_better(0, 0) == pytest.approx(0.5)
    assert probability_better(7, 7) == pytest.approx(0.5)
    assert probability_better(9, 3) == pytest.approx(0.9616, abs=2e-3)
    assert 0.0 < probability_better(0, 4000) < probability_better(4000, 0) < 1.0


def test_probability_better_agrees_with_draws_from_the_posterior() -> None:
    draws = np.random.default_rng(3).dirichlet([20.5, 14.5, 8.5, 30.5], size=200_000)
    assert probability_better(14, 8) == pytest.approx(float(np.mean(draws[:, 1] > draws[:, 2])), abs=0.004)


@settings(deadline=None, derandomize=True)
@given(COUNTS, COUNTS)
def test_swapping_the_arms_keeps_p_and_mirrors_the_posterior(b: int, c: int) -> None:
    for test in (mcnemar_exact, mcnemar_midp, mcnemar_chi2):
        p = test(b, c).p_value
        assert p == test(c, b).p_value
        assert p is not None
        assert 0.0 < p <= 1.0
    assert probability_better(b, c) == pytest.approx(1.0 - probability_better(c, b), abs=1e-12)


@settings(deadline=None, derandomize=True)
@given(COUNTS, COUNTS)
def test_midp_is_never_above_exact(b: int, c: int) -> None:
    assert (mcnemar_midp(b, c).p_value or 1.0) <= (mcnemar_exact(b, c).p_value or 0.0)
