"""The ledger: one line per event, appended and never rewritten; what was paid for is what it says.

Every line is on disk before anything that depends on it: an intent is fsynced before its call, and with it all lines before; what a power cut may
take back without harm (see LATER) is written at once, where a kill cannot reach it, and fsynced with the next intent, snapshot or round.

The last line may be torn by a crash: it is cut off before the next append. A damaged or absent line, in the middle or at the end, is skipped when
reading, and refused when writing. Folding the lines (`entries.py` has their form) gives the state of every part (`PartRecord`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from batchtrial.errors import IllegalTransition, StateError
from batchtrial.keys import OUT
from batchtrial.state.duplicates import DUPLICATE, Duplicate, duplicate_of
from batchtrial.state.entries import Counts, Entry, LedgerRead, encode, mark, marked, read, run_lines
from batchtrial.state.lanes import LANE, lane_of
from batchtrial.state.looks import LOOK
from batchtrial.state.machine import EVENTS, IN_FLIGHT, NEVER_SENT, Event, PartState, step
from batchtrial.state.money import Money, of_attempt, of_second_batch, together
from batchtrial.state.store import Hook, fsync_folder, no_hook

__all__ = ["Counts", "Entry", "LedgerRead", "Money", "read"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One try at a part, folded from its lines. A ledger has thousands, and a frozen dataclass takes ten times as long to make."""

    number: int
    token: str
    payload: str
    payload_sha256: str
    n_requests: int
    reserved_usd: Decimal
    created_at: datetime
    file_id: str | None = None
    batch_id: str | None = None
    batch_at: datetime | None = None
    wire_state: str | None = None
    ids: Mapping[str, str] = {}
    reason: str | None = None
    path: str | None = None
    sha256: str | None = None
    size: int | None = None
    counts: Counts | None = None
    odd: Mapping[str, int] = {}
    usage: Mapping[str, int] = {}
    cost_usd: Decimal | None = None
    unknown_usd: Decimal | None = None
    n_without_usage: int = 0
    is_priced: bool = True  # the model's price was known when it was sent
    is_saved: bool = False
    is_lost: bool = False  # proved never to have reached the provider
    is_rejected: bool = False  # refused as a whole: nothing was executed, nothing billed
    is_hopeless: bool = False  # rejected for a reason that the same rows will always meet
    is_queue_full: bool = False  # rejected because the provider's queue was full: no try at the rows
    is_left: bool = False  # written down in the place of one that shall not be made
    is_taken_over: bool = False  # from another run: no try of this one at the rows
    is_gone: bool = False  # the provider lost it: whatever it billed will never be known exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRecord:
    """A part as the ledger tells it.

    counts: set once the part is settled. is_asked_again: the attempt that comes, or is under way, asks rows again whose answers nobody could read.
    """

    part: str
    state: PartState = PartState.PENDING
    attempts: tuple[Attempt, ...] = ()
    counts: Counts | None = None
    duplicates: tuple[Duplicate, ...] = ()
    is_asked_again: bool = False

    @property
    def current(self) -> Attempt | None:
        """The attempt under way, or the last one."""
        return self.attempts[-1] if self.attempts else None

    @property
    def next_attempt(self) -> int:
        """The number that the next intent carries: a call that never arrived is repeated under its own number."""
        last = self.current
        if last is None:
            return 1
        return last.number if last.is_lost else last.number + 1

    def with_entry(self, entry: Entry) -> PartRecord:
        """This part after `entry`. Raises IllegalTransition."""
        return self.after((entry,))

    def after(self, entries: Iterable[Entry]) -> PartRecord:
        """This part after its lines in order; what several of them say of one attempt is put together once. Raises IllegalTransition."""
        state, counts, attempts, duplicates = self.state, self.counts, list(self.attempts), list(self.duplicates)
        is_asked_again = self.is_asked_again
        news: dict[str, Any] = {}
        for entry in entries:
            if entry.event == REFETCHED:
                attempts, news = _with_news(attempts, news), {}
                attempts = [replace(a, sha256=entry.sha256, size=entry.size) if a.number == entry.attempt else a for a in attempts]
                continue
            if entry.event == DUPLICATE:
                attempts, news = _with_news(attempts, news), {}
                duplicates = [one for one in duplicates if one.batch_id != entry.batch_id] + [duplicate_of(entry, attempts)]
                continue
            event = EVENTS[entry.event]
            try:
                state = step(state, event)
            except IllegalTransition as error:
                what = f"line {entry.seq} of the ledger contradicts those before it: {error.what}"
                raise IllegalTransition(what, where=f"ledger.jsonl, part {self.part}", hint=REPAIR) from None
            if event is Event.INTENT or event is Event.IMPORTED:
                attempts, news = [a for a in _with_news(attempts, news) if a.number != entry.attempt], {}
                attempts.append(_attempt(entry))
            if event in _ENDS_OR_OPENS:
                counts, is_asked_again = entry.counts, event is Event.ASKED_AGAIN
            if attempts and event in _NEWS:
                news |= _NEWS[event](entry)
        return PartRecord(
            part=self.part,
            state=state,
            attempts=tuple(_with_news(attempts, news)),
            counts=counts,
            duplicates=tuple(duplicates),
            is_asked_again=is_asked_again,
        )


