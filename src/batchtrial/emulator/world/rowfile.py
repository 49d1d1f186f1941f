"""The requests of a batch as a file of lines with an index of offsets, read one line at a time.

A batch of 100,000 requests is never held in memory: a row is found by its offset, and the index costs 8 bytes a row.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self


def index_path(path: Path) -> Path:
    """Where the offsets of a row file are kept."""
    return path.with_name(path.name + ".idx")


def scan(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Line number from 1, byte offset and content of each line that is not blank."""
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, offset, line
            offset += len(line)


def save_index(path: Path, offsets: array[int]) -> None:
    """Publish the index of a row file in one step; unsigned 64-bit offsets in machine byte order."""
    target = index_path(path)
    draft = target.with_name(target.name + ".tmp")
    with draft.open("wb") as file:
        offsets.tofile(file)
    draft.replace(target)


class RowFile:
    """Random access to the rows of an indexed file. Not safe for use by two threads at once."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb")
        self._offsets = array("Q", index_path(path).read_bytes())

    def __len__(self) -> int:
        return len(self._offsets)

    def line(self, row: int) -> bytes:
        """The bytes of a row, without its newline."""
        self._file.seek(self._offsets[row])
        return self._file.readline().rstrip(b"\r\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
