"""Pairs are aligned by item, missing ones dropped and counted, and nothing missing is taken for wrong."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.pairing import (
    PairedCounts,
    discordant,
    missing_pairs,
    paired_scores,
    sign_exact,
    sign_midp,
)

ANSWERS = st.lists(st.tuples(st.sampled_from([0.0, 1.0, None]), st.sampled_from([0.0, 1.0, None])), max_size=40)


def test_counts_of_right_and_wrong_pairs() -> None:
    counts = discordant([1, 1, 1, 0, 0, 0], [1, 0, 0, 1, 0, 0])
    assert counts == PairedCounts(both_right=1, treatment_only=2, control_only=1, both_wrong=2)
    assert (counts.n, counts.changed) == (6, 3)
    assert counts.delta == pytest.approx(1 / 6)


def test_missing_answers_drop_the_pair_and_are_not_wrong() -> None:
    counts = discordant([1, None, 1, 0, math.nan], [0, 1, None, 0, None])
    assert counts == PairedCounts(both_right=0, treatment_only=1, control_only=0, both_wrong=1, dropped=3)


def test_booleans_integers_and_floats_count_alike() -> None:
    rng = np.random.default_rng(1)
    t, c = rng.random(500) < 0.7, rng.random(500) < 0.6
    want = discordant(t, c)
    for kind in (np.int8, np.int64, np.float32, np.float64):
        assert discordant(t.astype(kind), c.astype(kind)) == want
    assert discordant(t.tolist(), c.tolist()) == want


def test_no_pairs_have_no_difference() -> None:
    assert discordant([], []).delta is None
    assert discordant([None], [1]).delta is None


@pytest.mark.parametrize(
    ("treatment", "control", "complaint"),
    [
        ([1, 0], [1], "2 and 1"),
        ([0.5], [1.0], "0 or 1"),
        ([2], [1], "0 or 1"),
        ([math.inf], [1], "beyond"),
        ([[1, 0]], [[1, 0]], "shape"),
        (["yes"], [1], "not numbers"),
    ],
)
def test_answers_that_cannot_be_counted_are_refused(treatment: object, control: object, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        discordant(treatment, control)  # type: ignore[arg-type]


def test_negative_counts_are_refused() -> None:
    with pytest.raises(DataError, match="negative"):
        PairedCounts(both_right=-1, treatment_only=0, control_only=0, both_wrong=0)


def test_paired_scores_keep_order_and_count_the_lost() -> None:
    pairs = paired_scores([1.0, None, 0.25], [0.5, 0.5, 0.5])
    assert pairs.differences.tolist() == [0.5, -0.25]
    assert pairs.dropped == 1


def test_loss_that_depends_on_the_arm_is_noticed() -> None:
    treatment: list[float | None] = [None] * 12 + [1.0] * 88
    control: list[float | None] = [1.0] * 99 + [None]
    lost = missing_pairs(treatment, control)
    assert (lost.n_pairs, lost.only_treatment_missing, lost.only_control_missing, lost.dropped) == (87, 12, 1, 13)
    assert lost.test.p_value == pytest.approx(sign_midp(12, 1))
    assert any("13 of 100 pairs" in warning for warning in lost.warnings)
    assert any("more pairs were lost to the treatment" in warning for warning in lost.warnings)


def test_even_loss_raises_no_alarm() -> None:
    lost = missing_pairs([None, 1.0] + [1.0] * 98, [1.0, None] + [1.0] * 98)
    assert lost.warnings == ()
    assert lost.test.p_value == 1.0


def test_sign_tests_from_the_definition() -> None:
    for b in range(9):
        for c in range(9):
            m, k = b + c, min(b, c)
            tail = sum(math.comb(m, j) for j in range(k + 1)) / 2**m
            point = math.comb(m, k) / 2**m
            assert sign_exact(b, c) == pytest.approx(1.0 if b == c else min(1.0, 2 * tail), rel=1e-13)
            assert sign_midp(b, c) == pytest.approx(1.0 if b == c else 2 * tail - point, rel=1e-13)


@settings(deadline=None, derandomize=True)
@given(ANSWERS)
def test_counts_do_not_depend_on_the_order_and_mirror_when_arms_swap(pairs: list[tuple[float, float]]) -> None:
    t, c = [p[0] for p in pairs], [p[1] for p in pairs]
    counts, back, swapped = discordant(t, c), discordant(t[::-1], c[::-1]), discordant(c, t)
    assert counts == back
    assert (swapped.treatment_only, swapped.control_only) == (counts.control_only, counts.treatment_only)
    assert counts.n + counts.dropped == len(pairs)
