"""Rows of a table as the bytes of a CSV file. Absent values are empty."""

from __future__ import annotations

from typing import Any, Final, Literal

import polars as pl

ROWS_PER_PIECE: Final = 2_000
"""So that a piece is small enough for its memory to be used again: new memory takes longer than the rows."""


def csv_rows(
    frame: pl.DataFrame, *, has_header: bool = False, ends: Literal["\n", "\r\n"] = "\r\n", quotes: Literal["never", "necessary"] = "necessary"
) -> list[bytes]:
    """The frame's rows, in pieces: joining them takes as long as writing them. quotes: `never` where the fields have theirs."""
    out: Any = _Pieces()
    for begin in range(0, max(frame.height, 1), ROWS_PER_PIECE):
        rows = frame.slice(begin, ROWS_PER_PIECE)
        rows.write_csv(out, include_header=has_header and not begin, line_terminator=ends, quote_style=quotes)
    return list(out.pieces)


def quoted(name: str) -> pl.Expr:
    """A text in quotes; an absent one stays absent."""
    return pl.concat_str(pl.lit('"'), pl.col(name).str.replace_all('"', '""', literal=True), pl.lit('"')).alias(name)


def quoted_where(name: str, needs: pl.Expr) -> pl.Expr:
    """A text in quotes where it needs them."""
    return pl.when(needs).then(quoted(name)).otherwise(pl.col(name)).alias(name)


class _Pieces:
    """A file that keeps what is written to it as it comes. One in memory copies it twice, which takes as long as making it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.pieces.append(data)
        return len(data)
