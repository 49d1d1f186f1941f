"""A table of an arm: its part files, how they become one table, and the record that says from what it was made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from batchtrial.phases.base import View, Work
from batchtrial.state.store import Fingerprint, decode_json, encode_json, replacing, write_bytes

ROWS_PER_GROUP: Final = 10_000
"""Rows, at most, that a reader can skip or take at once."""


@contextmanager
def part_files(table: Path, n: int) -> Iterator[list[Path]]:
    """Where the parts of a table may be written until it is joined; what an earlier process left there is removed."""
    table.parent.mkdir(parents=True, exist_ok=True)
    for old in table.parent.glob(f".{table.stem}-*"):
        shutil.rmtree(old, ignore_errors=True)
    folder = table.parent / f".{table.stem}-{os.getpid()}"
    folder.mkdir()
    try:
        yield [folder / f"{number:05d}.arrow" for number in range(n)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_part(frame: Any, target: Path) -> None:
    """Write one part's rows. Raises OSError on a full disk, which polars does not when it writes to a path by itself."""
    target.write_bytes(frame.write_ipc(None, compression="uncompressed").getbuffer())


def joined(work: Work, files: Sequence[Path], table: Path, rows_per_part: int) -> None:
    """Durably write the parts one behind the other as one table. Where all are of one size, each is a whole number of row groups."""
    import polars as pl  # a verdict is told without

    work.stop.check()
    n_groups = -(-rows_per_part // ROWS_PER_GROUP)
    with replacing(table, hook=work.hook) as file, for_tables(file) as out:
        pl.scan_ipc(list(files)).sink_parquet(
            out, compression="lz4", statistics=False, row_group_size=-(-rows_per_part // n_groups), maintain_order=True, engine="streaming"
        )


@contextmanager
def for_tables(file: IO[bytes]) -> Iterator[Any]:
    """The file as the table library may write to it: an error of the disk ends the block as the OSError that it was, which the library hides."""
    import polars as pl

    told = _Told(file)
    try:
        yield told
    except pl.exceptions.PolarsError:
        if told.error is not None:
            raise told.error from None
        raise


class _Told:
    """A file without a descriptor, so that every write goes through `write`; keeps the error of one that failed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None
        self.flush, self.seek, self.tell = file.flush, file.seek, file.tell

    def write(self, data: bytes) -> int:
        """Write all of it. Raises OSError."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise


def record_table(work: Work, table: Path, record: Path, inputs: str | None, found: Mapping[str, Any]) -> None:
    """Say durably from what the table was made and what was found on the way. Written last, so that a table without it counts for nothing."""
    got = work.view.stamps.of(table)
    if got is None:
        raise FileNotFoundError(table)
    write_bytes(record, encode_json({"schema_version": 1, "inputs": inputs, "table": got.model_dump(), **found}), hook=work.hook)


def is_current(view: View, table: Path, record: Path, inputs: str | None) -> dict[str, Any] | None:
    """The record of a table that is there as it was made, from these inputs; None when it has to be made."""
    try:
        known = dict(decode_json(record.read_bytes()))
        is_same = known["inputs"] == inputs and view.stamps.of(table) == Fingerprint.model_validate(known["table"])
    except (OSError, ValueError, TypeError, KeyError):  # lost or damaged: then the table is made again
        return None
    return known if is_same else None
