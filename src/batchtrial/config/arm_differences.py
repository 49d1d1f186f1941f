"""What differs between two arms, field by field; of texts, which words. Pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from batchtrial.config.expand import Arm
from batchtrial.tasks.recipe import compiled

MOST_WORDS: Final = 2000
"""Texts with more words are told apart by their length and hash: comparing words takes the square of their number."""
CONTEXT_WORDS: Final = 4
"""Words that both have which are shown beside a difference."""


@dataclass(frozen=True, slots=True)
class Run:
    """Words that stand in both texts, or in one of them alone."""

    kind: Literal["same", "removed", "added"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmDifference:
    """One field in which two arms differ. before, after: of the control and of the treatment, as text. words: of a text, in reading order."""

    field: str
    before: str
    after: str
    words: tuple[Run, ...] = ()

    @property
    def sentence(self) -> str:
        """On one line; words of a text as [-removed-] and {+added+}, with a few around them."""
        if not self.words:
            return f"{self.field}: {self.before} -> {self.after}"
        return f"{self.field}: {' '.join(''.join(map(_marked, _shortened(self.words))).split())}"

    def as_json(self) -> dict[str, Any]:
        """For significance.json and whoever shows it."""
        found: dict[str, Any] = {"field": self.field, "control": self.before, "treatment": self.after}
        return found | ({"words": [[run.kind, run.text] for run in self.words]} if self.words else {})


def arm_differences(control: Arm, treatment: Arm) -> tuple[ArmDifference, ...]:
    """Every field in which the treatment asks otherwise than the control, in the order of the config reference."""
    before, after = dict(_fields(control)), dict(_fields(treatment))
    texts, others = dict(_texts(control)), dict(_texts(treatment))
    found = [
        ArmDifference(field=name, before=before.get(name, "not sent"), after=after.get(name, "not sent"))
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    ]
    found += [
        text_difference(name, text, other)
        for name, text, other in ((name, texts.get(name, ""), others.get(name, "")) for name in dict.fromkeys((*texts, *others)))
        if text != other
    ]
    return tuple(found)


def text_difference(name: str, text: str, other: str) -> ArmDifference:
    """In which words two texts differ."""
    if max(len(text.split()), len(other.split())) > MOST_WORDS:
        return ArmDifference(field=name, before=f"{len(text):,} characters", after=f"{len(other):,} other characters")
    return ArmDifference(field=name, before=text, after=other, words=_words(text, other))


def _fields(arm: Arm) -> Iterator[tuple[str, str]]:
    yield "backend", arm.backend
    yield "model", arm.model
    yield "temperature", f"{arm.temp:g}"
    yield "max_tokens.open_book", str(arm.max_tokens.open_book)
    yield "max_tokens.closed_book", str(arm.max_tokens.closed_book)
    for name, value in (("top_p", arm.top_p), ("top_k", arm.top_k), ("stop", list(arm.stop) or None)):
        if value is not None:
            yield name, json.dumps(value, ensure_ascii=False)
    for name, value in json.loads(arm.extra).items():
        yield f"body.{name}", json.dumps(value, ensure_ascii=False, sort_keys=True)


def _texts(arm: Arm) -> Iterator[tuple[str, str]]:
    yield "system", arm.prompt.system.text
    yield "instruction.open_book", arm.instructions.open_book.text
    yield "instruction.closed_book", arm.instructions.closed_book.text
    yield from compiled(arm.task).texts if arm.task else ()


def _words(before: str, after: str) -> tuple[Run, ...]:
    old, new = (re.findall(r"\S+\s*|\s+", text) for text in (before, after))
    runs: list[Run] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            runs.append(Run("same", "".join(old[a:b])))
            continue
        runs += [Run("removed", "".join(old[a:b]))] if a < b else []
        runs += [Run("added", "".join(new[c:d]))] if c < d else []
    return tuple(runs)


def _shortened(runs: tuple[Run, ...]) -> Iterator[Run]:
    for place, run in enumerate(runs):
        words = run.text.split()
        if run.kind != "same" or len(words) <= 2 * CONTEXT_WORDS:
            yield run
            continue
        head = words[:CONTEXT_WORDS] if place else []
        tail = words[-CONTEXT_WORDS:] if place < len(runs) - 1 else []
        yield Run("same", " ".join((*head, "...", *tail)) + " ")


def _marked(run: Run) -> str:
    text = run.text.strip()
    return f"{text} " if run.kind == "same" else f"[-{text}-] " if run.kind == "removed" else f"{{+{text}+}} "
