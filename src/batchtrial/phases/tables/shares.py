"""A step's parts made in shares, for array schedulers: each share makes every N-th part, and one process puts all of them together.

A share needs neither the run's lock nor the others. It leaves its parts beside the table that they belong to, each with a record of what it was made
from and by which code, and may run again: what is there and fits is kept.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from batchtrial.amounts import counted
from batchtrial.errors import ConfigError, PhaseFailed
from batchtrial.phases.base import Share, Work
from batchtrial.phases.tables.arm_table import team_for
from batchtrial.phases.tables.facts import differences, own_facts
from batchtrial.phases.tables.workers import Task
from batchtrial.state.store import Fingerprint, decode_json, encode_json, fingerprint, write_bytes

if TYPE_CHECKING:
    from batchtrial.phases.tables.arm_table import ArmTable, F

NAMED: Final = 10
"""Shares, at most, that a message names."""
_FORM: Final = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")
_RUNS: Final = re.compile(r"([0-9]+)-of-([0-9]+)[.]runs")


class ShareMade(Exception):
    """The parts of a share are there: the step ends here, and the table is put together when all shares are."""

    def __init__(self, made: int, kept: int) -> None:
        super().__init__(f"{counted(made, 'part')} made, {kept} {'was' if kept == 1 else 'were'} there")
        self.made, self.kept = made, kept


def share_of(text: str) -> Share:
    """What `--shard I/N` names. Raises ConfigError."""
    match = _FORM.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        raise ConfigError(f"{text!r} is no share", where="--shard", hint="it is I/N with I from 1 to N, such as 3/64")
    return Share(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Place:
    """Where one part of a table is left by its share."""

    table: ArmTable[Any]
    number: int
    place: int

    @property
    def rows(self) -> Path:
        """Its rows."""
        return folder_of(self.table) / f"{self.place:05d}.arrow"

    @property
    def record(self) -> Path:
        """What it was made from, and what was found."""
        return self.rows.with_suffix(".json")

    def found(self, *, is_read: bool) -> Any:
        """What was found in it; None when it is not there as this table wants it. is_read: its bytes are held against the record too."""
        try:
            known = dict(decode_json(self.record.read_bytes()))
            want = Fingerprint.model_validate(known["rows"])
            is_same = known["inputs"] == self.table.inputs and known["code"] == own_facts() and self.rows.stat().st_size == want.size
            if is_same and (not is_read or fingerprint(self.rows) == want):
                return known["found"]
        except (OSError, ValueError, TypeError, KeyError):  # lost, half written or damaged: the share runs again
            return None
        return None

    def other_code(self) -> list[str]:
        """What the code that made it has otherwise than ours, in words."""
        try:
            return differences(own_facts(), dict(decode_json(self.record.read_bytes())["code"]))
        except (OSError, ValueError, TypeError, KeyError):
            return []


def folder_of(table: ArmTable[Any]) -> Path:
    """Where shares leave the table's parts."""
    return table.path.parent / f".{table.path.stem}.shares"


def places_of(tables: Mapping[str, ArmTable[F]]) -> list[Place]:
    """Every part of every table, in the one order that shares are counted in."""
    found: list[Place] = []
    for table in tables.values():
        found += [Place(table, len(found) + place, place) for place in range(len(table.rows))]
    return found


def make_share(work: Work, share: Share, tables: Mapping[str, ArmTable[F]], due: Mapping[str, ArmTable[F]]) -> None:
    """Make the share's parts of the tables that are due. Raises ShareMade at the end, Stopped, PhaseFailed, and what the jobs raise."""
    own = [place for place in places_of(tables) if place.number % share.of == share.number - 1 and place.table in due.values()]
    for table in due.values():
        folder_of(table).mkdir(parents=True, exist_ok=True)
        _count(folder_of(table) / f"{share.number}-of-{share.of}.runs")
    todo = [place for place in own if place.found(is_read=True) is None]
    with team_for(work, due.values()) as team:
        jobs = [place.table.job(place.place, place.rows) for place in todo]
        n_steps = sum(place.table.n_steps * place.table.rows[place.place] // sum(place.table.rows) for place in todo)
        for parts in team.carry_out([Task(f"share {share}", n_steps, jobs)]):
            for place, found in zip(todo, parts, strict=True):
                place.table.check(place.place, found)
                record = {"inputs": place.table.inputs, "code": own_facts(), "rows": fingerprint(place.rows).model_dump(), "found": found.to_json()}
                write_bytes(place.record, encode_json({"schema_version": 1, **record}))
    raise ShareMade(len(todo), len(own) - len(todo))


def _count(path: Path) -> None:
    """One line more for each time that the share was run."""
    with path.open("ab", buffering=0) as file:
        file.write(f"{os.getpid()}\n".encode())


def put_together(work: Work, tables: Mapping[str, ArmTable[F]], due: Mapping[str, ArmTable[F]], kind: type[F]) -> Iterator[Iterator[F]]:
    """What was found in each part of the tables that are due, whose rows are put where the table wants them.

    Raises PhaseFailed, before anything is changed, naming the shares whose parts are missing.
    """
    places = [place for place in places_of(tables) if place.table in due.values()]
    found = {place.number: place.found(is_read=True) for place in places}
    _tell(work, [folder_of(table) for table in due.values()])
    missing = [place for place in places if found[place.number] is None]
    if missing:
        raise _missing(work, missing, [folder_of(table) for table in due.values()])
    for table in due.values():
        own = [place for place in places if place.table is table]
        for place, file in zip(own, table.files, strict=True):
            file.symlink_to(place.rows.absolute())
        yield (kind.from_json(found[place.number]) for place in own)


def forget_shares(table: ArmTable[Any]) -> None:
    """The table is there: what its shares left goes."""
    shutil.rmtree(folder_of(table), ignore_errors=True)


def _runs(folders: Sequence[Path]) -> dict[tuple[int, int], int]:
    """(share, of how many) -> how often it ran."""
    found: dict[tuple[int, int], int] = {}
    for path in sorted(path for folder in folders for path in folder.glob("*.runs")):
        if match := _RUNS.fullmatch(path.name):
            key = int(match[1]), int(match[2])
            found[key] = max(found.get(key, 0), path.read_bytes().count(b"\n"))
    return found


def _tell(work: Work, folders: Sequence[Path]) -> None:
    """Say which shares ran more than once, and whether there were several splittings."""
    runs = _runs(folders)
    twice = [f"{number}/{of}" for (number, of), n in sorted(runs.items(), key=lambda one: one[0][::-1]) if n > 1]
    if twice:
        work.progress.note(f"note: shares that ran more than once, each part taken once: {_named(twice)}")
    if len(of := sorted({of for _, of in runs})) > 1:
        work.progress.note(f"note: there are shares of several splittings ({', '.join(f'I/{n}' for n in of)}); each part is taken once")


def _missing(work: Work, missing: Sequence[Place], folders: Sequence[Path]) -> PhaseFailed:
    counts = [of for _, of in _runs(folders)]
    what = f"{counted(len(missing), 'part')} missing, or not as they would be made here: nothing is put together"
    if unlike := sorted({problem for place in missing for problem in place.other_code()}):
        what += f" ({'; '.join(unlike)})"
    step = "--shard I/N"
    if not counts:
        return PhaseFailed(what, where=str(missing[0].rows), hint=f"no share has run yet: run each once with {step}")
    of = max(set(counts), key=lambda n: (counts.count(n), n))
    shares = sorted({place.number % of + 1 for place in missing})
    return PhaseFailed(what, where=str(missing[0].rows), hint=f"run again, with {step}: {_named([f'{one}/{of}' for one in shares])}")


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
