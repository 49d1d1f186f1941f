"""The texts of an arm's answers: a few of them from where each result line lies, all of them from the table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Final

import polars as pl

from batchtrial.records import BadLine, RawResult
from batchtrial.state.layout import RunLayout

_FEW: Final = 4096
"""Rows up to which the table is not read for one text."""
_AT_ONCE: Final = 10_000
"""Rows whose texts are in memory at once: the library's own pieces of a column are five times as long, one for each core."""


class Texts:
    """Texts by row of an arm's table of answers. decode: reads a result line, None: only the table is read."""

    def __init__(self, layout: RunLayout, table: Path, decode: Callable[[bytes], RawResult] | None) -> None:
        self._layout, self._table, self._decode = layout, table, decode
        self._files: dict[str, IO[bytes] | None] = {}

    @cached_property
    def _rows(self) -> pl.DataFrame:
        """Where each row's result line lies; a file's name stands there once, however many lines it has."""
        table = pl.scan_parquet(self._table).select(pl.col("file").cast(pl.Categorical), "byte", "length")
        return table.collect()

    def close(self) -> None:
        """Close the files of result lines."""
        for file in self._files.values():
            if file is not None:
                file.close()
        self._files.clear()

    def of(self, rows: Iterable[int]) -> dict[int, str]:
        """The text of each of these rows; empty where there is none."""
        wanted = list(rows)
        found, rest = {}, []
        for row, where in zip(wanted, self._rows[wanted].iter_rows(), strict=True):
            text = self._from_line(*where)
            if text is None:
                rest.append(row)
            else:
                found[row] = text
        if rest:
            table = pl.scan_parquet(self._table).select("text")
            if max(rest) - min(rest) < _FEW:
                stretch = table.slice(min(rest), max(rest) - min(rest) + 1).collect()["text"]
                found |= {row: stretch[row - min(rest)] or "" for row in rest}
            else:
                found |= {row: table.slice(row, 1).collect()["text"][0] or "" for row in rest}
        return {row: found[row] for row in wanted}

    def stretches(self, n: int) -> Iterator[pl.Series]:
        """All texts in order, n rows at a time, null where there is none."""
        for first in range(0, self._rows.height, n):
            yield pl.scan_parquet(self._table).select("text").slice(first, n).collect()["text"]

    def matching(self, pattern: str, *, is_literal: bool) -> pl.Series:
        """Whether each text holds the pattern, whatever its case. Raises polars.exceptions.ComputeError for what is no pattern."""
        return holds(pl.scan_parquet(self._table).select("text"), pattern, is_literal=is_literal)

    def lengths(self) -> pl.Series:
        """Characters of each text; null where there is none."""
        return pl.scan_parquet(self._table).select(pl.col("text").str.len_chars().cast(pl.Float64)).collect(engine="streaming")["text"]

    def _from_line(self, name: str | None, byte: int, length: int) -> str | None:
        """The text out of the result line; None where the line is not there any more, or says nothing."""
        if self._decode is None or name is None:
            return None
        file = self._file(name)
        try:
            return None if file is None else self._decode(os.pread(file.fileno(), length, byte)).text
        except (BadLine, OSError):
            return None

    def _file(self, name: str) -> IO[bytes] | None:
        if name not in self._files:
            path = self._layout.root / name
            is_inside = path.resolve().is_relative_to(self._layout.root.resolve())
            self._files[name] = path.open("rb") if is_inside and path.is_file() else None
        return self._files[name]


def holds(table: pl.LazyFrame, pattern: str, *, is_literal: bool) -> pl.Series:
    """Whether each text of a table's one column holds the pattern, whatever its case."""
    column = pl.col(table.collect_schema().names()[0])
    if is_literal and pattern.lower() == pattern.upper():
        found = column.str.contains(pattern, literal=True)
    else:
        found = column.str.contains("(?i)" + (escaped(pattern) if is_literal else pattern))
    n = table.select(pl.len()).collect().item()
    looked = table.select(found.fill_null(False).alias("found"))
    return pl.concat([looked.slice(first, _AT_ONCE).collect() for first in range(0, max(n, 1), _AT_ONCE)])["found"]


def escaped(text: str) -> str:
    """The text as a pattern that means just itself."""
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in text)


_SPECIAL: Final = frozenset("\\.+*?()|[]{}^$#&-~")
