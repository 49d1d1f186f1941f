"""Rebuilding a damaged or lost ledger from what is left of it, the manifests and the result files. Pure but for what it is handed.

Nothing is guessed about money. A batch that anything names is taken as sent. A part of which nothing is known to have been sent is put in doubt: it
gets an intent with the token that it had or would have had, so that the next resume asks the provider (`find`) before it sends anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from batchtrial.keys import arm_folder, token
from batchtrial.state.entries import Entry, LedgerRead
from batchtrial.state.files import BatchRecord, RunState
from batchtrial.state.ledger import REFETCHED, PartRecord
from batchtrial.state.machine import EVENTS, NEXT, Event, PartState, fewest_before

PART = re.compile(r"^(?P<arm>[A-Za-z0-9_-]+-t[0-9]+-[0-9a-f]{12})_(?P<leaf>p[0-9]+)$")
PART_OF_ROLE = re.compile(r"^(?:shared-(?P<key>[0-9a-f]+)|(?P<slug>[^/\\]*[^./\\][^/\\]*))_(?P<leaf>t[0-9]+_(?:control|treatment)_p[0-9]+)$")
"""As runs of form 1 name their parts: for the role that an arm was bought for."""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""Time of an intent whose own is lost: no listing is then cut off before the batch it may have led to."""
FORWARD: Mapping[PartState, Event] = {
    PartState.PENDING: Event.INTENT,
    PartState.SUBMITTING: Event.RECEIPT,
    PartState.SUBMITTED: Event.DONE,
    PartState.COMPLETED: Event.SAVED,
    PartState.DOWNLOADED: Event.RETRY,
    PartState.FAILED: Event.RETRY,
    PartState.SETTLED: Event.ASKED_AGAIN,
}
"""The way from an attempt to the next one when all goes well: what a lost line most likely said."""


BEFORE_FOUND: Mapping[PartState, Event] = {
    PartState.SUBMITTED: Event.GONE,
    PartState.COMPLETED: Event.GONE,
    PartState.DOWNLOADED: Event.SETTLED,
}
"""What must have been said before a part could be found again."""
OF_A_BATCH = (Event.DONE, Event.SAVED, Event.GONE, Event.REPLACED, Event.REJECTED)
"""What is said of an attempt while the provider has its batch."""
OF_A_CALL = (Event.UPLOADED, Event.RECEIPT, Event.LOST)
"""What is said of an attempt between its intent and its batch."""


def folder_of(part: str) -> PurePosixPath:
    """Where the part's results lie, relative to the run, told from its name alone. Raises ValueError for a name that is none of ours."""
    if (own := PART.fullmatch(part)) is not None:
        return arm_folder(own["arm"]) / own["leaf"]
    match = PART_OF_ROLE.fullmatch(part)
    if match is None:
        raise ValueError(part)
    if match["key"] is not None:
        return PurePosixPath("shared_controls", match["key"], match["leaf"])
    return PurePosixPath(match["slug"], "results", match["leaf"])


