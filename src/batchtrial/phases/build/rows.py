"""The prepared items as build needs them: what is known of each, in the run's order, and their texts a slice at a time.

The prepared files are read once, line by line; texts are not kept, and come back from their place in the file when their slice is written.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from batchtrial.keys import item_hash
from batchtrial.phases.prepare.items import Prepared, decode_row, place_of
from batchtrial.records import Kind
from batchtrial.state.layout import RunLayout

if TYPE_CHECKING:
    import polars as pl

LINES_AT_ONCE: Final = 8192


class Row(msgspec.Struct, gc=False):
    """One item: its name and hash, where its line stands, and how long its texts are. place: sort key of the run's order, until they are sorted."""

    place: str
    mark: str
    kind: Kind
    dataset: str
    item_id: str
    cluster: str
    at: int
    size: int
    n_bytes: int
    n_chars: int


def text_bytes(question: str, context: str) -> int:
    """At least what the texts add to a line: an escape is never shorter than what it stands for, whether or not the codec escapes."""
    return len(encode_basestring_ascii(question)) + len(encode_basestring_ascii(context))


def rows_in_order(layout: RunLayout, seed: int, *, keeps_clusters: bool = False) -> tuple[list[Row], pl.DataFrame]:
    """Every prepared item, in the seeded order of the run, and the same of their questions and accepted answers (columns question, references)."""
    import polars as pl  # a verdict is told without

    found: list[Row] = []
    texts: list[pl.DataFrame] = []
    for kind, path in _books(layout):
        for lines in _stretches(path):
            said = [decode_row(line) for line in lines]
            found += _rows(lines, said, kind, seed, keeps_clusters, found[-1] if texts and found[-1].kind == kind else None)
            texts.append(_texts(said))
    places = list(map(attrgetter("place"), found))
    order = sorted(range(len(found)), key=places.__getitem__)
    del places
    for row in found:
        row.place = ""  # half a million of them are forty megabytes
    whole = pl.concat([_texts([]), *texts])
    texts.clear()
    return [found[number] for number in order], pl.DataFrame([whole.drop_in_place(name)[order] for name in whole.columns])


def _books(layout: RunLayout) -> tuple[tuple[Kind, Path], ...]:
    return ("open", layout.open_book), ("closed", layout.closed_book)


def _stretches(path: Path) -> Iterator[list[bytes]]:
    with path.open("rb") as file:
        while lines := list(islice(file, LINES_AT_ONCE)):
            yield lines


def _texts(said: Sequence[Prepared]) -> pl.DataFrame:
    import polars as pl

    # As JSON, which becomes lists of texts in one call: a list of Python's takes twenty times as long.
    references = pl.Series("references", [msgspec.json.encode(one.answers).decode() for one in said], dtype=pl.String)
    return pl.DataFrame(
        [pl.Series("question", [one.question for one in said], dtype=pl.String), references.str.json_decode(pl.List(pl.String))],
    )


def _rows(lines: Sequence[bytes], said: Sequence[Prepared], kind: Kind, seed: int, keeps_clusters: bool, last: Row | None) -> Iterator[Row]:
    """last: the row before these in their file."""
    at = 0 if last is None else last.at + last.size
    for line, one in zip(lines, said, strict=True):
        mark, context = item_hash(one.dataset, one.item_id), one.context or ""
        yield Row(
            place=place_of(mark, seed, (one.cluster or "") if keeps_clusters else ""),
            mark=mark,
            kind=kind,
            dataset=sys.intern(one.dataset),
            item_id=one.item_id,
            cluster=sys.intern(one.cluster or ""),
            at=at,
            size=len(line),
            n_bytes=text_bytes(one.question, context),
            n_chars=len(one.question) + len(context),
        )
        at += len(line)


def texts_of(layout: RunLayout, rows: Sequence[Row]) -> Iterator[Prepared]:
    """The texts of some items, in their order, one after the other."""
    files = {kind: os.open(path, os.O_RDONLY) for kind, path in _books(layout)}
    try:
        for row in rows:
            yield decode_row(os.pread(files[row.kind], row.size, row.at))
    finally:
        for fd in files.values():
            os.close(fd)


def index_rows(rows: Iterable[Row]) -> Iterator[tuple[str, str, str, str, str]]:
    """What index.csv says of each item."""
    return ((row.mark, row.dataset, row.item_id, row.kind, row.cluster) for row in rows)
