"""The order of the run's items, as build wrote it to index.csv (row number = place), and the requests that follow from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchtrial.config.expand import Arm

if TYPE_CHECKING:
    import polars as pl

HASH_CHARS: Final = 16
"""Characters of an item's hash, with which its line begins."""
_FIELD: Final = re.compile(r'(?:^|(?<=,))(?:"((?:[^"]|"")*)"|([^",]*))(?=,|$)')


class IndexLines:
    """The index by line, one per item, as the file has them: a line becomes text when it is needed, and is gone again before the next ones come."""

    def __init__(self, data: bytes) -> None:
        import numpy as np  # a verdict is told without

        signs = np.frombuffer(data, dtype=np.uint8)
        ends = np.flatnonzero(signs == ord("\n")) + 1
        if b'"' in data:
            # A line end inside a quoted name ends no line; an odd number of quotes stands before it.
            ends = ends[np.cumsum(signs == ord('"'))[ends - 1] % 2 == 0]
        self._data, self._ends = data, ends  # the first is the header's

    @classmethod
    def load(cls, path: Path) -> IndexLines:
        """Of index.csv."""
        return cls(path.read_bytes())

    def __len__(self) -> int:
        return len(self._ends) - 1

    def text(self, first: int, n: int) -> str:
        """Lines first .. first + n with their ends, in one piece and bytewise: UTF-8 with a letter for each byte."""
        return self._data[self._ends[first] : self._ends[first + n]].decode("latin-1")

    def of(self, first: int, n: int) -> list[str]:
        """The same, one by one and without their ends."""
        ends = self._ends[first : first + n + 1].tolist()
        return [self._data[begin : end - 1].decode("latin-1") for begin, end in pairwise(ends)]


def fields(line: str) -> list[str]:
    """item_hash, dataset, item_id, kind and cluster of a line."""
    if '"' not in line:
        return line.split(",")
    return [quoted.replace('""', '"') if quoted or not plain else plain for quoted, plain in _FIELD.findall(line)]


def load_index(path: Path) -> pl.DataFrame:
    """The index as a table: item_hash, dataset, item_id, kind, and cluster, which is null for an item that stands alone."""
    import polars as pl  # parse is done without

    data = path.read_bytes()
    schema = dict.fromkeys(("item_hash", "dataset", "item_id", "kind", "cluster"), pl.String)
    if b"\r" not in data:
        return pl.read_csv(data, schema=schema)
    # A carriage return at the end of a name would be taken for a part of the line end.
    lines = IndexLines(data)
    rows = [[value or None for value in fields(line.encode("latin-1").decode())] for line in lines.of(0, len(lines))]
    return pl.DataFrame(rows, schema=schema, orient="row")


@dataclass(frozen=True, slots=True)
class Ids:
    """The custom_ids of an arm, made without formatting each from its pieces."""

    lead: str
    tails: tuple[str, ...]

    @classmethod
    def of(cls, arm: Arm, samples: range | None = None) -> Ids:
        """For these samples of each item; None: all of the arm."""
        shapes = [arm.custom_id("*", sample).partition("*") for sample in (range(arm.samples) if samples is None else samples)]
        return cls(lead=shapes[0][0], tails=tuple(tail for _, _, tail in shapes))

    def of_items(self, hashes: pl.Series) -> pl.Series:
        """In request order: item by item, each with its samples. hashes: of the items, as `load_index` has them."""
        import polars as pl

        each = pl.concat_list(pl.concat_str(pl.lit(self.lead), pl.lit(hashes), pl.lit(tail)) for tail in self.tails)
        return pl.select(each.explode().alias("custom_id")).to_series()
