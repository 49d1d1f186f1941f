"""comparison: the method fits the data, and what little the data can carry is said."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.phases.analyse.comparison import Comparison, compare, estimate_json, seed_of, test_json
from batchtrial.phases.analyse.paired import Paired
from batchtrial.stats import judge_findings, noninferiority_scores, odds_ratio, sentence, sign_flip, tango, wilson
from batchtrial.stats.clusters import clusters_needed
from batchtrial.stats.plan import AnalysisPlan, Endpoint, Finding, Judgement
from batchtrial.stats.results import Estimate

NAN = float("nan")


def paired(treatment: list[float], control: list[float], **more: Any) -> Paired:
    return Paired(treatment=np.array(treatment), control=np.array(control), **more)


def made(pairs: Paired, endpoint: Endpoint | None = None) -> Comparison:
    return compare(pairs, level=0.95, seed=1, flips=999, endpoint=endpoint)


def binary(n: int, treatment_only: int, control_only: int) -> Paired:
    t = np.array([1.0] * treatment_only + [0.0] * control_only + [1.0] * (n - treatment_only - control_only))
    c = np.array([0.0] * treatment_only + [1.0] * control_only + [1.0] * (n - treatment_only - control_only))
    return Paired(treatment=t, control=c)


@pytest.mark.parametrize(
    ("pairs", "methods"),
    [
        (binary(60, 12, 4), ("tango", "mcnemar_midp")),
        (replace(binary(60, 12, 4), clusters=np.arange(60) // 3), ("effective_tango", "sign_flip")),
        (paired([0.5, 1.0, 0.0] * 20, [0.5, 0.5, 0.0] * 20, samples_treatment=2, samples_control=2), ("effective_tango", "sign_flip")),
        (paired([0.3, 0.9, 0.1] * 20, [0.2, 0.5, 0.4] * 20), ("paired_t", "sign_flip")),
        (paired([0.3, 0.9, 0.1] * 20, [0.2, 0.5, 0.4] * 20, clusters=np.arange(60) // 3), ("cr2", "sign_flip")),
    ],
)
def test_the_method_fits_the_data(pairs: Paired, methods: tuple[str, str]) -> None:
    got = made(pairs)
    assert methods[0] in got.estimate.method
    assert got.test.method.startswith(methods[1])


@pytest.mark.parametrize("more", [{}, {"clusters": np.array([0, 0, 1, 1, 2, 2])}, {"known_limits": (0.0, 2.0), "is_number": True}])
def test_no_interval_reaches_beyond_what_a_score_can_be(more: dict[str, Any]) -> None:
    span = more.get("known_limits", (0.0, 1.0))[1]
    got = made(paired([span, 0.9, 0.8, span, 0.1, span], [0.0, 0.1, 0.0, 0.1, 0.2, 0.0], **more))
    assert got.estimate.ci_high == span
    assert all(one.ci_low is not None and one.ci_high is not None and one.ci_low >= 0 and one.ci_high <= span for one in got.arms.values())
    free = made(paired([1.5, 0.9, 0.8, 1.0, 0.1, 1.0], [0.0, 0.1, 0.0, 0.1, 0.2, 0.0], is_number=True))
    assert (free.estimate.ci_high or 0.0) > 1.2, "a number without a known range has none to be kept within"


@pytest.mark.parametrize("pairs", [binary(60, 12, 4), paired([0.3, 0.9, 0.1] * 20, [0.2, 0.5, 0.4] * 20)])
def test_a_margin_is_tested_one_sided_at_half_of_alpha_and_its_interval_is_the_printed_one(pairs: Paired) -> None:
    got = made(pairs, Endpoint(name="x", goal="noninferiority", margin=0.1))
    assert got.margin is not None
    assert got.margin.alpha == pytest.approx(0.025)
    assert got.margin.estimate.level == pytest.approx(0.95)
    assert got.margin.estimate.ci_low == pytest.approx(got.estimate.ci_low)
    assert got.margin.estimate.ci_high == pytest.approx(got.estimate.ci_high)


@pytest.mark.parametrize("pairs", [binary(30, 9, 2), paired([0.3, 0.9, 0.1, 0.6, 0.8] * 6, [0.2, 0.5, 0.4, 0.6, 0.7] * 6)], ids=["shares", "scores"])
def test_four_copies_of_each_item_on_one_document_are_worth_one_item(pairs: Paired) -> None:
    endpoint = Endpoint(name="x", goal="noninferiority", margin=0.05)
    copies = replace(pairs, treatment=np.repeat(pairs.treatment, 4), control=np.repeat(pairs.control, 4))
    one, apart, together = (made(each, endpoint) for each in (pairs, copies, replace(copies, clusters=np.repeat(np.arange(30), 4))))
    assert width(together) == pytest.approx(width(one), rel=0.1)
    assert width(together) > 1.7 * width(apart)
    flipped = sign_flip(pairs.treatment - pairs.control, seed=1, flips=99_999).p_value or 0.0
    assert together.test.p_value == pytest.approx(flipped, rel=0.25)
    assert one.margin is not None
    assert apart.margin is not None
    assert together.margin is not None
    assert together.margin.p_value == pytest.approx(one.margin.p_value, rel=0.5)
    assert (together.margin.p_value or 0.0) > 3 * (apart.margin.p_value or 1.0)
    for arm in ("control", "treatment"):
        assert width(together.arms[arm]) == pytest.approx(width(one.arms[arm]), rel=0.15)


def test_answers_that_are_all_alike_count_by_documents_in_each_arm() -> None:
    got = made(replace(binary(120, 0, 0), clusters=np.repeat(np.arange(30), 4)))
    assert width(got.arms["treatment"]) == pytest.approx(width(wilson(30, 30)))


def width(one: Comparison | Estimate) -> float:
    found = one.estimate if isinstance(one, Comparison) else one
    assert found.ci_low is not None
    assert found.ci_high is not None
    return found.ci_high - found.ci_low


@pytest.mark.parametrize(("changed", "warns"), [((5, 4), True), ((6, 4), False), ((0, 0), True)])
def test_few_changed_items_are_told(changed: tuple[int, int], warns: bool) -> None:
    assert any("changed" in text for text in made(binary(100, *changed)).warnings) is warns


def test_few_pairs_and_few_clusters_are_told() -> None:
    got = made(replace(binary(20, 6, 1), clusters=np.arange(20) // 5))
    assert any("only 20 pairs" in text for text in got.warnings)
    assert any("only 4 clusters" in text for text in got.warnings)


def test_nothing_in_one_arm_is_undefined_and_not_a_difference() -> None:
    got = made(paired([NAN] * 40, [1.0] * 40))
    assert (got.estimate.value, got.test.p_value) == (None, None)
    assert got.missing.dropped == 40


def test_a_margin_is_tested_in_the_direction_in_which_more_is_better() -> None:
    pairs = binary(400, 40, 20)
    up = made(pairs, Endpoint(name="x", goal="noninferiority", margin=0.05)).margin
    down = made(pairs, Endpoint(name="x", goal="noninferiority", margin=0.05, higher_is_better=False)).margin
    assert up is not None
    assert down is not None
    assert (up.p_value or 0.0) < 0.001
    assert (down.p_value or 0.0) > 0.3


GOALS = [
    Endpoint(name="x"),
    Endpoint(name="x", goal="noninferiority", margin=0.2),
    Endpoint(name="x", goal="equivalence", margin=0.2),
]
SCORED = paired([0.3, 0.9, 0.1] * 20, [0.2, 0.5, 0.4] * 20)
SAMPLED = paired([0.5, 1.0, 0.0] * 20, [0.5, 0.5, 0.0] * 20, samples_treatment=2, samples_control=2)


def judged(pairs: Paired, endpoint: Endpoint) -> Judgement:
    one = made(pairs, endpoint)
    p = None if one.margin is None else one.margin.p_value
    found = Finding(name="x", estimate=one.estimate, test=one.test, margin_test_p=p, not_decidable=one.not_decidable)
    return judge_findings(AnalysisPlan(primary=endpoint, cluster="cluster"), [found])[0]


@pytest.mark.parametrize("endpoint", GOALS, ids=lambda one: one.goal)
@pytest.mark.parametrize("pairs", [binary(60, 20, 0), SCORED, SAMPLED], ids=["single", "scores", "samples"])
def test_one_document_shows_nothing_beyond_itself(pairs: Paired, endpoint: Endpoint) -> None:
    clustered = replace(pairs, clusters=np.zeros(60, dtype=np.int64))
    one = made(clustered, endpoint)
    assert one.estimate.value == pytest.approx(float((pairs.treatment - pairs.control).mean()))
    assert (one.estimate.ci_low, one.test.p_value, one.margin, one.exact, one.odds, one.n_clusters) == (None, None, None, None, None, 1)
    assert all(arm.ci_low is None for arm in one.arms.values())
    got = judged(clustered, endpoint)
    assert (got.verdict, got.is_claim) == ("not decidable", False)
    assert "all 60 items stand on one document, and nothing is shown beyond it; at least 6 documents are needed" in sentence(got)
    assert " p " not in sentence(got)


@pytest.mark.parametrize("endpoint", GOALS, ids=lambda one: one.goal)
@pytest.mark.parametrize(("n_clusters", "is_decidable"), [(2, False), (5, False), (6, True), (12, True)])
def test_few_documents_decide_nothing_and_say_how_many_would(endpoint: Endpoint, n_clusters: int, is_decidable: bool) -> None:
    got = judged(replace(binary(60, 60, 0), clusters=np.arange(60) % n_clusters), endpoint)
    assert (got.verdict != "not decidable") is is_decidable
    if not is_decidable:
        assert f"not decidable with {n_clusters} documents" in sentence(got)
        assert "at least 6 are needed" in sentence(got)


def test_how_many_clusters_are_needed_follows_from_alpha() -> None:
    assert [clusters_needed(alpha) for alpha in (0.5, 0.25, 0.1, 0.05, 0.03125, 0.01, 0.001)] == [2, 3, 5, 6, 6, 8, 11]
    few = compare(replace(binary(60, 60, 0), clusters=np.arange(60) % 7), level=0.99, seed=1, flips=999)
    assert few.not_decidable is not None
    assert "at least 8 are needed" in few.not_decidable


def test_beside_clustered_items_nothing_ignores_the_clusters() -> None:
    pairs = binary(120, 30, 10)
    alone, clustered = made(pairs), made(replace(pairs, clusters=np.arange(120) // 10))
    assert (clustered.exact, clustered.odds) == (None, None)
    for name in ("control", "treatment"):
        plain, wide = alone.arms[name], clustered.arms[name]
        assert wide.value == pytest.approx(plain.value)
        assert wide.ci_high is not None
        assert wide.ci_low is not None
        assert plain.ci_high is not None
        assert plain.ci_low is not None
        assert wide.ci_high - wide.ci_low > 1.2 * (plain.ci_high - plain.ci_low)


def test_warnings_count_items_where_they_say_items() -> None:
    one = made(replace(binary(120, 10, 0), clusters=np.repeat([0, 1, 2, 3, 4, 5], 20)))
    assert not any("only 1 item" in text for text in (*one.warnings, *one.test.warnings))
    assert any("only 1 cluster changed" in text for text in one.test.warnings)


def test_documents_without_a_changed_answer_are_as_many_answers_as_documents() -> None:
    """600 equal answers on six documents showed that no document in ten turns, in more than half of the trials where one did."""
    endpoint = Endpoint(name="x", goal="noninferiority", margin=0.1)
    documents = replace(binary(600, 0, 0), clusters=np.arange(600) % 6)
    assert made(documents).estimate.ci_high == pytest.approx(tango(0, 0, 6).ci_high)
    assert judged(documents, endpoint).verdict == "inconclusive"
    assert judged(replace(binary(600, 0, 0), clusters=np.arange(600) % 200), endpoint).verdict == "non-inferior"
    uneven = replace(binary(600, 0, 0), clusters=np.where(np.arange(600) < 300, 0, np.arange(600)))
    assert made(uneven).estimate.ci_high == pytest.approx(tango(0, 0, 600 / (300 * 300 / 600 + 0.5)).ci_high)


@pytest.mark.parametrize("span", [1.0, 4.0])
@pytest.mark.parametrize("clusters", [None, np.arange(120) // 10])
def test_scores_that_hardly_move_are_no_surer_than_scores_that_do_not(span: float, clusters: Any) -> None:
    """Of a hundred scores that differ in the third digit, Student's interval said that not one in a hundred falls through the whole range."""
    still = paired([0.5 * span] * 120, [0.5 * span] * 120, is_number=True, known_limits=(0.0, span), clusters=clusters)
    moved = replace(still, treatment=still.treatment + span * np.random.default_rng(1).normal(0.0, 0.002, 120))
    endpoint = Endpoint(name="x", goal="noninferiority", margin=0.01 * span, is_share=False)
    at_rest, one = made(still, endpoint), made(moved, endpoint)
    assert at_rest.estimate.ci_high is not None
    assert one.estimate.value is not None
    assert one.estimate.ci_high == pytest.approx(one.estimate.value + at_rest.estimate.ci_high, rel=0.02)
    assert judged(moved, endpoint).verdict == "inconclusive"
    assert one.margin is not None
    assert one.margin.estimate.ci_low == pytest.approx(one.estimate.ci_low)
    wild = replace(still, treatment=still.treatment + 0.2 * span * np.tile([1.0, -1.0], 60))
    assert made(wild, endpoint).estimate.ci_low == pytest.approx(made(replace(wild, known_limits=None)).estimate.ci_low)


