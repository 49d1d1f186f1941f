"""Power of the analysis that will be made: exact where counts decide, at the level of one trial, with the width of several samples."""

from __future__ import annotations

import math

import pytest

from batchtrial.errors import DataError
from batchtrial.stats.binary import mcnemar_midp
from batchtrial.stats.claim_power import PlannedTest, Spread, claim_power, detectable, items_for_claim, level_of_trial
from batchtrial.stats.intervals import effective_tango, tango_z
from batchtrial.stats.power import mcnemar_power, paired_t_power

ONE = Spread(means=0.2 - 0.05**2, single=0.2 - 0.05**2)
"""A fifth of the items change, at an effect of 5 pp."""


def multinomial(b: int, c: int, n: int, p_b: float, p_c: float) -> float:
    return math.comb(n, b) * math.comb(n - b, c) * p_b**b * p_c**c * (1 - p_b - p_c) ** (n - b - c)


def test_a_difference_of_counts_has_the_enumerated_power_of_mid_p() -> None:
    assert claim_power(300, 0.05, ONE, PlannedTest()) == pytest.approx(mcnemar_power(300, 0.125, 0.075), abs=1e-9)
    assert items_for_claim(0.05, ONE, PlannedTest()).n_items == 622  # mcnemar_items_exact(0.125, 0.075)
    assert detectable(300, ONE, PlannedTest(), effect=0.05).effect == pytest.approx(0.07136, abs=1e-5)  # mcnemar_mde(300, 0.2)
    assert (mcnemar_midp(3, 12).p_value or 0.0) < 0.05  # the test it stands for


def test_many_changed_items_join_the_enumerated_power_without_a_step() -> None:
    below, above = (claim_power(n, 0.02, ONE, PlannedTest()) for n in (2490, 2520))
    assert below == pytest.approx(above, abs=0.01)


@pytest.mark.parametrize("goal", ["noninferiority", "equivalence"])
def test_a_margin_on_counts_is_summed_over_every_table_that_tango_passes(goal: str) -> None:
    test = PlannedTest(goal="equivalence" if goal == "equivalence" else "noninferiority", margin=0.2, alpha=0.1)
    n, p = 25, 0.1
    want = 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            passes = tango_z(b, c, n, -0.2) >= 1.6448536 and (goal != "equivalence" or tango_z(c, b, n, -0.2) >= 1.6448536)
            want += multinomial(b, c, n, p, p) if passes else 0.0
    assert claim_power(n, 0.0, Spread(means=0.2, single=0.2), test) == pytest.approx(want, rel=1e-9)


def test_scores_have_the_power_of_the_paired_t_test() -> None:
    assert claim_power(60, 0.1, Spread(means=0.09, single=0.09), PlannedTest(is_share=False)) == pytest.approx(
        paired_t_power(60, 0.1 / 0.3), abs=1e-5
    )


def test_flips_of_few_shares_lose_half_a_step_of_their_lattice() -> None:
    shares, scores = (claim_power(43, 0.15, Spread(means=0.1, single=0.3), PlannedTest(samples=5, is_share=one)) for one in (True, False))
    assert scores - 0.05 < shares < scores - 0.01


def test_trials_that_share_alpha_need_more_items() -> None:
    sizes = [items_for_claim(0.05, ONE, PlannedTest(alpha=level_of_trial(0.05, t))).n_items or 0 for t in (1, 2, 3)]
    assert sizes[0] < sizes[1] < sizes[2]
    with pytest.raises(DataError):
        level_of_trial(0.05, 0)


def test_several_samples_pay_for_their_imagined_changes_and_their_width() -> None:
    spread, test = Spread(means=0.05, single=0.2), PlannedTest(goal="noninferiority", margin=0.05, samples=5)
    n = items_for_claim(0.0, spread, test).n_items or 0
    by_t = (1.959963985 + 0.841621234) ** 2 * 0.05 / 0.05**2
    width = effective_tango([1.0, 0.8, 0.2, 0.6], [0.8, 0.8, 0.4, 0.6], samples_treatment=5, samples_control=5).design_effect
    assert 1.06 * by_t < n < 1.3 * by_t
    assert width > 0.2 * 1.06


def test_clusters_cost_items_and_too_few_of_them_decide_nothing() -> None:
    clustered = PlannedTest(design_effect=2.0, cluster_size=10.0)
    assert claim_power(500, 0.05, ONE, clustered) < claim_power(500, 0.05, ONE, PlannedTest())
    assert claim_power(50, 0.3, ONE, clustered) == 0.0  # five clusters
    assert claim_power(60, 0.9, ONE, clustered) > 0.0
    by_margin = PlannedTest(goal="noninferiority", margin=0.1, design_effect=2.0, cluster_size=10.0)
    assert 0.0 < claim_power(200, 0.0, ONE, by_margin) < claim_power(200, 0.0, ONE, PlannedTest(goal="noninferiority", margin=0.1))


def test_what_no_number_of_items_shows_has_none_and_says_why() -> None:
    assert items_for_claim(0.0, ONE, PlannedTest()).reason == "no number of items finds a difference of 0"
    beyond = items_for_claim(-0.05, ONE, PlannedTest(goal="noninferiority", margin=0.05))
    assert (beyond.n_items, beyond.reason) == (None, "the true difference does not keep the margin")
    assert detectable(10, Spread(means=0.0, single=0.0), PlannedTest()).effect is None
    assert detectable(10, Spread(means=0.0, single=0.0), PlannedTest(is_share=False)).effect is None


@pytest.mark.parametrize("wrong", [{"margin": 0.1}, {"goal": "equivalence"}, {"samples": 0}, {"design_effect": 0.0}, {"cluster_size": 0.5}])
def test_contradictions_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError):
        PlannedTest(**wrong)  # type: ignore[arg-type]
