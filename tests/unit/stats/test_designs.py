"""Planning: planted variance shares are found, every design is priced, and the cheapest able one is chosen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from batchtrial.errors import DataError
from batchtrial.stats.claim_power import PlannedTest
from batchtrial.stats.designs import VarianceShares, cheapest_design, design_table, variance_shares

SHARES = VarianceShares(between=0.05, treatment=0.12, control=0.10, n_items=100)


def test_variance_shares_find_what_was_planted() -> None:
    rng = np.random.default_rng(8)
    truth = rng.normal(0.0, 0.3, size=(6000, 1))
    treatment = truth + rng.normal(0.0, 0.5, size=(6000, 4))
    control = rng.normal(0.0, 0.4, size=(6000, 3))
    got = variance_shares(treatment, control)
    assert got.between == pytest.approx(0.09, rel=0.1)
    assert got.treatment == pytest.approx(0.25, rel=0.05)
    assert got.control == pytest.approx(0.16, rel=0.05)
    spread = float((treatment.mean(axis=1) - control.mean(axis=1)).var(ddof=1))
    assert got.of_difference(4, 3) == pytest.approx(spread)


def test_missing_samples_are_left_out_item_by_item() -> None:
    treatment = [[1.0, 0.0], [1.0, math.nan], [math.nan, math.nan], [0.0, 0.0]]
    got = variance_shares(treatment, [[1.0], [0.0], [1.0], [0.0]])
    assert (got.n_items, got.dropped) == (3, 1)
    assert got.treatment == pytest.approx((0.5 + 0.0) / 2)
    assert any("control" in warning for warning in got.warnings)


def test_one_sample_cannot_tell_noise_from_items_and_says_so() -> None:
    got = variance_shares([1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0])
    assert (got.treatment, got.control, len(got.warnings)) == (0.0, 0.0, 2)
    assert got.between == pytest.approx(np.var([1, 0, 0, -1], ddof=1))


def test_pure_answer_noise_leaves_no_share_between_items() -> None:
    got = variance_shares([[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]])
    assert got.between == 0.0
    assert got.warnings


def test_table_prices_every_design_and_more_of_either_sees_more() -> None:
    table = design_table(
        SHARES,
        items=[100, 400],
        samples=[1, 5],
        usd_per_treatment_answer=0.002,
        usd_per_control_answer=0.001,
        test=PlannedTest(is_share=False),
        target=0.05,
    )
    assert [(d.n_items, d.n_samples) for d in table] == [(100, 1), (100, 5), (400, 1), (400, 5)]
    assert table[1].cost_usd == pytest.approx(100 * 5 * 0.003)
    mdes = [d.mde or math.nan for d in table]
    assert mdes[0] > mdes[1] > mdes[3]
    assert mdes[0] > mdes[2] > mdes[3]
    assert all((d.mde is not None and d.power is not None) and (d.mde <= 0.05) == (d.power >= 0.8) for d in table)


def test_reused_control_costs_nothing() -> None:
    table = design_table(
        SHARES,
        items=[50],
        samples=[2],
        usd_per_treatment_answer=0.01,
        usd_per_control_answer=0.01,
        is_control_reused=True,
    )
    assert table[0].n_requests == 100
    assert table[0].cost_usd == pytest.approx(1.0)


def test_cheapest_design_is_the_cheapest_that_can() -> None:
    table = design_table(SHARES, items=[50, 500, 5000], samples=[1, 5], usd_per_treatment_answer=0.001, usd_per_control_answer=0.001)
    best = cheapest_design(table, target=0.05)
    assert best is not None
    assert best.mde is not None
    assert best.mde <= 0.05
    assert all(d.cost_usd >= best.cost_usd for d in table if d.mde is not None and d.mde <= 0.05)
    assert cheapest_design(table, target=1e-6) is None


@pytest.mark.parametrize("rows", [[], [[1.0]], [[1.0], [math.nan]]])
def test_a_pilot_without_two_items_is_refused(rows: list[list[float]]) -> None:
    with pytest.raises(DataError):
        variance_shares(rows, rows)


def test_a_design_without_items_is_refused() -> None:
    with pytest.raises(DataError):
        design_table(SHARES, items=[0], samples=[1], usd_per_treatment_answer=0.0, usd_per_control_answer=0.0)