@pytest.mark.parametrize("clusters", [None, np.arange(60) // 4])
@pytest.mark.parametrize("goal", ["noninferiority", "equivalence"])
def test_identical_scores_are_tested_as_answers_without_a_change(goal: str, clusters: Any) -> None:
    endpoint = Endpoint(name="x", goal=goal, margin=0.3)  # type: ignore[arg-type]
    one = made(paired([0.3, 0.9, 0.1] * 20, [0.3, 0.9, 0.1] * 20, clusters=clusters), endpoint)
    n = 60 if clusters is None else 15
    assert one.margin is not None
    want = noninferiority_scores(np.zeros(n), 0.3, 0.025)
    assert one.margin.above_low.p_value == want.above_low.p_value
    assert (one.estimate.value, one.estimate.ci_low, one.estimate.ci_high) == (0.0, tango(0, 0, n).ci_low, tango(0, 0, n).ci_high)
    assert made(paired([30.0] * 40, [30.0] * 40), endpoint).margin is None  # no score between 0 and 1


@pytest.mark.parametrize(("margin", "holds"), [(0.02, False), (1.0, True), (5.0, True)])
@pytest.mark.parametrize("goal", ["noninferiority", "equivalence"])
def test_identical_grades_of_known_limits_are_tested_on_their_scale(goal: str, margin: float, holds: bool) -> None:
    """A judge's scores from 1 to 5: a margin of 1 is a quarter of the scale; one wider than the scale holds too."""
    grades = np.tile([1.0, 4.0, 5.0], 20)
    pairs = Paired(treatment=grades, control=grades, is_number=True, known_limits=(1.0, 5.0))
    one = made(pairs, Endpoint(name="x", goal=goal, margin=margin, is_share=False))  # type: ignore[arg-type]
    want = tango(0, 0, 60)
    assert want.ci_low is not None
    assert one.estimate.ci_low == pytest.approx(4 * want.ci_low)
    assert one.margin is not None
    assert one.margin.is_met is holds
    assert (one.margin.low, one.margin.high) == (-margin, margin if goal == "equivalence" else None)
    assert made(replace(pairs, known_limits=None)).estimate.ci_low is None


def test_one_lost_sample_changes_neither_method_nor_width() -> None:
    rng = np.random.default_rng(3)
    t, c = rng.binomial(5, 0.97, 100) / 5, rng.binomial(5, 0.97, 100) / 5
    whole = made(Paired(treatment=t, control=c, samples_treatment=5, samples_control=5))
    place = int(np.flatnonzero(t == 1.0)[0])
    for share in (0.75, 1.0):  # three of four, four of four
        lossy = np.where(np.arange(100) == place, share, t)
        one = made(Paired(treatment=lossy, control=c, samples_treatment=5, samples_control=5))
        assert (one.estimate.method, one.test.method[:9]) == (whole.estimate.method, "sign_flip")
        widths = [(e.ci_high or 0.0) - (e.ci_low or 0.0) for e in (whole.estimate, one.estimate)]
        assert widths[1] == pytest.approx(widths[0], rel=0.1)


def test_samples_without_a_flip_do_not_promise_that_none_would_come() -> None:
    """Noise of 2 % on near-certain items: the interval must reach as far as a rate of flips that often stays unseen."""
    t, c = np.where(np.arange(50) < 2, 0.8, 1.0), np.where(np.arange(50) > 47, 0.8, 1.0)
    one = made(Paired(treatment=t, control=c, samples_treatment=5, samples_control=5))
    assert one.estimate.ci_low is not None
    assert one.estimate.value is not None
    assert one.estimate.value - one.estimate.ci_low > 3.0 / 50  # of fifty items three that flip stay unseen in one sample of twenty


def test_each_comparison_has_a_stream_of_its_own() -> None:
    assert seed_of(1, "em") != seed_of(1, "f1") != seed_of(2, "f1")


def test_unbounded_numbers_are_null_with_a_reason() -> None:
    record = estimate_json(odds_ratio(5, 0))
    assert record is not None
    assert (record["value"], record["reason"]) == (None, "unbounded")


SCORES = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 0.25, NAN]), st.sampled_from([0.0, 1.0, 0.25, NAN])), min_size=1, max_size=25)


@settings(max_examples=80, deadline=None)
@given(scores=SCORES, is_clustered=st.booleans())
def test_no_scores_give_nan_or_an_impossible_p(scores: list[tuple[float, float]], is_clustered: bool) -> None:
    clusters = np.arange(len(scores)) // 3 if is_clustered else None
    got = made(paired([t for t, _ in scores], [c for _, c in scores], clusters=clusters))
    numbers = [got.estimate.value, got.estimate.ci_low, got.estimate.ci_high, got.test.p_value]
    assert all(x is None or math.isfinite(x) for x in numbers)
    assert got.test.p_value is None or 0 < got.test.p_value <= 1
    if got.estimate.value is not None and got.estimate.ci_low is not None and got.estimate.ci_high is not None:
        assert got.estimate.ci_low <= got.estimate.value <= got.estimate.ci_high
    assert test_json(got.test) is not None


test_json.__test__ = False  # type: ignore[attr-defined]  # a function of ours with an unlucky name
