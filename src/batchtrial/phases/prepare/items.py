"""Prepared items on disk and their seeded order: what prepare writes and later phases read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from batchtrial.keys import digest, item_hash
from batchtrial.records import Item, Kind
from batchtrial.state.layout import RunLayout


def encode_item(item: Item) -> bytes:
    """One prepared row."""
    row: dict[str, Any] = {"dataset": item.dataset, "id": item.item_id, "question": item.question}
    if item.kind == "open":
        row |= {"context": item.context, "answers": list(item.answers), "is_unanswerable": item.is_unanswerable}
    else:
        row["answers"] = list(item.answers)
    if item.cluster is not None:
        row["cluster"] = item.cluster
    if item.distractors:
        row["distractors"] = list(item.distractors)
    if item.columns:
        row["columns"] = dict(item.columns)
    if item.added:
        row["added"] = item.added
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


class Prepared(msgspec.Struct, gc=False):
    """A row of a prepared file, as every phase reads it. The kind of its item is told by the file that it stands in."""

    dataset: str
    item_id: str = msgspec.field(name="id")
    question: str
    answers: tuple[str, ...]
    context: str | None = None
    is_unanswerable: bool = False
    cluster: str | None = None
    distractors: tuple[str, ...] = ()
    columns: dict[str, Any] = {}  # msgspec gives each row its own
    added: int = 0

    def item(self, kind: Kind) -> Item:
        """The item."""
        return Item(kind=kind, **{name: getattr(self, name) for name in self.__struct_fields__})


decode_row = msgspec.json.Decoder(Prepared).decode
"""The row of a line. Raises msgspec.MsgspecError for what prepare did not write."""


def decode_items(lines: Iterable[bytes], kind: Kind) -> Iterator[Item]:
    """Items of a prepared file."""
    return (decode_row(line).item(kind) for line in lines)


def prepared_items(layout: RunLayout) -> Iterator[Item]:
    """The items of a prepared run, open book first, one at a time."""
    kinds: tuple[tuple[Path, Kind], ...] = ((layout.open_book, "open"), (layout.closed_book, "closed"))
    for path, kind in kinds:
        with path.open("rb") as lines:
            yield from decode_items(lines, kind)


def load_prepared(layout: RunLayout) -> tuple[Item, ...]:
    """All of them."""
    return tuple(prepared_items(layout))


def place(item: Item, seed: int, *, keeps_clusters: bool = False) -> str:
    """Sort key of the seeded order: depends on the item alone, so a limit keeps a prefix of the same order. What was added later comes later."""
    return place_of(item_hash(item.dataset, item.item_id), seed, (item.cluster or "") if keeps_clusters else "", item.added)


def place_of(mark: str, seed: int, cluster: str = "", added: int = 0) -> str:
    """The same of an item whose hash is known. cluster: with it, whole clusters are shuffled, and the items of each one after the other."""
    own = digest((str(seed), mark), 32)
    key = digest((str(seed), "cluster", cluster), 32) + own if cluster else own
    return f"~{added:06d}{key}" if added else key  # behind every digit
