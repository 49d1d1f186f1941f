"""How is this file laid out? Decided by its first bytes; names lie more often than bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from batchtrial.errors import DataError
from batchtrial.sources.columns import listed
from batchtrial.sources.readers import document_text, opened
from batchtrial.sources.shape import MARKUP, NOT_TEXT, Repeated, is_row, objects_in, outline, rows_hint
from batchtrial.sources.spec import FORMATS, Format

_LOOKED_AT = 64 * 1024  # bytes


def guess_format(path: Path) -> Format:
    """The layout. Raises DataError for an empty file and for one that is none of the layouts."""
    with opened(path) as stream:
        head = stream.read(_LOOKED_AT)
    if head.startswith(b"PAR1"):
        return "parquet"
    for beginning, what, fix in NOT_TEXT:
        if head.startswith(beginning):
            raise DataError(f"this is {what}, and no question set", where=str(path), hint=fix)
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").lstrip()
    if not text:
        raise DataError("the file is empty", where=str(path), hint="a question set needs at least one row")
    if "\0" in text:
        raise DataError("this is no text and no Parquet file", where=str(path), hint=f"the formats are {', '.join(FORMATS)}")
    if text.startswith("["):
        return "json"
    if MARKUP.match(text):
        raise DataError("this is XML or a web page, and no question set", where=str(path), hint=f"the formats are {', '.join(FORMATS)}")
    if not text.startswith("{"):
        if len(head) < _LOOKED_AT and _is_one_value(text):
            raise DataError(
                "the file holds one JSON value and no rows", where=str(path), hint="a question set is a list of objects, or one object a line"
            )
        return "csv"
    first = _object(text.partition("\n")[0])
    keys = first if first is not None else text
    if '"paragraphs"' in text and "data" in keys:
        return "squad_v2"
    if '"QuestionId"' in text and "Data" in keys:
        return "triviaqa"
    if first is None:
        _refuse_several_lines(path, text)
    return "nq_open" if first is not None and _is_nq_open(first) else "jsonl"


def _is_one_value(text: str) -> bool:
    """Whether it is a JSON text, number, true, false or null, which a table with nothing but one such name would be too."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse_several_lines(path: Path, head: str) -> None:
    """Raises DataError when the file is JSON objects, or one, over several lines each: neither JSON Lines nor a list of rows."""
    lines = [line for line in head.split("\n") if line.strip()]
    if len(lines) < 2 or _object(lines[1]) is not None:
        return
    try:
        objects = objects_in(document_text(path))
    except Repeated as error:
        raise error.of(path) from None
    if objects is None:
        return
    if len(objects) == 1 and not is_row(objects[0]):
        raise DataError(f"the file is one JSON object: {outline(objects[0])}", where=str(path), hint=rows_hint(objects[0]))
    raise DataError(
        f"the file is {len(objects)} JSON objects over several lines each, and no JSON Lines; their columns are {listed(list(objects[0]))}",
        where=str(path),
        hint="set `format: json`, which reads such objects, or write each object on one line",
    )


def _object(line: str) -> dict[str, Any] | None:
    """The object that the line is; None when it is none, or goes on."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_nq_open(row: dict[str, Any]) -> bool:
    return isinstance(row.get("answer"), list) and "question" in row and "context" not in row and "answers" not in row