def symptoms(got: LedgerRead, state: RunState | None, batches: Iterable[BatchRecord]) -> tuple[str, ...]:
    """Everything that shows that lines are lost or damaged; empty for a sound ledger, unless its lines contradict each other: folding tells."""
    found = []
    if not got.entries:
        return ("it is gone or holds no line that can be read",)
    if got.foreign:
        found.append(f"{len(got.foreign)} lines are not as they were written (line {got.foreign[0]})")
    if got.absent:
        found.append(f"{len(got.absent)} lines are gone (line {got.absent[0]})")
    if got.is_torn_late:
        found.append("its last line is torn, and was whole once")
    if not any(entry.run_nonce for entry in got.entries):
        found.append("its first line, with the run's random digits, is gone")
    if state is not None and state.ledger_lines > got.entries[-1].seq:
        found.append(f"it has {got.entries[-1].seq} lines and had {state.ledger_lines} when run_state.json was written")
    known = {entry.batch_id for entry in got.entries if entry.batch_id}
    unknown = sorted({one.batch_id for one in batches if one.batch_id} - known)
    if unknown:
        found.append(f"it does not know the batch {unknown[0]} that a manifest names ({len(unknown)} such batches)")
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remnants:
    """What there is besides the ledger's own lines.

    parts: every part of the run that anything names. batches: by (part, attempt), from the manifests. results: (part, attempt) pairs whose result
    file is on disk. payloads: (part, attempt) pairs whose request file is. imported: parts that are taken over from another run, never bought.
    """

    parts: tuple[str, ...]
    batches: Mapping[tuple[str, int], BatchRecord] = field(default_factory=dict)
    results: frozenset[tuple[str, int]] = frozenset()
    payloads: frozenset[tuple[str, int]] = frozenset()
    imported: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """How a lost line's content is found again.

    intent: of (part, attempt): payload, payload_sha256, n_requests, reserved_usd. saved: of (part, attempt, how its batch ended): path, sha256, size,
    counts, odd, usage, cost_usd, from the result file. ended: of (part, attempt): the word in which its batch must have ended, where the files tell.
    """

    nonce: str
    intent: Callable[[str, int], dict[str, Any]]
    saved: Callable[[str, int, str | None], dict[str, Any]]
    now: datetime
    ended: Callable[[str, int], str | None] = lambda part, attempt: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A ledger that can be folded. in_doubt: parts that the provider is asked about. filled: number of lines made anew."""

    entries: tuple[Entry, ...]
    in_doubt: tuple[str, ...]
    filled: int


def rebuild(
    got: LedgerRead,
    opened: Mapping[str, Any],
    remnants: Remnants,
    source: Source,
    *,
    is_cut: bool,
    plan_anew: Callable[[Sequence[Entry]], Mapping[str, Any] | None] = lambda heads: None,
) -> Rebuilt:
    """The ledger anew: surviving lines kept, lost ones filled in, parts put in doubt where nothing else is known.

    opened: fields of a first line to write when the old one is lost. is_cut: lines may be missing at the end, so that their number is not known.
    plan_anew: the `detail` of a lost plan line, from the lines about the run that are left; None when there is one, or nothing tells.
    """
    survivors: dict[str, list[Entry]] = {part: [] for part in remnants.parts}
    heads: list[Entry] = []
    for entry in got.entries:
        (survivors.setdefault(entry.part, []) if entry.part is not None else heads).append(entry)
    filled = explained = 0
    is_first_kept = any(entry.run_nonce for entry in heads)
    plan = plan_anew(heads)
    if not is_first_kept:
        since = min((entry.at for entry in got.entries), default=LONG_AGO)
        heads.insert(0, Entry.of(seq=1, at=since, event="opened", **opened))
        filled, explained = filled + 1, explained + 1
    if plan is not None:
        heads.insert(1, Entry.of(seq=1, at=heads[0].at, event="plan", detail=dict(plan)))
        filled, explained = filled + 1, explained + 1
    rebuilders = [_PartRebuilder(part, remnants, source, since=heads[0].at) for part in survivors]
    for rebuilder in rebuilders:
        rebuilder.replay(survivors[rebuilder.part.part])
    filled += sum(rebuilder.filled for rebuilder in rebuilders)
    explained += sum(rebuilder.explained for rebuilder in rebuilders)
    in_doubt = []
    # Lines made anew may be more than were lost, and those beyond the last one left may never have been written: neither may stand for a lost intent.
    if is_cut or explained < _missing(got):
        in_doubt = [rebuilder.part.part for rebuilder in rebuilders if rebuilder.put_in_doubt()]
    lines = [*heads, *(entry for rebuilder in rebuilders for entry in rebuilder.out)]
    first = "kept" if is_first_kept else "made anew"
    detail = {"symptom": "cut" if is_cut else "damaged", "lines_made_anew": filled, "parts_in_doubt": in_doubt, "first_line": first}
    lines.append(Entry.of(seq=1, at=source.now, event="repaired", reason="rebuilt from surviving lines, manifests and files", detail=detail))
    numbered = tuple(entry.but(seq=number, check=None) for number, entry in enumerate(lines, 1))
    return Rebuilt(entries=numbered, in_doubt=tuple(in_doubt), filled=filled)


def _missing(got: LedgerRead) -> int:
    """How many lines are lost before the last one that is left."""
    return got.entries[-1].seq - len(got.entries) if got.entries else 0


class _PartRebuilder:
    """One part: replays what is left, fills what the table shows to be missing, then adds what only the files and manifests know.

    filled: lines made anew. explained: lines that must have stood between those that are left.
    """

    def __init__(self, part: str, remnants: Remnants, source: Source, *, since: datetime) -> None:
        self.part = PartRecord(part=part)
        self.out: list[Entry] = []
        self.filled = self.explained = 0
        self._remnants, self._source, self._since = remnants, source, since
        self._to_come: Sequence[Entry] = ()

    def replay(self, survivors: Sequence[Entry]) -> None:
        for place, entry in enumerate(survivors):
            self._to_come = survivors[place + 1 :]
            if entry.event not in EVENTS and entry.event != REFETCHED:
                self.out.append(entry)  # a note about the part, or a duplicate of it
            elif self._bridge_to(entry):
                self._take(entry)
        self._extend()

    def _take(self, entry: Entry) -> None:
        self.part = self.part.with_entry(entry)
        self.out.append(entry)

    def _bridge_to(self, entry: Entry) -> bool:
        """Fill what must have stood before `entry`; False when no history leads to it."""
        if entry.event == REFETCHED:
            return any(attempt.number == entry.attempt for attempt in self.part.attempts)
        event = EVENTS[entry.event]
        start = len(self.out)
        n_retries = max(0, (entry.attempt or 0) - self._working_on()) if event is Event.INTENT else 0
        fewest = fewest_before(event, self.part.state, n_retries, is_imported=self.part.part in self._remnants.imported)
        for _ in range(3 * len(FORWARD)):
            if (self.part.state, event) in NEXT and not self._is_too_early(event, entry):
                self.filled += len(self.out) - start
                self.explained += fewest
                return True
            if event is Event.INTENT and self.part.state is PartState.SUBMITTING and self._current() == entry.attempt:
                self._fill(Event.LOST)
            elif self._was_found(event) and not self._went_on(entry):
                self._fill(Event.SETTLED if self.part.state is PartState.DOWNLOADED else Event.FOUND)
            elif event is Event.ASKED_AGAIN and self.part.state in (PartState.DOWNLOADED, PartState.FAILED):
                self._fill(Event.SETTLED)  # only what was settled is asked again
            elif event is Event.FOUND and self.part.state in BEFORE_FOUND:
                self._fill(BEFORE_FOUND[self.part.state])
            elif self.part.state in FORWARD:
                self._fill(self._next_event())
            else:
                return False
        return False

    def _is_too_early(self, event: Event, entry: Entry) -> bool:
        """An intent of a later attempt than the next: the attempt between is lost."""
        return event is Event.INTENT and entry.attempt is not None and entry.attempt > self.part.next_attempt

    def _was_found(self, event: Event) -> bool:
        """Whether an attempt that was over may have been found again before this was said of it."""
        over = (PartState.DOWNLOADED, PartState.FAILED)
        return self.part.state is PartState.SETTLED or (self.part.state in over and event in OF_A_BATCH)

    def _went_on(self, entry: Entry) -> bool:
        """Whether a part that was over was opened for a further attempt, as against one whose batch was found again."""
        later = self.part.part, self.part.next_attempt
        if entry.event in OF_A_CALL or (entry.event == Event.INTENT and (entry.attempt or 0) >= later[1]):
            return True
        if any(one.event == Event.INTENT and one.attempt == later[1] for one in self._to_come):
            return False  # what the files show of that attempt came later
        return later in self._remnants.payloads or self._was_begun(later)

    def _extend(self) -> None:
        """Go on as far as files and manifests show that the part went."""
        start = len(self.out)
        while self.part.state in FORWARD:
            number = self._working_on()
            key, later = (self.part.part, number), (self.part.part, number + 1)
            if self.part.state in (PartState.PENDING, PartState.SUBMITTING):
                goes_on = self._was_begun(key)
            elif self.part.state in (PartState.SUBMITTED, PartState.COMPLETED):
                goes_on = key in self._remnants.results or self._was_begun(later)
            else:
                goes_on = self._was_begun(later)
            if not goes_on:
                break
            self._fill(self._next_event())
        self.filled += len(self.out) - start

    def _was_begun(self, key: tuple[str, int]) -> bool:
        return key in self._remnants.batches or key in self._remnants.results

    def put_in_doubt(self) -> bool:
        """Whether the part was pending and may have been sent: it now has an intent, and resume asks the provider."""
        number = self.part.next_attempt
        if self.part.state in (PartState.DOWNLOADED, PartState.FAILED, PartState.SETTLED) and (self.part.part, number) in self._remnants.payloads:
            self._fill(FORWARD[self.part.state])  # its rows were written out, so it may have been sent
        if self.part.state is not PartState.PENDING or self.part.part in self._remnants.imported:
            return False
        if (self.part.part, number) not in self._remnants.payloads:
            return False
        self._fill(Event.INTENT)
        return True

    def _current(self) -> int:
        return self.part.current.number if self.part.current is not None else 0

    def _working_on(self) -> int:
        """The attempt that the next lines are about."""
        return self.part.next_attempt if self.part.state is PartState.PENDING else self._current()

    def _next_event(self) -> Event:
        """What a lost line most likely said: an attempt that was followed by another and left no results was refused as a whole."""
        key = (self.part.part, self._current())
        if self.part.state is PartState.PENDING and self.part.part in self._remnants.imported:
            return Event.IMPORTED
        if key not in self._remnants.results and self.part.state in (PartState.SUBMITTED, PartState.COMPLETED):
            return Event.REJECTED if self.part.state is PartState.SUBMITTED else Event.GONE
        return FORWARD[self.part.state]

    def _fill(self, event: Event) -> None:
        """Append a line made anew."""
        name, number = self.part.part, self._working_on()
        batch = self._remnants.batches.get((name, number))
        mark = token(self._source.nonce, name, number)
        at, fields = self._source.now, dict[str, Any]()
        if event is Event.INTENT:
            at, fields = self._since, {"attempt": number, "token": mark, **self._source.intent(name, number)}
        elif event is Event.IMPORTED:
            fields = {"attempt": number, **self._source.intent(name, number), **self._source.saved(name, number, None), "cost_usd": "0"}
            fields.pop("reserved_usd", None)
        elif event is Event.RECEIPT:
            fields = {"batch_id": (batch.batch_id if batch is not None else None) or f"unknown-{mark}", "adopted": True}
        elif event is Event.DONE:
            named = {"wire_state": batch.wire_state, "ids": batch.ids} if batch is not None else {}
            fields = {**named, "wire_state": named.get("wire_state") or self._source.ended(name, number)}
        elif event is Event.SAVED:
            fields = self._source.saved(name, number, self.part.current.wire_state if self.part.current is not None else None)
        elif event in (Event.REJECTED, Event.LOST, Event.GONE):
            fields = {"reason": "the line that said so was lost", **({"retryable": True} if event is Event.REJECTED else {})}
        self._take(Entry.of(seq=1, at=at, event=event, part=name, **fields))
