"""Judge-scored metrics: a perfect judge, a useless one, a biased one, and labels that say too little."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from batchtrial.errors import DataError
from batchtrial.stats.judge import corrected_rate, judged_rate, ppi_mean
from batchtrial.stats.scores import paired_t

Floats = NDArray[np.float64]


def planted(n: int, n_labelled: int, accuracy: float, seed: int) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    everything = (rng.random(n) < 0.4).astype(float)
    judged = np.where(rng.random(n) < accuracy, everything, 1 - everything)
    truth = everything.copy()
    truth[n_labelled:] = math.nan
    return truth, judged, everything


def test_a_perfect_judge_is_as_good_as_labels_everywhere() -> None:
    truth, judged, everything = planted(1000, 100, 1.0, 1)
    got = ppi_mean(truth, judged, weight=1.0)
    assert got.value == pytest.approx(everything[100:].mean())


def test_a_judge_that_says_nothing_leaves_the_labelled_mean() -> None:
    truth, _, _ = planted(1000, 100, 1.0, 2)
    got = ppi_mean(truth, np.full(1000, 0.7))
    classical = paired_t(truth[:100])
    assert got.value == pytest.approx(classical.estimate.value)
    assert got.ci_low == pytest.approx(classical.estimate.ci_low)


def test_a_good_judge_narrows_the_interval_and_bias_is_removed() -> None:
    truth, judged, everything = planted(5000, 200, 0.9, 3)
    biased = np.clip(judged + 0.3, 0, 2)
    got, alone = ppi_mean(truth, biased), paired_t(truth[:200]).estimate
    assert got.se is not None
    assert alone.se is not None
    assert got.se < 0.75 * alone.se
    assert got.value is not None
    assert abs(got.value - everything.mean()) < 3.5 * got.se < 0.3  # the judge's bias


def test_the_chosen_weight_is_the_one_of_least_variance() -> None:
    truth, judged, _ = planted(2000, 150, 0.8, 4)
    best = ppi_mean(truth, judged).se
    others = [ppi_mean(truth, judged, weight=w).se for w in (0.0, 0.25, 0.75, 1.0)]
    assert best is not None
    assert all(se is not None and best <= se * 1.02 for se in others)


def test_items_without_a_judged_score_are_dropped_and_counted() -> None:
    got = ppi_mean([1.0, 0.0, 1.0, math.nan], [0.9, 0.2, math.nan, 0.5])
    assert (got.n, got.dropped) == (2, 1)


def test_few_or_one_sided_labels_warn() -> None:
    truth, judged, _ = planted(200, 20, 0.9, 5)
    assert len(ppi_mean(truth, judged).warnings) == 2
    truth, judged, _ = planted(2000, 500, 0.9, 5)
    assert ppi_mean(truth, judged).warnings == ()


@pytest.mark.parametrize(("truth", "judged"), [([], []), ([1.0], [1.0]), ([1.0, 1.0], [1.0, 1.0])])
def test_too_little_gives_a_reason(truth: list[float], judged: list[float]) -> None:
    got = ppi_mean(truth, judged)
    assert got.ci_low is None
    assert got.reason


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(DataError):
        ppi_mean([1.0], [1.0, 2.0])
    with pytest.raises(DataError):
        ppi_mean([1.0], [1.0], weight=1.5)
    with pytest.raises(DataError):
        corrected_rate(0.5, sensitivity=0.4, specificity=0.6)
    with pytest.raises(DataError):
        corrected_rate(1.5, sensitivity=0.9, specificity=0.9)
    with pytest.raises(DataError):
        judged_rate(5, 4, n_positive_found=1, n_positive=1, n_negative_passed=1, n_negative=1)


def test_correction_undoes_the_judges_mixing() -> None:
    for theta in (0.0, 0.3, 1.0):
        seen = theta * 0.85 + (1 - theta) * (1 - 0.9)
        assert corrected_rate(seen, sensitivity=0.85, specificity=0.9) == pytest.approx(theta)


def test_more_labels_narrow_the_interval_more_than_more_items() -> None:
    def width(n: int, labels: int) -> float:
        got = judged_rate(
            7 * n // 10,
            n,
            n_positive_found=9 * labels // 10,
            n_positive=labels,
            n_negative_passed=8 * labels // 10,
            n_negative=labels,
        )
        assert got.ci_low is not None
        assert got.ci_high is not None
        return got.ci_high - got.ci_low

    assert width(1000, 1000) < width(100_000, 50) < width(1000, 50)


def test_a_judge_at_chance_has_no_rate() -> None:
    got = judged_rate(50, 100, n_positive_found=10, n_positive=20, n_negative_passed=10, n_negative=20)
    assert got.value is None
    assert "chance" in (got.reason or "")


def test_labels_too_few_to_tell_the_judge_from_chance_leave_no_interval() -> None:
    got = judged_rate(0, 1, n_positive_found=1, n_positive=1, n_negative_passed=15, n_negative=46)
    assert (got.value, got.ci_low) == (0.0, None)
    assert "chance" in (got.reason or "")


counts = st.integers(0, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, counts, counts)
def test_any_counts_give_an_interval_that_holds_its_rate_or_a_reason(
    judged: tuple[int, int], positive: tuple[int, int], negative: tuple[int, int]
) -> None:
    got = judged_rate(
        *judged,
        n_positive_found=positive[0],
        n_positive=positive[1],
        n_negative_passed=negative[0],
        n_negative=negative[1],
    )
    if got.value is None or got.ci_low is None:
        assert got.reason
    else:
        assert got.ci_high is not None
        assert 0.0 <= got.ci_low <= got.value <= got.ci_high <= 1.0


@given(st.lists(st.tuples(st.floats(0, 1) | st.just(math.nan), st.floats(0, 1) | st.just(math.nan)), max_size=20))
def test_any_scores_give_an_interval_or_a_reason(rows: list[tuple[float, float]]) -> None:
    got = ppi_mean([y for y, _ in rows], [f for _, f in rows])
    assert got.is_defined or got.reason


@pytest.mark.parametrize("size", [1, 5])
def test_a_judge_who_never_erred_on_the_labelled_items_is_not_known_never_to_err(size: int) -> None:
    """It favours the treatment in one item of fifty; none of these is labelled, by chance that is likely with thirty labels."""
    judged = np.array(([1.0, -1.0] + [0.0] * 48) * 80)
    truth = np.where(np.arange(judged.size) < 30, judged, np.nan)
    favoured = np.where((np.arange(judged.size) % 50 == 49) & np.isnan(truth), 1.0, judged)
    clusters = np.arange(judged.size) // size if size > 1 else None
    plain, used = (ppi_mean(truth, favoured, clusters=clusters, unseen=unseen) for unseen in (0.0, 1.0))
    assert plain.value == used.value
    assert used.value == pytest.approx(0.02, abs=0.003)
    assert plain.ci_low is None or plain.ci_low > 0.0, "as if the judge were known"
    assert used.ci_low is not None
    assert used.ci_low < 0.0
    assert (used.se or 0.0) ** 2 == pytest.approx((plain.se or 0.0) ** 2 + 1 / (30 * 29))
