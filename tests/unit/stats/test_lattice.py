"""Exact laws on a grid, against enumeration of every case."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.stats.distributions import binom_sf
from batchtrial.stats.lattice import Law, flip_tail, grid_of, log_cosh, resampling_law


def test_grid_of_means_of_five_samples_merges_rounding() -> None:
    values = sorted({0.6 - 0.2, 0.4, 0.2, -0.2, 0.8 - 1, 1.0})
    grid = grid_of(values, [1] * len(values))
    assert grid is not None
    assert grid.unit == pytest.approx(0.2)
    assert grid.steps.tolist() == [-1, 1, 2, 5]
    assert int(grid.counts.sum()) == len(values)


def test_no_grid_for_continuous_values() -> None:
    assert grid_of(np.random.default_rng(0).normal(size=50), np.ones(50, dtype=int)) is None
    assert grid_of([], []) is None
    assert grid_of([math.pi, math.e], [1, 1]) is None
    zeros = grid_of([0.0], [7])
    assert zeros is not None
    assert zeros.counts.tolist() == [7]


def test_thirds_share_a_grid() -> None:
    grid = grid_of([1 / 3, 2 / 3, 1.0, -1 / 3], [1, 1, 1, 1])
    assert grid is not None
    assert grid.unit == pytest.approx(1 / 3)


def test_resampling_law_against_every_resample() -> None:
    values = [0.0, 0.25, 0.5, -0.25, 1.0, 0.5]
    grid = grid_of(*np.unique(values, return_counts=True))
    assert grid is not None
    law = resampling_law(grid)
    assert law is not None
    means = [sum(draw) / 6 for draw in itertools.product(values, repeat=6)]
    for value, p in zip(law.values.tolist(), law.probabilities.tolist(), strict=True):
        assert p == pytest.approx(sum(abs(m - value) < 1e-9 for m in means) / len(means), abs=1e-12)
    assert law.quantile(0.025) == pytest.approx(float(np.quantile(means, 0.025, method="inverted_cdf")))


def test_resampling_law_of_a_million_items_has_the_right_moments() -> None:
    grid = grid_of([-1.0, 0.0, 1.0], [190_000, 610_000, 200_000])
    assert grid is not None
    law = resampling_law(grid)
    assert law is not None
    mean = float(law.values @ law.probabilities)
    assert mean == pytest.approx(0.01, abs=1e-12)
    variance = float(np.square(law.values - mean) @ law.probabilities)
    assert variance == pytest.approx((0.39 - 0.0001) / 1e6, rel=1e-9)
    assert law.values.size < 20_000


def test_flip_tail_against_every_pattern() -> None:
    steps, counts = np.array([1, 2, 5]), np.array([3, 4, 2])
    sizes = np.repeat(steps, counts)
    sums = [int(np.dot(signs, sizes)) for signs in itertools.product((-1, 1), repeat=9)]
    for observed in range(1, 23):
        want = sum(s >= observed for s in sums) / 2**9
        assert flip_tail(steps, counts, observed) == pytest.approx(want, rel=1e-12, abs=0.0)


def test_flip_tail_keeps_its_digits_far_out() -> None:
    one = np.array([1])
    for n, s in ((12, 6), (3000, 400), (3000, 1800), (100_000, 12_000)):
        assert flip_tail(one, np.array([n]), s) == pytest.approx(binom_sf((n + s) // 2 - 1, n, 0.5), rel=1e-9)
    assert flip_tail(one, np.array([50]), 50) == 0.5**50
    assert flip_tail(one, np.array([50]), 51) == 0.0


def test_windows_that_would_be_too_large_are_declined() -> None:
    grid = grid_of([0.0, 1.0, 999_999.0], [10, 10, 1_000])
    assert grid is not None
    assert resampling_law(grid) is None
    assert flip_tail(np.arange(1, 512) * 1999 % 1_000_003, np.full(511, 1000), 10_000) is None


def test_quantiles_and_half_counted_ties_of_a_law() -> None:
    law = Law(values=np.array([1.0, 2.0, 4.0]), probabilities=np.array([0.25, 0.5, 0.25]))
    assert [law.quantile(p) for p in (0.0, 0.25, 0.26, 0.75, 0.76, 1.0)] == [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]
    assert law.share_below(2.0, 1e-9) == 0.5
    assert law.share_below(3.0, 1e-9) == 0.75


def test_log_cosh_does_not_overflow() -> None:
    assert log_cosh(np.array([0.0, 1.0, 1e4])).tolist() == pytest.approx([0.0, math.log(math.cosh(1)), 1e4 - math.log(2)])


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 6)), min_size=1, max_size=4, unique_by=lambda t: t[0]))
def test_flip_tails_shrink_and_start_near_one_half(pairs: list[tuple[int, int]]) -> None:
    steps, counts = (np.array(x) for x in zip(*sorted(pairs), strict=True))
    total = int(steps @ counts)
    tails = [flip_tail(steps, counts, s) for s in range(1, total + 1)]
    known = [t for t in tails if t is not None]
    assert len(known) == total
    assert known[0] <= 0.5 + 1e-12
    assert all(a >= b * (1 - 1e-9) for a, b in itertools.pairwise(known))
    assert known[-1] == pytest.approx(0.5 ** int(counts.sum()))
