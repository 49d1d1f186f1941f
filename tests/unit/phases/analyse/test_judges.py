"""What is said of a judge whose verdicts no label corrects."""

from __future__ import annotations

import numpy as np
import pytest

from batchtrial.config.judges import JudgeSpec
from batchtrial.config.settings import Text
from batchtrial.phases.analyse.comparison import compare
from batchtrial.phases.analyse.judges import Believed, by_labels, compared_by_judge, possible
from batchtrial.phases.analyse.paired import Floats, Paired
from batchtrial.phases.judge.scores import Judged

LEVEL = 0.95


def believed(judge: JudgeSpec, paired: Paired, labels: Floats) -> Believed:
    nothing = np.full(labels.size, np.nan)
    verdicts = Judged(
        judge=judge,
        control=paired.control,
        treatment=paired.treatment,
        first_ab=nothing,
        first_ba=nothing,
        flips=nothing,
        longer=nothing,
        again=(nothing, nothing),
        unjudged=(np.isnan(paired.control).astype(float), np.isnan(paired.treatment).astype(float)),
        counts={},
    )
    return Believed(judged=verdicts, labels=labels, twice=(nothing, nothing))


@pytest.mark.parametrize(
    ("better", "worse", "clusters", "whom"),
    [
        (14, 1, None, "the treatment"),
        (1, 14, None, "the control"),
        (9, 4, None, "neither arm beyond chance"),
        (4, 9, None, "neither arm beyond chance"),
        (5, 5, None, "neither arm"),
        (14, 1, 1, "neither arm beyond chance"),
        (14, 1, 4, "neither arm beyond chance"),
    ],
)
def test_a_judge_prefers_an_arm_only_where_chance_cannot_explain_it(better: int, worse: int, clusters: int | None, whom: str) -> None:
    n = 40
    treatment, control = np.zeros(n), np.zeros(n)
    treatment[:better], control[better : better + worse] = 1.0, 1.0
    paired = Paired(treatment=treatment, control=control, clusters=None if clusters is None else np.arange(n) % clusters)
    nothing = np.full(n, np.nan)
    judge = JudgeSpec(name="polite", rubric=Text(path="rubric.txt", text="Is it polite?"))
    known = believed(judge, paired, nothing)
    one = compare(paired, level=LEVEL, seed=1, flips=999)
    got = compared_by_judge(one, paired, known, nothing, LEVEL, None)
    assert got.not_decidable is not None
    assert f"it prefers {whom}, and no labels say how far it is right" in got.not_decidable


def test_labels_correct_a_comparison_where_enough_of_them_are_on_its_own_questions() -> None:
    """35 labels, of which 5 are on the questions that are compared: they say too little of these."""
    rng = np.random.default_rng(5)
    paired = Paired(treatment=rng.integers(0, 2, 100).astype(float), control=rng.integers(0, 2, 100).astype(float))
    labels = np.where(np.arange(100) < 35, paired.treatment - paired.control, np.nan)
    known = believed(JudgeSpec(name="right", rubric=Text(path="", text="Is it right?")), paired, labels)
    some = np.arange(100) >= 30
    told = {
        n: compared_by_judge(compare(pairs, level=LEVEL, seed=1, flips=99), pairs, known, mine, LEVEL, None)
        for n, pairs, mine in ((35, paired, labels), (5, paired.where(some), labels[some]))
    }
    assert told[35].not_decidable is None
    assert told[35].estimate.method.startswith("ppi")
    assert told[5].estimate.method == "tango"
    assert "only 5 labels say how far it is right on these questions, where 30 are needed" in (told[5].not_decidable or "")


def test_no_interval_reaches_beyond_what_verdicts_can_come_to() -> None:
    """People who always prefer the treatment, beside a judge who does not."""
    labels, differences = np.ones(40), np.tile([1.0, 0.0, -1.0, 0.0], 10)
    got = by_labels(labels, differences, None, LEVEL)
    assert got.ci_high is not None
    assert got.ci_high > 1.0
    assert possible(JudgeSpec(name="right", rubric=Text(path="", text="Is it right?")), got).ci_high == 1.0
    assert possible(JudgeSpec(name="grade", kind="score", rubric=Text(path="", text="How good?")), got) == got
