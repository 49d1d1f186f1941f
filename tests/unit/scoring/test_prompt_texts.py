"""The prompt sets are the controlled comparison that their names promise."""

from __future__ import annotations

from pathlib import Path

import pytest

PROMPTS = Path(__file__).parents[3] / "config" / "prompts"
NAMES = (
    "default",
    "operational_only",
    "structure_without_content",
    "philosophy_without_instructions",
    "length_matched_random",
    "length_matched_best_practices",
    "strength_1",
    "strength_2",
    "strength_3",
)


def words(name: str) -> list[str]:
    return (PROMPTS / f"{name}.txt").read_text("utf-8").split()


@pytest.mark.parametrize("name", ["length_matched_random", "length_matched_best_practices"])
def test_length_matched_prompts_are_as_long_as_the_treatment(name: str) -> None:
    assert abs(len(words(name)) - len(words("default"))) <= 0.05 * len(words("default"))


def test_strengths_are_graded() -> None:
    lengths = [len(words(f"strength_{grade}")) for grade in (1, 2, 3)]
    assert lengths == sorted(set(lengths))
    assert lengths[0] > len(words("control"))


def test_every_prompt_has_a_text_of_its_own() -> None:
    texts = {" ".join(words(name)) for name in (*NAMES, "control")}
    assert len(texts) == len(NAMES) + 1
    assert all(texts)


@pytest.mark.parametrize("name", ["control", "length_matched_random", "length_matched_best_practices"])
def test_prompts_without_the_idea_do_not_invite_abstention(name: str) -> None:
    text = " ".join(words(name)).lower()
    assert not any(mark in text for mark in ("don't know", "do not know", "not sure", "guess", "unanswer", "evidence"))
