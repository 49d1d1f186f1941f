"""Rubrics by name, with the form that each is written for: those of the package, and those that other packages add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from batchtrial.config.judges import READY, ready_rubric
from batchtrial.plugins import added


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRecipe:
    """name: what a config writes as the judge's `rubric`. rubric: its text.

    settings: further keys of a judge that the rubric is written for, such as `kind` and `choices`; what a config says itself comes first.
    """

    name: str
    rubric: str
    settings: Mapping[str, Any] = field(default_factory=dict)


OWN: Final = tuple(JudgeRecipe(name=name, rubric=ready_rubric(name)) for name in READY)


def known() -> Mapping[str, JudgeRecipe]:
    """Every rubric that has a name: our own, then those that plugins add under names of their own."""
    others = {one.name: one for _, one in added("batchtrial.judges") if isinstance(one, JudgeRecipe)}
    return {**others, **{one.name: one for one in OWN}}


def filled_in(judge: Mapping[str, Any]) -> dict[str, Any] | None:
    """A judge whose rubric is one of these, with its text and its settings; None for any other."""
    recipe = known().get(judge["rubric"]) if isinstance(judge.get("rubric"), str) else None
    if recipe is None:
        return None
    return {**recipe.settings, **judge, "rubric": {"path": recipe.name, "text": recipe.rubric}}
