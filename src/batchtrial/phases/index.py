"""The order of the run's items, as build wrote it to index.csv (row number = place), and the requests that follow from it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchtrial.config.expand import Arm
from batchtrial.keys import custom_id
from batchtrial.state.files import Shard

HASH_CHARS: Final = 16
"""Characters of an item's hash, with which its line begins."""
_FIELD: Final = re.compile(r'(?:^|(?<=,))(?:"((?:[^"]|"")*)"|([^",]*))(?=,|$)')


@dataclass(frozen=True, slots=True)
class Index:
    """Columns of index.csv, one entry per item in the run's order. cluster is "" for an item that stands alone."""

    item_hash: list[str]
    dataset: list[str]
    item_id: list[str]
    kind: list[str]
    cluster: list[str]

    def __len__(self) -> int:
        return len(self.item_hash)


def load_lines(path: Path) -> list[str]:
    """The index as its lines, one per item, without their ends: enough to name requests and items, at half the time and memory of `load_index`."""
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    lines = text.split("\n")[1:-1]
    return list(_whole(lines)) if '"' in text else lines


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """Lines put together again where a quoted name holds a line end."""
    held = ""
    for line in lines:
        held = f"{held}\n{line}" if held else line
        if held.count('"') % 2 == 0:
            yield held
            held = ""


def fields(line: str) -> list[str]:
    """item_hash, dataset, item_id, kind and cluster of a line."""
    if '"' not in line:
        return line.split(",")
    return [quoted.replace('""', '"') if quoted or not plain else plain for quoted, plain in _FIELD.findall(line)]


def load_index(path: Path) -> Index:
    """Read the file into columns."""
    columns: tuple[list[str], ...] = ([], [], [], [], [])
    add_mark, add_dataset, add_item_id, add_kind, add_cluster = (column.append for column in columns)
    intern = sys.intern
    for line in load_lines(path):
        mark, dataset, item_id, kind, cluster = fields(line)
        add_mark(mark)
        add_dataset(intern(dataset))
        add_item_id(item_id)
        add_kind(intern(kind))
        add_cluster(intern(cluster))
    return Index(*columns)


@dataclass(frozen=True, slots=True)
class Ids:
    """The custom_ids of an arm, made without formatting each from its pieces."""

    lead: str
    tails: tuple[str, ...]

    @classmethod
    def of(cls, arm: Arm) -> Ids:
        """For all samples of the arm."""
        shapes = [custom_id(arm.condition, arm.temp, arm.key, "*", sample).partition("*") for sample in range(arm.samples)]
        return cls(lead=shapes[0][0], tails=tuple(tail for _, _, tail in shapes))

    def of_items(self, item_hashes: list[str]) -> list[str]:
        """In request order: item by item, each with its samples."""
        lead = self.lead
        if len(self.tails) == 1:
            tail = self.tails[0]
            return [f"{lead}{mark}{tail}" for mark in item_hashes]
        return [f"{lead}{mark}{tail}" for mark in item_hashes for tail in self.tails]

    def joined(self, item_hashes: list[str]) -> str:
        """The same ids, one behind the other."""
        if len(self.tails) == 1:
            return f"{self.lead}{f'{self.tails[0]}{self.lead}'.join(item_hashes)}{self.tails[0]}"
        return "".join(self.of_items(item_hashes))


def item_hashes(lines: Sequence[str], shard: Shard) -> list[str]:
    """Of a part's items. lines: of the index."""
    return [line[:HASH_CHARS] for line in lines[shard.first_item : shard.first_item + shard.n_items]]
