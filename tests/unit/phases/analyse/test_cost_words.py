"""Cost is the second axis of the verdict, and a price for more right answers is printed only for a gain that is more than chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from batchtrial.phases.analyse.cost_words import cost_cell, per_right_answer, two_axes
from batchtrial.phases.analyse.numbers import ONE_ARM
from batchtrial.stats.costs import cost_ratio


def results_of(verdict: str, *, is_claim: bool = True, margin: float | None = 0.02) -> dict[str, Any]:
    record: dict[str, Any] = {"family": "primary", "label": "exact match (all questions)", "temp": 0.0, "verdict": verdict, "is_claim": is_claim}
    return {"tests": [record | {"is_share": True} | ({"margin": {"low": -margin}} if margin is not None else {})]}


def costs_of(value: float | None, low: float | None = None, high: float | None = None, reason: str | None = None) -> dict[str, Any]:
    return {"effectiveness": {"0.0": {"cost_ratio": {"value": value, "ci": [low, high]} | ({"reason": reason} if reason else {})}}}


@pytest.mark.parametrize(
    ("tests", "costs", "said"),
    [
        (
            results_of("non-inferior"),
            costs_of(0.63, 0.58, 0.69),
            "Quality by exact match (all questions) holds within 2 pp and the answers cost 37 % less (31 to 42).",
        ),
        (
            results_of("superior", margin=None),
            costs_of(1.212, 1.2, 1.23),
            "Quality by exact match (all questions) is better and the answers cost 21 % more (20 to 23).",
        ),
        (
            results_of("equivalent"),
            costs_of(0.99, 0.95, 1.03),
            "Quality by exact match (all questions) is the same within 2 pp and whether the answers cost more or less is not settled "
            "(1.0 % less; 5.0 % less to 3.0 % more).",
        ),
        (
            results_of("inconclusive"),
            costs_of(1.0, 1.0, 1.0),
            "What the treatment does to quality by exact match (all questions) is not settled; the answers cost the same.",
        ),
        (
            results_of("inferior"),
            costs_of(0.5, 0.4, 0.6),
            "Quality by exact match (all questions) is worse and the answers cost 50 % less (40 to 60).",
        ),
        (
            results_of("inconclusive"),
            costs_of(0.5, 0.4, 0.6),
            "What the treatment does to quality by exact match (all questions) is not settled; the answers cost 50 % less (40 to 60).",
        ),
        (
            results_of("superior", is_claim=False),
            costs_of(0.5, 0.4, 0.6),
            "No claim is made about quality by exact match (all questions); the answers cost 50 % less (40 to 60).",
        ),
        (
            results_of("superior"),
            costs_of(0.5, reason="an interval needs at least two items"),
            "Quality by exact match (all questions) is better and the answers cost 50 % less (no interval: an interval needs at least two items).",
        ),
    ],
)
def test_quality_and_cost_are_said_together(tests: dict[str, Any], costs: dict[str, Any], said: str) -> None:
    assert two_axes(tests, costs) == said


@pytest.mark.parametrize(
    ("costs", "n_clusters", "said"),
    [
        (
            costs_of(1.0, reason="an interval needs at least two items"),
            None,
            "the answers cost the same (no interval: an interval needs at least two",
        ),
        (costs_of(1.0, 0.9, 1.1), None, "is not settled (the same; 10 % less to 10 % more)"),
        (costs_of(1.05, 1.0, 1.1), None, "is not settled (5.0 % more; the same to 10 % more)"),
        (costs_of(0.5, 0.4, 0.6), None, "cost 50 % less (40 to 60); on 180 of 200 items, since the others have answers of unknown cost."),
        (costs_of(0.5, 0.4, 0.6), 30, "cost 50 % less (40 to 60); 20 items with answers of unknown cost left out."),
        (costs_of(None, reason="no items"), None, "is not defined (no item has answers of known cost in both arms)."),
    ],
)
def test_no_change_is_the_same_and_items_of_unknown_cost_are_counted(costs: dict[str, Any], n_clusters: int | None, said: str) -> None:
    tests = results_of("superior")
    tests["tests"][0]["n_clusters"] = n_clusters
    at_temp = costs["effectiveness"]["0.0"]
    at_temp |= {"items_without_cost": 20 if at_temp["cost_ratio"]["value"] in (0.5, None) else 0}
    at_temp["cost_ratio"]["n"] = 0 if at_temp["cost_ratio"]["value"] is None else 180
    assert said in (two_axes(tests, costs) or "")


def test_a_table_has_the_change_with_its_sign() -> None:
    assert cost_cell(results_of("superior"), costs_of(0.63, 0.58, 0.69)) == "-37 (-42 to -31)"
    assert cost_cell(results_of("superior"), costs_of(1.0004, 0.9, 1.1)) == "+0.04 (-10 to +10)"
    assert cost_cell(results_of("superior"), costs_of(1.05)) == "+5.0"
    assert cost_cell({"tests": []}, costs_of(1.05)) == "-"


def test_nothing_is_said_without_a_price_or_a_verdict() -> None:
    assert two_axes(results_of("superior"), {"effectiveness": None}) is None
    assert two_axes({"tests": []}, costs_of(0.5, 0.4, 0.6)) is None


def test_the_ratio_is_paired_and_clusters_are_its_units() -> None:
    rng = np.random.default_rng(3)
    control = rng.uniform(1, 5, 60)
    treatment = 0.63 * control
    exact = cost_ratio(treatment, control)
    assert (exact.value, exact.ci_low, exact.ci_high) == pytest.approx((0.63, 0.63, 0.63))
    noisy = treatment * rng.uniform(0.5, 1.5, 60)
    alone, doubled = cost_ratio(noisy, control), cost_ratio(np.repeat(noisy, 4), np.repeat(control, 4), clusters=np.repeat(np.arange(60), 4))
    assert (doubled.value, doubled.ci_low, doubled.ci_high) == pytest.approx((alone.value, alone.ci_low, alone.ci_high))
    assert doubled.n == 60
    one = cost_ratio(noisy, control, clusters=np.zeros(60))
    assert (one.ci_low, one.reason) == (None, "an interval needs at least two clusters")


def test_a_price_for_more_right_answers_needs_a_gain() -> None:
    each = {"control": {"usd": 0.5}, "treatment": {"usd": 0.25}}
    reason = "the effect's interval includes zero"
    (unclear,) = per_right_answer(
        {"effectiveness": {"0.0": {"usd_per_correct": each, "usd_per_additional_correct": {"usd": 0.1, "ci": [None, None], "reason": reason}}}}
    )
    assert unclear.endswith("per additional right answer: no price (the effect's interval includes zero).")
    (clear,) = per_right_answer({"effectiveness": {"0.0": {"usd_per_correct": each, "usd_per_additional_correct": {"usd": 0.1, "ci": [0.05, 0.2]}}}})
    assert clear.endswith("per additional right answer: $0.1000, $0.0500 to $0.2000.")


def test_where_nothing_is_right_no_cost_per_right_answer_is_called_unknown() -> None:
    extra = {"usd": None, "ci": [None, None], "reason": "the arms are right equally often: there is no price"}
    no_right, no_item = ({"usd": None, "ci": [None, None], "reason": why} for why in ("the denominator is zero on average", "no items"))
    (said,) = per_right_answer(
        {"effectiveness": {"0.0": {"usd_per_correct": {"control": {"usd": 0.5}, "treatment": no_right}, "usd_per_additional_correct": extra}}}
    )
    assert "$0.5000 per right answer under the control, no right answer to divide its cost by under the treatment" in said
    (said,) = per_right_answer(
        {"effectiveness": {"0.0": {"usd_per_correct": {"control": no_item, "treatment": no_item}, "usd_per_additional_correct": extra}}}
    )
    assert "no item with known cost and a score in both arms under the control" in said
    assert "unknown" not in said


def test_an_arm_beside_itself_has_no_second_axis() -> None:
    one = results_of("not decidable", is_claim=False)
    one["tests"][0]["not_decidable"] = f"not decidable: {ONE_ARM}"
    assert two_axes(one, costs_of(1.0, 1.0, 1.0)) is None
