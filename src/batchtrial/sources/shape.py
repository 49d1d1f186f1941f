"""What a file looks like that is not laid out as was expected, and which setting or change reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from batchtrial.errors import DataError
from batchtrial.sources.cells import type_name
from batchtrial.sources.columns import CANDIDATES, listed, proposal
from batchtrial.sources.problems import shown

_SHOWN_KEYS: Final = 6
_DEEPEST: Final = 3  # levels of an object in which a list of rows is looked for
_SPACE: Final = re.compile(r"\s*")
NOT_TEXT: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"PK\x03\x04", "a ZIP archive or a workbook such as .xlsx", "unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", "save the sheet as CSV"),
    (b"\xff\xfe", "text in UTF-16", "save the file as UTF-8"),
    (b"\xfe\xff", "text in UTF-16", "save the file as UTF-8"),
    (b"ARROW1", "an Arrow file", "save it as Parquet"),
    (b"SQLite format 3", "a SQLite database", "write the table as CSV"),
    (b"BZh", "a bzip2 archive", "unpack it, or pack it as gzip"),
    (b"\xfd7zXZ", "an xz archive", "unpack it, or pack it as gzip"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it, or pack it as gzip"),
    (b"version https://git-lfs", "what Git LFS keeps in the place of a file", "fetch the file itself with `git lfs pull`"),
    (b"%PDF", "a PDF document", "write its questions as CSV or JSON Lines"),
    (b"version https://git-lfs", "what Git LFS leaves in a file's place", "`git lfs pull` fetches the file itself"),
    (b"\x80\x04", "a Python pickle", "write it as JSON Lines; a pickle is never read"),
)
"""First bytes of files that people give by mistake, what they are, and what to do."""
MARKUP: Final = re.compile(r"\s*<(?:\?xml|!doctype|html|[a-z]+[\s>])", re.IGNORECASE)


class Repeated(ValueError):
    """An object in JSON has a key twice: what is meant cannot be known. The message says which."""

    def of(self, path: Path) -> DataError:
        """The same as a fault of that file."""
        return DataError(str(self), where=str(path), hint="write each key once")


def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object, as json.loads is given it by `object_pairs_hook`. Raises Repeated."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise Repeated(f"the key {shown(next(key for key in keys if keys.count(key) > 1))} occurs twice in an object")
    return found


def unreadable(error: Exception) -> str:
    """Why JSON that is well formed cannot be read."""
    return "nested too deeply" if isinstance(error, RecursionError) else "a number has too many digits"


def objects_in(text: str) -> list[dict[str, Any]] | None:
    """The JSON objects that stand one after the other, over any number of lines; None when the text is anything else. Raises Repeated."""
    found: list[dict[str, Any]] = []
    try:
        for value in _values_in(text):
            if not isinstance(value, dict):
                return None
            found.append(value)
    except Repeated:
        raise
    except (ValueError, RecursionError):
        return None
    return found or None


def _values_in(text: str) -> Iterator[Any]:
    decoder, place = json.JSONDecoder(object_pairs_hook=unrepeated), _after_space(text, 0)
    while place < len(text):
        value, end = decoder.raw_decode(text, place)
        yield value
        place = _after_space(text, end)


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return place if found is None else found.end()


def is_row(tree: Mapping[str, Any]) -> bool:
    """Whether an object is a question itself."""
    return any(isinstance(tree.get(name), str) for name in CANDIDATES["question"])


def outline(tree: Mapping[str, Any]) -> str:
    """What an object holds, key by key, in a few words."""
    parts = []
    for key, value in list(tree.items())[:_SHOWN_KEYS]:
        first = value[0] if isinstance(value, list) and value else None
        inner = f" of {len(value)} objects with the columns {listed([str(one) for one in first])}" if isinstance(first, dict) else ""
        parts.append(f"{key!r} is {type_name(value)}{inner}")
    return "; ".join(parts) + (f"; and {len(tree) - _SHOWN_KEYS} more" if len(tree) > _SHOWN_KEYS else "") or "it is empty"


def rows_hint(tree: Mapping[str, Any]) -> str:
    """How to go on with an object that is no row itself."""
    path = _path_to_rows(tree)
    if path is not None:
        return f"if its rows are in {path!r}, set `format: json` and `rows_in: {path}`"
    if tree and all(isinstance(value, dict) for value in tree.values()):
        return "an object of objects has no rows: write them as a list, each with its key as `id`"
    if tree and all(isinstance(value, list) for value in tree.values()):
        return "lists by column are no rows: write one object a row"
    return "a question set is a list of objects, one a row"


def _path_to_rows(tree: Mapping[str, Any], depth: int = 0) -> str | None:
    """Where a list of objects is, the nearest to the top first."""
    for key, value in tree.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return str(key)
    for key, value in tree.items() if depth < _DEEPEST else ():
        inner = _path_to_rows(value, depth + 1) if isinstance(value, dict) else None
        if inner is not None:
            return f"{key}.{inner}"
    return None


def wrapped_rows(fields: Mapping[str, Any], asked: Collection[str]) -> tuple[str, str] | None:
    """What is to be said of the one row of a file that holds none of the columns asked about, but rows inside it; None for any other row."""
    if not asked or any(name in fields for name in asked) or _path_to_rows(fields) is None:
        return None
    return f"no row has a column {sorted(asked)[0]!r}. The file looks like one object: {outline(fields)}", rows_hint(fields)


def missing_columns(fields: Mapping[str, Any], named: Sequence[str]) -> tuple[str, str] | None:
    """What is to be said of rows in which no column is known as the question or as its answers, and how to go on; None when both are there.

    fields: of the first row. named: roles whose column the settings name.
    """
    names = [str(name) for name in fields]
    lacking = [role for role in ("question", "answers") if role not in named and not any(one in fields for one in CANDIDATES[role])]
    if not lacking:
        return None
    known = "; ".join(f"{role}: {', '.join(CANDIDATES[role])}" for role in lacking)
    what = f"no column is known as the {' or the '.join(lacking)}; the columns are {listed(names)}"
    if len(names) == 1 and any(sign in names[0] for sign in "|:"):
        return what, "it is one column: write the file with commas, tabs or semicolons between the columns"
    if any(name != name.strip() for name in names):
        what += "; spaces at the ends of a name belong to it"
    if _path_to_rows(fields) is not None:
        return f"{what}. It looks like one object: {outline(fields)}", rows_hint(fields)
    return what, f"name them with {proposal(names)} in this set's settings; known without it are {known}"
