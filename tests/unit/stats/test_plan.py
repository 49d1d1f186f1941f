"""Verdicts on constructed outcomes: each is right, and none says more than the plan allows."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import ConfigError, DataError
from batchtrial.stats.binary import mcnemar_midp
from batchtrial.stats.intervals import tango
from batchtrial.stats.judging import judge_findings
from batchtrial.stats.multiplicity import benjamini_hochberg, holm
from batchtrial.stats.noninferiority import equivalence_binary, noninferiority_binary
from batchtrial.stats.plan import AnalysisPlan, Endpoint, Finding, Judgement, LostAnswers, check_followed
from batchtrial.stats.results import Estimate, Test
from batchtrial.stats.rounding import p_phrase
from batchtrial.stats.shared_alpha import shares_of_alpha
from batchtrial.stats.wording import difference, followed, sentence

EM = Endpoint(name="em", label="exact match")
EM_NI = Endpoint(name="em", label="exact match", goal="noninferiority", margin=0.03)
EM_EQ = Endpoint(name="em", label="exact match", goal="equivalence", margin=0.03)
FORBIDDEN_OUTSIDE_THE_PLAN = ("superior to the control", "inferior to the control", "control are equivalent", "significant", "proves")


def finding(b: int, c: int, n: int = 1000, name: str = "em", margin: str = "", family: str | None = None) -> Finding:
    """A right/wrong comparison as the statistics would hand it over; margin names the test: ni or eq, at 3 pp."""
    tests = {"ni": noninferiority_binary, "eq": equivalence_binary}
    p = tests[margin](b, c, n, 0.03).p_value if margin else None
    return Finding(name=name, estimate=tango(b, c, n), test=mcnemar_midp(b, c), margin_test_p=p, family=family)


def judged(plan: AnalysisPlan, *findings: Finding) -> Judgement:
    return judge_findings(plan, findings)[0]


def test_superior() -> None:
    got = judged(AnalysisPlan(primary=EM), finding(120, 60))
    assert (got.verdict, got.standing, got.is_claim, got.correction) == ("superior", "primary", True, "none")
    text = sentence(got)
    assert text.startswith("Primary endpoint: the treatment is superior to the control on exact match (difference +6.0 pp, 95 % CI +3.4 to +8.6")
    assert "p < 0.001" in text


def test_an_interval_that_disagrees_with_its_test_is_not_put_down_to_a_correction() -> None:
    alone = judged(AnalysisPlan(primary=EM), finding(46, 29, 195))
    assert (alone.verdict, alone.p_adjusted) == ("inconclusive", alone.p_raw)
    assert "CI +0.01 to +17.3 pp, p = 0.0505). Interval and test are different approximations, which disagree at this border" in sentence(alone)
    few = dataclasses.replace(finding(120, 60), estimate=dataclasses.replace(finding(120, 60).estimate, ci_low=-0.548, ci_high=1.0))
    assert judged(AnalysisPlan(primary=EM), few).verdict == "superior"
    assert "disagree at this border; the verdict is the test's" in sentence(judged(AnalysisPlan(primary=EM), few))
    assert "disagree" not in sentence(judged(AnalysisPlan(primary=EM), finding(120, 60)))
    plan = AnalysisPlan(primary=EM, confirmatory=tuple(dataclasses.replace(EM, name=name) for name in ("f1", "words")))
    corrected = judge_findings(plan, [finding(120, 60), finding(80, 57, 257, name="f1"), finding(50, 50, name="words")])[1]
    assert corrected.verdict == "inconclusive"
    assert "corrected for the tests beside it, it shows nothing" in sentence(corrected)


def test_inferior() -> None:
    got = judged(AnalysisPlan(primary=EM), finding(60, 120))
    assert (got.verdict, got.is_claim) == ("inferior", True)
    assert "the treatment is inferior to the control on exact match (difference -6.0 pp" in sentence(got)


@pytest.mark.parametrize("why", [{"not_decidable": "the judge prefers, and no claim"}, {"is_another": True}], ids=["no labels", "changed late"])
def test_an_endpoint_that_can_claim_nothing_keeps_its_part_of_alpha(why: dict[str, Any]) -> None:
    """Whether a judge gets its labels is decided after the first result: p .04 beside it is .08 with labels, and must be without."""
    plan = AnalysisPlan(primary=EM, confirmatory=(dataclasses.replace(EM, name="judge"), dataclasses.replace(EM, name="f1")))
    own = [dataclasses.replace(finding(120, 60), name=name) for name in ("judge", "f1")]
    f1 = dataclasses.replace(own[1], test=dataclasses.replace(own[1].test, p_value=0.04))
    for p in (1e-9, 0.9):
        judge = dataclasses.replace(own[0], test=dataclasses.replace(own[0].test, p_value=p), **why)
        got = judge_findings(plan, [finding(120, 60), judge, f1])
        assert (got[2].p_adjusted, got[2].m, got[2].is_claim) == (0.08, 2, False)
        assert not got[1].is_claim
    labelled = dataclasses.replace(own[0], test=dataclasses.replace(own[0].test, p_value=1e-9))
    assert judge_findings(plan, [finding(120, 60), labelled, f1])[2].is_claim


def test_a_trial_hands_no_alpha_on_for_an_endpoint_that_was_changed_late() -> None:
    plan = AnalysisPlan(primary=EM)
    changed = dataclasses.replace(finding(120, 60), is_another=True)
    assert shares_of_alpha([(plan, [finding(120, 60)]), (plan, [finding(60, 70)])]) == (0.5, 1.0)
    assert shares_of_alpha([(plan, [changed]), (plan, [finding(60, 70)])]) == (0.5, 0.5)


def test_lower_is_better_turns_the_verdict_round() -> None:
    wrong = Endpoint(name="hallucinated", label="hallucination rate", higher_is_better=False)
    fewer = judged(AnalysisPlan(primary=wrong), finding(20, 70, name="hallucinated"))
    assert fewer.verdict == "superior"
    assert "superior to the control on hallucination rate (difference -5.0 pp" in sentence(fewer)
    assert judged(AnalysisPlan(primary=wrong), finding(70, 20, name="hallucinated")).verdict == "inferior"


def test_non_inferior() -> None:
    got = judged(AnalysisPlan(primary=EM_NI), finding(60, 62, margin="ni"))
    assert (got.verdict, got.is_claim) == ("non-inferior", True)
    text = sentence(got)
    assert "is non-inferior to the control on exact match at the declared margin of 3 pp" in text
    assert "p of the margin test" in text
    assert text.endswith("This does not show that it is better.")


def test_non_inferiority_reached_by_being_better_is_superiority() -> None:
    got = judged(AnalysisPlan(primary=EM_NI), finding(120, 60, margin="ni"))
    assert got.verdict == "superior"
    assert "margin test" not in sentence(got)


@pytest.mark.parametrize("margin_p", [None, 0.2])
def test_a_difference_without_the_declared_margin_test_claims_nothing_and_opens_no_gate(margin_p: float | None) -> None:
    """Signs may agree in every cluster while their spread leaves the margin open: then the interval holds the margin, and so must the words."""
    plan = AnalysisPlan(primary=EM_NI, confirmatory=(dataclasses.replace(EM, name="s0"),))
    beside = dataclasses.replace(finding(120, 60), margin_test_p=margin_p)
    got = judge_findings(plan, [beside, finding(140, 50, name="s0")])
    assert [(one.verdict, one.is_claim) for one in got] == [("superior", False), ("superior", False)]
    assert not got[0].reaches_goal
    assert "points to the treatment being better" in sentence(got[0])
    assert "did not reach its declared goal" in sentence(got[0])
    at_worst = LostAnswers(low=0.0, high=0.1, difference_p=1e-6, margin_p=margin_p, n_lost=9)
    lost = dataclasses.replace(finding(120, 60, margin="ni"), lost=at_worst)
    assert not judged(plan, lost).is_claim


def test_worse_than_the_margin_is_inferior_and_worse_within_it_carries_a_warning() -> None:
    assert judged(AnalysisPlan(primary=EM_NI), finding(60, 120, margin="ni")).verdict == "inferior"
    within = judged(AnalysisPlan(primary=EM_NI), finding(200, 260, n=20_000, margin="ni"))
    assert within.verdict == "non-inferior"
    assert "the treatment is significantly worse than the control, margin or not" in within.warnings


def test_equivalent() -> None:
    got = judged(AnalysisPlan(primary=EM_EQ), finding(40, 42, margin="eq"))
    assert (got.verdict, got.is_claim) == ("equivalent", True)
    assert "treatment and control are equivalent on exact match within the declared margin of 3 pp" in sentence(got)


def test_not_equivalent_but_different() -> None:
    assert judged(AnalysisPlan(primary=EM_EQ), finding(120, 60, margin="eq")).verdict == "superior"
    assert judged(AnalysisPlan(primary=EM_EQ), finding(60, 120, margin="eq")).verdict == "inferior"


@pytest.mark.parametrize(
    ("endpoint", "margin", "words"),
    [
        (EM, "", "do not settle whether the arms differ on exact match"),
        (EM_NI, "ni", "do not settle whether the treatment is non-inferior at the margin of 3 pp on exact match"),
        (EM_EQ, "eq", "do not settle whether the arms are equivalent at the margin of 3 pp on exact match"),
    ],
)
def test_inconclusive_names_what_remains_possible_and_never_claims_no_difference(endpoint: Endpoint, margin: str, words: str) -> None:
    got = judged(AnalysisPlan(primary=endpoint), finding(60, 70, n=300, margin=margin))
    assert (got.verdict, got.is_claim) == ("inconclusive", False)
    text = sentence(got)
    assert words in text
    assert text.endswith("Every difference inside the interval remains possible.")
    assert "no difference" not in text


def test_a_margin_that_was_not_declared_is_never_used() -> None:
    # the margin test is there and passes; the plan asked for superiority only
    got = judged(AnalysisPlan(primary=EM), finding(40, 42, margin="eq"))
    assert got.verdict == "inconclusive"
    undeclared = judged(AnalysisPlan(), finding(40, 42, margin="eq"))
    assert (undeclared.standing, undeclared.verdict) == ("undeclared", "inconclusive")


def test_undeclared_endpoint_gets_exploratory_wording_only() -> None:
    got = judged(AnalysisPlan(primary=EM), finding(120, 60, name="f1", margin="ni"), finding(50, 50))
    assert (got.standing, got.verdict, got.is_claim, got.correction) == ("undeclared", "superior", False, "bh")
    text = sentence(got)
    assert text.startswith("Exploratory, not declared before the run: f1 points to the treatment being better")
    assert text.endswith("A new run would have to confirm this.")
    assert not any(word in text for word in FORBIDDEN_OUTSIDE_THE_PLAN)


def test_exploratory_families_are_corrected_apart_with_q_and_m() -> None:
    plan = AnalysisPlan(primary=EM, exploratory=("subgroup", "temperature"))
    findings = [finding(120, 60)]
    findings += [finding(30 + i, 20, name=f"topic{i}", family="subgroup") for i in range(5)]
    findings += [finding(25, 40, name="t0.7", family="temperature"), finding(9, 4, name="stray")]
    got = judge_findings(plan, findings)
    assert [j.family for j in got] == ["primary", *["subgroup"] * 5, "temperature", "undeclared"]
    assert [j.m for j in got] == [1, *[5] * 5, 1, 1]
    raw = [f.test.p_value for f in findings[1:6]]
    assert [j.p_adjusted for j in got[1:6]] == list(benjamini_hochberg(raw))
    assert "q = " in sentence(got[1])
    assert "among 5 tests" in sentence(got[1])


def confirmatory_plan(*, gated: bool = True) -> AnalysisPlan:
    return AnalysisPlan(primary=EM, confirmatory=tuple(Endpoint(name=f"s{i}") for i in range(3)), gated=gated)


def test_confirmatory_family_uses_holm() -> None:
    findings = [finding(120, 60), finding(60, 36, name="s0"), finding(58, 40, name="s1"), finding(50, 49, name="s2")]
    got = judge_findings(confirmatory_plan(), findings)
    assert [j.p_adjusted for j in got[1:]] == list(holm([f.test.p_value for f in findings[1:]]))
    assert [j.verdict for j in got] == ["superior", "superior", "inconclusive", "inconclusive"]
    assert got[2].p_raw is not None
    assert got[2].p_raw < 0.08
    assert "Holm-adjusted p = " in sentence(got[1])
    assert "Confirmatory: the treatment is superior to the control on s0" in sentence(got[1])


def test_confirmatory_claims_wait_for_the_primary_endpoint() -> None:
    findings = [finding(60, 58), finding(120, 60, name="s0"), finding(60, 60, name="s1"), finding(60, 60, name="s2")]
    closed = judge_findings(confirmatory_plan(), findings)[1]
    assert (closed.verdict, closed.is_claim) == ("superior", False)
    text = sentence(closed)
    assert "s0 points to the treatment being better" in text
    assert "supports no claim by itself" in text
    assert not any(word in text for word in FORBIDDEN_OUTSIDE_THE_PLAN)
    assert judge_findings(confirmatory_plan(gated=False), findings)[1].is_claim
    assert not judge_findings(confirmatory_plan(), findings[1:])[0].is_claim  # the primary was never analysed
    no_primary = AnalysisPlan(confirmatory=(Endpoint(name="s0"),))
    assert judged(no_primary, finding(120, 60, name="s0")).is_claim


NI_FIRST = AnalysisPlan(primary=dataclasses.replace(EM_NI, margin=0.05), confirmatory=(Endpoint(name="s0"),))


def at_margin(b: int, c: int, n: int, *, alpha: float = 0.05, name: str = "em", margin: float = 0.05) -> Finding:
    """A right/wrong comparison with a non-inferiority test at one-sided alpha / 2."""
    p = noninferiority_binary(b, c, n, margin, alpha / 2).p_value
    return Finding(name=name, estimate=tango(b, c, n, 1 - alpha), test=mcnemar_midp(b, c), margin_test_p=p)


def test_an_inferior_treatment_opens_no_gate() -> None:
    for plan in (confirmatory_plan(), NI_FIRST):
        got = judge_findings(plan, [at_margin(60, 180, 1000), finding(120, 60, name="s0")])
        assert got[0].verdict == "inferior"
        assert not got[0].reaches_goal
        assert (got[1].verdict, got[1].is_claim) == ("superior", False)
        assert "supports no claim by itself" in sentence(got[1])


def test_behind_a_margin_that_was_not_reached_the_difference_is_no_claim() -> None:
    (got, *_) = judge_findings(NI_FIRST, [at_margin(60, 180, 1000)])
    assert (got.verdict, got.is_claim) == ("inferior", False)
    assert "exact match points to the treatment being worse (difference -12.0 pp" in sentence(got)


def test_a_margin_is_tested_at_half_of_alpha_so_that_interval_and_claim_agree() -> None:
    found = at_margin(18, 22, 300)
    assert found.margin_test_p is not None
    assert 0.025 < found.margin_test_p < 0.05
    assert found.estimate.ci_low is not None
    assert found.estimate.ci_low < -0.05
    assert judge_findings(NI_FIRST, [found])[0].verdict == "inconclusive"
    assert judge_findings(dataclasses.replace(NI_FIRST, alpha=0.1), [found])[0].verdict == "non-inferior"


def test_the_difference_of_a_margin_endpoint_is_corrected_with_the_confirmatory_family() -> None:
    plan = dataclasses.replace(NI_FIRST, confirmatory=tuple(Endpoint(name=f"s{i}") for i in range(2)))
    better = at_margin(60, 38, 1000)
    assert better.test.p_value is not None
    assert 0.02 < better.test.p_value < 0.04
    others = [finding(50, 50, name="s0"), finding(49, 50, name="s1")]
    got = judge_findings(plan, [better, *others])
    assert got[0].difference_p == holm([better.test.p_value, *(f.test.p_value for f in others)])[0]
    assert (got[0].verdict, got[0].is_claim) == ("non-inferior", True)
    assert [j.m for j in got] == [1, 3, 3]
    alone = judge_findings(NI_FIRST, [better])[0]
    assert (alone.verdict, alone.difference_p) == ("superior", better.test.p_value)


def test_trials_of_a_run_share_alpha_and_hand_on_what_they_no_longer_need() -> None:
    plan = AnalysisPlan(primary=EM)
    sure, close, nothing = finding(120, 60), finding(60, 38), finding(50, 50)
    assert close.test.p_value is not None
    assert 0.025 < close.test.p_value < 0.05
    assert shares_of_alpha([(plan, [close])]) == (1.0,)
    assert shares_of_alpha([(plan, [sure]), (plan, [close])]) == (0.5, 1.0)
    assert shares_of_alpha([(plan, [nothing]), (plan, [close])]) == (0.5, 0.5)
    assert shares_of_alpha([(plan, [sure]), (plan, [close]), (plan, [nothing])]) == (1 / 3, 0.5, 0.5)
    assert shares_of_alpha([(plan, []), (plan, [close])]) == (0.5, 0.5)
    (half,) = judge_findings(plan, [close], share=0.5)
    assert (half.verdict, half.is_claim, half.p_adjusted) == ("inconclusive", False, 2 * close.test.p_value)
    text = sentence(half)
    assert ", multiplied by 2 for the trials of this run" in text
    assert "Every difference inside" not in text
    assert shares_of_alpha([(NI_FIRST, [at_margin(60, 58, 1000), finding(120, 60, name="s0")]), (plan, [close])]) == (0.5, 0.5)


def test_what_stands_behind_the_gate_has_no_more_of_alpha_than_its_trial() -> None:
    plan = AnalysisPlan(primary=EM, confirmatory=(dataclasses.replace(EM, name="s0"), dataclasses.replace(EM_NI, name="s1")))
    findings = [finding(120, 60), finding(70, 45, name="s0"), finding(60, 50, name="s1", margin="ni")]
    alone, shared = judge_findings(plan, findings), judge_findings(plan, findings, share=1 / 3)
    assert [one.is_claim for one in alone] == [True, True, True]
    assert [one.is_claim for one in shared] == [True, False, True]
    for one, other in zip(alone[1:], shared[1:], strict=True):
        assert other.p_adjusted == pytest.approx(3 * (one.p_adjusted or 0.0))


def test_confirmatory_margin_endpoints_claim_their_goal_alone() -> None:
    plan = AnalysisPlan(primary=EM, confirmatory=(dataclasses.replace(EM_NI, name="cost"), dataclasses.replace(EM_EQ, name="len")))
    better = finding(120, 60, name="cost", margin="ni")
    got = judge_findings(plan, [finding(120, 60), better, finding(120, 60, name="len", margin="eq")])
    assert [j.verdict for j in got] == ["superior", "non-inferior", "inconclusive"]
    assert got[1].p_adjusted == holm([better.margin_test_p, got[2].p_raw])[0]


def test_undefined_numbers_are_said_to_be_undefined() -> None:
    nothing = Finding(name="em", estimate=tango(0, 0, 0), test=Test(statistic=None, p_value=None, method="m", n=0, reason="no pairs"))
    got = judged(AnalysisPlan(primary=EM), nothing)
    assert (got.verdict, got.is_claim, got.p_adjusted) == ("undefined", False, None)
    assert sentence(got) == "Primary endpoint: exact match could not be judged: there are no complete pairs."
    untested = judged(AnalysisPlan(primary=EM_NI), finding(60, 60))
    assert untested.verdict == "undefined"
    assert "the declared test was not made" in sentence(untested)


def test_undefined_p_values_do_not_count_in_their_family() -> None:
    missing = Finding(name="s1", estimate=tango(0, 0, 0), test=Test(statistic=None, p_value=None, method="m", n=0, reason="none"))
    got = judge_findings(confirmatory_plan(), [finding(60, 36, name="s0"), missing])
    assert (got[0].m, got[0].p_adjusted) == (1, got[0].p_raw)


def test_borderline_results_say_so() -> None:
    estimate = Estimate(value=0.02, ci_low=-0.0001, ci_high=0.0401, level=0.95, method="t", n=100)
    test = Test(statistic=2.0, p_value=0.049, method="sign_flip", n=100)
    got = judged(AnalysisPlan(primary=EM), Finding(name="em", estimate=estimate, test=test))
    assert any("borderline" in warning for warning in got.warnings)
    other_level = dataclasses.replace(estimate, level=0.9)
    assert judged(AnalysisPlan(primary=EM), Finding(name="em", estimate=other_level, test=test)).warnings == ()


def test_score_endpoints_print_in_their_unit() -> None:
    f1 = Endpoint(name="f1", label="F1", is_share=False)
    estimate = Estimate(value=0.0123, ci_low=0.004, ci_high=0.0206, level=0.95, method="t", n=500)
    got = judged(AnalysisPlan(primary=f1), Finding(name="f1", estimate=estimate, test=Test(statistic=2.9, p_value=0.004, method="sign_flip", n=480)))
    assert "(difference +0.012, 95 % CI +0.004 to +0.021, p = 0.004)" in sentence(got)
    assert (difference(-0.00001, is_share=True), difference(0.0004, is_share=False)) == ("-0.001 pp", "+0.0004")
    assert (difference(0.0, is_share=True), difference(-0.0, is_share=False), difference(-1e-17, is_share=True)) == ("0.0 pp", "0.000", "0.0 pp")
    assert (p_phrase(0.0005), p_phrase(0.05), p_phrase(1.0)) == ("< 0.001", "= 0.050", "= 1")
    assert (p_phrase(0.0496), p_phrase(0.05003), p_phrase(0.00995, levels=(0.01,))) == ("= 0.0496", "= 0.05003", "= 0.00995")
    assert difference(-0.01996, is_share=True, margin=0.02) == "-1.996 pp"


def test_a_result_without_interval_does_not_speak_of_one() -> None:
    bare = Estimate(value=0.0, ci_low=None, ci_high=None, level=0.95, method="t", n=5, reason="no spread")
    got = judged(AnalysisPlan(primary=EM), Finding(name="em", estimate=bare, test=Test(statistic=0.0, p_value=1.0, method="t", n=5)))
    assert sentence(got).endswith("(difference 0.0 pp, no interval, p = 1).")


def test_whether_the_plan_was_followed() -> None:
    plan = AnalysisPlan(primary=EM, confirmatory=(Endpoint(name="f1"),), cluster="passage")
    done = check_followed(plan, [finding(9, 4), finding(9, 4, name="f1")], "passage")
    assert done.followed
    assert followed(done, plan) == ""
    partial = check_followed(plan, [finding(9, 4), finding(9, 4, name="recall")], None)
    assert (partial.missing, partial.undeclared, partial.cluster_differs, partial.followed) == (("f1",), ("recall",), True, False)
    text = followed(partial, plan)
    assert "did not follow the declared plan: declared but not analysed: f1; the declared clusters (passage)" in text
    assert "beyond the plan, as exploratory: recall" in text
    nothing = AnalysisPlan()
    assert "No endpoint was declared" in followed(check_followed(nothing, [finding(9, 4)], None), nothing)


def test_fingerprint_changes_with_every_declared_field_and_with_nothing_else() -> None:
    plan = AnalysisPlan(primary=EM, exploratory=("subgroup",))
    assert plan.fingerprint() == AnalysisPlan(primary=EM, exploratory=("subgroup",)).fingerprint()
    assert len(plan.fingerprint()) == 64
    changed = [
        dataclasses.replace(plan, alpha=0.01),
        dataclasses.replace(plan, cluster="passage"),
        dataclasses.replace(plan, gated=False),
        dataclasses.replace(plan, exploratory=("temperature",)),
        dataclasses.replace(plan, primary=EM_NI),
        dataclasses.replace(plan, confirmatory=(Endpoint(name="f1"),)),
    ]
    assert len({plan.fingerprint(), *(p.fingerprint() for p in changed)}) == 7


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Endpoint(name=""), "no name"),
        (lambda: Endpoint(name="em", goal="victory"), "unknown goal"),  # type: ignore[arg-type]
        (lambda: Endpoint(name="em", goal="noninferiority"), "needs a margin"),
        (lambda: Endpoint(name="em", margin=0.03), "does not use one"),
        (lambda: Endpoint(name="em", goal="equivalence", margin=3.0), "not possible"),
        (lambda: AnalysisPlan(primary=EM, confirmatory=(EM,)), "declared twice"),
        (lambda: AnalysisPlan(exploratory=("primary",)), "names of their own"),
        (lambda: AnalysisPlan(exploratory=("a", "a")), "names of their own"),
        (lambda: judge_findings(AnalysisPlan(primary=EM), [finding(3, 4), finding(3, 4)]), "more than once"),
    ],
)
def test_plans_that_contradict_themselves_are_refused(make: object, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make()  # type: ignore[operator]


def test_impossible_levels_are_refused() -> None:
    with pytest.raises(DataError, match="significance level"):
        AnalysisPlan(alpha=5.0)
    assert AnalysisPlan(alpha=0.01).margin_alpha == 0.005


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.integers(0, 150),
    st.integers(0, 150),
    st.sampled_from([EM, EM_NI, EM_EQ]),
    st.sampled_from(["primary", "confirmatory", "exploratory", "undeclared"]),
)
def test_no_sentence_says_more_than_the_plan(b: int, c: int, endpoint: Endpoint, standing: str) -> None:
    plan = {
        "primary": AnalysisPlan(primary=endpoint),
        "confirmatory": AnalysisPlan(primary=Endpoint(name="other"), confirmatory=(endpoint,)),
        "exploratory": AnalysisPlan(exploratory=("subgroup",)),
        "undeclared": AnalysisPlan(),
    }[standing]
    got = judged(plan, finding(b, c, margin="ni" if endpoint is EM_NI else "eq" if endpoint is EM_EQ else "", family="subgroup"))
    text = sentence(got)
    assert got.standing == standing
    if standing != "primary":  # the confirmatory one waits for a primary endpoint that was never analysed
        assert not got.is_claim
        assert not any(word in text for word in FORBIDDEN_OUTSIDE_THE_PLAN)
    if endpoint.goal != "equivalence" or standing in ("exploratory", "undeclared"):
        assert got.verdict != "equivalent"
    if endpoint.goal != "noninferiority" or standing in ("exploratory", "undeclared"):
        assert got.verdict != "non-inferior"
    better_side = got.finding.estimate.value or 0.0
    assert got.verdict != "superior" or better_side > 0
    assert got.verdict != "inferior" or better_side < 0


@pytest.mark.parametrize(("value", "told"), [(-1.2e-05, "-0.000012"), (0.00047, "+0.00047"), (0.0123, "+0.012"), (5.5, "+5.500"), (1e-14, "0.000")])
def test_a_small_difference_of_scores_keeps_two_digits_that_count(value: float, told: str) -> None:
    assert difference(value, is_share=False) == told
