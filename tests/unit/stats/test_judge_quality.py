"""What is known of a judge: kappa by hand and by statsmodels, flips, biases, and too little to say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from batchtrial.errors import DataError
from batchtrial.stats.judge_quality import flip_rate, flipped, kappa, length_bias, leniency, position_bias


def test_kappa_by_hand() -> None:
    """20 both yes, 5 and 10 apart, 15 both no: .70 seen, .50 by chance."""
    a = [1] * 25 + [0] * 25
    b = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    got = kappa(a, b, seed=1)
    assert got.value == pytest.approx(0.4)
    assert got.ci_low is not None
    assert got.ci_high is not None
    assert got.ci_low == pytest.approx(0.14, abs=0.06)  # .4 - 1.96 x .13 by the delta method
    assert got.ci_high == pytest.approx(0.64, abs=0.06)
    assert kappa(a, b, seed=1) == got


def test_kappa_is_that_of_another_library() -> None:
    rater = pytest.importorskip("statsmodels.stats.inter_rater")
    rng = np.random.default_rng(5)
    a = rng.integers(0, 4, 200)
    b = np.where(rng.random(200) < 0.6, a, rng.integers(0, 4, 200))
    table = np.zeros((4, 4))
    np.add.at(table, (a, b), 1)
    assert kappa(a, b, seed=2).value == pytest.approx(float(rater.cohens_kappa(table).kappa))


def test_kappa_that_is_not_there() -> None:
    assert "same one verdict" in (kappa([1, 1, 1], [1, 1, 1], seed=1).reason or "")
    still = kappa([1, 1, 1, 1], [1, 0, 1, 0], seed=1)
    assert (still.value, still.ci_low, still.ci_high) == (0.0, None, None)
    assert "one of the two always gives the same verdict" in (still.reason or "")
    got = kappa([1.0, math.nan], [1.0, 0.0], seed=1)
    assert (got.n, got.dropped) == (1, 1)
    with pytest.raises(DataError, match="same items"):
        kappa([1], [1, 0], seed=1)


def test_a_judge_that_always_takes_the_first_flips_always() -> None:
    first = np.ones(50)
    assert flip_rate(flipped(first, first)).value == 1.0
    assert position_bias(first, first).value == pytest.approx(1.0)


def test_a_judge_that_knows_what_it_wants_does_not_flip() -> None:
    ab = np.tile([1.0, 0.0, 0.5, 1.0], 10)
    got = position_bias(ab, 1.0 - ab)
    assert flip_rate(flipped(ab, 1.0 - ab)).value == 0.0
    assert got.value == pytest.approx(0.0)
    assert flip_rate(flipped([math.nan], [1.0])).reason


def test_a_pair_that_was_put_several_times_flips_where_both_orders_are_for_the_same_place() -> None:
    assert flipped([1.0, 0.75, 0.25, 0.5, 1.0], [0.75, 1.0, 0.0, 1.0, 0.25]).tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_pairs_of_one_item_count_as_one() -> None:
    got = flip_rate([1 / 3, 1.0, 0.0, math.nan])
    assert got.value == pytest.approx(4 / 9)
    assert (got.n, got.dropped) == (3, 1)


def test_planted_position_bias_is_found_with_its_clusters() -> None:
    rng = np.random.default_rng(7)
    ab, ba = (rng.random(3000) < 0.6).astype(float), (rng.random(3000) < 0.6).astype(float)
    got = position_bias(ab, ba, clusters=np.arange(3000) // 5)
    assert got.ci_low is not None
    assert got.ci_high is not None
    assert got.ci_low < 0.2 < got.ci_high


def test_length_bias_counts_decided_pairs_of_different_length() -> None:
    got = length_bias([1, 1, -1, 0, 1, math.nan], [5, -2, -3, 4, 0, 1])
    assert got.value == pytest.approx(2 / 3)
    assert (got.n, got.dropped) == (3, 3)
    assert length_bias([0], [1]).reason


def test_leniency_is_what_the_judge_gives_beyond_the_label() -> None:
    got = leniency([1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, math.nan])
    assert got.value == pytest.approx(1 / 3)
    assert (got.n, got.dropped) == (3, 1)
