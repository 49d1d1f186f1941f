"""prepared/items.parquet: the items in the run's order, with where the prepared line of each lies; and the items themselves, read when needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import polars as pl

from batchtrial.errors import RunStateMissing, StateError
from batchtrial.phases.base import Work
from batchtrial.phases.build.index import load_index
from batchtrial.phases.build.rows import rows_in_order
from batchtrial.phases.prepare.items import Prepared, decode_row
from batchtrial.phases.tables.arm_table import for_tables, one_by_one
from batchtrial.records import KEY_SEPARATOR, Item, Kind
from batchtrial.scoring import Asked
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import Fingerprint, replacing

BOOKS: Final = ("open", "closed")
ITEMS_PER_GROUP: Final = 8192
"""Items that a reader can skip or take at once."""
ANSWERS_BETWEEN: Final = " | "


def write_items(work: Work, rows: pl.DataFrame, texts: pl.DataFrame) -> Fingerprint:
    """Durably write items.parquet of what `rows_in_order` gave; takes the answers out of the texts, since they are no longer needed as JSON.

    A group at a time: all of it is half as large again as what it is made from.
    """
    texts = texts.with_columns(_lists(texts.drop_in_place("answers")).alias("references"))
    begins = range(0, max(1, rows.height), ITEMS_PER_GROUP)
    groups = (_group(begin, rows.slice(begin, ITEMS_PER_GROUP), texts.slice(begin, ITEMS_PER_GROUP)) for begin in begins)
    table = one_by_one(groups, _group(0, rows.clear(), texts.clear()).schema)
    with replacing(work.layout.items, hook=work.hook) as file, for_tables(file) as out:
        table.sink_parquet(out, compression="lz4", statistics=False, row_group_size=ITEMS_PER_GROUP, maintain_order=True, engine="streaming")
    got = work.view.stamps.of(work.layout.items)
    if got is None:
        raise FileNotFoundError(work.layout.items)
    return got


def _group(first: int, rows: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """Rows of items.parquet. first: the place of the first of them."""
    return rows.hstack(texts).select(
        pl.int_range(first, first + pl.len(), dtype=pl.Int32).alias("place"),
        pl.concat_str("dataset", "item_id", separator=KEY_SEPARATOR).alias("item_key"),
        pl.col("mark").alias("item_hash"),
        "dataset",
        "item_id",
        "kind",
        pl.when(pl.col("cluster") != "").then("cluster").alias("cluster"),
        pl.col("at").alias("byte"),
        pl.col("size").alias("length"),
        "question",
        "references",
    )


def _lists(answers: pl.Series) -> pl.Series:
    """JSON lists of texts as lists, in one piece; a stretch at a time, since a decoder holds several times what it decodes."""
    stretches = (answers.slice(begin, ITEMS_PER_GROUP) for begin in range(0, max(1, len(answers)), ITEMS_PER_GROUP))
    return pl.concat([one.str.json_decode(pl.List(pl.String)) for one in stretches], rechunk=True)


def restore_items(work: Work) -> None:
    """Write items.parquet where it is not as build wrote it, or was not written by the version that built the run.

    Raises RunStateMissing when the prepared items are not those of the index.
    """
    known = work.view.build.items if work.view.build is not None else None
    got = work.view.stamps.of(work.layout.items) if known is not None else None
    if known is not None and got is not None and got.sha256 == known.sha256:
        return
    rows, texts = rows_in_order(work)
    if load_index(work.layout.index)["item_hash"].to_list() != rows["mark"].to_list():
        raise RunStateMissing("the prepared items are not those of the index", where="prepared/", hint="run with --from_step prepare")
    write_items(work, rows, texts)


def read_items(path: Path, first: int, n: int | None, *columns: str) -> pl.DataFrame:
    """Columns of items first .. first + n of the table; None: of all from first on."""
    return pl.scan_parquet(path).slice(first, n).select(columns).collect()


def reference() -> pl.Expr:
    """The accepted answers as one text; null where there are none."""
    return pl.when(pl.col("references").list.len() > 0).then(pl.col("references").list.join(ANSWERS_BETWEEN)).alias("reference")


_COLUMNS: Final = b'"columns":'
"""Stands in the line of each item that has columns of its source, and perhaps in a text."""
_BYTES_AT_ONCE: Final = 1 << 20


def _row(line: bytes) -> Prepared:
    """A prepared line. Raises StateError when it is not as prepare wrote it."""
    try:
        return decode_row(line)
    except msgspec.MsgspecError as error:
        raise StateError(
            f"a prepared item cannot be read: {error}", where="prepared/", hint="`batchtrial repair --run_id RUN` names the file and makes it again"
        ) from None


def _at(file: IO[bytes], byte: int) -> IO[bytes]:
    file.seek(byte)
    return file


def _holds(file: IO[bytes], mark: bytes) -> bool:
    """Whether the bytes stand anywhere in the file."""
    file.seek(0)
    before = b""
    while some := file.read(_BYTES_AT_ONCE):
        if mark in before + some:
            return True
        before = some[1 - len(mark) :]
    return False


class Questions(AbstractContextManager["Questions"]):
    """The prepared items by place, or `n` of them from `first` on. Their texts are read when they are asked for."""

    def __init__(self, layout: RunLayout, first: int = 0, n: int | None = None) -> None:
        self._first, self._open = first, ExitStack()
        self._places = pl.scan_parquet(layout.items).slice(first, n).select("dataset", "kind", "byte", "length").collect()
        self._files: dict[str, IO[bytes]] = {}
        for book, path in zip(BOOKS, (layout.open_book, layout.closed_book), strict=True):
            if path.exists():
                self._files[book] = self._open.enter_context(path.open("rb"))

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def fits(self) -> bool:
        """Whether the last place of each file ends where the file does: prepare writes the lines anew, and only then build the table of places."""
        ends = dict(self._places.group_by("kind").agg((pl.col("byte") + pl.col("length")).max()).iter_rows())
        return all(os.fstat(file.fileno()).st_size == ends.get(book, 0) for book, file in self._files.items())

    def datasets(self, first: int, n: int) -> pl.Series:
        """The set of each of items first .. first + n."""
        return self._places["dataset"].slice(first - self._first, n)

    def asked(self, first: int, n: int) -> Sequence[Asked]:
        """What scoring needs of items first .. first + n; half the time of `read`."""
        return [_row(line) for _, line in self._lines(first, n)]

    def read(self, first: int, n: int) -> list[Item]:
        """Items first .. first + n."""
        return [_row(line).item(book) for book, line in self._lines(first, n)]

    def read_at(self, places: Sequence[int]) -> list[Item]:
        """The items at these places."""
        return [_row(line).item(book) for book, line in self._found(self._places[[place - self._first for place in places]])]

    def one_of_each_set(self) -> list[Item]:
        """The first item of each question set."""
        firsts = self._places.with_row_index("place", self._first).group_by("dataset", maintain_order=True).agg(pl.col("place").min())
        return self.read_at(firsts["place"].to_list())

    def described(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The place of each item that has columns of its source, and these, in the order of the files: each is read once from end to end."""
        for book, file in self._files.items():
            if not _holds(file, _COLUMNS):
                continue
            own = self._places.with_row_index("place", self._first).filter(kind=book).sort("byte").select("place", "byte", "length")
            at = file.seek(0)
            for place, byte, length in own.iter_rows():
                line = (file if at == byte else _at(file, byte)).read(length)
                at = byte + length
                if _COLUMNS in line and (columns := _row(line).columns):
                    yield place, columns

    def _lines(self, first: int, n: int) -> Iterator[tuple[Kind, bytes]]:
        return self._found(self._places.slice(first - self._first, n))

    def _found(self, places: pl.DataFrame) -> Iterator[tuple[Kind, bytes]]:
        for book, byte, length in places.select("kind", "byte", "length").iter_rows():
            file = self._files.get(book)
            if file is None:
                raise RunStateMissing("a prepared file is gone", where="prepared/", hint="run with --from_step prepare")
            yield book, os.pread(file.fileno(), length, byte)
