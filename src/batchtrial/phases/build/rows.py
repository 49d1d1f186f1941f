"""The prepared items as build needs them: what is known of each, in the run's order, and their texts a slice at a time.

The prepared files are read once, line by line; texts are not kept, and come back from their place in the file when their slice is written.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from pathlib import Path

import msgspec

from batchtrial.keys import item_hash
from batchtrial.phases.prepare.items import Prepared, decode_row, place_of
from batchtrial.records import Kind
from batchtrial.state.layout import RunLayout


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


def rows_in_order(layout: RunLayout, seed: int) -> list[Row]:
    """Every prepared item, in the seeded order of the run."""
    found = [row for kind, path in _books(layout) for row in _rows(path, kind, seed)]
    found.sort(key=attrgetter("place"))
    for row in found:
        row.place = ""  # half a million of them are forty megabytes
    return found


def _books(layout: RunLayout) -> tuple[tuple[Kind, Path], ...]:
    return ("open", layout.open_book), ("closed", layout.closed_book)


def _rows(path: Path, kind: Kind, seed: int) -> Iterator[Row]:
    at = 0
    with path.open("rb") as lines:
        for line in lines:
            said = decode_row(line)
            mark, context = item_hash(said.dataset, said.item_id), said.context or ""
            yield Row(
                place=place_of(mark, seed),
                mark=mark,
                kind=kind,
                dataset=sys.intern(said.dataset),
                item_id=said.item_id,
                cluster=said.cluster or "",
                at=at,
                size=len(line),
                n_bytes=text_bytes(said.question, context),
                n_chars=len(said.question) + len(context),
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
