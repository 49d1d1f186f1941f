"""The one way in which a table of an arm comes to be: part by part on every core, joined, and recorded with what it was made from."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeVar

from batchtrial.amounts import counted
from batchtrial.phases.base import Work, Worker
from batchtrial.state.store import Fingerprint, decode_json, encode_json, replacing, write_bytes

if TYPE_CHECKING:
    from batchtrial.phases.tables.workers import Team

ROWS_PER_GROUP: Final = 10_000
"""Rows, at most, that a reader can skip or take at once."""
MORE: Final = 1 << 16
"""Bytes that a disk is asked to take where it refused some and nobody says why."""
_END_LOST: Final = "transport error"
"""All that the library says when the last bytes of a Parquet file could not be written."""
_OF_DISK: Final = re.compile(r"\(os error ([0-9]+)\)")


class Found(Protocol):
    """What was found while a part was made, or several."""

    def add(self, other: Self, /) -> None: ...

    def to_json(self) -> dict[str, Any]: ...

    @classmethod
    def from_json(cls, record: Mapping[str, Any], /) -> Self: ...


F = TypeVar("F", bound=Found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTable(Generic[F]):
    """A table and the record beside it. inputs: digest of what it is made from; rows: of each of its parts; n_steps: requests that they stand for.

    job: what writes a part's rows to the path that it is given, on any process. check: looks at what was found in a part, and may raise. label: what
    people are told while it is made. together: carries out the jobs of several such tables at one place for less than each by itself.
    is_slow: whether a row may take any time. sort_by: columns that put rows of different parts in order; none where part follows part.
    is_cut_alike: its bytes do not depend on how it was cut into parts; else each part is a whole number of row groups where all are of one size.
    told: what else the record says of it.
    """

    path: Path
    record: Path
    inputs: str | None
    rows: Sequence[int]
    n_steps: int
    label: str
    job: Callable[[int, Path], Callable[[Worker], F]]
    check: Callable[[int, F], None] = lambda place, found: None
    together: Callable[[Sequence[Any], Worker], list[F]] | None = None
    is_slow: bool = False
    sort_by: tuple[str, ...] = ()
    is_cut_alike: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)

    def known(self, work: Work) -> dict[str, Any] | None:
        """The record of a table that is there as it was made, from these inputs; None when it has to be made."""
        try:
            known = dict(decode_json(self.record.read_bytes()))
            is_same = known["inputs"] == self.inputs and work.view.stamps.of(self.path) == Fingerprint.model_validate(known["table"])
        except (OSError, ValueError, TypeError, KeyError):  # lost or damaged: then the table is made again
            return None
        return known if is_same and not work.is_remaking else None

    @property
    def folder(self) -> Path:
        """Where this process has the parts until they are joined."""
        return self.path.parent / f".{self.path.stem}-{os.getpid()}"

    @property
    def files(self) -> list[Path]:
        """One for each part."""
        return [self.folder / f"{place:05d}.arrow" for place in range(len(self.rows))]

    def begin(self) -> None:
        """Make room for the parts."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for old in self.path.parent.glob(f".{self.path.stem}-*"):  # of an earlier process
            shutil.rmtree(old, ignore_errors=True)
        self.folder.mkdir()

    def join(self, work: Work) -> None:
        """Make the parts one table."""
        most = max(self.rows)
        size = ROWS_PER_GROUP if self.is_cut_alike else -(-most // -(-most // ROWS_PER_GROUP))
        rows = _rows_of(self.files)
        with replacing(self.path, hook=work.hook) as file, for_tables(file) as out:
            (rows.sort(self.sort_by) if self.sort_by else rows).sink_parquet(
                out, compression="uncompressed", statistics=False, row_group_size=size, maintain_order=True, engine="streaming"
            )
            self.record.unlink(missing_ok=True)  # what it says of the table before is no word about the next

    def save_record(self, work: Work, found: Mapping[str, Any]) -> None:
        """Say durably from what it was made and what was found. Written last, so that a table without it counts for nothing."""
        got = work.view.stamps.of(self.path)
        if got is None:
            raise FileNotFoundError(self.path)
        known = {"schema_version": 1, "inputs": self.inputs, "table": got.model_dump(), **self.told, **found}
        write_bytes(self.record, encode_json(known), hook=work.hook)


def make_tables(work: Work, tables: Mapping[str, ArmTable[F]], kind: type[F]) -> dict[str, F]:
    """What was found in each of the tables, by the same names; a table is made unless it is there as it would be made.

    Raises Stopped, PhaseFailed, what the jobs and checks raise, and ShareMade where the work is a share.
    """
    from batchtrial.phases.tables.shares import forget_shares, make_share, put_together  # a verdict is told without

    found = {name: kind.from_json(known) for name, table in tables.items() if (known := table.known(work)) is not None}
    due = {name: table for name, table in tables.items() if name not in found}
    for name in found if work.is_merging else ():
        forget_shares(tables[name])
    if work.share is not None:
        make_share(work, work.share, tables, due)
    with ExitStack() as folders, team_for(work, due.values()) as team:
        for table in due.values():
            folders.callback(shutil.rmtree, table.folder, ignore_errors=True)
            table.begin()
        made = put_together(work, tables, due, kind) if work.is_merging else _made(team, list(due.values()))
        for (name, table), parts in zip(due.items(), made, strict=True):
            total = kind()
            for place, one in enumerate(parts):
                table.check(place, one)
                total.add(one)
            work.stop.check()
            table.join(work)
            table.save_record(work, total.to_json())
            shutil.rmtree(table.folder, ignore_errors=True)
            forget_shares(table)
            found[name] = total
    return found


def team_for(work: Work, tables: Iterable[ArmTable[Any]]) -> Team:
    """Who carries out the jobs of these tables."""
    from batchtrial.phases.tables.workers import FEW_ROWS, FEW_SLOW_ROWS, Team

    return Team(work, FEW_SLOW_ROWS if any(table.is_slow for table in tables) else FEW_ROWS)


def _made(team: Team, tables: Sequence[ArmTable[F]]) -> Iterator[Iterable[F]]:
    """What was found in the parts of each table, table after table."""
    from batchtrial.phases.tables.workers import Task

    if len({(table.together, tuple(table.rows)) for table in tables}) > 1 or not tables or tables[0].together is None:
        tasks = [Task(table.label, table.n_steps, [table.job(*one) for one in enumerate(table.files)]) for table in tables]
        yield from team.carry_out(tasks)
        return
    places = [[table.job(place, table.files[place]) for table in tables] for place in range(len(tables[0].rows))]
    jobs = [partial(tables[0].together, jobs) for jobs in places]
    more = f" and {counted(len(tables) - 1, 'further arm')}" if len(tables) > 1 else ""
    task = Task(f"{tables[0].label}{more}", sum(table.n_steps for table in tables), jobs)
    for parts in team.carry_out([task]):
        yield from zip(*parts, strict=True)


def _rows_of(files: Sequence[Path]) -> Any:
    """The rows of the parts as a lazy frame, one batch after the other: a scan of all files holds several parts at once."""
    import polars as pl  # a verdict is told without

    def batches() -> Iterator[Any]:
        for rows in map(pl.scan_ipc, files):
            begin = 0
            while (some := rows.slice(begin, ROWS_PER_GROUP).collect()).height:
                yield some
                begin += some.height

    return one_by_one(batches(), pl.read_ipc_schema(files[0]))


def one_by_one(frames: Iterable[Any], schema: Any) -> Any:
    """Frames of this schema as a lazy frame that is read once, and holds one of them at a time."""
    from polars.io.plugins import register_io_source

    def read(columns: list[str] | None, predicate: Any, n_rows: int | None, at_once: int | None) -> Iterator[Any]:
        return (one.select(columns) if columns else one for one in frames)

    return register_io_source(read, schema=schema)


def write_part(frame: Any, target: Path) -> None:
    """Write one part's rows. Raises OSError on a full disk.

    Several may make the same part at the same time, when one of them was thought to be lost: what stands in `target` is whole and the same.
    """
    own = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    write_rows(frame, own)
    own.replace(target)


def write_rows(frame: Any, path: Path) -> None:
    """Write the rows as they are. Raises OSError on a full disk."""
    with path.open("wb") as file, for_tables(file):
        frame.write_ipc(file, compression="uncompressed", record_batch_size=ROWS_PER_GROUP)


@contextmanager
def for_tables(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """The file for the table library to write to; an error of the disk, told of in words alone, ends the block as the OSError that it is."""
    import polars as pl

    try:
        yield file
    except (OSError, pl.exceptions.PolarsError) as error:
        if getattr(error, "errno", None) is not None or (why := _why(str(error), file)) is None:
            raise
        raise why from None


def _why(said: str, file: IO[bytes]) -> OSError | None:
    """What the disk had, by the library's words; None when it had nothing."""
    if told := _OF_DISK.search(said):
        return OSError(int(told[1]), os.strerror(int(told[1])))
    if _END_LOST not in said:
        return None
    try:
        file.write(bytes(MORE))
        file.flush()
    except OSError as error:
        return error
    return OSError(errno.EIO, os.strerror(errno.EIO))
