"""What people ask of a ledger (parts by state, requests by outcome, money), at a tenth of the cost of folding it whole, and while it grows.

A `LedgerTail` reads only what was appended since it last looked, takes no lock, and leaves a line that is still being written for the next look.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import msgspec

from batchtrial.errors import IllegalTransition
from batchtrial.phases.batches.reasons import merged
from batchtrial.state.duplicates import DUPLICATE
from batchtrial.state.entries import Counts
from batchtrial.state.lanes import LANE
from batchtrial.state.machine import EVENTS, IN_FLIGHT, Event, PartState, step
from batchtrial.state.money import ZERO, Money, of_attempt, of_second_batch, together

HEAD_BYTES = 96


class OfArm(msgspec.Struct, gc=False):
    """What an arm of a run's config changes."""

    backend: str | None = None
    model: str | None = None


class Opened(msgspec.Struct, gc=False):
    """What a run's config says it is."""

    backend: str = ""
    model_id: str = ""
    mode: str = ""
    arms: dict[str, OfArm] = {}  # msgspec gives each its own

    @property
    def backends(self) -> tuple[str, ...]:
        """Those of all arms, the run's own first where an arm is at it."""
        named = dict.fromkeys(arm.backend or self.backend for arm in self.arms.values())
        return tuple(sorted(named, key=lambda name: (name != self.backend, name))) or (self.backend,)

    @property
    def models(self) -> tuple[str, ...]:
        """Those of all arms, in their order."""
        return tuple(dict.fromkeys(arm.model or self.model_id for arm in self.arms.values())) or (self.model_id,)


class Detail(msgspec.Struct, gc=False):
    """Of an opened or drift line, or of one about a lane."""

    config: Opened | None = None
    lane: str | None = None


class Line(msgspec.Struct, gc=False):
    """The fields of an entry that count here."""

    event: str
    part: str | None = None
    batch_id: str | None = None
    attempt: int | None = None
    token: str | None = None
    reserved_usd: Decimal | None = None
    cost_usd: Decimal | None = None
    unknown_usd: Decimal | None = None
    n_without_usage: int | None = None
    counts: dict[str, int] | None = None
    n_requests: int | None = None
    reasons: dict[str, int] | None = None
    detail: Detail | None = None
    reason: str | None = None


_DECODER = msgspec.json.Decoder(Line)


@dataclass(slots=True)
class Sent:
    """One attempt: its reserve, and once it is known, its bill. is_billed: saved, whether or not its price is known."""

    reserved: Decimal | None
    n_requests: int = 0
    token: str = ""
    is_billed: bool = False
    is_gone: bool = False
    cost: Decimal | None = None
    unknown: Decimal | None = None
    n_without_usage: int = 0
    n_without_line: int = 0

    def save(self, line: Line) -> None:
        """The bill of its results."""
        self.is_billed, self.cost, self.unknown, self.n_without_usage = True, line.cost_usd, line.unknown_usd, line.n_without_usage or 0
        self.n_without_line = (line.counts or {}).get("missing", 0) if line.unknown_usd is not None else 0


@dataclass(slots=True)
class PartTally:
    """One part."""

    state: PartState = PartState.PENDING
    attempts: dict[int, Sent] = field(default_factory=dict)
    last: int = 0
    counts: dict[str, int] | None = None
    reasons: dict[str, int] | None = None
    duplicates: dict[str, Sent] = field(default_factory=dict)  # second batches, by their ids

    def take_duplicate(self, line: Line) -> None:
        """A second batch for an attempt. Lines of earlier versions do not say which: theirs is the last."""
        of = self.attempts.get(line.attempt or self.last) or self.attempts.get(self.last)
        reserved = line.reserved_usd or (of.reserved if of is not None else None)
        self.duplicates[line.batch_id or ""] = Sent(reserved, line.n_requests or (of.n_requests if of is not None else 0))

    def take(self, line: Line) -> None:
        """The part after the line. Raises IllegalTransition."""
        event = EVENTS[line.event]
        self.state = step(self.state, event)
        if event in (Event.INTENT, Event.IMPORTED):
            self.last = line.attempt or 1
            sent = Sent(line.reserved_usd, line.n_requests or 0, line.token or "")
            if event is Event.IMPORTED:
                sent.save(line)
            self.attempts[self.last] = sent
        elif event is Event.SAVED and self.last:
            self.attempts[self.last].save(line)
        elif event is Event.GONE and self.last:
            self.attempts[self.last].is_gone = True
        elif event is Event.FOUND and self.last:
            self.attempts[self.last].is_gone = False
        if event in (Event.SETTLED, Event.FOUND, Event.ASKED_AGAIN):
            self.counts = line.counts
        if event in (Event.RETRY, Event.SETTLED):
            self.reasons = line.reasons


