"""Prepared items by place: read when they are needed, from anywhere in the order, without holding them all."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final, Self

import msgspec

from batchtrial.errors import RunStateMissing
from batchtrial.phases.index import Index
from batchtrial.records import Item
from batchtrial.state.layout import RunLayout

_BOOKS: Final = 2


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
    """The items of a run in its order. Takes two numbers per item of memory."""

    def __init__(self, files: Sequence[mmap.mmap | None], starts: array[int]) -> None:
        self._files, self._starts = files, starts
        self._open = ExitStack()
        for file in files:
            if file is not None:
                self._open.enter_context(file)

    @classmethod
    def load(cls, layout: RunLayout, index: Index) -> Self:
        """Find every item of the index in the prepared files. Raises RunStateMissing when one is not there."""
        places = {f"{dataset}\x1f{item_id}": place for place, (dataset, item_id) in enumerate(zip(index.dataset, index.item_id, strict=True))}
        starts = array("q", [-1]) * len(index)
        files = []
        for book, path in enumerate((layout.open_book, layout.closed_book)):
            view = _mapped(path)
            files.append(view)
            at = 0
            for line in iter(view.readline, b"") if view is not None else ():
                name = _name(line)
                place = places.get(f"{name.dataset}\x1f{name.id}")
                if place is not None:
                    starts[place] = at * _BOOKS + book
                at += len(line)
        made = cls(files, starts)
        if -1 in starts:
            made.__exit__()
            raise RunStateMissing("the prepared items are not those of the index", where="prepared/", hint="run with --from_step prepare")
        return made

    def read(self, begin: int, end: int) -> list[Item]:
        """Items of places begin .. end."""
        items = []
        for start in self._starts[begin:end]:
            at, book = divmod(start, _BOOKS)
            file = self._files[book]
            if file is None:
                raise RunStateMissing("a prepared file is gone", where="prepared/", hint="run with --from_step prepare")
            file.seek(at)
            row = _row(file.readline())
            items.append(
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
            )
        return items

    def __exit__(self, *exc: object) -> None:
        self._open.close()


def _mapped(path: Path) -> mmap.mmap | None:
    if not path.exists() or path.stat().st_size == 0:
        return None
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
