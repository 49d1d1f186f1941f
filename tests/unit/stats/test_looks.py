"""Planned looks: bounds as planned, decisions in order, and numbers of a trial that stopped against a simulation of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from batchtrial.errors import DataError
from batchtrial.stats.distributions import norm_isf
from batchtrial.stats.looks import STOPS, Look, LookPlan, Statistic, decide, ended, predictive_power, statistic
from batchtrial.stats.looks_ahead import looks_ahead
from batchtrial.stats.sequential import spending_bounds, stagewise_drifts, stagewise_test

PLAN = LookPlan(alpha=0.05, n_max=500, looks=5, futility=0.05, min_changed=10)


def seen(b: int, c: int, n: int) -> Statistic:
    treatment = np.r_[np.ones(b), np.zeros(n - b)]
    control = np.r_[np.zeros(b), np.ones(c), np.zeros(n - b - c)]
    return statistic(treatment, control, is_right_or_wrong=True, clusters=None, margin=None, higher_is_better=True)


def test_the_statistic_is_mcnemars_tangos_or_students() -> None:
    assert seen(20, 5, 100).z == pytest.approx(15 / 5)
    rng = np.random.default_rng(3)
    treatment, control = rng.random(200) + 0.1, rng.random(200)
    graded = statistic(treatment, control, is_right_or_wrong=False, clusters=None, margin=None, higher_is_better=True)
    d = treatment - control
    assert graded.z == pytest.approx(d.mean() / (d.std(ddof=1) / math.sqrt(200)), rel=0.02)
    assert math.sqrt(graded.variance / 200) * graded.z == pytest.approx(d.mean())
    lower = statistic(control, treatment, is_right_or_wrong=False, clusters=None, margin=0.05, higher_is_better=False)
    assert lower.z == pytest.approx(statistic(treatment, control, is_right_or_wrong=False, clusters=None, margin=0.05, higher_is_better=True).z)
    together = np.repeat(np.arange(20), 10)
    assert abs(statistic(treatment, control, is_right_or_wrong=False, clusters=together, margin=None, higher_is_better=True).z) < abs(graded.z) * 1.6
    same = statistic(control, control, is_right_or_wrong=False, clusters=None, margin=None, higher_is_better=True)
    assert (same.z, same.changed) == (0.0, 0)


@pytest.mark.parametrize("gain", [1 / 3, 1 - 2 / 3, -0.25])
def test_answers_that_all_differ_by_the_same_are_no_futile_trial(gain: float) -> None:
    """There is no spread to judge by: signs say how surely it is shown, of whole clusters where there are such."""
    control = np.full(40, 2 / 3)
    seen = statistic(control + gain, control, is_right_or_wrong=False, clusters=None, margin=None, higher_is_better=True)
    assert seen.z == pytest.approx(math.copysign(norm_isf(0.5**40), gain))
    assert decide(LookPlan(n_max=60, looks=3, alpha=0.05, min_changed=3, futility=0.05), (), 40, seen).decision == "crossed"
    units = np.arange(40) // 10
    few = statistic(control + gain, control, is_right_or_wrong=False, clusters=units, margin=None, higher_is_better=True)
    assert abs(few.z) == pytest.approx(norm_isf(0.5**4))
    uneven = np.linspace(0.1, 0.4, 40)
    by_rounding = statistic(uneven + gain, uneven, is_right_or_wrong=False, clusters=None, margin=None, higher_is_better=True)
    assert by_rounding.z == pytest.approx(seen.z), "differences that differ by rounding are no spread"
    of_a_margin = statistic(control + gain, control, is_right_or_wrong=False, clusters=None, margin=0.1, higher_is_better=True)
    assert of_a_margin.z == 0.0, "and prove no margin"
    nothing = statistic(control, control, is_right_or_wrong=False, clusters=None, margin=0.1, higher_is_better=True)
    assert (nothing.z, statistic(control[:0], control[:0], is_right_or_wrong=False, clusters=None, margin=None, higher_is_better=True).z) == (
        0.0,
        0.0,
    )


@pytest.mark.parametrize(("n_clusters", "decision"), [(1, "too few changed"), (5, "too few changed"), (6, "crossed"), (20, "crossed")])
def test_no_look_stops_a_trial_of_which_too_few_documents_were_seen_to_decide(n_clusters: int, decision: str) -> None:
    control, treatment = np.zeros(120), np.ones(120)
    treatment[::10] = 0.0
    units = np.arange(120) % n_clusters
    seen = statistic(treatment, control, is_right_or_wrong=True, clusters=units, margin=None, higher_is_better=True)
    plan = LookPlan(n_max=140, looks=2, alpha=0.05, min_changed=10, futility=None)
    assert decide(plan, (), 120, seen).decision == decision


def test_looks_are_taken_in_order_and_end_with_the_first_stop() -> None:
    first = decide(PLAN, (), 100, seen(5, 3, 100))
    assert first.decision == "too few changed"
    second = decide(PLAN, (first,), 200, seen(40, 15, 200))
    assert second.bound == pytest.approx(spending_bounds([200.0], max_information=500).z_bounds[0])
    assert second.decision == ("crossed" if abs(second.z) >= (second.bound or 0) else "go on")
    with pytest.raises(DataError, match="this look was taken"):
        decide(PLAN, (second,), 200, seen(40, 15, 200))
    futile = decide(PLAN, (first,), 300, seen(31, 30, 300))
    assert futile.decision == "futile"
    assert futile.power == pytest.approx(predictive_power(futile.z, 0.6, 1.98), abs=0.02)
    with pytest.raises(DataError):
        decide(PLAN, (futile,), 400, seen(31, 30, 400))
    assert decide(PLAN, (), 500, seen(31, 30, 500)).decision == "end"


def test_one_look_at_the_end_is_the_usual_interval() -> None:
    look = Look(n_items=500, z=2.5, changed=100, bound=norm_isf(0.025), decision="crossed")
    found = ended(PLAN, (look,), Statistic(z=2.5, variance=0.2, n=500, changed=100), level=0.95)
    se = math.sqrt(0.2 / 500)
    assert found.estimate.value == pytest.approx(2.5 * se)
    assert found.estimate.ci_low == pytest.approx((2.5 - 1.959964) * se, rel=1e-5)
    assert found.estimate.ci_high == pytest.approx((2.5 + 1.959964) * se, rel=1e-5)


def test_the_interval_of_a_stopped_trial_is_what_a_simulation_says() -> None:
    bounds = spending_bounds([100.0, 200.0, 300.0], max_information=500.0)
    z = 3.1
    ends = stagewise_drifts(bounds, look=2, z=z)
    rng, t = np.random.default_rng(5), np.array([0.2, 0.4, 0.6])
    for drift, chance in zip(ends, (0.025, 0.5, 0.975), strict=True):
        steps = rng.normal(drift * 0.2, math.sqrt(0.2), size=(200_000, 3))
        paths = np.cumsum(steps, axis=1) / np.sqrt(t)
        upper = [float(b or math.inf) for b in bounds.z_bounds]
        out1, out2 = np.abs(paths[:, 0]) >= upper[0], np.abs(paths[:, 1]) >= upper[1]
        beyond = (paths[:, 0] >= upper[0]) | (~out1 & (paths[:, 1] >= upper[1])) | (~out1 & ~out2 & (paths[:, 2] >= z))
        assert float(beyond.mean()) == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / 200_000))


def test_p_and_interval_say_the_same() -> None:
    bounds = spending_bounds([100.0, 200.0, 300.0, 400.0, 500.0], max_information=500.0, is_final=True)
    at = bounds.z_bounds[4] or 0.0
    assert stagewise_test(bounds, look=4, z=at).p_value == pytest.approx(0.05, abs=1e-6)
    assert stagewise_drifts(bounds, look=4, z=at)[0] == pytest.approx(0.0, abs=2e-3)


def test_a_margin_is_tested_on_one_side_and_less_may_be_better() -> None:
    plan = LookPlan(alpha=0.05, n_max=400, looks=4, futility=None, min_changed=0)
    rng = np.random.default_rng(11)
    control = (rng.random(400) < 0.5).astype(float)
    treatment = control.copy()
    treatment[:6], control[:6] = 1.0 - control[:6], control[:6]
    found = statistic(treatment, control, is_right_or_wrong=True, clusters=None, margin=0.05, higher_is_better=False)
    assert found.z > 0
    look = decide(plan, (), 400, found)
    end = ended(plan, (look,), found, level=0.95)
    assert end.test.p_value is not None
    assert end.test.p_value <= 0.025
    assert end.estimate.value == pytest.approx(float((treatment - control).mean()), abs=0.01)
    assert end.estimate.ci_high is not None
    assert end.estimate.ci_high < 0.05


def test_what_is_planned_ahead_is_what_trials_do() -> None:
    plan, rng = LookPlan(alpha=0.05, n_max=400, looks=4, futility=0.05, min_changed=0), np.random.default_rng(2)
    ahead, crossed, used = looks_ahead(plan, 0.08, 0.2 - 0.08**2), 0, 0
    for _ in range(400):
        u = rng.random(400)
        b, c = np.cumsum(u < 0.14), np.cumsum((u >= 0.14) & (u < 0.2))
        looks: list[Look] = []
        for n in (100, 200, 300, 400):
            looks.append(decide(plan, looks, n, seen(int(b[n - 1]), int(c[n - 1]), n)))
            if looks[-1].decision in STOPS:
                break
        crossed, used = crossed + (looks[-1].decision == "crossed"), used + looks[-1].n_items
    assert crossed / 400 == pytest.approx(ahead.power, abs=0.08)
    assert used / 400 == pytest.approx(ahead.items, rel=0.06)
    assert looks_ahead(plan, 0.0, 0.2).power == pytest.approx(0.05, abs=0.006)
    assert looks_ahead(plan, 0.0, 0.2).items < 400
