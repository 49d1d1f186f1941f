"""Files to rows, one reader per layout. Lines that are no rows come out as BadRow among the rows; a file that is none raises DataError."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from batchtrial.errors import DataError
from batchtrial.sources.problems import BadRow, shown
from batchtrial.sources.rows import Row
from batchtrial.sources.shape import Repeated, is_row, objects_in, outline, rows_hint, unreadable, unrepeated
from batchtrial.sources.spec import Format

Rows: TypeAlias = Iterator["Row | BadRow"]

MAX_LINE_BYTES = 64 * 2**20
MAX_DOCUMENT_BYTES = 2 * 2**30
_BOM = b"\xef\xbb\xbf"


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked when they are gzip, whatever the name says. Damage in the packed stream raises DataError."""
    with path.open("rb") as plain:
        is_packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        if not is_packed:
            yield plain
            return
        try:
            with gzip.open(plain) as unpacked:
                yield unpacked  # type: ignore[misc]  # a GzipFile reads like any binary file
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"the gzip file is damaged: {error}", where=str(path), hint="fetch or pack it again") from None


def read_jsonl(path: Path) -> Rows:
    """One JSON object a line; blank lines are passed over."""
    with opened(path) as stream:
        number = 0
        for line_number, line in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b""), 1):
            if len(line) > MAX_LINE_BYTES:
                raise DataError(f"line {line_number} is longer than {MAX_LINE_BYTES >> 20} MiB", where=str(path))
            body = (line.removeprefix(_BOM) if line_number == 1 else line).strip()
            if body:
                yield _json_row(body, line_number, number)
                number += 1


def _json_row(body: bytes, line: int, number: int) -> Row | BadRow:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        value = shown(body[max(0, error.start - 20) : error.start + 20])
        return BadRow(line=line, field="", problem=f"is not valid UTF-8 at byte {error.start + 1}", value=value, fix="save the file as UTF-8")
    try:
        fields = json.loads(text, object_pairs_hook=unrepeated)
    except Repeated as error:
        return BadRow(line=line, field="", problem=f"says a thing twice: {error}", value=shown(text), fix="write each key once")
    except (ValueError, RecursionError) as error:
        column = f" at column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else f": {unreadable(error)}"
        return BadRow(line=line, field="", problem=f"is not JSON{column}", value=shown(text), fix="one JSON object a line")
    if not isinstance(fields, dict):
        return BadRow(line=line, field="", problem="is JSON, but no object", value=shown(fields), fix="one JSON object a line")
    return Row(line=line, number=number, fields=fields)


def read_csv(path: Path) -> Rows:
    """A header and rows; the separator is the commonest of comma, tab and semicolon in the header."""
    with opened(path) as stream:
        # Invalid bytes become lone surrogates, which the check of each field finds and names.
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        with _wide_fields():
            header_line = text.readline()
            delimiter = max(",\t;", key=header_line.count)
            header = next(csv.reader([header_line], delimiter=delimiter), [])
            repeated = {name for name in header if header.count(name) > 1}
            if repeated or not any(header):
                problem = f"the column {min(repeated)!r} occurs twice" if repeated else "there are no column names"
                raise DataError(f"{problem} in the first line", where=f"{path} line 1", hint="name each column once")
            yield from _csv_rows(csv.reader(text, delimiter=delimiter, strict=True), header)


def _csv_rows(reader: Any, header: list[str]) -> Rows:
    number = 0
    while True:
        line = reader.line_num + 2  # the header was read before, and the row begins on the line after the last one read
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(line=line, field="", problem=f"is no CSV row: {error}", fix='close every quote, and double a quote inside one ("")')
            number += 1
            continue
        if not values:
            continue
        if len(values) != len(header):
            problem = f"has {len(values)} columns, and the header has {len(header)}"
            yield BadRow(line=line, field="", problem=problem, value=shown(values), fix="put a value that holds the separator in quotes")
        else:
            yield Row(line=line, number=number, fields={key: value or None for key, value in zip(header, values, strict=True)})
        number += 1


@contextmanager
def _wide_fields() -> Iterator[None]:
    """Passages may be longer than the csv module's default limit of 131,072 characters; the limit is global to it."""
    before = csv.field_size_limit(min(MAX_LINE_BYTES, sys.maxsize))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def read_parquet(path: Path) -> Rows:
    """Rows of a Parquet file, a slice at a time."""
    import polars as pl  # here, since most runs read no Parquet

    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError, ValueError, pl.exceptions.PanicException) as error:
        raise DataError(f"this is no readable Parquet file: {(str(error).splitlines() or ['no reason given'])[0]}", where=str(path)) from None
    for number, fields in enumerate(frame.iter_rows(named=True)):
        yield Row(line=number + 1, number=number, fields=fields)