_ENDS_OR_OPENS = (Event.SETTLED, Event.FOUND, Event.ASKED_AGAIN, Event.RETRY)
"""What decides which rows the next attempt asks, if there is one, and whether the part has its counts."""


def _with_news(attempts: list[Attempt], news: Mapping[str, Any]) -> list[Attempt]:
    """The attempts with what is new about the last one."""
    return [*attempts[:-1], replace(attempts[-1], **news)] if news else attempts


def _attempt(entry: Entry) -> Attempt:
    return Attempt(
        number=entry.attempt or 1,
        token=entry.token or "",
        payload=entry.payload or "",
        payload_sha256=entry.payload_sha256 or "",
        n_requests=entry.n_requests or 0,
        reserved_usd=entry.reserved_usd or Decimal(0),
        is_priced=entry.reserved_usd is not None,
        created_at=entry.at,
        file_id=entry.file_id if entry.event == Event.INTENT else None,
    )


def _saved(entry: Entry) -> dict[str, Any]:
    return {
        "is_saved": True,
        "path": entry.path,
        "sha256": entry.sha256,
        "size": entry.size,
        "counts": entry.counts,
        "odd": entry.odd or {},
        "usage": entry.usage or {},
        "cost_usd": entry.cost_usd,
        "unknown_usd": entry.unknown_usd,
        "n_without_usage": entry.n_without_usage or 0,
    }


_NEWS: Mapping[Event, Callable[[Entry], dict[str, Any]]] = {
    Event.UPLOADED: lambda entry: {"file_id": entry.file_id},
    Event.RECEIPT: lambda entry: {"batch_id": entry.batch_id, "batch_at": entry.at},
    Event.LOST: lambda entry: {"is_lost": True, "reason": entry.reason},
    Event.REJECTED: lambda entry: {
        "is_rejected": True,
        "is_left": entry.wire_state == NEVER_SENT,
        "is_hopeless": entry.retryable is False,
        "is_queue_full": bool(entry.detail and entry.detail.get("queue_full")),
        "reason": entry.reason,
        "wire_state": entry.wire_state,
    },
    Event.GONE: lambda entry: {"is_gone": True, "reason": entry.reason},
    Event.FOUND: lambda entry: {"is_gone": False, "reason": None},
    Event.REPLACED: lambda entry: {"batch_id": entry.batch_id, "batch_at": entry.at},
    Event.DONE: lambda entry: {"wire_state": entry.wire_state, "ids": entry.ids or {}},
    Event.SAVED: _saved,
    Event.IMPORTED: lambda one: {"batch_id": one.batch_id, "batch_at": one.at, "wire_state": one.wire_state, "is_taken_over": True, **_saved(one)},
}
"""What a line says of the attempt under way."""


def money(parts: Iterable[PartRecord]) -> Money:
    """What the attempts at these parts have cost, with second batches for them, and what may still come."""
    return together(sum_ for part in parts for sum_ in _moneys(part))


def _moneys(part: PartRecord) -> Iterator[Money]:
    for attempt in part.attempts:
        yield _money_of(attempt, part)
    for one in part.duplicates:
        yield of_second_batch(n_requests=one.n_requests, reserved_usd=one.reserved_usd)


