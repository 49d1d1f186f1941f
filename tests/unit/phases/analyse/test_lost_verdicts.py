"""lost_verdicts: of a difference that labels correct, what its lost answers could have made is told of the corrected difference."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from batchtrial.phases.analyse.comparison import compare
from batchtrial.phases.analyse.judges import corrected
from batchtrial.phases.analyse.lost_verdicts import at_worst, lost_verdicts
from batchtrial.phases.analyse.paired import Floats, Paired
from batchtrial.stats import AnalysisPlan, Endpoint, Finding, Judgement, judge_findings, sentence
from batchtrial.stats.judge import ppi_mean

LEVEL = 0.95
Kind = Literal["yes_no", "pairwise"]


def pairs_of(differences: Floats, kind: Kind, lost_by: str = "treatment") -> Paired:
    """Verdicts with these differences; where one is NaN that arm has no answer, and a judge of pairs none about either."""
    gone = np.isnan(differences)
    if kind == "pairwise":
        treatment = (1.0 + differences) / 2.0
        blame = {"treatment": gone.astype(float), "control": np.zeros(gone.size)} if lost_by == "treatment" else {}
        blamed = (blame["treatment"], blame["control"]) if blame else (gone.astype(float), gone.astype(float))
        return Paired(treatment=treatment, control=1.0 - treatment, blamed=blamed, lost_treatment=gone.astype(float), lost_control=gone.astype(float))
    treatment, control = np.where(differences > 0, 1.0, 0.0), np.where(differences < 0, 1.0, 0.0)
    return Paired(treatment=np.where(gone, np.nan, treatment), control=control)


def judged(paired: Paired, labels: Floats, endpoint: Endpoint, share: float = 1.0) -> Judgement:
    raw = compare(paired, level=LEVEL, seed=1, flips=99, endpoint=endpoint)
    one = corrected(raw, ppi_mean(labels, paired.treatment - paired.control, level=LEVEL), endpoint)
    lost = lost_verdicts(paired, one, labels, share=share, level=LEVEL, endpoint=endpoint)
    margin = None if one.margin is None else one.margin.p_value
    return judge_findings(AnalysisPlan(primary=endpoint), [Finding(name="x", estimate=one.estimate, test=one.test, margin_test_p=margin, lost=lost)])[
        0
    ]


def lenient(truth: float, judge: float, lost: int, n: int = 400, m: int = 200) -> tuple[Floats, Floats]:
    """What a judge says of n items, and people of the first m; where people see `truth` the judge, who favours the treatment, sees `judge`."""
    d, labels = np.zeros(n), np.full(n, np.nan)
    for half in (slice(0, m), slice(m, n)):
        d[half][: round(judge * (half.stop - half.start))] = 1.0
    labels[:m] = 0.0
    labels[: round(truth * m)] = 1.0
    d[n - lost :] = np.nan
    return d, labels


@pytest.mark.parametrize("kind", ["yes_no", "pairwise"])
def test_a_lenient_judge_survives_losses_that_the_corrected_difference_does_not(kind: Kind) -> None:
    """40 of 400 answers lost. By the judge +60 pp, at worst +44; by the labels +10 pp, at worst nothing."""
    d, labels = lenient(0.1, 0.6, lost=40)
    got = judged(pairs_of(d, kind), labels, Endpoint(name="x"))
    assert got.finding.estimate.value == pytest.approx(0.1, abs=0.02)
    assert (got.verdict, got.is_claim) == ("not decided", False)
    value = got.finding.estimate.value or 0.0
    assert got.finding.lost is not None
    assert (got.finding.lost.low, got.finding.lost.high) == pytest.approx((0.9 * value - 0.1, 0.9 * value + 0.1))
    assert "the difference lies anywhere from" in sentence(got)


@pytest.mark.parametrize("kind", ["yes_no", "pairwise"])
def test_what_labels_show_in_spite_of_the_losses_is_claimed(kind: Kind) -> None:
    d, labels = lenient(0.5, 0.6, lost=40)
    assert judged(pairs_of(d, kind), labels, Endpoint(name="x")).verdict == "superior"
    kept = Endpoint(name="x", goal="noninferiority", margin=0.1)
    assert judged(pairs_of(d, kind), labels, kept).is_claim
    close, some = lenient(0.1, 0.6, lost=40)
    kept = Endpoint(name="x", goal="noninferiority", margin=0.02)
    assert judged(pairs_of(close, kind), some, kept).verdict == "not decided"
    assert judged(pairs_of(close, kind), some, kept, share=0.1).is_claim


def test_a_corrected_difference_on_the_other_side_of_the_raw_one_is_held_against_its_own_edge() -> None:
    """The judge prefers the treatment and people the control: lost answers are at their worst where they speak for the treatment."""
    d, labels = lenient(0.1, 0.6, lost=40)
    got = judged(pairs_of(d, "yes_no"), -labels, Endpoint(name="x"))
    assert (got.finding.estimate.value or 0.0) < 0.0
    assert (got.verdict, got.is_claim) == ("not decided", False)


@pytest.mark.parametrize(("lost_by", "verdict"), [("treatment", "not decided"), ("both", "superior")])
def test_pairs_that_one_arm_lost_are_held_against_the_other_arms_losses(lost_by: str, verdict: str) -> None:
    """Twelve of 400 pairs: too few to matter, unless they went with one arm's answers; a pair without one has no verdict for either."""
    d, labels = lenient(0.04, 0.04, lost=12)
    paired = pairs_of(d, "pairwise", lost_by)
    got = judged(paired, labels, Endpoint(name="x"))
    assert got.verdict == verdict
    missing = compare(paired, level=LEVEL, seed=1, flips=99).missing
    assert (missing.only_treatment_missing, missing.both_missing) == ((12, 0) if lost_by == "treatment" else (0, 12))
    assert missing.dropped == 12


def test_the_error_is_that_of_the_whole_with_the_items_put_there() -> None:
    """Of labels on every item the corrected mean is the labels' mean, and so it is with the lost ones put at the edge."""
    rng = np.random.default_rng(2)
    labels = rng.choice([-1.0, 0.0, 1.0], 500)
    d = labels.copy()
    d[450:] = np.nan
    got = at_worst(pairs_of(d, "pairwise"), labels, np.isnan(d).astype(float), -1.0, LEVEL)
    whole = np.where(np.isnan(d), -1.0, labels)
    assert got.value == pytest.approx(whole.mean())
    assert got.se == pytest.approx(whole.std(ddof=1) / np.sqrt(500), rel=0.005)
    clusters = np.arange(500) // 10
    by_document = at_worst(Paired(treatment=d, control=np.zeros(500), clusters=clusters), labels, np.isnan(d).astype(float), -1.0, LEVEL)
    assert by_document.value == pytest.approx(whole.mean())
    assert by_document.se is not None
    assert got.se is not None
    assert by_document.se > 1.5 * got.se  # five whole documents were lost


def test_lost_samples_move_what_is_left_of_an_item() -> None:
    """Half of each item's pairs is gone: at worst half of the difference is left, less a half."""
    d, labels = lenient(0.5, 0.6, lost=0)
    got = at_worst(pairs_of(d, "pairwise"), labels, np.full(400, 0.5), -1.0, LEVEL)
    assert got.value == pytest.approx(0.5 * (ppi_mean(labels, d, level=LEVEL).value or 0.0) - 0.5)
