"""Slices: the effect by a column's values, a test that it differs, and rows that need no reference."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.phases.world import closed_items, world

from batchtrial.config.expand import TrialArm
from batchtrial.errors import DataError
from batchtrial.phases.analyse import costs, stats
from batchtrial.phases.analyse.significance import significance
from batchtrial.phases.analyse.slices import slice_rows
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.report import phase as report
from batchtrial.phases.score import phase as score

PLAN = {"primary": {"metric": "said", "kind": "all"}}
METRICS = [{"contains": {"any": ["yes"], "name": "said"}}, {"exact": {"reference": "reply"}}]


def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str:
    """Under the treatment only every other item says yes, and the odd ones never do."""
    return "yes" if arm.condition == "treatment" and int(item_id[1:]) % 2 == 0 else "no"


def test_the_effect_by_a_column_with_a_test_that_it_differs(tmp_path: Path) -> None:
    rows = [one | {"topic": "even" if n % 2 == 0 else "odd", "reply": "yes", "answers": []} for n, one in enumerate(closed_items(40))]
    rows[0] |= {"topic": None}
    with world(tmp_path, closed=rows, metrics=METRICS, stats=PLAN, slices=["topic"]) as w:
        w.answer_all(answer)
        for phase in (parse.phase, score.phase, stats.phase, costs.phase, report.phase):
            w.run(phase)
        found = significance(w.view, w.trial)
        text = w.layout.trial(w.trial.slug).report_md.read_text()
    sliced = found["slices"][0]
    assert [(row["value"], row["n"], row["treatment"] - row["control"]) for row in sliced["rows"]] == [("even", 19, 1.0), ("odd", 20, 0.0)]
    assert sliced["heterogeneity"]["p_value"] < 0.001
    assert sliced["without"] == 1
    assert "By topic: said (exploratory)" in text
    assert {one["metric"] for one in found["tests"]} == {"said", "exact", "abstained"}
    assert next(one for one in found["tests"] if one["metric"] == "said")["pairs"]["n"] == 40


def test_a_slice_says_which_pairs_it_lost_and_rounds_nothing_to_naught(tmp_path: Path) -> None:
    rows = [one | {"topic": "all", "reply": "yes", "answers": []} for one in closed_items(40)]

    def said(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        return None if arm.condition == "treatment" and int(item_id[1:]) < 3 else "yes" if arm.condition == "treatment" else "no"

    with world(tmp_path, closed=rows, metrics=METRICS, stats=PLAN, slices=["topic"]) as w:
        w.answer_all(said)
        for phase in (parse.phase, score.phase):
            w.run(phase)
        ((row,),) = [list(slice_rows(one)) for one in significance(w.view, w.trial)["slices"]]
    assert row[:4] == ("all", "0.0 %", "100.0 %", "+100.0")
    assert row[5:] == ("< 0.001", "37", "3")


def test_rows_without_a_reference_are_refused_where_an_endpoint_asks_what_is_right(tmp_path: Path) -> None:
    rows = [one | {"answers": []} for one in closed_items(3)]
    with pytest.raises(DataError, match="there is no accepted answer"), world(tmp_path, closed=rows, metrics=METRICS):
        pass