@dataclass(slots=True)
class LedgerTail:
    """The tally of a ledger file, brought up to date by `update`.

    n_damaged: lines that are not ours, or that contradict what stands before them.
    """

    path: Path
    parts: dict[str, PartTally] = field(default_factory=dict)
    n_lines: int = 0
    n_damaged: int = 0
    opened: Opened | None = None
    failed_lanes: dict[str, str] = field(default_factory=dict)  # with the reason
    _inode: int = 0
    _head: bytes = b""
    _read: int = 0

    def update(self) -> bool:
        """Read what is new; False when there is no file. A file that was replaced or cut short is read from its start."""
        try:
            with self.path.open("rb") as file:
                stat = os.fstat(file.fileno())
                head = file.read(HEAD_BYTES)
                # A new file may get the old one's number; it will not begin with the same run's random digits.
                if stat.st_ino != self._inode or stat.st_size < self._read or not head.startswith(self._head):
                    self._start_over(stat.st_ino)
                self._head = head
                file.seek(self._read)
                fresh = file.read()
        except OSError:
            self._start_over(0)
            return False
        cut = fresh.rfind(b"\n") + 1
        self._read += cut
        for line in fresh[:cut].split(b"\n")[:-1]:
            self._take(line)
        return True

    def _start_over(self, inode: int) -> None:
        self.parts, self.n_lines, self.n_damaged, self.opened, self._inode, self._head, self._read = {}, 0, 0, None, inode, b"", 0
        self.failed_lanes = {}

    def _take(self, text: bytes) -> None:
        self.n_lines += 1
        try:
            line = _DECODER.decode(text)
            if line.part is None:
                self.opened = (line.detail and line.detail.config) or self.opened
                if line.event == LANE and line.detail is not None and line.detail.lane is not None:
                    self.failed_lanes.pop(line.detail.lane, None)
                    self.failed_lanes |= {line.detail.lane: line.reason} if line.reason else {}
            elif line.event == DUPLICATE:
                self.parts.setdefault(line.part, PartTally()).take_duplicate(line)
            elif line.event in EVENTS:
                self.parts.setdefault(line.part, PartTally()).take(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, IllegalTransition):
            self.n_damaged += 1

    @property
    def money(self) -> Money:
        """As `ledger.money` of the folded parts."""
        return together((*self._attempts(), *self._duplicates()))

    def _duplicates(self) -> Iterator[Money]:
        for part in self.parts.values():
            for sent in part.duplicates.values():
                yield of_second_batch(n_requests=sent.n_requests, reserved_usd=sent.reserved or ZERO)

    def _attempts(self) -> Iterator[Money]:
        return (
            of_attempt(
                n_requests=sent.n_requests,
                reserved_usd=sent.reserved,
                cost_usd=sent.cost,
                unknown_usd=sent.unknown,
                n_without_usage=sent.n_without_usage,
                n_without_line=sent.n_without_line,
                is_saved=sent.is_billed,
                is_gone=sent.is_gone,
                is_in_flight=number == part.last and part.state in IN_FLIGHT,
            )
            for part in self.parts.values()
            for number, sent in part.attempts.items()
        )

    @property
    def tokens_in_flight(self) -> tuple[str, ...]:
        """Of the attempts that are under way."""
        return tuple(part.attempts[part.last].token for part in self.parts.values() if part.state in IN_FLIGHT and part.last in part.attempts)

    @property
    def states(self) -> dict[PartState, int]:
        """Number of parts that the ledger names, by state."""
        found = dict.fromkeys(PartState, 0)
        for part in self.parts.values():
            found[part.state] += 1
        return found

    @property
    def counts(self) -> Counts:
        """Final outcomes of settled parts."""
        total: dict[str, int] = {}
        for part in self.parts.values():
            for name, n in (part.counts or {}).items():
                total[name] = total.get(name, 0) + n
        return Counts(**{name: total.get(name, 0) for name in Counts.model_fields})

    @property
    def reasons(self) -> dict[str, int]:
        """Why rows have no answer, as the last decision about each part has it; the commonest first."""
        return merged(part.reasons or {} for part in self.parts.values())

    @property
    def in_flight_requests(self) -> int:
        """Requests of the attempts that the provider has, or may have, under way."""
        return sum(part.attempts[part.last].n_requests for part in self.parts.values() if part.state in IN_FLIGHT and part.last)
