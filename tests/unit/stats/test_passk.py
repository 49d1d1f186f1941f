"""pass@k against enumeration of all subsets."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.passk import mean_pass_at_k, pass_at_k, pass_at_k_scores


@pytest.mark.parametrize("k", [1, 2, 4])
def test_is_the_share_of_subsets_with_a_right_answer(k: int) -> None:
    for n, c in itertools.product(range(k, 8), range(8)):
        if c <= n:
            subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@given(st.integers(1, 400), st.data())
def test_is_a_probability_that_grows_with_k_and_with_right_answers(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    got = pass_at_k(n, c, k)
    assert 0.0 <= got <= 1.0
    assert c == n or pass_at_k(n, c + 1, k) >= got
    assert k == n or pass_at_k(n, c, k + 1) >= got


def test_one_of_one_is_the_share_of_right_answers() -> None:
    assert pass_at_k_scores([5, 5, 4], [1, 5, 2], 1) == pytest.approx([0.2, 1.0, 0.5])


def test_items_with_too_few_samples_are_missing_and_counted() -> None:
    got = mean_pass_at_k([5, 2, 5, 5], [1, 2, 0, 5], 3)
    assert (got.n, got.dropped) == (3, 1)
    assert math.isnan(pass_at_k_scores([2], [1], 3)[0])
    assert math.isnan(pass_at_k_scores([5], [math.nan], 3)[0])


def test_half_samples_are_refused() -> None:
    with pytest.raises(DataError):
        pass_at_k_scores([5], [2.5], 3)


def test_interval_stays_a_probability() -> None:
    got = mean_pass_at_k(np.full(6, 5), [5, 5, 5, 5, 5, 1], 3)
    assert got.ci_high == 1.0
    assert mean_pass_at_k([5, 5], [5, 5], 3).reason


@pytest.mark.parametrize(("n", "c", "k"), [(5, 6, 1), (5, -1, 1), (5, 2, 0), (3, 2, 4)])
def test_impossible_counts_are_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(DataError):
        pass_at_k(n, c, k)
