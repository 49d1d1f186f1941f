"""Threshold sensitivity: every threshold gives its own numbers, abstentions are never unsupported, stability is honest."""

from __future__ import annotations

import math

import numpy as np
import pytest

from batchtrial.errors import DataError
from batchtrial.stats.intervals import tango
from batchtrial.stats.sensitivity import threshold_sensitivity

RNG = np.random.default_rng(3)


def test_each_threshold_is_the_plain_analysis_of_its_flags() -> None:
    t, c = RNG.random(60), RNG.random(60)
    got = threshold_sensitivity(t, c, thresholds=[0.2, 0.5, 0.9])
    for point in got.points:
        below_t, below_c = t < point.threshold, c < point.threshold
        b, only_c = int((below_t & ~below_c).sum()), int((below_c & ~below_t).sum())
        want = tango(b, only_c, 60)
        assert point.difference.value == pytest.approx((b - only_c) / 60)
        assert point.difference.ci_low == pytest.approx(want.ci_low)
        assert point.treatment == pytest.approx(below_t.mean())
    assert len({point.difference.value for point in got.points}) == 3


def test_the_threshold_itself_is_support_enough() -> None:
    got = threshold_sensitivity([0.5, 0.5], [0.5, 0.4], thresholds=[0.5])
    assert (got.points[0].treatment, got.points[0].control) == (0.0, 0.5)


def test_an_abstention_is_never_unsupported_but_counts_as_an_item() -> None:
    got = threshold_sensitivity([0.0, math.nan, 0.1], [0.9, 0.9, 0.9], thresholds=[0.5], answered_treatment=[False, False, True])
    assert got.points[0].treatment == pytest.approx(1 / 3)
    assert (got.n, got.dropped) == (3, 0)


def test_answers_that_never_came_drop_the_item() -> None:
    got = threshold_sensitivity([0.1, math.nan], [0.1, 0.1], thresholds=[0.5])
    assert (got.n, got.dropped) == (1, 1)


def test_samples_are_averaged_inside_the_item() -> None:
    t = np.array([[0.1, 0.9], [0.1, math.nan], [0.9, 0.9]])
    got = threshold_sensitivity(t, np.full((3, 2), 0.9), thresholds=[0.5])
    assert got.points[0].treatment == pytest.approx((0.5 + 1.0 + 0.0) / 3)


def test_clusters_widen_the_interval() -> None:
    t, c = np.repeat(RNG.random(20), 5), np.repeat(RNG.random(20), 5)
    alone = threshold_sensitivity(t, c, thresholds=[0.5]).points[0].difference
    clustered = threshold_sensitivity(t, c, thresholds=[0.5], clusters=np.repeat(np.arange(20), 5)).points[0].difference
    assert alone.ci_low is not None
    assert clustered.ci_low is not None
    assert clustered.ci_low < alone.ci_low


def test_stability_says_when_the_choice_decides() -> None:
    low, high = np.repeat([0.1, 0.6], [30, 70]), np.repeat([0.45, 0.55], [60, 40])
    crossing = threshold_sensitivity(low, high, thresholds=[0.2, 0.5])
    assert not crossing.is_sign_stable
    assert not crossing.is_verdict_stable
    steady = threshold_sensitivity(np.full(50, 0.1), np.full(50, 0.9), thresholds=[0.2, 0.5, 0.8])
    assert steady.is_sign_stable
    assert steady.is_verdict_stable


def test_no_items_are_stable_in_nothing() -> None:
    got = threshold_sensitivity([math.nan], [0.5], thresholds=[0.5])
    assert (got.is_sign_stable, got.is_verdict_stable) == (False, False)
    assert got.points[0].difference.reason


@pytest.mark.parametrize("thresholds", [[], [0.5]])
def test_wrong_arguments_are_refused(thresholds: list[float]) -> None:
    with pytest.raises(DataError):
        threshold_sensitivity([0.1], [0.1, 0.2], thresholds=thresholds)
