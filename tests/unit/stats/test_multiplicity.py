"""Adjusted p-values, and the direction in which the running minimum goes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.multiplicity import (
    METHODS,
    adjust,
    benjamini_hochberg,
    benjamini_yekutieli,
    family_size,
    hochberg,
    holm,
)

# Benjamini & Hochberg 1995, section 3.2: fifteen tests, four of them rejected at 5 %
THROMBOLYSIS = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0,
]  # fmt: skip
P_VALUES = st.lists(st.one_of(st.none(), st.floats(1e-12, 1.0)), max_size=20)


def rejected(adjusted: tuple[float | None, ...]) -> int:
    return sum(p is not None and p <= 0.05 for p in adjusted)


def test_published_rejections() -> None:
    # A running minimum from the smallest p would reject all fifteen, the one with p = 1 included.
    assert rejected(benjamini_hochberg(THROMBOLYSIS)) == 4
    assert rejected(benjamini_yekutieli(THROMBOLYSIS)) == 3
    assert rejected(holm(THROMBOLYSIS)) == 3
    assert rejected(hochberg(THROMBOLYSIS)) == 3
    assert benjamini_hochberg(THROMBOLYSIS)[-1] == 1.0


def test_by_hand() -> None:
    p = [0.04, 0.01, 0.03]
    assert holm(p) == pytest.approx((0.06, 0.03, 0.06))
    assert hochberg(p) == pytest.approx((0.04, 0.03, 0.04))
    assert benjamini_hochberg(p) == pytest.approx((0.04, 0.03, 0.04))
    assert benjamini_yekutieli(p) == pytest.approx(tuple(min(1.0, x * 11 / 6) for x in (0.04, 0.03, 0.04)))


def test_agrees_with_statsmodels() -> None:
    multipletests = pytest.importorskip("statsmodels.stats.multitest").multipletests
    rng = np.random.default_rng(1)
    p = np.round(rng.beta(0.4, 2.0, 60), 3)  # with ties
    for ours, theirs in (("holm", "holm"), ("hochberg", "simes-hochberg"), ("bh", "fdr_bh"), ("by", "fdr_by")):
        assert adjust(p.tolist(), ours) == pytest.approx(multipletests(p, method=theirs)[1], rel=1e-12, abs=1e-15)


def test_undefined_p_values_keep_their_place_and_do_not_count() -> None:
    for method in METHODS:
        with_gaps = adjust([None, 0.01, math.nan, 0.04, 0.03], method)
        without = adjust([0.01, 0.04, 0.03], method)
        assert (with_gaps[0], with_gaps[2]) == (None, None)
        assert (with_gaps[1], with_gaps[3], with_gaps[4]) == without
    assert family_size([None, 0.01, math.nan, 0.04]) == 2


def test_empty_and_single_families() -> None:
    for method in METHODS:
        assert adjust([], method) == ()
        assert adjust([None], method) == (None,)
        assert adjust([0.03], method) == (0.03,)


def test_what_is_not_a_probability_is_refused() -> None:
    for wrong in (-0.1, 1.1):
        with pytest.raises(DataError, match="between 0 and 1"):
            holm([0.5, wrong])
    with pytest.raises(DataError, match="bonferroni"):
        adjust([0.5], "bonferroni")


def test_false_discoveries_stay_at_the_level() -> None:
    rng = np.random.default_rng(11)
    shares = []
    for _ in range(400):
        nulls, effects = rng.random(18), rng.random(6) * 1e-3
        q = benjamini_hochberg([*nulls.tolist(), *effects.tolist()])
        found = [i for i, x in enumerate(q) if x is not None and x <= 0.05]
        shares.append(sum(i < 18 for i in found) / max(len(found), 1))
    assert float(np.mean(shares)) <= 0.05 + 3 * float(np.std(shares)) / 20


@settings(deadline=None, derandomize=True)
@given(P_VALUES, st.sampled_from(sorted(METHODS)))
def test_adjusting_never_lowers_p_keeps_the_order_and_ignores_the_sequence(p: list[float | None], method: str) -> None:
    adjusted = adjust(p, method)
    known = [(a, b) for a, b in zip(p, adjusted, strict=True) if a is not None and b is not None]
    assert all(raw <= fixed <= 1.0 for raw, fixed in known)
    assert [fixed for _, fixed in sorted(known)] == sorted(fixed for _, fixed in known)
    assert adjust(p[::-1], method) == adjusted[::-1]
    assert [x is None for x in adjusted] == [x is None for x in p]


@settings(deadline=None, derandomize=True)
@given(st.lists(st.floats(1e-9, 1.0), max_size=20))
def test_hochberg_and_bh_are_never_stricter_than_holm(p: list[float]) -> None:
    for strict, step_up, fdr in zip(holm(p), hochberg(p), benjamini_hochberg(p), strict=True):
        assert strict is not None
        assert step_up is not None
        assert fdr is not None
        assert fdr <= step_up + 1e-12 <= strict + 2e-12
