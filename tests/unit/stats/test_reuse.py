"""Reused controls: the algebra, the saving, and the refusal of another model's answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from batchtrial.errors import DataError
from batchtrial.stats.reuse import ControlReuse, difference_with_reuse
from batchtrial.stats.scores import paired_t

Floats = NDArray[np.float64]


def reuse(treatment: object, control: object, weight: float | None = None) -> ControlReuse:
    return difference_with_reuse(
        np.asarray(treatment, dtype=float),
        np.asarray(control, dtype=float),
        treatment_source="m-2025-01",
        control_source="m-2025-01",
        weight=weight,
    )


def planted(n: int, total: int, seed: int, effect: float = 0.05) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    skill = rng.random(total)
    control = (rng.random(total) < skill).astype(float)
    treatment = (rng.random(total) < np.clip(skill + effect, 0, 1)).astype(float)
    treatment[n:] = math.nan
    return treatment, control


def test_weight_one_is_the_plain_paired_difference() -> None:
    treatment, control = planted(80, 300, 1)
    got, plain = reuse(treatment, control, 1.0), paired_t(treatment[:80] - control[:80])
    assert got.estimate.value == pytest.approx(plain.estimate.value)
    assert got.estimate.ci_low == pytest.approx(plain.estimate.ci_low)
    assert got.variance_ratio == pytest.approx(1.0)


def test_weight_zero_is_the_treated_mean_less_the_mean_of_all_controls() -> None:
    treatment, control = planted(80, 300, 2)
    got = reuse(treatment, control, 0.0)
    assert got.estimate.value == pytest.approx(treatment[:80].mean() - control.mean())


def test_formula_is_the_declared_one() -> None:
    treatment, control = planted(50, 120, 3)
    w = 0.4
    want = (treatment[:50] - w * control[:50]).mean() + (w - 1) * control.mean()
    assert reuse(treatment, control, w).estimate.value == pytest.approx(want)


def test_the_chosen_weight_saves_items_and_is_the_best() -> None:
    treatment, control = planted(500, 5000, 4)
    best = reuse(treatment, control)
    assert best.variance_ratio is not None
    assert 0.5 < best.variance_ratio < 0.85
    assert best.weight is not None
    for other in (0.0, best.weight - 0.2, best.weight + 0.2, 1.0):
        ratio = reuse(treatment, control, other).variance_ratio
        assert ratio is not None
        assert best.variance_ratio <= ratio * 1.01


def test_without_other_items_nothing_is_borrowed() -> None:
    treatment, control = planted(60, 60, 5)
    got = reuse(treatment, control)
    assert got.weight == 1.0
    assert got.estimate.value == pytest.approx((treatment - control).mean())


def test_treated_items_without_control_are_dropped_and_counted() -> None:
    got = reuse([1.0, 0.0, 1.0, math.nan], [1.0, 1.0, math.nan, 0.0])
    assert (got.n_treated, got.n_control, got.estimate.dropped) == (2, 3, 1)


def test_another_snapshot_is_refused() -> None:
    with pytest.raises(DataError, match="snapshot"):
        difference_with_reuse([1.0], [1.0], treatment_source="m-2025-02", control_source="m-2025-01")


def test_wrong_shapes_and_weights_are_refused() -> None:
    with pytest.raises(DataError):
        reuse([1.0], [1.0, 0.0])
    with pytest.raises(DataError):
        reuse([1.0], [1.0], 2.0)


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, math.nan]), st.sampled_from([0.0, 1.0, math.nan])), max_size=25))
def test_any_answers_give_an_interval_or_a_reason(rows: list[tuple[float, float]]) -> None:
    got = reuse([t for t, _ in rows], [c for _, c in rows])
    assert got.estimate.is_defined or got.estimate.reason
    assert got.test.p_value is None or 0.0 < got.test.p_value <= 1.0
