"""The order of the run's items, as build wrote it to index.csv (row number = place), and the requests that follow from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchtrial.config.expand import Arm
from batchtrial.keys import custom_id
from batchtrial.state.files import Shard

if TYPE_CHECKING:
    import polars as pl

HASH_CHARS: Final = 16
"""Characters of an item's hash, with which its line begins."""
_FIELD: Final = re.compile(r'(?:^|(?<=,))(?:"((?:[^"]|"")*)"|([^",]*))(?=,|$)')


def load_lines(path: Path) -> list[str]:
    """The index as its lines, one per item, without their ends: enough to name requests and items, which names requests and items."""
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


def load_index(path: Path) -> pl.DataFrame:
    """The index as a table: item_hash, dataset, item_id, kind, and cluster, which is null for an item that stands alone."""
    import polars as pl  # parse is done without

    return pl.read_csv(path, schema=dict.fromkeys(("item_hash", "dataset", "item_id", "kind", "cluster"), pl.String))


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
