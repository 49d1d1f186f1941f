"""The book of one job in a file: which rows were asked, and what was answered. Appended to only, a line an event, fsynced in groups.

A row is written down before it is asked and when it is answered. Whoever opens the file after a kill finds the rows that were asked and have no
answer: they may have been paid for, will be asked again, and are counted.
"""

from __future__ import annotations

import asyncio
import os
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from batchtrial.direct.records import Answer

NEW, ASKED, ANSWERED = 0, 1, 2
NEWLINE: Final = b"\n"


class _Line(msgspec.Struct, omit_defaults=True):
    """One line of the file: the first has `n_rows` and `about`, each other one of the rest."""

    n_rows: int | None = None
    about: dict[str, str] = {}
    asked: int | None = None
    n: int | None = None  # with `asked`: answers by then
    turned_away: int | None = None
    lost: int | None = None
    in_flight: list[int] = []  # found without an answer when the file was opened again
    row: int | None = None
    status: int = 0
    id: str = ""
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Line).decode


TAIL_BYTES: Final = 1 << 18


class BrokenJournal(ValueError):
    """A file that cannot be what it is taken for."""


class Journal:
    """The book of one job. Reading needs no more; `begin` opens it for writing, in one process at a time."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises FileNotFoundError, BrokenJournal."""
        self.path = path
        self.n_answered = self.n_lost = self.n_in_flight = 0
        self._end = 0
        self._file: BinaryIO | None = None
        self._buffer: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._writing: asyncio.Task[None] | None = None
        self._unsaved = 0  # answers that are told and not on the disk yet
        with path.open("rb") as file:
            self._read(file)

    @classmethod
    def create(cls, path: Path, n_rows: int, about: Mapping[str, str]) -> Journal:
        """A new book, on the disk when this returns. about: what its owner wants to find there again. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.new")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(_Line(n_rows=n_rows, about=dict(about))) + NEWLINE)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return cls(path)

    def _read(self, file: BinaryIO) -> None:
        first = file.readline()
        try:
            head = _decode(first)
        except ValueError:
            raise BrokenJournal(f"{self.path.name}: the first line cannot be read") from None
        if head.n_rows is None or not first.endswith(NEWLINE):
            raise BrokenJournal(f"{self.path.name}: the first line does not say how many rows there are")
        self.n_rows, self.about = head.n_rows, head.about
        self._state = bytearray(self.n_rows)
        self._place = array("q", bytes(8 * self.n_rows))
        self._end = len(first)
        for line in file:
            if not line.endswith(NEWLINE):
                return  # torn by a kill: what it says was not acted upon
            try:
                self._take(_decode(line), self._end)
            except (ValueError, IndexError):
                raise BrokenJournal(f"{self.path.name}: a line at byte {self._end} cannot be read") from None
            self._end += len(line)

    def _take(self, line: _Line, at: int) -> None:
        if line.row is not None:
            self.n_answered += self._state[line.row] != ANSWERED
            self._state[line.row], self._place[line.row] = ANSWERED, at
        elif line.asked is not None:
            self._state[line.asked] = ASKED
        elif line.turned_away is not None:
            self._state[line.turned_away] = NEW
        elif line.lost is not None:
            self._state[line.lost] = NEW
            self.n_lost += 1
        for row in line.in_flight:
            self._state[row] = NEW
        self.n_in_flight += len(line.in_flight)

    @property
    def is_whole(self) -> bool:
        """Every row has its answer on the disk."""
        return self.n_answered == self.n_rows

    @property
    def n_maybe_twice(self) -> int:
        """At most so many rows may have been paid for and were asked again: in flight at a kill, or their answer was lost on the way."""
        return self.n_in_flight + self.n_lost + (0 if self._file is not None else self._state.count(ASKED))

    def open_rows(self) -> Iterator[int]:
        """Numbers of the rows without an answer."""
        return (row for row in range(self.n_rows) if self._state[row] != ANSWERED)

    def answers(self) -> Iterator[tuple[int, Answer]]:
        """Row and answer of those that have one, in the order of rows."""
        with self.path.open("rb") as file:
            for row in range(self.n_rows):
                if self._state[row] == ANSWERED:
                    file.seek(self._place[row])
                    line = _decode(file.readline())
                    yield row, Answer(line.status, b"null" if line.body is msgspec.UNSET else bytes(line.body), line.id)

    # Writing

    def begin(self) -> None:
        """Open for writing: a torn end is cut off, and rows that were in flight are noted. Raises OSError."""
        if self._file is not None:
            return
        self._file = self.path.open("r+b", buffering=0)
        self._file.truncate(self._end)
        self._file.seek(self._end)
        in_flight = [row for row in range(self.n_rows) if self._state[row] == ASKED]
        if in_flight:
            self._append(_Line(in_flight=in_flight))
            self._write(self._buffer.pop())

    def close(self) -> None:
        """Close the file; what is not committed is given up."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def asked(self, row: int) -> None:
        self._append(_Line(asked=row, n=self.n_answered + self._unsaved))

    def turned_away(self, row: int) -> None:
        self._append(_Line(turned_away=row))

    def lost(self, row: int) -> None:
        self._append(_Line(lost=row))

    def answered(self, row: int, answer: Answer) -> None:
        """Kept on the disk at the next `commit`; a row that has an answer keeps it."""
        if self._state[row] != ANSWERED:
            self._append(_Line(row=row, status=answer.status, id=answer.request_id, body=msgspec.Raw(answer.body)))

    def _append(self, line: _Line) -> None:
        raw = msgspec.json.encode(line) + NEWLINE
        n_before = self.n_answered
        self._take(line, self._end)
        self._unsaved += self.n_answered - n_before
        self.n_answered = n_before  # counted when it is on the disk
        self._end += len(raw)
        self._buffer.append(raw)

    async def commit(self) -> None:
        """Return once everything told so far is on the disk, together with what others told. Raises OSError."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write_all())
        await waiter

    async def _write_all(self) -> None:
        while self._waiting:
            raw, waiting, n = b"".join(self._buffer), self._waiting, self._unsaved
            self._buffer, self._waiting, self._unsaved = [], [], 0
            try:
                if raw:
                    await asyncio.to_thread(self._write, raw)
                self.n_answered += n
            except OSError as error:
                for waiter in waiting:
                    if not waiter.done():
                        waiter.set_exception(error)
                raise
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    def _write(self, raw: bytes) -> None:
        assert self._file is not None, "begin() comes first"
        view = memoryview(raw)
        while view:
            view = view[self._file.write(view) :]
        os.fsync(self._file.fileno())


def answered_so_far(path: Path) -> int:
    """Rows with an answer in a file that somebody may be writing, by its last lines. Raises FileNotFoundError, BrokenJournal."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        lines = file.read(TAIL_BYTES).split(NEWLINE)[1:-1]
    n_after = 0
    for line in reversed(lines):
        if line.startswith(b'{"asked"'):
            n = _decode(line).n
            return (n or 0) + n_after
        n_after += line.startswith(b'{"row"')
    return Journal(path).n_answered
