"""A dataset that holds exactly the questions of one kind is compared once, under the kind, and the report says so."""

from __future__ import annotations

from pathlib import Path

from tests.unit.phases.batches.test_frozen_plan import analysed, answer, pages
from tests.unit.phases.world import closed_items, open_items, world


def test_a_dataset_that_is_one_kind_of_question_is_tested_once(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(20), closed=closed_items(20)) as made:
        made.answer_all(answer)
        found = analysed(made)
        assert found["same_items"] == {"reading": "open", "recall": "closed"}
        assert [one["name"] for one in found["tests"] if one["dataset"] is not None] == []
        kinds = [one["name"] for one in found["tests"] if one["metric"] == "em"]
        assert sorted(kinds) == ["em/all/t0", "em/closed/t0", "em/open/t0"]
        for page in pages(made):
            assert "compared once, under the kind" in page
            assert "By dataset" not in page
