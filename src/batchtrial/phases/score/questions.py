"""Prepared items by place: read when they are needed, from anywhere in the order, without holding them all."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from io import BytesIO
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np
import polars as pl

from batchtrial.errors import RunStateMissing
from batchtrial.phases.places import Places
from batchtrial.records import Item
from batchtrial.scoring import Asked
from batchtrial.state.layout import RunLayout

_KEY: Final = ("dataset", "item_id")


class _Name(msgspec.Struct, gc=False):
    dataset: str
    id: str


class _Row(msgspec.Struct, gc=False):
    dataset: str
    id: str
    question: str
    answers: tuple[str, ...]
    context: str | None = None
    is_unanswerable: bool = False
    cluster: str | None = None
    distractors: tuple[str, ...] = ()


_name = msgspec.json.Decoder(_Name).decode
_row = msgspec.json.Decoder(_Row).decode


class Questions(AbstractContextManager["Questions"]):
    """The items of a run in its order. Takes three numbers per item of memory.

    files: open book, closed book. books, begins, ends: of each item's line, in the run's order.
    """

    def __init__(self, files: Sequence[mmap.mmap | None], books: Places, begins: Places, ends: Places) -> None:
        self._files, self._books, self._begins, self._ends = files, books, begins, ends
        self._open = ExitStack()
        for file in files:
            if file is not None:
                self._open.enter_context(file)

    @classmethod
    def load(cls, layout: RunLayout, index: pl.DataFrame) -> Self:
        """Find every item of the index in the prepared files. Raises RunStateMissing when one is not there."""
        paths = (layout.open_book, layout.closed_book)
        prepared = pl.concat([_lines(book, path) for book, path in enumerate(paths)])
        found = index.select(*_KEY).join(prepared, on=_KEY, how="left", maintain_order="left")
        if found["book"].has_nulls() or found.height != index.height:
            raise RunStateMissing("the prepared items are not those of the index", where="prepared/", hint="run with --from_step prepare")
        return cls([_mapped(path) for path in paths], *(found[name].to_numpy() for name in ("book", "begin", "end")))

    def asked(self, begin: int, end: int) -> list[Asked]:
        """What scoring needs of the items of places begin .. end; half the time of `read`."""
        return [_row(line) for _, line in self._lines_of(begin, end)]

    def read(self, begin: int, end: int) -> list[Item]:
        """Items of places begin .. end."""
        return [
            Item(
                dataset=row.dataset,
                item_id=row.id,
                kind="closed" if book else "open",
                question=row.question,
                answers=row.answers,
                context=row.context,
                is_unanswerable=row.is_unanswerable,
                cluster=row.cluster,
                distractors=row.distractors,
            )
            for book, line in self._lines_of(begin, end)
            for row in (_row(line),)
        ]

    def _lines_of(self, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
        chosen = slice(begin, end)
        for book, first, last in zip(self._books[chosen].tolist(), self._begins[chosen].tolist(), self._ends[chosen].tolist(), strict=True):
            file = self._files[book]
            if file is None:
                raise RunStateMissing("a prepared file is gone", where="prepared/", hint="run with --from_step prepare")
            yield book, file[first:last]

    def __exit__(self, *exc: object) -> None:
        self._open.close()


def _lines(book: int, path: Path) -> pl.DataFrame:
    """Which item each line of a prepared file is, and where it stands."""
    datasets: list[str] = []
    ids: list[str] = []
    ends = array("q", [0])
    # Read, not mapped: what is mapped counts as memory of ours from its first reading on.
    with path.open("rb") if path.exists() else BytesIO() as file:
        for line in file:
            name = _name(line)
            datasets.append(name.dataset)
            ids.append(name.id)
            ends.append(ends[-1] + len(line))
    at = np.array(ends, dtype=np.int64)
    names = {name: pl.Series(values, dtype=pl.String) for name, values in zip(_KEY, (datasets, ids), strict=True)}
    return pl.DataFrame({**names, "book": np.full(len(ids), book), "begin": at[:-1], "end": at[1:]})


def _mapped(path: Path) -> mmap.mmap | None:
    if not path.exists() or path.stat().st_size == 0:
        return None
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
