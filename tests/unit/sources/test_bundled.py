"""The bundled question set is what its README says: large enough, consistent, answerable where it says so."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

import pytest

from batchtrial.records import Item
from batchtrial.scoring import scorer_for
from batchtrial.sources import SourceSpec, load_items
from batchtrial.sources.spec import BUNDLED

FOLDER = resources.files("batchtrial.sources") / "bundled"


def items(name: str) -> tuple[Item, ...]:
    return load_items(SourceSpec(name=name, source="bundled"), skip_bad_rows=False).items


def rows(book: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{book}_book.jsonl").read_text("utf-8").splitlines()]


def test_there_are_enough_open_book_items_and_a_third_is_unanswerable() -> None:
    found = items("bundled_open")
    assert len(found) >= 120
    assert len({item.cluster for item in found}) == len({item.context for item in found}) >= 22
    assert sum(item.is_unanswerable for item in found) * 3 == len(found)
    assert {item.kind for item in found} == {"open"}


def test_there_are_enough_closed_book_items() -> None:
    found = items("bundled_closed")
    assert len(found) >= 120
    assert {item.kind for item in found} == {"closed"}
    assert sum(len(item.answers) > 1 for item in found) >= 60


@pytest.mark.parametrize("name", BUNDLED)
def test_ids_and_questions_are_unique(name: str) -> None:
    found = items(name)
    assert len({item.item_id for item in found}) == len({(item.question, item.context) for item in found}) == len(found)
    assert all(item.question.endswith("?") for item in found)


def test_answers_stand_in_their_passage_and_unanswerable_ones_have_none() -> None:
    for item in items("bundled_open"):
        assert item.context is not None
        assert 90 <= len(item.context.split()) <= 160, item.item_id
        assert all(answer in item.context for answer in item.answers), item.item_id
        assert bool(item.answers) is not item.is_unanswerable


@pytest.mark.parametrize("name", BUNDLED)
def test_accepted_answers_score_and_distractors_do_not(name: str) -> None:
    scorer = scorer_for(name)
    for item in items(name):
        gold = scorer.prepare_gold(item)
        assert len(item.distractors) >= 2
        assert all(scorer.score(gold, answer).em == 1 for answer in item.answers), item.item_id
        for wrong in item.distractors:
            score = scorer.score(gold, wrong)
            assert (score.em, score.abstained) == (0, False), (item.item_id, wrong)


@pytest.mark.parametrize("book", ["open", "closed"])
def test_rows_have_the_documented_fields(book: str) -> None:
    readme = (FOLDER / "README.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `(\w+)` \| (?:both|" + book + r") ", readme, re.MULTILINE))
    assert all(set(row) == documented for row in rows(book))
    assert all(row["dataset"] == f"bundled_{book}" for row in rows(book))
    assert f"| {len(rows(book))} " in readme


def test_the_set_is_dedicated_to_the_public_domain() -> None:
    assert "CC0-1.0" in (FOLDER / "LICENSE").read_text("utf-8")
