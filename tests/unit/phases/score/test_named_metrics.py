"""Metrics by name in a whole trial: their columns, their direction in the verdict, and what the plan freezes of them."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.phases.world import World, closed_items, open_items, world

from batchtrial.config.expand import TrialArm
from batchtrial.errors import ConfigError
from batchtrial.phases.analyse import costs, stats
from batchtrial.phases.analyse.significance import significance
from batchtrial.phases.batches.frozen_plan import plan_now
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.report import phase as report
from batchtrial.phases.score import phase as score


def right(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str:
    return f"answer {item_id[1:]}" if dataset == "reading" else f"thing {item_id[1:]}"


def scored(w: World) -> pl.DataFrame:
    w.run(parse.phase)
    w.run(score.phase)
    w.export()
    return pl.read_csv(w.layout.trial(w.trial.slug).scores, infer_schema_length=None)


def record(w: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(w.layout.trial(w.trial.slug).scoring.read_bytes())
    return found


def test_their_numbers_stand_in_the_tables_and_samples_are_averaged(tmp_path: Path) -> None:
    metrics = ["words", {"contains": {"name": "said"}}, {"regex": {"pattern": "1", "sets": ["recall"], "name": "one"}}]
    with world(tmp_path, opened=open_items(2), closed=closed_items(2), metrics=metrics, samples_per_item=2) as w:
        w.answer_all(lambda arm, dataset, item_id, sample: "no" if sample else right(arm, dataset, item_id, sample))
        rows = {row["item_key"]: row for row in scored(w).filter(condition="control").to_dicts()}
        kept = record(w)["metrics"]
    assert rows["reading|o1"] | {"words": 1.5, "said": 0.5, "one": None} == rows["reading|o1"]
    assert rows["recall|c1"] | {"words": 1.5, "said": 0.5, "one": 0.5} == rows["recall|c1"]
    assert kept["said"]["scales"] == {"said": "share"}
    assert (kept["words"]["better"], kept["said"]["better"]) == ("lower", "higher")
    assert kept["one"]["parameters"]["pattern"] == "1"


def test_a_refused_row_is_a_refusal_and_a_lost_one_has_no_number(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(3), metrics=["refusal", "words"]) as w:
        w.answer_all(lambda arm, dataset, item_id, sample: None if item_id == "c1" else "I'm sorry, but I can't help with that.")
        rows = {row["item_key"]: row for row in scored(w).filter(condition="control").to_dicts()}
    assert (rows["recall|c0"]["refusal"], rows["recall|c1"]["refusal"], rows["recall|c1"]["words"]) == (1.0, None, None)


def test_fewer_words_are_better_in_the_verdict(tmp_path: Path) -> None:
    plan = {"primary": {"metric": "words", "kind": "all"}}
    pytest.importorskip("rapidfuzz")
    with world(tmp_path, closed=closed_items(40), metrics=["words", {"similarity": {"name": "like"}}], stats=plan) as w:
        w.answer_all(lambda arm, dataset, item_id, sample: "one" if arm.condition == "treatment" else "one two " + "x " * (int(item_id[1:]) % 3))
        scored(w)
        w.run(stats.phase)
        w.run(costs.phase)
        found = significance(w.view, w.trial)
        w.run(report.phase)
        text = w.layout.trial(w.trial.slug).report_md.read_text()
    assert found["headline"]["verdict"] == "superior"
    assert found["tests"][0]["higher_is_better"] is False
    assert "(words) |" in text
    assert f"(similarity, rapidfuzz {version('rapidfuzz')}) |" in text


@pytest.mark.parametrize("metric", ["similarity", "rouge_l"])
def test_lost_answers_are_bounded_by_what_a_likeness_can_be(tmp_path: Path, metric: str) -> None:
    pytest.importorskip("rapidfuzz")
    pytest.importorskip("rouge_score")
    plan = {"primary": {"metric": metric, "kind": "all"}}
    with world(tmp_path, closed=closed_items(40), metrics=[metric], stats=plan) as w:
        said = {"control": "thing", "treatment": "thing "}
        w.answer_all(lambda arm, dataset, k, sample: None if arm.condition == "treatment" and int(k[1:]) < 8 else said[arm.condition] + k[1:])
        scored(w)
        w.run(stats.phase)
        w.run(costs.phase)
        found = significance(w.view, w.trial)
    lost = next(one for one in found["tests"] if one["family"] == "primary")["lost_at_worst"]
    assert lost["high"] - lost["low"] == pytest.approx(8 / 40)  # that many could have been anything from 0 to 1


def test_tokens_and_dollars_are_known_of_answers_that_are_lost_too(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(2), metrics=["output_tokens", "cost_usd", "reasoning_tokens"]) as w:
        w.answer_all(lambda arm, dataset, item_id, sample: None if item_id == "c1" else " " if arm.condition == "treatment" else "thing 0")
        rows = scored(w)
    assert rows.filter(item_key="recall|c0")["output_tokens"].to_list() == [7.0, 7.0]
    assert rows.filter(item_key="recall|c0")["em"].to_list() == [1.0, None]
    assert rows.filter(item_key="recall|c1")["output_tokens"].to_list() == [None, None]
    assert all(value > 0 for value in rows.filter(item_key="recall|c0")["cost_usd"].to_list())


def test_a_metric_of_several_columns_fills_them_all(tmp_path: Path) -> None:
    closed = [{"id": f"c{n}", "question": "q", "answers": ['{"a": 1, "b": 2}']} for n in range(2)]
    with world(tmp_path, closed=closed, metrics=[{"json_fields": {"fields": ["a", "b"]}}]) as w:
        w.answer_all(lambda *_: '{"a": 1, "b": 3}')
        rows = scored(w)
    assert [rows[name].to_list() for name in ("json_fields", "json_fields.a", "json_fields.b")] == [[0.5] * 4, [1.0] * 4, [0.0] * 4]


def test_scores_of_all_answers_together_are_compared_and_are_no_endpoint(tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu")
    with world(tmp_path / "a", closed=closed_items(30), metrics=["chrf", {"bleu": {"name": "b"}}, "words"]) as w:
        w.answer_all(lambda arm, dataset, item_id, sample: right(arm, dataset, item_id, 0) if arm.condition == "treatment" else "thin")
        scored(w)
        for phase in (stats.phase, costs.phase, report.phase):
            w.run(phase)
        found = significance(w.view, w.trial)
        text = w.layout.trial(w.trial.slug).report_md.read_text()
    assert [(one["metric"], one["kind"]) for one in found["corpus"]] == [("chrf", "all"), ("b", "all")]
    assert found["corpus"][0]["difference"] > 0
    assert found["corpus"][0]["p_value"] < 0.01
    assert [one["n_lost"] for one in found["corpus"]] == [0, 0]
    assert {one["metric"] for one in found["tests"]} == {"em", "f1", "abstained", "words"}
    assert "Scores of all answers together" in text
    assert "nc:6" in text
    plan = {"primary": {"metric": "chrf"}}
    with (
        pytest.raises(ConfigError, match="score of all answers together"),
        world(tmp_path / "b", closed=closed_items(1), metrics=["chrf"], stats=plan),
    ):
        pass


def test_the_plan_freezes_what_the_metric_is(tmp_path: Path) -> None:
    with world(tmp_path / "a", closed=closed_items(1), metrics=[{"contains": {"any": ["a"]}}]) as w:
        one = plan_now(w.config)
    with world(tmp_path / "b", closed=closed_items(1), metrics=[{"contains": {"any": ["b"]}}]) as w:
        other = plan_now(w.config)
    assert one["metric_code"]["further"]["contains"] != other["metric_code"]["further"]["contains"]
    assert one["metrics"] != other["metrics"]


def test_a_name_of_ours_and_a_set_that_is_not_there_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    cases = [(["exact", {"words": {"name": "em"}}], "batchtrial's own"), ([{"words": {"sets": ["reeding"]}}], "no question set 'reeding'")]
    for place, (metrics, says) in enumerate(cases):
        with pytest.raises(ConfigError, match=says), world(tmp_path / str(place), closed=closed_items(1), metrics=metrics):
            pass


def test_another_parameter_scores_again(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(2), metrics=[{"contains": {"any": ["thing"]}}]) as w:
        w.answer_all(right)
        scored(w)
        before = score.phase.inputs(w.view, w.trial)
    with world(tmp_path / "other", closed=closed_items(2), metrics=[{"contains": {"any": ["x"]}}]) as w:
        w.answer_all(right)
        scored(w)
        assert score.phase.inputs(w.view, w.trial) != before


def _without_usage(lines: list[bytes]) -> list[bytes]:
    """The same answers; those that say "mum" came without usage, and the others took some."""
    found = []
    for place, line in enumerate(lines):
        row = json.loads(line)
        row["response"]["usage"]["completion_tokens"] = 5 + place % 3 + 4 * ("at length" in line.decode())
        if "mum" in line.decode():
            del row["response"]["usage"]
        found.append(json.dumps(row).encode() + b"\n")
    return found


def test_answers_that_came_without_usage_are_no_lost_answers_and_every_pair_of_them_is_counted(tmp_path: Path) -> None:
    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str:
        number = int(item_id[1:])
        is_treated = arm.condition == "treatment"
        return "mum" if number < 4 or (number < 14 and is_treated) else "at length" if is_treated else "thing 0"

    plan = {"primary": {"metric": "output_tokens", "goal": "superiority"}}
    with world(tmp_path, closed=closed_items(40), metrics=["output_tokens"], stats=plan) as w:
        w.answer_all(answer, order=_without_usage)
        for phase in (parse.phase, score.phase):
            w.run(phase)
        found = significance(w.view, w.trial)
    one = next(one for one in found["tests"] if one["family"] == "primary")
    assert (one["pairs"]["n"], one["pairs"]["only_treatment_missing"], one["pairs"]["both_missing"]) == (26, 10, 4)
    assert one["pairs"]["lost_answers"] == {"control": {"usage": 4}, "treatment": {"usage": 14}}
    assert one["lost_at_worst"]["what"] == "numbers"
    assert "is not decided: missing numbers could explain it" in one["sentence"]
    assert "14 items lack numbers of the metric, and the metric has no known range" in one["sentence"]
    assert "14 treatment answers were without usage or a known price" in one["sentence"]
    for text in (one["sentence"], *one["warnings"]):
        assert "lost answers" not in text
        assert "Answers to" not in text
    assert any("more pairs were lost to the treatment than to the control" in text for text in one["warnings"])
