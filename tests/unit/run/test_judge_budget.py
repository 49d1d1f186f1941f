"""A budget is held against the judges' wave too, before the first request is paid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.world import closed_items, world

from batchtrial.errors import BudgetTooSmall
from batchtrial.run.judge_budget import check_judges_budget
from batchtrial.run.planned import budget_of_run

JUDGE: dict[str, Any] = {"name": "right", "kind": "yes_no", "rubric": {"path": "", "text": "Is it right?"}, "max_tokens": 64}


@pytest.mark.parametrize("judges", [[], [JUDGE]])
def test_the_whole_plan_has_the_judges_in_it(judges: list[dict[str, Any]], tmp_path: Path) -> None:
    """The answers alone may cost less than a cent, and with what is said of them more."""
    with world(tmp_path, closed=closed_items(20), judges=judges, submission={"budget_usd": 0.007}) as w:
        found = budget_of_run(w.view, w.codec)
        assert found is not None
        assert found.covers == (not judges), found.sentence
        if judges:
            with pytest.raises(BudgetTooSmall, match=r"with the judges, the whole plan may cost up to .* it buys \d+ of 20 pairs"):
                check_judges_budget(w.view, w.codec, is_partial=False)
        check_judges_budget(w.view, w.codec, is_partial=bool(judges))
        w.answer_all(lambda arm, dataset, item_id, sample: "thing")
        check_judges_budget(w.view, w.codec, is_partial=False)
