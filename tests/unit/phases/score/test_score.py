"""score: only answers are scored, samples are averaged inside item and arm, and what was lost is counted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.phases.world import Stop, World, closed_items, open_items, world

from batchtrial.config.expand import TrialArm
from batchtrial.errors import ConfigError, Stopped
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.report import exports
from batchtrial.phases.score import part as score_part
from batchtrial.phases.score import phase as score
from batchtrial.phases.tables.columns import SCORE_COLUMNS, TEXTS


def scored(w: World) -> pl.DataFrame:
    w.run(parse.phase)
    w.run(score.phase)
    return table(w)


def table(w: World) -> pl.DataFrame:
    types: dict[str, Any] = dict.fromkeys(("cluster", "item_key", "dataset"), pl.String)
    types |= {name: pl.Float64 for name in SCORE_COLUMNS if name.endswith(("_std", "_rate")) or name in ("em", "f1", "overlap", "temp")}
    w.export()
    return pl.read_csv(w.layout.trial(w.trial.slug).scores, schema_overrides=types)


def by_key(frame: pl.DataFrame, condition: str = "control") -> dict[str, dict[str, object]]:
    return {row["item_key"]: row for row in frame.filter(condition=condition).to_dicts()}


def right(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str:
    return f"answer {item_id[1:]}" if dataset == "reading" else f"thing {item_id[1:]}"


def test_one_row_per_item_and_arm_in_the_order_of_the_run(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(4), closed=closed_items(3), temps=[0.0, 0.7]) as w:
        w.answer_all(right)
        got = scored(w)
        index = [line.split(",") for line in w.layout.index.read_text().splitlines()[1:]]
    assert tuple(got.columns) == (*SCORE_COLUMNS, *TEXTS)
    assert got["item_key"].to_list() == [f"{row[1]}|{row[2]}" for row in index for _ in range(4)]
    assert list(zip(got["condition"], got["temp"], strict=True))[:4] == [
        ("control", 0.0),
        ("control", 0.7),
        ("treatment", 0.0),
        ("treatment", 0.7),
    ]
    assert got["em"].to_list() == [1.0] * 28


def test_a_lost_answer_is_no_wrong_answer(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(3)) as w:
        w.answer_all(
            lambda arm, dataset, item_id, sample: None if item_id == "c1" and arm.condition == "treatment" else right(arm, dataset, item_id, 0)
        )
        rows = by_key(scored(w), "treatment")
    lost = rows["recall|c1"]
    assert (lost["em"], lost["f1"], lost["abstain_rate"], lost["n_samples"], lost["n_lost"]) == (None, None, None, 0, 1)
    assert rows["recall|c0"]["em"] == 1.0


def test_samples_are_averaged_over_those_that_were_answered(tmp_path: Path) -> None:
    answers = {0: "thing 0", 1: "wrong", 2: None, 3: "thing 0"}
    with world(tmp_path, closed=closed_items(2), samples_per_item=4) as w:
        w.answer_all(lambda arm, dataset, item_id, sample: answers[sample] if item_id == "c0" else "thing 1")
        rows = by_key(scored(w))
    one = rows["recall|c0"]
    assert one["em"] == pytest.approx(2 / 3)
    assert one["em_std"] == pytest.approx(math.sqrt(((1 / 3) ** 2 * 2 + (2 / 3) ** 2) / 2))
    assert (one["n_samples"], one["n_lost"]) == (3, 1)
    assert rows["recall|c1"]["em_std"] == 0.0


def test_a_single_sample_has_no_spread(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(1)) as w:
        w.answer_all(right)
        assert scored(w)["em_std"].to_list() == [None, None]


def test_unanswerable_questions_have_false_answers_and_closed_ones_have_no_passage(tmp_path: Path) -> None:
    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str:
        return "I don't know." if item_id in ("o1", "c0") else "answer 3" if item_id == "o3" else right(arm, dataset, item_id, sample)

    with world(tmp_path, opened=open_items(4, unanswerable_every=2), closed=closed_items(2)) as w:
        w.answer_all(answer)
        rows = by_key(scored(w))
    assert (rows["reading|o1"]["em"], rows["reading|o1"]["abstain_rate"], rows["reading|o1"]["false_answer_rate"]) == (1.0, 1.0, 0.0)
    assert (rows["reading|o3"]["em"], rows["reading|o3"]["false_answer_rate"]) == (0.0, 1.0)
    assert rows["reading|o0"]["false_answer_rate"] is None
    assert rows["reading|o0"]["overlap"] == 1.0
    assert (rows["recall|c0"]["em"], rows["recall|c0"]["abstain_rate"], rows["recall|c0"]["unsupported_rate"]) == (0.0, 1.0, None)


def test_each_set_is_scored_by_its_own_metric(tmp_path: Path) -> None:
    """TriviaQA makes punctuation a space, SQuAD deletes it: "U.S.A." is "u s" to one and "usa" to the other."""
    opened = [{"id": "o0", "question": "q", "context": "the U.S.A. and USA", "answers": ["USA"], "is_unanswerable": False}]
    closed = [{"id": "c0", "question": "q", "answers": ["USA"]}]
    with world(tmp_path, opened=opened, closed=closed) as w:
        w.answer_all(lambda *_: "U.S.A.")
        rows = by_key(scored(w))
    assert rows["reading|o0"]["em"] == 1.0
    assert rows["recall|c0"]["em"] == 0.0


def test_clusters_are_carried_along(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(6, per_passage=3)) as w:
        w.answer_all(right)
        got = scored(w)
    assert got["cluster"].n_unique() == 2
    assert got["cluster"].null_count() == 0


def length(item: object, text: str) -> float:
    return float(len(text))


def two_numbers(item: object, text: str) -> dict[str, float]:
    return {"words": float(len(text.split())), "is_short": float(len(text) < 8)}


def sometimes(item: object, text: str) -> dict[str, float]:
    return {"a": 1.0} | ({"b": 1.0} if text.endswith("3") else {})


def clashing(item: object, text: str) -> dict[str, float]:
    return {"f1": 1.0}


def test_metrics_of_the_users_own_get_columns(tmp_path: Path) -> None:
    own = [f"{__name__}:length", f"{__name__}:two_numbers"]
    with world(tmp_path, closed=closed_items(3), metrics=own) as w:
        w.answer_all(right)
        got = scored(w)
    assert tuple(got.columns) == (*SCORE_COLUMNS, "is_short", "length", "words", *TEXTS)
    assert got["words"].to_list() == [2.0] * 6
    assert got["length"].to_list() == [7.0] * 6


@pytest.mark.parametrize(("metric", "name"), [("sometimes", "b"), ("clashing", "f1")])
def test_a_metric_that_changes_its_names_or_takes_ours_is_refused(tmp_path: Path, metric: str, name: str) -> None:
    def whole() -> None:
        with world(tmp_path, closed=closed_items(9), metrics=[f"{__name__}:{metric}"]) as w:
            w.answer_all(right)
            w.run(parse.phase)
            w.run(score.phase)

    with pytest.raises(ConfigError, match=repr(name)):
        whole()


def test_verdicts_follow_the_inputs(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(3)) as w:
        w.answer_all(right)
        assert score.phase.verdict(w.view).needs == "parse"
        scored(w)
        assert score.phase.verdict(w.view).is_done
        layout = w.layout.trial(w.trial.slug)
        before = layout.scoring.read_bytes()
        layout.scoring.write_bytes(before[:-1])
        assert score.phase.verdict(w.view).status == "stale"
        w.run(score.phase)
        assert layout.scoring.read_bytes() == before


def test_a_stop_leaves_no_scores(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(3)) as w:
        w.answer_all(right)
        w.run(parse.phase)
        with pytest.raises(Stopped):
            w.run(score.phase, stop=Stop(after=1))
        assert not w.layout.trial(w.trial.slug).scoring.exists()
        w.run(score.phase)
        assert score.phase.verdict(w.view).is_done


def test_stretches_of_items_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for size in (2, 4096):
        monkeypatch.setattr(score_part, "ITEMS_AT_ONCE", size)
        monkeypatch.setattr(exports, "ITEMS_AT_ONCE", size)
        with world(tmp_path / str(size), opened=open_items(5, unanswerable_every=3), closed=closed_items(6), samples_per_item=2) as w:
            w.answer_all(right)
            scored(w)
            found.append(w.layout.trial(w.trial.slug).scores.read_bytes())
    assert found[0] == found[1]
