"""The result lines of one part, and which of them answers each request.

Every line is decoded once. Which of several lines is the answer is decided by `choice`; here they are brought to the place of their request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from batchtrial.config.expand import Arm
from batchtrial.phases.base import View
from batchtrial.phases.batches.tally import Decode, absent_outcome
from batchtrial.phases.choice import Said, rank, said, takes_over
from batchtrial.records import BadLine, Outcome, RawResult
from batchtrial.state.files import Shard
from batchtrial.state.layout import result_file
from batchtrial.state.ledger import Attempt

OddKind = Literal["malformed", "unknown", "duplicate"]
Check = Callable[[], None]
MOST_SAMPLES: Final = 5
EXCERPT_CHARS: Final = 200
LINES_PER_CHECK: Final = 4096
WHY_ABSENT: Final = {
    Outcome.EXPIRED: "the batch ran out of time before this request",
    Outcome.CANCELLED: "the batch was stopped before this request",
    Outcome.MISSING: "no result line names this request",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OddLine:
    """A result line that answers no request, or one that is answered already. line: from 1, in `file`."""

    kind: OddKind
    file: str
    line: int
    reason: str
    excerpt: str


@dataclass(slots=True)
class Odd:
    """Odd lines: all of them counted, a few of each kind kept."""

    counts: dict[OddKind, int] = field(default_factory=lambda: {"malformed": 0, "unknown": 0, "duplicate": 0})
    samples: list[OddLine] = field(default_factory=list)

    def add(self, kind: OddKind, file: str, number: int, line: bytes, reason: str) -> None:
        """Count one."""
        self.counts[kind] += 1
        text = line[: 4 * EXCERPT_CHARS].decode("utf-8", "replace").strip()[:EXCERPT_CHARS].replace("\x00", "�")
        self._keep([OddLine(kind=kind, file=file, line=number, reason=reason, excerpt=text)])

    def extend(self, other: Odd) -> None:
        """Count another part's too."""
        for kind, count in other.counts.items():
            self.counts[kind] += count
        self._keep(other.samples)

    def to_json(self) -> dict[str, Any]:
        """By kind."""
        samples = [asdict(sample) for sample in self.samples]
        return {
            kind: {"count": count, "samples": [{k: v for k, v in s.items() if k != "kind"} for s in samples if s["kind"] == kind]}
            for kind, count in self.counts.items()
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Odd:
        """The same, read again."""
        found = cls()
        for kind in found.counts:
            found.counts[kind] = record[kind]["count"]
            found.samples += [OddLine(kind=kind, **sample) for sample in record[kind]["samples"]]
        return found

    def _keep(self, samples: Iterable[OddLine]) -> None:
        for sample in samples:
            if sum(one.kind == sample.kind for one in self.samples) < MOST_SAMPLES:
                self.samples.append(sample)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One attempt as the ledger has it. name: of `path`, its result lines, in the run; payload: who was asked, None for every request."""

    attempt: Attempt
    path: Path
    name: str
    payload: Path | None

    def lines(self) -> Iterable[bytes]:
        """Result lines as received; none when nothing was fetched."""
        if self.attempt.is_saved:
            with self.path.open("rb") as file:
                yield from file

    def asked(self, places: Mapping[str, int]) -> Mapping[str, int]:
        """Place by custom_id of the requests that the attempt sent."""
        if self.payload is None:
            return places
        with self.payload.open("rb") as sent:
            ids = [json.loads(line)["custom_id"] for line in sent]
        return {one: places[one] for one in ids if one in places}


def sources(view: View, arm: Arm, shard: Shard) -> tuple[Source, ...]:
    """The part's attempts that reached the provider, first to last."""
    record, root = view.parts.get(shard.part), view.layout.root
    found = []
    for attempt in record.attempts if record is not None else ():
        if not attempt.is_lost:
            path = result_file(root / arm.part_folder(shard.part_index), attempt.number)
            payload = None if attempt.number == 1 else root / attempt.payload
            found.append(Source(attempt=attempt, path=path, name=path.relative_to(root).as_posix(), payload=payload))
    return tuple(found)


class Line(msgspec.Struct, frozen=True, gc=False):
    """What answers a request, and where it lies: byte and length of the line in an attempt's file, null where no line came."""

    result: RawResult
    attempt: int | None = None
    file: str | None = None
    byte: int | None = None
    length: int | None = None


def lines_of(ids: Sequence[str], sources: Sequence[Source], decode: Decode, odd: Odd, check: Check) -> list[Line]:
    """The line that answers each of the part's requests, in their order. odd: odd lines are counted here. check: raises Stopped."""
    places = {one: place for place, one in enumerate(ids)}
    known: list[Line | None] = [None] * len(ids)
    last: list[Attempt | None] = [None] * len(ids)
    for source in sources:
        asked = source.asked(places)
        here = _read(source, asked, len(ids), decode, odd, check)
        for place in asked.values():
            last[place] = source.attempt
        if source is sources[0]:
            known = here
            continue
        nothing = Said(outcome=absent_outcome(source.attempt.wire_state))
        for place in asked.values():
            before, now = known[place], here[place]
            if takes_over(None if before is None else said(before.result), nothing if now is None else said(now.result)):
                known[place] = now
    return [_without_line(ids[place], last[place]) if line is None else line for place, line in enumerate(known)]


def _read(source: Source, asked: Mapping[str, int], n_ids: int, decode: Decode, odd: Odd, check: Check) -> list[Line | None]:
    """What one attempt says of each request."""
    here: list[Line | None] = [None] * n_ids
    end = 0
    for number, line in enumerate(source.lines(), 1):
        begin, end = end, end + len(line)
        if number % LINES_PER_CHECK == 1:
            check()
        if line.isspace():
            continue
        try:
            result = decode(line)
        except BadLine as error:
            odd.add("malformed", source.name, number, line, str(error))
            continue
        place = asked.get(result.custom_id)
        if place is None:
            odd.add("unknown", source.name, number, line, "its custom_id was not asked for in this attempt")
            continue
        before = here[place]
        if before is not None:
            odd.add("duplicate", source.name, number, line, "its custom_id was answered already in this attempt")
            if rank(before.result) <= rank(result):
                continue
        here[place] = Line(result, source.attempt.number, source.name, begin, len(line))
    return here


def _without_line(custom_id: str, last: Attempt | None) -> Line:
    return Line(fate(custom_id, last), None if last is None else last.number)


def fate(custom_id: str, last: Attempt | None) -> RawResult:
    """What is known of a request that no line answers. last: the last attempt that asked for it."""
    if last is None:
        return RawResult(custom_id=custom_id, outcome=Outcome.MISSING, error="missing: it was never sent")
    if last.is_rejected:
        return RawResult(custom_id=custom_id, outcome=Outcome.ERRORED, error=f"batch_rejected: {last.reason or 'the provider gave no reason'}")
    if last.is_gone:
        return RawResult(custom_id=custom_id, outcome=Outcome.MISSING, error="missing: the provider no longer has the batch or its results")
    outcome = absent_outcome(last.wire_state)
    return RawResult(custom_id=custom_id, outcome=outcome, error=f"{outcome}: {WHY_ABSENT[outcome]}")
