"""All columns of a row, as a task may read them: values that JSON has, whatever file they came from. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, Final

from batchtrial.sources.cells import encodable
from batchtrial.sources.problems import RowProblem

_DEEPEST: Final = 32
_MOST_DIGITS: Final = 300


def kept(fields: Mapping[str, Any], ignored: frozenset[str]) -> dict[str, Any]:
    """The columns by name. Raises RowProblem for a text that no file can hold, or a value nested too deeply."""
    found = {str(name): _value(str(name), value, 0) for name, value in fields.items() if name not in ignored and not isinstance(value, bytes)}
    return {name: value for name, value in found.items() if value is not None}


def _value(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return encodable(name, value)
    if isinstance(value, int):
        if value.bit_length() > _MOST_DIGITS:
            raise RowProblem(name, "is a number with too many digits", fix="write it as text")
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return (int(value) if value == value.to_integral_value() else float(value)) if value.is_finite() else None
    if isinstance(value, date | time | timedelta):
        return str(value) if isinstance(value, timedelta) else value.isoformat()
    if depth >= _DEEPEST:
        raise RowProblem(name, f"is nested more than {_DEEPEST} levels deep", fix="write it as text")
    if isinstance(value, Mapping):
        return {encodable(name, str(key)): _value(name, one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_value(name, one, depth + 1) for one in value]
    return encodable(name, str(value))


def references(value: Any, separator: str | None) -> tuple[str, ...]:
    """Accepted answers of a task: none, one or several texts; an object or anything else as the JSON that writes it."""
    if value is None:
        return ()
    if isinstance(value, str):
        parts = value.split(separator) if separator is not None else [value]
        return tuple(dict.fromkeys(one.strip() for one in parts if one.strip()))
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return tuple(dict.fromkeys(one.strip() for one in value if one.strip()))
    return (json.dumps(value, ensure_ascii=False),)


def display(columns: Mapping[str, Any], asked: frozenset[str]) -> str:
    """What an item is known by in tables when no column is called its question: the longest text that is asked about, or all that is.

    asked: columns that stand in requests; empty: any may. A reference that is longer than the request is not what was asked.
    """
    shown = {name: value for name, value in columns.items() if name in asked} or columns
    texts = [value for value in shown.values() if isinstance(value, str) and value.strip()]
    return max(texts, key=len, default=json.dumps(shown, ensure_ascii=False))
