"""What is said of a judge whose verdicts no label corrects."""

from __future__ import annotations

import numpy as np
import pytest

from batchtrial.config.judges import JudgeSpec
from batchtrial.config.settings import Text
from batchtrial.phases.analyse.comparison import compare
from batchtrial.phases.analyse.judges import Believed, compared_by_judge
from batchtrial.phases.analyse.paired import Paired
from batchtrial.phases.judge.scores import Judged

LEVEL = 0.95


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
    verdicts = Judged(
        judge=judge, control=control, treatment=treatment, first_ab=nothing, first_ba=nothing, longer=nothing, again=(nothing, nothing), counts={}
    )
    known = Believed(judged=verdicts, labels=nothing, twice=(nothing, nothing))
    one = compare(paired, level=LEVEL, seed=1, flips=999)
    got = compared_by_judge(one, paired, known, None, LEVEL, None)
    assert got.not_decidable is not None
    assert f"it prefers {whom}, and no labels say how far it is right" in got.not_decidable
