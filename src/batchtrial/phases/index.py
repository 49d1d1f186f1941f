"""The order of the run's items, as build wrote it to index.csv (row number = place), and the requests that follow from it."""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from batchtrial.config.expand import Arm
from batchtrial.keys import custom_id
from batchtrial.state.files import Shard


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


def load_index(path: Path) -> Index:
    """Read the file."""
    columns: tuple[list[str], ...] = ([], [], [], [], [])
    add_mark, add_dataset, add_item_id, add_kind, add_cluster = (column.append for column in columns)
    intern = sys.intern
    with path.open(encoding="utf-8", newline="") as file:
        for mark, dataset, item_id, kind, cluster in islice(csv.reader(file), 1, None):
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

    def of_part(self, index: Index, shard: Shard) -> list[str]:
        """Every request of a part."""
        return self.of_items(index.item_hash[shard.first_item : shard.first_item + shard.n_items])
