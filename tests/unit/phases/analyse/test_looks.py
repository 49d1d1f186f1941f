"""A planned look at a margin is the test that the analysis makes of the same pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from batchtrial.phases.analyse.comparison import compare
from batchtrial.phases.analyse.looks import seen_in, sentence
from batchtrial.phases.analyse.paired import Paired
from batchtrial.stats.distributions import norm_sf
from batchtrial.stats.judging import judge_findings
from batchtrial.stats.looks import AT_THE_LOOK, LookPlan, decide, ended
from batchtrial.stats.plan import AnalysisPlan, Endpoint, Finding
from batchtrial.stats.results import Estimate, Test

RIGHT = np.ones(100)


def flipped(n: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.where(np.arange(100) < n, 0.0, 1.0)


@pytest.mark.parametrize(
    ("control", "treatment", "how", "margin"),
    [
        (RIGHT, flipped(0), {"samples_treatment": 5, "samples_control": 5}, 0.05),
        (RIGHT, flipped(1), {"samples_treatment": 5, "samples_control": 5}, 0.03),
        (RIGHT, flipped(4), {"samples_treatment": 2, "samples_control": 2}, 0.05),
        (RIGHT, flipped(0), {"clusters": np.repeat(np.arange(20), 5)}, 0.05),
        (RIGHT, flipped(7), {"clusters": np.repeat(np.arange(20), 5)}, 0.1),
        (RIGHT, RIGHT, {"is_number": True, "known_limits": (0.0, 1.0)}, 0.05),
        (RIGHT * 3, RIGHT * 3 + flipped(50) * 2, {"is_number": True}, 3.0),
        (RIGHT, flipped(30), {"samples_treatment": 2, "samples_control": 2}, 0.05),
    ],
)
@pytest.mark.parametrize("is_up", [True, False])
def test_a_margin_is_looked_at_by_its_own_test(control: Any, treatment: Any, how: dict[str, Any], margin: float, is_up: bool) -> None:
    """Of samples that rarely flip, Student's error claims falsely in .14 where .025 were promised; where none flips there is none."""
    both = Paired(treatment=treatment, control=control, **how) if is_up else Paired(treatment=control, control=treatment, **how)
    endpoint = Endpoint(name="e", goal="noninferiority", margin=margin, higher_is_better=is_up, is_share=margin < 1)
    one = compare(both, level=0.95, seed=1, flips=99, endpoint=endpoint)
    assert one.margin is not None
    p = one.margin.above_low.p_value
    assert p is not None
    seen = seen_in(both, endpoint)
    assert norm_sf(seen.z) == pytest.approx(p, rel=1e-6)
    plan = LookPlan(alpha=0.05, n_max=100, looks=2, futility=None, min_changed=0)
    look = decide(plan, (), 100, seen)
    assert (look.decision == "crossed" and look.z > 0) == (p <= 0.025)
    at_end = ended(plan, (look,), seen, level=0.95)
    assert at_end.estimate.value == pytest.approx(float(both.treatment.mean() - both.control.mean()), abs=1e-6)
    assert at_end.test.p_value == pytest.approx(p, rel=1e-3)


def test_where_the_margin_has_no_test_a_look_sees_nothing() -> None:
    endpoint = Endpoint(name="e", goal="noninferiority", margin=3.0, is_share=False)
    for clusters in (None, np.zeros(100, dtype=np.int64)):
        seen = seen_in(Paired(treatment=RIGHT * 4, control=RIGHT * 4, is_number=True, clusters=clusters), endpoint)
        assert (seen.z, seen.variance, seen.n) == (0.0, 0.0, 100)


def test_a_p_at_the_level_of_a_look_is_not_borderline_beside_an_interval_that_is_not() -> None:
    estimate = Estimate(value=0.1, ci_low=0.05, ci_high=0.15, level=0.95, method="tango", n=100)
    plan = AnalysisPlan(primary=Endpoint(name="e", goal="noninferiority", margin=0.2))
    for warnings, is_borderline in (((), True), ((AT_THE_LOOK,), False)):
        test = Test(statistic=2.0, p_value=1.0, method="sign_flip", n=100, warnings=warnings)
        (one,) = judge_findings(plan, [Finding(name="e", estimate=estimate, test=test, margin_test_p=0.001)])
        assert any("borderline" in told for told in one.warnings) == is_borderline
        assert (AT_THE_LOOK in one.warnings) != is_borderline


@pytest.mark.parametrize(("changed", "few"), [(4, "fewer than 10 items changed"), (40, "too few documents to decide by")])
def test_a_look_that_does_not_decide_says_what_there_is_too_little_of(changed: int, few: str) -> None:
    plan = LookPlan(alpha=0.05, n_max=500, looks=5, futility=0.05, min_changed=10)
    told = {"z": 3.0, "pairs": 100, "changed": changed, "decision": "too few changed", "endpoint": "em"}
    assert f"goes on: {few}" in sentence("a", {"n_items": 100, "n_max": 500, "trials": {"a": told}}, plan)
