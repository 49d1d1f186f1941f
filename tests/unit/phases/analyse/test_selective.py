"""Among the answered questions, which each arm's outcome chose, there are counts and values, and no interval."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.batches.test_frozen_plan import analysed
from tests.unit.phases.world import open_items, world

from batchtrial.config.expand import TrialArm

WORDS = "a slice that the outcome chose"


def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str:
    """The control answers three of four and a quarter wrongly; the treatment answers half, all right."""
    number = int(item_id[1:])
    if number % 4 == 0 or (arm.condition == "treatment" and number % 2 == 0):
        return "I don't know."
    return "no idea at all, but Lima" if arm.condition == "control" and number % 4 == 3 else f"answer {number}"


def estimates(tree: Any) -> Iterator[dict[str, Any]]:
    """Every estimate in it."""
    if isinstance(tree, dict):
        if "ci_low" in tree:
            yield tree
        for value in tree.values():
            yield from estimates(value)


@pytest.mark.parametrize(("samples", "per_passage"), [(1, 1), (2, 1), (1, 2)], ids=["one sample", "several samples", "clusters"])
def test_the_risk_among_answered_questions_has_counts_and_no_interval(tmp_path: Path, samples: int, per_passage: int) -> None:
    with world(tmp_path, opened=open_items(40, per_passage=per_passage), samples_per_item=samples) as made:
        made.answer_all(answer)
        found = analysed(made)["results"]["0.0"]["all"]["selective_risk"]
    control, treatment, difference = found["control"], found["treatment"], found["difference"]
    assert [(one["answered"], one["wrong"]) for one in (control, treatment)] == [(30.0, 10.0), (20.0, 0.0)]
    assert [one["risk"]["value"] for one in (control, treatment)] == pytest.approx([1 / 3, 0.0])
    assert difference["risk"]["value"] == pytest.approx(-1 / 3)
    conditional = [*(one[name] for one in (control, treatment) for name in ("risk", "selective_accuracy")), difference["risk"]]
    assert all(one["ci_low"] is None and one["ci_high"] is None and WORDS in one["reason"] for one in conditional)
    assert difference["test"]["p_value"] is None
    assert WORDS in difference["test"]["reason"]
    assert all(one["coverage"]["ci_low"] is not None for one in (control, treatment, difference)), "coverage is of all questions"
    assert len(list(estimates(found))) == 8, "a new estimate needs a decision: is it of all questions?"
    json.dumps(found, allow_nan=False)
