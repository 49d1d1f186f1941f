"""What a judge is told that an answer is to: all that was asked about, and nothing that was kept beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from batchtrial.phases.judge.questions import question_of
from batchtrial.records import Item

ITEM = Item(
    dataset="tickets",
    item_id="t1",
    kind="closed",
    question="It is broken.",
    answers=("returns",),
    columns={"subject": "Lamp", "body": "It is broken.", "reply": "We are sorry to hear that.", "n": 3},
)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ((), "It is broken."),
        (("body",), "It is broken."),
        (("body", "n"), "It is broken."),
        (("body", "subject"), "body: It is broken.\nsubject: Lamp"),
    ],
)
def test_a_judge_reads_every_text_that_was_asked_about(columns: tuple[str, ...], told: Any) -> None:
    assert question_of(ITEM, columns) == told


def test_a_text_that_is_empty_is_not_shown() -> None:
    assert question_of(replace(ITEM, columns={**ITEM.columns, "subject": " "}), ("body", "subject")) == "It is broken."
