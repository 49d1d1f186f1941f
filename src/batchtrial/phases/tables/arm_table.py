"""The one way in which a table of an arm comes to be: part by part on every core, joined, and recorded with what it was made from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

from batchtrial.phases.base import Work, Worker
from batchtrial.state.store import Fingerprint, decode_json, encode_json, replacing, write_bytes

if TYPE_CHECKING:
    from batchtrial.phases.tables.workers import Team

R = TypeVar("R")
ROWS_PER_GROUP: Final = 10_000
"""Rows, at most, that a reader can skip or take at once."""


@dataclass(frozen=True, slots=True)
class ArmTable:
    """A table and the record beside it. inputs: digest of what it is made from; rows: of each of its parts; n_steps: requests that they stand for."""

    path: Path
    record: Path
    inputs: str | None
    rows: Sequence[int]
    n_steps: int

    def known(self, work: Work) -> dict[str, Any] | None:
        """The record of a table that is there as it was made, from these inputs; None when it has to be made."""
        try:
            known = dict(decode_json(self.record.read_bytes()))
            is_same = known["inputs"] == self.inputs and work.view.stamps.of(self.path) == Fingerprint.model_validate(known["table"])
        except (OSError, ValueError, TypeError, KeyError):  # lost or damaged: then the table is made again
            return None
        return known if is_same and not work.is_remaking else None

    def make(self, work: Work, team: Team, job: Callable[[int, Path], Callable[[Worker], R]], take: Callable[[int, R], None], label: str) -> None:
        """Have each part's job write its rows to the path that it is given, give what it found to `take`, and join the parts.

        Raises Stopped, PhaseFailed, and what the functions raise.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for old in self.path.parent.glob(f".{self.path.stem}-*"):  # of an earlier process
            shutil.rmtree(old, ignore_errors=True)
        folder = self.path.parent / f".{self.path.stem}-{os.getpid()}"
        folder.mkdir()
        files = [folder / f"{place:05d}.arrow" for place in range(len(self.rows))]
        try:
            for place, found in enumerate(team.over_parts([job(*one) for one in enumerate(files)], self.n_steps, label)):
                take(place, found)
            work.stop.check()
            self._join(work, files)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _join(self, work: Work, files: Sequence[Path]) -> None:
        """Where all parts are of one size, each is a whole number of row groups."""
        import polars as pl  # a verdict is told without

        most = max(self.rows)
        size = -(-most // -(-most // ROWS_PER_GROUP))
        with replacing(self.path, hook=work.hook) as file, for_tables(file) as out:
            pl.scan_ipc(list(files)).sink_parquet(
                out, compression="lz4", statistics=False, row_group_size=size, maintain_order=True, engine="streaming"
            )

    def save_record(self, work: Work, found: Mapping[str, Any]) -> None:
        """Say durably from what it was made and what was found. Written last, so that a table without it counts for nothing."""
        got = work.view.stamps.of(self.path)
        if got is None:
            raise FileNotFoundError(self.path)
        write_bytes(self.record, encode_json({"schema_version": 1, "inputs": self.inputs, "table": got.model_dump(), **found}), hook=work.hook)


def write_part(frame: Any, target: Path) -> None:
    """Write one part's rows. Raises OSError on a full disk, which polars does not when it writes to a path by itself."""
    target.write_bytes(frame.write_ipc(None, compression="uncompressed").getbuffer())


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
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise
