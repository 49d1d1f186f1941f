"""Judges: models that say how good answers are. What each is asked, in which form it has to answer, and what its answer is worth."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from batchtrial.config.settings import Backend, Model, Temperature, Text
from batchtrial.names import Name

READY: Final = ("follows_instructions", "factual", "complete", "tone", "harmless_refusal")
"""Rubrics that come with the package, by name."""
_ANSWERS: Final = re.compile(r"\{[{%][^}]*\b(?:answer|first|second|mark)\b")
Kind = Literal["score", "yes_no", "choice", "pairwise"]
PAIR: Final = {"first": 1.0, "second": 0.0, "tie": 0.5}
YES_NO: Final = {"yes": 1.0, "no": 0.0}


class JudgeSpec(Model):
    """A model that judges answers, as a second wave of requests."""

    name: Name = Field(description="Name of the judge: that of its metric.")
    kind: Kind = Field("yes_no", description="score, yes_no and choice look at one answer at a time, pairwise at both.")
    rubric: Text = Field(
        description="A rubric of the package or of a plugin by name, or a file: a Jinja template over the item's columns, without the answers."
    )
    backend: Backend | None = Field(None, description="Which provider runs its batches; unset: the run's.")
    model: str | None = Field(None, min_length=1, description="Model id, in the provider's own spelling; unset: `model_id`.")
    scale: tuple[int, int] = Field((1, 5), description="Lowest and highest score, for kind: score.")
    choices: dict[str, float] = Field(
        default_factory=dict, description="What it may choose and what each is worth, for kind: choice; shown sorted by name."
    )
    orders: Literal["both", "seeded"] = Field("both", description="pairwise: every pair in both orders, or in one that a hash of both draws.")
    repeats: int = Field(1, ge=1, le=20, description="How often each question is put; the judgement is their mean.")
    reason: bool = Field(True, description="Ask for a reason in one sentence before the verdict.")
    structured: bool = Field(True, description="The provider enforces the form of the verdict (a JSON schema).")
    temperature: Temperature = Field(0.0, description="Its sampling temperature.")
    max_tokens: int = Field(512, ge=1, description="Longest verdict, in tokens.")
    max_chars: int = Field(20_000, ge=100, description="Longer answers are shown up to here, and the judge is told that they go on.")
    body: dict[str, Any] = Field(default_factory=dict, description="Further body fields for each request.")
    pricing_key: str | None = Field(None, description="Name in the price table when it is not the model id.")

    @field_validator("rubric")
    @classmethod
    def _shows_no_answer(cls, rubric: Text) -> Text:
        if found := _ANSWERS.search(rubric.text):
            raise ValueError(f"the rubric holds {found.group()!r}: answers are shown after it, wrapped as data; leave them out")
        return rubric

    @field_validator("choices")
    @classmethod
    def _in_order(cls, choices: dict[str, float]) -> dict[str, float]:
        """As a run's own config has them: what a judge is asked hangs on their order, and a resumed run reads that file."""
        return dict(sorted(choices.items()))

    @model_validator(mode="after")
    def _fits_its_kind(self) -> JudgeSpec:
        if self.kind == "choice" and len(self.choices) < 2:
            raise ValueError("kind: choice needs at least two `choices`, each with what it is worth")
        if self.kind != "choice" and self.choices:
            raise ValueError("`choices` are for kind: choice")
        if self.scale[0] >= self.scale[1]:
            raise ValueError("the `scale` begins below its end")
        if len({_folded(one) for one in self.choices}) < len(self.choices):
            raise ValueError("two `choices` differ by upper and lower case or blanks alone")
        return self

    @property
    def is_pairwise(self) -> bool:
        """Whether it sees two answers at a time."""
        return self.kind == "pairwise"

    @property
    def verdicts(self) -> Mapping[str, float]:
        """What it may say, and what that is worth."""
        if self.kind == "score":
            return {str(score): float(score) for score in range(self.scale[0], self.scale[1] + 1)}
        return {"yes_no": YES_NO, "pairwise": PAIR}.get(self.kind, self.choices)

    @property
    def limits(self) -> tuple[float, float] | None:
        """The lowest and the highest that a verdict is worth; None when all are worth the same."""
        low, high = min(self.verdicts.values()), max(self.verdicts.values())
        return (low, high) if low < high else None

    @property
    def schema_of_verdict(self) -> dict[str, Any]:
        """JSON schema of its answer."""
        said: dict[str, Any] = {"type": "integer"} if self.kind == "score" else {"type": "string"}
        said["enum"] = list(range(self.scale[0], self.scale[1] + 1)) if self.kind == "score" else list(self.verdicts)
        properties: dict[str, Any] = {"reason": {"type": "string"}} if self.reason else {}
        properties["verdict"] = said
        return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}

    def value_of(self, text: str) -> float | None:
        """What an answer of the judge is worth; None when it is not in the form that it was asked for.

        Strict: one JSON object and nothing beside it (a fence around it will do), with a verdict that it may give. Where several verdicts stand in
        one answer nobody knows which was meant.
        """
        told = _object(text)
        if told is None or not set(told) <= {"verdict", "reason"} or not isinstance(told.get("reason", ""), str):
            return None
        said = told.get("verdict")
        if isinstance(said, bool) or not isinstance(said, str | int | float):
            return None
        if self.kind == "score":
            score = float(said) if isinstance(said, str) and _SCORE.fullmatch(said) else said
            # Held against the scale as it is: a whole number may be beyond every float.
            is_given = not isinstance(score, str) and self.scale[0] <= score <= self.scale[1] and score == int(score)
            return float(score) if is_given else None
        if not isinstance(said, str):
            return None
        return {_folded(name): value for name, value in self.verdicts.items()}.get(_folded(said))


_SCORE: Final = re.compile(r"\s*[+-]?[0-9]{1,20}(\.0*)?\s*")
_FENCE: Final = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n\s*```\s*", re.DOTALL)


def _object(text: str) -> dict[str, Any] | None:
    fenced = _FENCE.fullmatch(text)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a name stands twice")
        return dict(pairs)

    try:
        told = json.loads(fenced.group(1) if fenced else text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def reason_in(text: str) -> str:
    """The judge's reason, where it gave one, without what no table can hold: NUL, and halves of surrogate pairs, which JSON may escape."""
    told = str((_object(text) or {}).get("reason") or "").replace("\x00", "\ufffd")
    return told.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _folded(word: str) -> str:
    return " ".join(word.casefold().split())


def ready_rubric(name: str) -> str:
    """The text of a rubric of the package."""
    return files("batchtrial.config").joinpath("rubrics", f"{name}.txt").read_text(encoding="utf-8")


def examples_of(name: str) -> list[dict[str, Any]]:
    """The example answers of a rubric of the package: `kind`, what the judge says (`said`), and what that is worth (`value`, null for nothing)."""
    lines = files("batchtrial.config").joinpath("rubrics", f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def name_apart(judges: tuple[JudgeSpec, ...]) -> tuple[JudgeSpec, ...]:
    """The judges. Raises ValueError when two have one name."""
    names = [one.name.lower() for one in judges]
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise ValueError(f"two judges are called {doubled!r}")
    return judges
