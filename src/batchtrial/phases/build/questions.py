"""prepared/items.parquet: the items in the run's order, with where the prepared line of each lies; and the items themselves, read when needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import IO, Final

import polars as pl

from batchtrial.errors import RunStateMissing
from batchtrial.phases.arm_tables import for_tables
from batchtrial.phases.base import Work
from batchtrial.phases.build.index import load_index
from batchtrial.phases.prepare.items import Prepared, decode_row
from batchtrial.records import KEY_SEPARATOR, Item, Kind
from batchtrial.scoring import Asked
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import replacing

BOOKS: Final = ("open", "closed")
ITEMS_PER_GROUP: Final = 8192
"""Items that a reader can skip or take at once."""
ANSWERS_BETWEEN: Final = " | "
_KEY: Final = ("dataset", "item_id")


def write_items(work: Work) -> None:
    """Write items.parquet. Raises RunStateMissing when the prepared items are not those of the index."""
    layout = work.layout
    prepared = pl.concat([_prepared(book, path) for book, path in zip(BOOKS, (layout.open_book, layout.closed_book), strict=True)])
    index = load_index(layout.index).with_row_index("place")
    found = index.join(prepared, on=_KEY, how="left", maintain_order="left")
    if found["byte"].has_nulls() or found.height != index.height:
        raise RunStateMissing("the prepared items are not those of the index", where="prepared/", hint="run with --from_step prepare")
    table = found.select(
        pl.col("place").cast(pl.Int32),
        pl.concat_str("dataset", "item_id", separator=KEY_SEPARATOR).alias("item_key"),
        "item_hash",
        "dataset",
        "item_id",
        "kind",
        "cluster",
        "byte",
        "length",
        "question",
        "references",
    )
    with replacing(layout.items, hook=work.hook) as file, for_tables(file) as out:
        table.write_parquet(out, compression="lz4", statistics=False, row_group_size=ITEMS_PER_GROUP)


def _prepared(book: str, path: Path) -> pl.DataFrame:
    """What the lines of a prepared file say, and where each stands."""
    rows: list[Prepared] = []
    lengths: list[int] = []
    if path.exists():
        with path.open("rb") as file:
            for line in file:
                rows.append(decode_row(line))
                lengths.append(len(line))
    length = pl.Series("length", lengths, dtype=pl.Int64)
    return pl.DataFrame(
        {
            "dataset": pl.Series([row.dataset for row in rows], dtype=pl.String),
            "item_id": pl.Series([row.item_id for row in rows], dtype=pl.String),
            "byte": length.cum_sum() - length,
            "length": length,
            "question": pl.Series([row.question for row in rows], dtype=pl.String),
            "references": pl.Series([row.answers for row in rows], dtype=pl.List(pl.String)),
        }
    )


def read_items(path: Path, first: int, n: int, *columns: str) -> pl.DataFrame:
    """Columns of items first .. first + n of the table."""
    return pl.scan_parquet(path).slice(first, n).select(columns).collect()


def reference() -> pl.Expr:
    """The accepted answers as one text; null where there are none."""
    return pl.when(pl.col("references").list.len() > 0).then(pl.col("references").list.join(ANSWERS_BETWEEN)).alias("reference")


class Questions(AbstractContextManager["Questions"]):
    """The prepared items by place. Memory does not grow with them."""

    def __init__(self, layout: RunLayout) -> None:
        self._table, self._open = layout.items, ExitStack()
        self._files: dict[str, IO[bytes]] = {}
        for book, path in zip(BOOKS, (layout.open_book, layout.closed_book), strict=True):
            if path.exists():
                self._files[book] = self._open.enter_context(path.open("rb"))

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def asked(self, first: int, n: int) -> Sequence[Asked]:
        """What scoring needs of items first .. first + n; half the time of `read`."""
        return [decode_row(line) for _, line in self._lines(first, n)]

    def read(self, first: int, n: int) -> list[Item]:
        """Items first .. first + n."""
        return [decode_row(line).item(book) for book, line in self._lines(first, n)]

    def _lines(self, first: int, n: int) -> Iterator[tuple[Kind, bytes]]:
        for book, byte, length in read_items(self._table, first, n, "kind", "byte", "length").iter_rows():
            file = self._files.get(book)
            if file is None:
                raise RunStateMissing("a prepared file is gone", where="prepared/", hint="run with --from_step prepare")
            yield book, os.pread(file.fileno(), length, byte)
