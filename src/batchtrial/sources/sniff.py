"""How is this file laid out? Decided by its first bytes; names lie more often than bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from batchtrial.errors import DataError
from batchtrial.sources.readers import opened
from batchtrial.sources.spec import FORMATS, Format

_LOOKED_AT = 64 * 1024  # bytes


def guess_format(path: Path) -> Format:
    """The layout. Raises DataError for an empty file and for one that is none of the layouts."""
    with opened(path) as stream:
        head = stream.read(_LOOKED_AT)
    if head.startswith(b"PAR1"):
        return "parquet"
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").lstrip()
    if not text:
        raise DataError("the file is empty", where=str(path), hint="a question set needs at least one row")
    if "\0" in text:
        raise DataError("this is no text and no Parquet file", where=str(path), hint=f"the formats are {', '.join(FORMATS)}")
    if text.startswith("["):
        return "json"
    if not text.startswith("{"):
        return "csv"
    first = _object(text.splitlines()[0])
    keys = first if first is not None else text
    if '"paragraphs"' in text and "data" in keys:
        return "squad_v2"
    if '"QuestionId"' in text and "Data" in keys:
        return "triviaqa"
    return "nq_open" if first is not None and _is_nq_open(first) else "jsonl"


def _object(line: str) -> dict[str, Any] | None:
    """The object that the line is; None when it is none, or goes on."""
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_nq_open(row: dict[str, Any]) -> bool:
    return isinstance(row.get("answer"), list) and "question" in row and "context" not in row and "answers" not in row
