"""Where every run stands, read without a lock while runs are live: files may be replaced, or vanish, between any two reads.

Nothing here writes, and nothing is believed over the ledger. A `RunReader` keeps what it has read, so that looking again costs only what is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from batchtrial.errors import ManifestCorrupt
from batchtrial.modes import MODES, ModeFacts
from batchtrial.reading.direct_rows import answered_rows
from batchtrial.reading.ledger_tail import LedgerTail
from batchtrial.state.access import check_readable
from batchtrial.state.entries import Counts
from batchtrial.state.files import MultiTrialManifest, PhaseRecord, RunState, load
from batchtrial.state.form import is_of_earlier_system, is_unbegun
from batchtrial.state.layout import PREFIX, RunLayout
from batchtrial.state.ledger import Money
from batchtrial.state.lock import LockInfo, is_alive, read_lock
from batchtrial.state.machine import IN_FLIGHT, PartState
from batchtrial.steps import shown

NONE_YET = Counts()
NOTHING = Money()


class Standing(StrEnum):
    """One word for how a run stands."""

    RUNNING = "running"
    STOPPING = "stopping"  # a live process has been asked to stop
    ELSEWHERE = "elsewhere"  # a process on another host has it, or died there
    FINISHED = "finished"
    FAILED = "failed"  # a phase ended with an error
    STOPPED = "stopped"  # left in order after a stop was asked for
    KILLED = "killed"  # its process died without leaving in order
    PARTIAL = "partial"  # left in order with phases still to do
    NEW = "new"  # nothing done yet
    EARLIER = "earlier"  # written by the earlier system, not taken over yet
    UNREADABLE = "unreadable"  # this user may not read its files
    DAMAGED = "damaged"  # state files are lost or unreadable

    @property
    def is_live(self) -> bool:
        """A process has, or may have, the run open."""
        return self in (Standing.RUNNING, Standing.STOPPING, Standing.ELSEWHERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run at one moment. Times are UTC. parts: number by state. outcomes: of requests whose fate is settled, out of n_requests."""

    run_id: str
    root: Path
    standing: Standing
    phases: Mapping[str, PhaseRecord] = field(default_factory=dict)
    mode: str = "live"
    backend: str = ""
    model: str = ""
    backends: tuple[str, ...] = ()  # of all arms
    models: tuple[str, ...] = ()
    trials: tuple[str, ...] = ()
    parts: Mapping[str, int] = field(default_factory=dict)
    n_requests: int = 0
    outcomes: Counts = NONE_YET
    reasons: Mapping[str, int] = field(default_factory=dict)  # why rows have no answer, with how many
    in_flight_requests: int = 0
    answered_rows: int = 0  # of these, by the journals of a direct lane
    money: Money = NOTHING
    started_at: datetime | None = None
    active_at: datetime | None = None
    owner: LockInfo | None = None
    is_migrated: bool = False
    is_archived: bool = False
    is_stop_requested: bool = False
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def _facts(self) -> ModeFacts:
        return MODES.get(self.mode, MODES["live"])  # a file that somebody wrote may say anything

    @property
    def is_simulated(self) -> bool:
        return self._facts.is_simulated

    @property
    def is_dry(self) -> bool:
        return self._facts.is_dry

    @property
    def has_world(self) -> bool:
        """The provider's side of it lies in the run's own folder."""
        return self.is_dry or RunLayout(self.root).direct.is_dir()

    @property
    def n_parts(self) -> int:
        return sum(self.parts.values())

    @property
    def has_money_in_flight(self) -> bool:
        """The provider has, or may have, batches of this run whose bill is not known."""
        return any(self.parts.get(state, 0) for state in IN_FLIGHT)

    @property
    def phase(self) -> str:
        """The first phase that is not completed; empty when all are, and for a run of the earlier system, whose phases are not ours."""
        if self.standing is Standing.EARLIER:
            return ""
        return next((name for name in shown(self.phases) if name not in self.phases or self.phases[name].status != "completed"), "")


def _as_text(name: str) -> str:
    """The name of a folder, which may hold bytes that are no text, as every program can read it."""
    return name.encode("utf-8", "backslashreplace").decode()


class _Lines(msgspec.Struct, gc=False):
    lines: int = 0


