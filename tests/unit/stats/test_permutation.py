"""The sign-flip test: exact where it can be, and the same p however it is found."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.binary import mcnemar_exact
from batchtrial.stats.permutation import sign_flip

DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
SLEEP = [-1.2, -2.4, -1.3, -1.3, 0.0, -1.0, -1.8, -0.8, -4.6, -1.4]


def p_of(d: object, **options: object) -> float:
    p = sign_flip(d, seed=7, **options).p_value  # type: ignore[arg-type]
    assert p is not None
    return p


def test_fishers_count_of_darwins_plants() -> None:
    got = sign_flip(DARWIN, seed=1)
    assert got.p_value == 1726 / 32768
    assert (got.method, got.seed, got.n) == ("sign_flip_exact", None, 15)


def test_nine_of_one_sign() -> None:
    assert p_of(SLEEP) == 2 / 2**9


def test_ties_of_decimal_scores_are_ties() -> None:
    # 0.1 + 0.2 and 0.3 differ in the last bit; the test must not see that.
    assert p_of([0.3, -(0.1 + 0.2), 0.3]) == p_of([3, -3, 3]) == 1.0
    assert p_of([0.1, 0.2, -0.3]) == 1.0


def test_right_wrong_answers_give_the_exact_mcnemar_p_at_any_size() -> None:
    for b, c, rest in ((8, 2, 5), (121, 59, 300), (5_500, 5_200, 10_000)):
        d = [1.0] * b + [-1.0] * c + [0.0] * rest
        assert p_of(d) == pytest.approx(mcnemar_exact(b, c).p_value, rel=1e-9)


def test_every_route_gives_the_same_p() -> None:
    rng = np.random.default_rng(4)
    on_grid = np.round(rng.normal(0.02, 1.0, 12_000), 1)
    exact = sign_flip(on_grid, seed=1)
    nudged = on_grid + rng.normal(0.0, 1e-7, on_grid.size)  # off the grid, otherwise the same
    expanded = sign_flip(nudged, seed=1)
    simulated = sign_flip(nudged[:9_000], seed=1)
    assert (exact.method, expanded.method, simulated.method) == (
        "sign_flip_grid",
        "sign_flip_edgeworth",
        "sign_flip_monte_carlo",
    )
    assert expanded.p_value == pytest.approx(exact.p_value, rel=0.01)
    part = p_of(on_grid[:9_000])
    assert simulated.p_value == pytest.approx(part, abs=4 * math.sqrt(part * (1 - part) / 9_999))
    assert (exact.seed, expanded.seed, simulated.seed) == (None, None, 1)


def test_saddle_point_holds_far_out_in_the_tail() -> None:
    rng = np.random.default_rng(6)
    for shift in (0.06, 0.2):
        on_grid = np.round(rng.normal(shift, 1.0, 12_000), 1)
        nudged = on_grid + rng.normal(0.0, 1e-7, on_grid.size)
        assert p_of(nudged) == pytest.approx(p_of(on_grid), rel=0.05)


def test_few_values_off_any_grid_are_simulated_by_binomials() -> None:
    rng = np.random.default_rng(9)
    d = rng.choice([math.pi, -math.e, math.sqrt(2), -1.0], size=400)
    got = sign_flip(d, seed=3)
    assert got.method == "sign_flip_monte_carlo"
    z = abs(d.sum()) / math.sqrt(float(d @ d))
    assert got.p_value == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.02)


def test_a_few_giants_are_not_expanded() -> None:
    rng = np.random.default_rng(2)
    d = np.concatenate([rng.normal(0, 1e-3, 12_000), [50.0, 40.0, -30.0]])
    got = sign_flip(d, seed=5, flips=999)
    assert got.method == "sign_flip_monte_carlo"
    # the giants alone: 2 of 8 patterns give |120|, 2 more tie with |60| and are decided by the small ones
    assert 0.2 < (got.p_value or 0.0) < 0.55


def test_simulated_p_is_never_zero() -> None:
    d = np.random.default_rng(1).normal(5.0, 1.0, 60)
    assert p_of(d, flips=99) == 1 / 100


def test_clusters_flip_together() -> None:
    d = [1.0, 1.0, -1.0, 1.0, 1.0, 1.0]
    assert p_of(d) == pytest.approx(mcnemar_exact(5, 1).p_value)
    # sums per cluster: a 2, b 0, c 2
    got = sign_flip(d, seed=1, clusters=["a", "a", "b", "b", "c", "c"])
    assert (got.p_value, got.n) == (0.5, 2)
    assert got.statistic == pytest.approx(4 / 6)


def test_labels_follow_the_items_that_are_left() -> None:
    with_gap = sign_flip([1.0, None, 1.0, -1.0], seed=1, clusters=[1, 1, 2, 2])
    assert (with_gap.n, with_gap.dropped, with_gap.p_value) == (1, 1, 1.0)


def test_nothing_changed_and_nothing_there() -> None:
    assert sign_flip([0.0] * 5, seed=1).p_value == 1.0
    assert "no item changed" in sign_flip([0.0] * 5, seed=1).warnings[0]
    assert sign_flip([], seed=1).reason == "there are no complete pairs"
    assert sign_flip([0.5], seed=1).p_value == 1.0
    assert "only 1 item changed" in sign_flip([0.5, 0.0], seed=1).warnings[0]


def test_bad_options_are_refused() -> None:
    with pytest.raises(DataError, match="flip"):
        sign_flip([1.0], seed=1, flips=0)
    with pytest.raises(DataError, match="labels"):
        sign_flip([1.0, 2.0], seed=1, clusters=[1])


def test_same_seed_same_bytes_and_order_does_not_matter() -> None:
    d = np.random.default_rng(3).normal(0.1, 1.0, 500)
    assert sign_flip(d, seed=11) == sign_flip(d.copy(), seed=11)
    assert p_of(d) == p_of(d[::-1])


@settings(deadline=None, derandomize=True, max_examples=80)
@given(st.lists(st.floats(-1, 1), max_size=24))
def test_swapping_the_arms_keeps_p_and_p_is_a_probability(d: list[float]) -> None:
    one, other = sign_flip(d, seed=1), sign_flip([-x for x in d], seed=1)
    assert one.p_value == other.p_value
    if d:
        assert one.p_value is not None
        assert 0.0 < one.p_value <= 1.0


def test_clusters_that_all_cancel_leave_no_difference() -> None:
    third = 1.0 - 2 / 3
    d = [third, third, -2 / 3] * 30
    assert sum(d[:3]) != 0.0
    found = sign_flip(d, seed=1, clusters=np.repeat(np.arange(30), 3))
    assert (found.p_value, found.n) == (1.0, 0)