def _money_of(attempt: Attempt, part: PartRecord) -> Money:
    return of_attempt(
        n_requests=attempt.n_requests,
        reserved_usd=attempt.reserved_usd if attempt.is_priced else None,
        cost_usd=attempt.cost_usd,
        unknown_usd=attempt.unknown_usd,
        n_without_usage=attempt.n_without_usage,
        n_without_line=attempt.counts.missing if attempt.counts is not None and attempt.unknown_usd is not None else 0,
        is_saved=attempt.is_saved,
        is_gone=attempt.is_gone,
        is_in_flight=attempt is part.current and part.state in IN_FLIGHT,
    )


LATER = frozenset({*EVENTS, "refetched", "duplicate", "looked"} - {Event.INTENT, Event.IMPORTED})
"""Found out again by asking the provider or reading the files, at no cost: 4,000 parts would otherwise wait for 24,000 fsyncs. A receipt is among
them because nothing is sent between it and the next fsync, and its intent, which is fsynced, leads back to the batch."""
REPAIR = "run `batchtrial repair --run_id RUN` to set the damaged file aside and rebuild what can be rebuilt"
TORN = "torn"
"""A note: the last line was torn after it had been on the disk, so it may have been the intent of a part that seems to wait."""
REFETCHED = "refetched"
"""A result file was lost here and fetched again with other bytes; no step in the part's life, only a new fingerprint."""
OPENED = "opened"
SESSION = "session"
"""A note: a process began to ask the provider; where it ran, and what the wire told of the account."""
LOOKED = "looked"
"""A note: every batch of the account was listed after the last one that `n_batches` counts, and second batches were settled."""
OF_PARTS = frozenset({*EVENTS, REFETCHED, DUPLICATE})
"""Events that are folded into a part's record."""


def fold(entries: Iterable[Entry]) -> dict[str, PartRecord]:
    """State of every part that the ledger names. Raises IllegalTransition, naming the line, when they contradict the table."""
    lines: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.part is not None and entry.event in OF_PARTS:
            lines.setdefault(entry.part, []).append(entry)
    return {part: PartRecord(part=part).after(own) for part, own in lines.items()}


def listable(parts: Iterable[PartRecord]) -> tuple[Attempt, ...]:
    """Attempts whose batches the provider can list: those that it gave an id for, under a token of ours."""
    return tuple(one for part in parts for one in part.attempts if one.token and one.batch_id and not one.batch_id.startswith(OUT))


def is_look_due(notes: Iterable[Entry], parts: Iterable[PartRecord], lane: str | None = None) -> bool:
    """Whether batches were made since the account was last listed for second ones. lane: a further one, whose parts these are.

    A ledger without a session line is an earlier version's, or that of a run which asked no provider: it promised no such look.
    """
    lines = [note for note in notes if note.event in (SESSION, LOOKED) and lane_of(note) == lane]
    if not any(note.event == SESSION for note in lines):
        return False
    seen = next((note.n_batches or 0 for note in reversed(lines) if note.event == LOOKED), 0)
    return seen < len(listable(parts))


def look_lines(path: Path) -> tuple[Entry, ...]:
    """The lines that `is_look_due`, `failed_lanes` and `looks_in` need, for those who only look."""
    return run_lines(path, (LOOKED, SESSION, LANE, LOOK))


def check_sound(got: LedgerRead, path: Path) -> None:
    """Raises StateError, with the first bad line and the fix, when lines are damaged or gone."""
    if got.is_sound:
        return
    n_bad = len(got.foreign) + len(got.absent)
    if got.foreign:
        what = f"line {got.foreign[0]} of the ledger is not as it was written ({n_bad} such lines)"
    elif got.entries:
        what = f"line {got.absent[0]} of the ledger is gone ({n_bad} such lines)"
    else:
        what = "this run has been worked on, but no ledger says what was paid for"
    raise StateError(what, where=str(path), hint=REPAIR)


def load_parts(path: Path) -> dict[str, PartRecord]:
    """State of every part, for those who only look. Raises StateError when the ledger cannot be relied on."""
    got = read(path)
    check_sound(got, path)
    return fold(got.entries)