class _Shards(msgspec.Struct, gc=False):
    shards: dict[str, _Lines] = {}


@dataclass(slots=True)
class RunReader:
    """One run, looked at again and again."""

    layout: RunLayout
    tail: LedgerTail = field(init=False)
    _built: dict[str, int] = field(default_factory=dict)
    _built_mark: tuple[tuple[int, int, int], ...] | None = None

    def __post_init__(self) -> None:
        self.tail = LedgerTail(self.layout.ledger)

    def look(self) -> RunSummary:
        """The run now. Never raises for what a live, damaged or vanishing run may do to its files."""
        fault = self.layout.denied()
        if fault is not None:
            return RunSummary(run_id=_as_text(self.layout.run_id), root=self.layout.root, standing=Standing.UNREADABLE, problems=(fault,))
        problems: list[str] = []
        state, damage = self._state()  # before the ledger, which may grow meanwhile but never be behind it
        has_ledger = self.tail.update() and not (state is None and is_unbegun(self.layout))
        is_earlier = not has_ledger and is_of_earlier_system(self.layout)
        if not is_earlier:
            problems += _damages(state, damage, self.tail.n_lines if has_ledger else None)
        owner = self._owner()
        if self.tail.n_damaged:
            problems.append(f"{self.tail.n_damaged} lines of the ledger are damaged: see `batchtrial repair --check`")
        problems += _failed_lanes(self.tail.failed_lanes)
        is_stop_asked = self.layout.stop_requested.exists() or self.layout.stop_now.exists()
        phases = dict(state.phases) if state is not None else {}
        opened = self.tail.opened
        parts, n_requests = self._parts()
        standing = Standing.EARLIER if is_earlier else _standing(owner, state, is_stop_asked=is_stop_asked, has_ledger=has_ledger)
        if is_earlier:
            problems.append(f"it is of the earlier system: `batchtrial resume {self.layout.flags}` takes it over, which sends nothing")
        problems += ["a stop request is lying there: the next start obeys it, or give --ignore_stop"] * (is_stop_asked and not standing.is_live)
        return RunSummary(
            run_id=_as_text(self.layout.run_id),
            root=self.layout.root,
            standing=standing,
            phases=phases,
            mode=(opened.mode if opened is not None else "") or (state.mode if state is not None else "live"),
            backend=opened.backend if opened is not None else "",
            model=opened.model_id if opened is not None else "",
            backends=opened.backends if opened is not None else (),
            models=opened.models if opened is not None else (),
            trials=self._trials(),
            parts=parts,
            n_requests=n_requests,
            outcomes=self.tail.counts,
            reasons=self.tail.reasons,
            in_flight_requests=self.tail.in_flight_requests,
            answered_rows=answered_rows(self.layout.direct, self.tail.tokens_in_flight),
            money=self.tail.money,
            started_at=_started(phases, owner),
            active_at=self._active_at(),
            owner=owner,
            is_migrated=state.migrated if state is not None else False,
            is_archived=self.layout.archive_manifest.exists(),
            is_stop_requested=is_stop_asked,
            notes=state.notes if state is not None else (),
            problems=tuple(problems),
        )

    def _owner(self) -> LockInfo | None:
        try:
            return read_lock(self.layout.lock_info)
        except OSError:
            return None

    def _state(self) -> tuple[RunState | None, str]:
        """run_state.json, and what is wrong with it."""
        try:
            return load(RunState, self.layout.run_state), ""
        except (ManifestCorrupt, OSError) as error:
            return None, str(getattr(error, "what", error))

    def _parts(self) -> tuple[dict[str, int], int]:
        """(parts by state, requests built or sent); the ledger's own parts while no build manifest can be read.

        What judges were asked who were replaced since is built no more; it was sent, and its answers count.
        """
        self._read_build()
        names = {**self._built, **self.tail.parts}
        found: dict[str, int] = dict.fromkeys(PartState, 0)
        for name in names:
            tally = self.tail.parts.get(name)
            found[tally.state if tally is not None else PartState.PENDING] += 1
        sent = sum(one.attempts[one.last].n_requests for name, one in self.tail.parts.items() if self._built and name not in self._built and one.last)
        return found, sum(self._built.values()) + sent

    def _read_build(self) -> None:
        paths = [path for path in (self.layout.build_manifest, self.layout.judging.build_manifest) if path.exists()]
        try:
            mark = tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in (path.stat() for path in paths))
            if mark != self._built_mark:
                found = [msgspec.json.decode(path.read_bytes(), type=_Shards).shards for path in paths]
                self._built = {name: shard.lines for shards in found for name, shard in shards.items()}
                self._built_mark = mark
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            self._built, self._built_mark = {}, None

    def _trials(self) -> tuple[str, ...]:
        try:
            listed = load(MultiTrialManifest, self.layout.multi_trial_manifest)
        except (ManifestCorrupt, OSError):
            return ()
        return tuple(trial.slug for trial in listed.trials) if listed is not None else ()

    def _active_at(self) -> datetime | None:
        """When the run's own files last changed."""
        times = []
        for path in (self.layout.ledger, self.layout.run_state, self.layout.lock_info):
            try:
                times.append(path.stat().st_mtime)
            except OSError:
                continue
        return datetime.fromtimestamp(max(times), UTC) if times else None


def _damages(state: RunState | None, damage: str, n_lines: int | None) -> Iterator[str]:
    """What is wrong with run_state.json and the ledger together. n_lines: of the ledger; None when there is none."""
    see = "see `batchtrial repair --check`"
    if damage:
        yield f"{damage}: {see}"
    if state is not None and n_lines is None:
        yield f"the ledger is lost: {see}"
    elif state is not None and n_lines is not None and state.ledger_lines > n_lines:
        yield f"the ledger has lost at least {state.ledger_lines - n_lines} lines: {see}"


def _failed_lanes(failed: Mapping[str, str]) -> list[str]:
    return [f"{name} failed, and its arms have no answers: {why}; `batchtrial resume` tries it again" for name, why in failed.items()]


def _standing(owner: LockInfo | None, state: RunState | None, *, is_stop_asked: bool, has_ledger: bool) -> Standing:
    alive = is_alive(owner)
    if alive is not False:
        return Standing.ELSEWHERE if alive is None else Standing.STOPPING if is_stop_asked else Standing.RUNNING
    if state is None or not has_ledger:
        return Standing.DAMAGED if has_ledger or state is not None else Standing.NEW
    records = [state.phases.get(name, PhaseRecord()) for name in shown(state.phases)]
    if all(record.status == "completed" for record in records):
        return Standing.FINISHED
    if owner is not None and owner.released_at is None:
        return Standing.KILLED
    if any(record.status == "failed" for record in records):
        return Standing.FAILED
    if state.stop_requested:
        return Standing.STOPPED
    return Standing.PARTIAL if any(record.status != "not_started" for record in records) else Standing.NEW


def _started(phases: Mapping[str, PhaseRecord], owner: LockInfo | None) -> datetime | None:
    times = [record.started_at for record in phases.values() if record.started_at is not None]
    return min(times) if times else owner.started_at if owner is not None else None


class Inventory:
    """Every run of a folder, looked at again and again."""

    def __init__(self, experiments: Path, *, only: tuple[str, ...] = ()) -> None:
        self._experiments, self._only = experiments, only
        self._readers: dict[str, RunReader] = {}

    def look(self) -> tuple[RunSummary, ...]:
        """The runs now, oldest first. A run that has vanished is left out. Raises StateError when the folder itself may not be read."""
        check_readable((self._experiments,), str(self._experiments))
        names = sorted(self._names())
        self._readers = {name: self._readers.get(name) or RunReader(RunLayout(self._experiments / name)) for name in names}
        found = [reader.look() for reader in self._readers.values()]
        never = datetime.max.replace(tzinfo=UTC)
        return tuple(sorted(found, key=lambda run: (run.started_at or never, run.run_id)))

    def _names(self) -> Iterator[str]:
        if self._only:
            yield from (f"{PREFIX}{run_id}" for run_id in self._only if (self._experiments / f"{PREFIX}{run_id}").is_dir())
            return
        try:
            entries = list(self._experiments.iterdir())
        except OSError:
            return
        yield from (path.name for path in entries if path.name.startswith(PREFIX) and path.is_dir())
