"""lost_answers: a conclusion stands only when the answers that never came could not have made another one of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from batchtrial.config.lost_answers import LostAnswersPlan
from batchtrial.phases.analyse.comparison import compare
from batchtrial.phases.analyse.lost_answers import filled, is_doubtful, lost_answers
from batchtrial.phases.analyse.paired import Paired
from batchtrial.stats import AnalysisPlan, Endpoint, Finding, Judgement, difference_bounds, judge_findings, sentence
from batchtrial.stats.missing import is_loss_doubtful

NAN = float("nan")
SUPERIOR = Endpoint(name="x")
KEPT = Endpoint(name="x", goal="noninferiority", margin=0.1)
SAME = Endpoint(name="x", goal="equivalence", margin=0.1)


def judged(pairs: Paired, endpoint: Endpoint, *, share: float = 1.0) -> Judgement:
    one = compare(pairs, level=0.95, seed=1, flips=999, endpoint=endpoint)
    lost = lost_answers(pairs, one, share=share, level=0.95, seed=1, flips=999, endpoint=endpoint)
    p = None if one.margin is None else one.margin.p_value
    found = Finding(name="x", estimate=one.estimate, test=one.test, margin_test_p=p, lost=lost)
    return judge_findings(AnalysisPlan(primary=endpoint), [found])[0]


def answers(n: int, gained: int, worse: int, *, lost: int) -> Paired:
    """The first answers of the treatment are better, the next worse, and its last ones are lost."""
    treatment, control = np.ones(n), np.ones(n)
    control[:gained] = 0.0
    treatment[gained : gained + worse] = 0.0
    treatment[n - lost :] = NAN
    return Paired(treatment=treatment, control=control)


@pytest.mark.parametrize(
    ("endpoint", "gained", "lost", "verdict"),
    [
        (SUPERIOR, 20, 0, "superior"),
        (SUPERIOR, 20, 4, "superior"),  # under 5 %, and no more than chance does
        (SUPERIOR, 20, 25, "not decided"),
        (SUPERIOR, 90, 25, "superior"),
        (KEPT, 2, 0, "non-inferior"),
        (KEPT, 2, 25, "not decided"),
        (SAME, 2, 25, "not decided"),
    ],
)
def test_what_lost_answers_could_explain_is_not_decided(endpoint: Endpoint, gained: int, lost: int, verdict: str) -> None:
    got = judged(answers(200, gained, 0, lost=lost), endpoint)
    assert (got.verdict, got.is_claim) == (verdict, verdict != "not decided")


def test_an_inferior_treatment_that_lost_much_is_not_decided_either() -> None:
    for gained, verdict in ((20, "not decided"), (90, "inferior")):
        turned = answers(200, gained, 0, lost=25)
        assert judged(Paired(treatment=turned.control, control=turned.treatment), SUPERIOR).verdict == verdict


def test_the_sentence_has_the_bounds() -> None:
    pairs = answers(200, 20, 0, lost=25)
    got, bounds = judged(pairs, SUPERIOR), difference_bounds(pairs.treatment, pairs.control)
    assert got.finding.lost is not None
    assert got.finding.lost.low == pytest.approx(bounds.low)
    assert got.finding.lost.high == pytest.approx(bounds.high)
    text = sentence(got)
    assert "not decided: lost answers could explain it" in text
    assert "With the lost answers to 25 items at their worst or best the difference lies anywhere from -2.5 pp to +10.0 pp." in text
    assert "superior" not in text


def test_a_declared_share_of_the_lost_answers_is_all_that_has_to_be_survived() -> None:
    pairs = answers(200, 20, 0, lost=25)
    verdicts = [judged(pairs, SUPERIOR, share=share).verdict for share in (0.1, 1.0)]
    assert verdicts == ["superior", "not decided"]
    lows = [one.low for share in (0.1, 0.5, 1.0) if (one := judged(pairs, SUPERIOR, share=share).finding.lost) is not None and one.low is not None]
    assert lows == sorted(lows, reverse=True)
    assert "With 50 % of the lost answers" in sentence(judged(pairs, SUPERIOR, share=0.5))


def test_of_a_share_of_the_lost_pairs_the_worst_come_first() -> None:
    """The treatment lost four answers; the control was right on two of these items and wrong on the others."""
    pairs = Paired(treatment=np.array([1.0, 1.0, NAN, NAN, NAN, NAN]), control=np.array([1.0, 1.0, 0.0, 1.0, 0.0, 1.0]))
    low, high = filled(pairs, 0.5, 0.0, 1.0), filled(pairs, 0.5, 1.0, 0.0)
    assert (low.treatment - low.control).tolist() == [0.0, 0.0, -1.0, -1.0]
    assert (high.treatment - high.control).tolist() == [0.0, 0.0, 1.0, 1.0]


def test_scores_are_bounded_and_a_metric_without_a_known_range_is_said_to_be() -> None:
    plain = answers(200, 20, 0, lost=25)
    scored = Paired(treatment=plain.treatment * 0.9, control=plain.control * 0.9)
    assert judged(scored, SUPERIOR).verdict == "not decided"
    words = Paired(treatment=scored.treatment * 40, control=scored.control * 40)
    got = judged(words, SUPERIOR)
    assert got.verdict == "not decided"
    assert "the metric has no known range" in sentence(got)


def test_grades_of_known_limits_are_bounded_by_them() -> None:
    """From 1 to 5, of 200 items 25 lost in the treatment, whose control has 5 there: at worst four grades less each, at best none."""
    plain = answers(200, 150, 0, lost=25)
    grades = Paired(treatment=1 + 4 * plain.treatment, control=1 + 4 * plain.control, is_number=True, known_limits=(1.0, 5.0))
    got = judged(grades, SUPERIOR)
    assert got.finding.lost is not None
    assert (got.finding.lost.low, got.finding.lost.high) == pytest.approx(((150 * 4 - 25 * 4) / 200, 150 * 4 / 200))
    assert got.verdict == "superior"
    text = sentence(judged(replace(grades, control=np.where(np.arange(200) < 130, 5.0, grades.control)), SUPERIOR))
    assert "not decided" in text
    assert "known range" not in text
    off_its_scale = replace(grades, control=np.where(np.arange(200) == 0, 6.0, grades.control))
    assert "the metric has no known range" in sentence(judged(off_its_scale, SUPERIOR))


@pytest.mark.parametrize("endpoint", [SUPERIOR, KEPT, SAME], ids=lambda one: one.goal)
def test_lost_samples_count_without_a_lost_pair(endpoint: Endpoint) -> None:
    """Every item keeps an answer, but a third of the treatment's samples is gone."""
    n = 60
    control = np.where(np.arange(n) < (20 if endpoint is SUPERIOR else 0), 2 / 3, 1.0)
    pairs = Paired(treatment=np.ones(n), control=control, samples_treatment=3, samples_control=3)
    assert judged(pairs, endpoint).is_claim
    lossy = replace(pairs, lost_treatment=np.full(n, 1 / 3), lost_control=np.zeros(n))
    got = judged(lossy, endpoint)
    assert (got.verdict, got.is_claim) == ("not decided", False)
    one_lost = replace(pairs, lost_treatment=np.where(np.arange(n) == 0, 1 / 3, 0.0), lost_control=np.zeros(n))
    assert judged(one_lost, endpoint).finding.lost is None


