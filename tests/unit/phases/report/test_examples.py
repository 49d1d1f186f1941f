"""The items that a report shows follow the primary endpoint, and with several samples say what most of them did."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.unit.phases.world import World, closed_items, open_items, world

from batchtrial.config.expand import TrialArm
from batchtrial.phases.analyse import costs, stats
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.report import phase as report
from batchtrial.phases.score import phase as score


def shown(made: World) -> str:
    for phase in (parse.phase, score.phase, stats.phase, costs.phase, report.phase):
        made.run(phase)
    text = made.view.trial_layout(made.trial).report_md.read_text()
    return text.split("## Items that changed")[1].split("\n## ")[0]


def test_with_several_samples_shares_and_a_sample_of_the_majority_are_shown(tmp_path: Path) -> None:
    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        is_right = sample in (1, 3, 4) if arm.condition == "treatment" else sample == 0
        return f"thing {item_id[1:]}" if is_right else f"wrong {sample}"

    with world(tmp_path, closed=closed_items(20), samples_per_item=5) as made:
        made.answer_all(answer)
        text = shown(made)
    assert "Of the 5 samples of an item, half or more count as yes; the answer shown is the first that did what most did." in text
    gained, lost = text.split("### Only the control was right in most samples (0 items)")
    assert "Only the treatment was right in most samples (20 items)" in gained
    assert lost.strip().startswith("None.")
    number = re.search(r"item +recall\|c(\d+)", gained)
    assert number is not None
    assert f"treatment [was right in 3 of 5] thing {number[1]}" in gained
    assert "control   [was right in 1 of 5] wrong 1" in gained


def test_a_lost_sample_is_not_counted(tmp_path: Path) -> None:
    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        if sample == 0:
            return None
        return f"thing {item_id[1:]}" if arm.condition == "treatment" else "wrong"

    with world(tmp_path, closed=closed_items(8), samples_per_item=3) as made:
        made.answer_all(answer)
        text = shown(made)
    assert "treatment [was right in 2 of 2] thing" in text
    assert "control   [was right in 0 of 2] wrong" in text


def test_examples_follow_the_primary_endpoint_and_its_kind(tmp_path: Path) -> None:
    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        return "I don't know" if arm.condition == "treatment" and item_id.startswith("o") else "something"

    plan = {"primary": {"metric": "false_answer", "kind": "open"}}
    with world(tmp_path, opened=open_items(8, unanswerable_every=2), closed=closed_items(4), stats=plan) as made:
        made.answer_all(answer)
        text = shown(made)
    assert "By the primary endpoint (answering the unanswerable, open book); up to 3 each way, chosen by the seed." in text
    better, worse = text.split("### Only the treatment answered the unanswerable (0 items)")
    assert "### Only the control answered the unanswerable (4 items)" in better
    assert "treatment I don't know" in better
    assert worse.strip().startswith("None.")


def test_a_metric_that_is_no_yes_or_no_shows_means(tmp_path: Path) -> None:
    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        return f"thing {item_id[1:]} and more" if arm.condition == "control" or sample else f"thing {item_id[1:]}"

    plan: dict[str, Any] = {"primary": {"metric": "f1"}}
    with world(tmp_path, closed=closed_items(4), samples_per_item=2, stats=plan) as made:
        made.answer_all(answer)
        text = shown(made)
    assert "Scores are means of the 2 samples of an item" in text
    assert "### Higher token F1 under the treatment (4 items)" in text
    assert re.search(r"treatment \[mean 0\.[0-9]+ of 2\] thing", text)