class Ledger:
    """The ledger of a run that this process owns: appends, and keeps the fold up to date.

    clock: gives the time of each line, UTC. hook: called before and after each durable write.
    Raises StateError when lines are damaged or gone: appending to what cannot be understood could pay twice.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime], hook: Hook = no_hook) -> None:
        self._path, self._clock, self._hook = path, clock, hook
        got = read(path)
        check_sound(got, path)
        self.dropped_bytes, self.is_torn_late = got.torn, got.is_torn_late
        self.n_lines = got.entries[-1].seq if got.entries else 0
        self.parts = fold(got.entries)
        self._money = money(self.parts.values())
        self.run_nonce = next((e.run_nonce for e in got.entries if e.run_nonce), None)
        self.notes = [e for e in got.entries if e.part is None]
        self.last: Entry | None = None  # the line that was written last, by this process
        self.is_begun_here = False  # this very process wrote the first line, so nobody can have sent anything yet
        self._n_marked = marked(path)
        self._file = path.open("ab", buffering=0)
        self._is_dirty = False
        if got.torn:
            self._file.truncate(got.whole_bytes)
        os.fsync(self._file.fileno())  # lines of a process that was killed may not be on the disk yet
        fsync_folder(path.parent)
        self._mark()

    def last_session(self, lane: str | None = None) -> Entry | None:
        """The note of the last process that asked the provider; lane: a further one, by its backend."""
        return next((note for note in reversed(self.notes) if note.event == SESSION and lane_of(note) == lane), None)

    @property
    def is_doubtful(self) -> bool:
        """Whether a line may be gone that said of a waiting part that it was sent: the provider is asked before it is sent."""
        return any(note.event == TORN for note in self.notes)

    def part(self, name: str) -> PartRecord:
        """The part's record; a part that the ledger has not met is pending."""
        return self.parts.get(name) or PartRecord(part=name)

    def append(self, event: str, part: str | None = None, **fields: Any) -> Entry:
        """Write one line; the fold changes only after that. Raises IllegalTransition before anything is written."""
        entry = Entry.of(seq=self.n_lines + 1, at=self._clock().astimezone(UTC), event=event, part=part, **fields)
        after = self.part(part).with_entry(entry) if part is not None and event in OF_PARTS else None
        line = encode(entry)
        self._hook(f"ledger:{event}:before")
        start = self._file.seek(0, os.SEEK_END)
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) :]
            if event not in LATER:
                os.fsync(self._file.fileno())
        except OSError:
            # A half-written line must not be glued to the next one by a process that survives a full disk.
            self._file.truncate(start)
            raise
        self._is_dirty = event in LATER
        self.n_lines = entry.seq
        if not self._is_dirty:
            self._mark()
        if after is not None:
            self._money = self._money - money([self.part(after.part)]) + money([after])
            self.parts[after.part] = after
        else:
            self.notes.append(entry)
            self.run_nonce = self.run_nonce or entry.run_nonce
            self.is_begun_here |= event == OPENED
        self.last = entry
        self._hook(f"ledger:{event}:after")
        return entry

    def sync(self) -> None:
        """Have every line so far on disk: before anything is written or sent that builds on them."""
        if self._is_dirty:
            self._hook("ledger:sync:before")
            os.fsync(self._file.fileno())
            self._is_dirty = False
            self._mark()
            self._hook("ledger:sync:after")

    def _mark(self) -> None:
        """Every line so far is on disk, and the ledger's mark says so. It is not synced itself: it may lag, and never runs ahead."""
        if self.n_lines != self._n_marked:
            with suppress(OSError):  # it is only a witness
                mark(self._path, self.n_lines)
                self._n_marked = self.n_lines

    def owned_batches(self) -> frozenset[str]:
        """Every batch id that some attempt of this run has a receipt for."""
        return frozenset(a.batch_id for p in self.parts.values() for a in p.attempts if a.batch_id)

    def money(self) -> Money:
        """See `money`; kept up to date line by line, since a budget is asked before every part."""
        return self._money

    def close(self) -> None:
        """Let go of the file, with every line on disk."""
        try:
            if self._is_dirty:
                os.fsync(self._file.fileno())
                self._mark()
        finally:
            self._file.close()
