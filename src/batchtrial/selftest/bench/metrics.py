"""What metrics by name add to scoring: their names and parameters in the bench, columns that they need, and answers that they have work with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from batchtrial.selftest.bench.taken import Taken, take

LIMIT: Final = 6.0
"""CPU time of one process that scores by the first four, beside the yardstick."""
FIRST: Final = ("contains", "regex", "numeric", "json_schema")
_SHORT: Final = 100
_TEXT: Final = {"type": "string", "minLength": 1}
_SCHEMA: Final = {
    "type": "object",
    "properties": {"name": _TEXT, "number": {"type": "integer", "minimum": 0}, "facts": {"type": "array", "items": _TEXT}},
    "required": ["name", "number"],
    "additionalProperties": False,
}
ENTRIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "contains": {"case": False},
    "regex": {"pattern": r"\b[A-Z][a-z]+o [A-Z][a-z]+[0-9]+[aA]\b"},
    "numeric": {"reference": "number"},
    "json_schema": {"schema": _SCHEMA},
    **{name: {} for name in ("exact", "starts_with", "json_valid", "refusal", "words", "characters", "output_tokens", "cost_usd")},
    "choice": {"labels": ["river", "stone", "house"], "reference": "label"},
    "json_fields": {"reference": "whole"},
    **{name: {} for name in ("similarity", "rouge_l", "bleu", "chrf")},
}
"""What stands in the config for each name that the bench can be asked for."""


def asked(folder: Path) -> list[Any]:
    """What the bench's folder asks for, as the config has it."""
    path = folder / "metrics.json"
    return list(json.loads(path.read_bytes())) if path.exists() else []


def columns(number: int, right: str) -> dict[str, Any]:
    """Further columns of item `number`, whose answer is `right`."""
    return {"number": number, "label": ("river", "stone", "house")[number % 3], "whole": json.dumps({"name": right, "number": number})}


def shaped(number: int, text: str) -> str:
    """An answer's text as a third of each has it: as JSON of about the same length, with a number at its end, as it is. Short answers stay."""
    if len(text) < _SHORT:
        return text
    if number % 3 == 0:
        told = {"name": text[:40], "number": number, "facts": [part for part in text.split(" and ") if part]}
        return json.dumps(told, ensure_ascii=False)
    return f"{text} So the number is {number:,}." if number % 3 == 1 else text


def measure(folder: Path, n_rows: int, names: Sequence[str]) -> tuple[Taken, Taken]:
    """The yardstick, and scoring by one process with these metrics beside those that every run has."""
    (folder / "metrics.json").write_text(json.dumps([{name: ENTRIES[name]} for name in names]))
    for step in ("questions", "prepare", "build", "answers", "parse"):
        take(folder, step, n_rows if step == "questions" else 1)
    rounds = sorted((take(folder, "yardstick") for _ in range(3)), key=lambda one: one.cpu)
    return rounds[1], take(folder, "score", 1)


def told(n_rows: int, names: Sequence[str], yardstick: Taken, score: Taken) -> str:
    """The figures as lines of text."""
    limit = f"  (CPU at most {LIMIT:g})" if {*names} <= {*FIRST} else ""
    return (
        f"{n_rows:,} result rows, a third of the answers JSON; json.loads over the same lines: {yardstick.cpu:.2f} s CPU = 1 Y\n"
        f"  score alone, with {', '.join(names)}: {score.cpu:.2f} s CPU, {score.peak_mb:.0f} MB, {score.cpu / yardstick.cpu:.2f} Y{limit}"
    )