def test_what_is_left_of_a_superior_result_may_still_be_non_inferior() -> None:
    got = judged(answers(400, 30, 0, lost=40), replace(KEPT, margin=0.2))
    assert (got.verdict, got.is_claim) == ("non-inferior", True)


@pytest.mark.parametrize(
    ("treatment", "control", "is_doubtful"),
    [(0, 0, False), (5, 5, False), (11, 0, True), (4, 0, False), (5, 0, True), (3, 8, True)],
)
def test_when_a_loss_is_doubtful(treatment: int, control: int, is_doubtful: bool) -> None:
    t, c = (np.where(places, 1.0, 0.0) for places in (np.arange(200) < treatment, np.arange(200) >= 200 - control))
    assert is_loss_doubtful(t, c) is is_doubtful


def test_what_is_plausible_is_declared() -> None:
    assert LostAnswersPlan().plausible_share == 1.0
    assert LostAnswersPlan(bound="worst").plausible_share == 1.0
    assert LostAnswersPlan(share=0.1).plausible_share == 0.1
    for wrong in ({"bound": "worst", "share": 0.1}, {"share": 0.0}, {"share": 1.5}, {"bound": "best"}):
        with pytest.raises(ValueError, match=r"bound|share|worst|greater|less"):
            LostAnswersPlan.model_validate(wrong)


def test_arms_that_lose_alike_but_the_one_its_wrong_and_the_other_its_right_answers_are_doubted() -> None:
    """88 of 4,000 answers in each arm: neither many nor more in one, and a difference that is none was claimed in .35 of such trials."""
    rng = np.random.default_rng(4)
    chance = rng.beta(1.2, 0.8, 4_000)
    treatment, control = ((rng.random(4_000) < chance).astype(np.float64) for _ in range(2))
    u = rng.random((2, 4_000))
    selective = Paired(
        treatment=np.where((treatment == 0.0) & (u[0] < 0.055), np.nan, treatment),
        control=np.where((control == 1.0) & (u[1] < 0.036), np.nan, control),
    )
    at_random = Paired(treatment=np.where(u[0] < 0.022, np.nan, treatment), control=np.where(u[1] < 0.022, np.nan, control))
    assert is_doubtful(selective)
    assert not is_doubtful(at_random)


@pytest.mark.parametrize("endpoint", [SUPERIOR, KEPT])
@pytest.mark.parametrize(("k", "m"), [(3, 2), (5, 4), (7, 3), (10, 7)])
def test_a_difference_that_is_rounding_alone_is_none(endpoint: Endpoint, k: int, m: int) -> None:
    """m of k samples right under the control; under the treatment the k - m others were lost, and were the wrong ones for all that is known."""
    n = 40
    control, lost = np.full(n, m / k), np.full(n, (k - m) / k)
    pairs = Paired(treatment=np.ones(n), control=control, lost_treatment=lost, lost_control=np.zeros(n), samples_treatment=k, samples_control=k)
    assert judged(pairs, endpoint).verdict in ("not decided", "non-inferior")
    assert judged(pairs, endpoint).finding.lost.difference_p == 1.0  # type: ignore[union-attr]


def test_scores_that_were_added_up_in_another_order_are_equal() -> None:
    once, again = (0.1 + 0.2 + 0.3) / 3, (0.3 + 0.2 + 0.1) / 3
    assert once != again
    one = compare(Paired(treatment=np.full(30, once), control=np.full(30, again), known_share=False), level=0.95, seed=1, flips=999)
    assert (one.estimate.value, one.test.p_value) == (0.0, 1.0)