def document_text(path: Path) -> str:
    """The whole file as text. Raises DataError when it is too large or no UTF-8."""
    with opened(path) as stream:
        data = stream.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DataError(f"the document is larger than {MAX_DOCUMENT_BYTES >> 30} GiB", where=str(path), hint="use JSON Lines")
    data = data.removeprefix(_BOM)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"not valid UTF-8 at byte {error.start + 1}", where=f"{path} line {line}", hint="save the file as UTF-8") from None
    return text


def document(path: Path) -> Any:
    """The one JSON value that the file holds. Raises DataError with line and column when it is none."""
    return _decoded(document_text(path), path)


def _decoded(text: str, path: Path) -> Any:
    try:
        return json.loads(text, object_pairs_hook=unrepeated)
    except Repeated as error:
        raise error.of(path) from None
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON at column {error.colno}: {error.msg}", where=f"{path} line {error.lineno}") from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"the JSON cannot be read: {unreadable(error)}", where=str(path)) from None


def read_json(path: Path, rows_in: str | None = None) -> Rows:
    """A JSON array of objects, or objects one after the other over any number of lines; rows_in: where in the one object the array is."""
    text = document_text(path)
    try:
        several = objects_in(text) if rows_in is None and text.lstrip().startswith("{") else None
    except Repeated as error:
        raise error.of(path) from None
    if several is not None and (len(several) > 1 or is_row(several[0])):
        return _numbered(several)
    tree, place = _decoded(text, path), "the top level"
    if rows_in is None and isinstance(tree, dict):
        raise DataError(f"the file is one JSON object: {outline(tree)}", where=str(path), hint=rows_hint(tree))
    for step in rows_in.split(".") if rows_in is not None else ():
        tree, place = _get(tree, step, path, place), step if place == "the top level" else f"{place}.{step}"
    return _numbered(_list(tree, path, place))


def read_squad(path: Path) -> Rows:
    """SQuAD's layout, 1.1 or 2.0: data, paragraphs, qas."""
    return _numbered(_squad_questions(path, document(path)))


def _squad_questions(path: Path, tree: Any) -> Iterator[Any]:
    for a, article in enumerate(_list(_get(tree, "data", path, "the top level"), path, "data")):
        place = f"data[{a}]"
        for p, paragraph in enumerate(_list(_get(article, "paragraphs", path, place), path, f"{place}.paragraphs")):
            inner = f"{place}.paragraphs[{p}]"
            context = _get(paragraph, "context", path, inner)
            for question in _list(_get(paragraph, "qas", path, inner), path, f"{inner}.qas"):
                if isinstance(question, dict):
                    question = {**question, "context": context, "title": article.get("title")}
                    # Version 1.1 has no such flag: all its questions are answerable.
                    question.setdefault("is_impossible", False)
                yield question


def read_triviaqa(path: Path) -> Rows:
    """TriviaQA's own layout: Data, with Question, QuestionId and Answer."""
    return _numbered(_list(_get(document(path), "Data", path, "the top level"), path, "Data"))


def _numbered(rows: Any) -> Rows:
    for number, fields in enumerate(rows):
        if isinstance(fields, dict):
            yield Row(line=number + 1, number=number, fields=fields)
        else:
            yield BadRow(line=number + 1, field="", problem="is no object", value=shown(fields))


def _get(tree: Any, key: str, path: Path, place: str) -> Any:
    if not isinstance(tree, dict) or key not in tree:
        raise DataError(f"{place} has no {key!r}", where=str(path), hint="set `format` if the file is laid out in another way")
    return tree[key]


def _list(value: Any, path: Path, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{place} is no list", where=str(path), hint="set `format` if the file is laid out in another way")
    return value


READERS: Mapping[Format, Callable[[Path], Rows]] = {
    "jsonl": read_jsonl,
    "nq_open": read_jsonl,
    "json": read_json,
    "csv": read_csv,
    "parquet": read_parquet,
    "squad_v2": read_squad,
    "triviaqa": read_triviaqa,
}

HAS_LINES: frozenset[Format] = frozenset(("jsonl", "nq_open", "csv"))
"""Layouts whose rows can be found by line; in the others the number counts rows."""
