"""The result lines of one part, and which of them answers each request.

Every line is decoded once. Which of several lines is the answer is decided by `choice`; here they are brought to the place of their request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypedDict

import msgspec

from batchtrial.config.expand import Arm
from batchtrial.phases.base import View
from batchtrial.phases.batches.choice import Said, rank, said, takes_over
from batchtrial.phases.batches.tally import Decode, absent_outcome, custom_ids
from batchtrial.records import BadLine, Outcome, RawResult
from batchtrial.state.files import Shard
from batchtrial.state.layout import result_file
from batchtrial.state.ledger import Attempt

OddKind = Literal["malformed", "unknown", "duplicate"]
KINDS: Final[tuple[OddKind, ...]] = ("malformed", "unknown", "duplicate")
MOST_SAMPLES: Final = 5
EXCERPT_CHARS: Final = 200
LINES_PER_CHECK: Final = 4096
WHY_ABSENT: Final = {
    Outcome.EXPIRED: "the batch ran out of time before this request",
    Outcome.CANCELLED: "the batch was stopped before this request",
    Outcome.MISSING: "no result line names this request",
}


class OddLines(TypedDict):
    """Odd lines of one kind: all of them counted, a few kept, each with file, line (from 1), reason and excerpt."""

    count: int
    samples: list[dict[str, str | int]]


def odd_lines(*found: Mapping[OddKind, OddLines]) -> dict[OddKind, OddLines]:
    """Those of several parts together; of none without any."""
    total: dict[OddKind, OddLines] = {kind: OddLines(count=0, samples=[]) for kind in KINDS}
    for one in found:
        for kind, lines in one.items():
            total[kind]["count"] += lines["count"]
            total[kind]["samples"] = [*total[kind]["samples"], *lines["samples"]][:MOST_SAMPLES]
    return total


class Source(msgspec.Struct, frozen=True):
    """One attempt as the ledger has it. name: of `path`, its result lines, in the run; payload: who was asked, None for every request."""

    attempt: Attempt
    path: Path
    name: str
    payload: Path | None

    def asked(self, places: Mapping[str, int]) -> Mapping[str, int]:
        """Place by custom_id of the requests that the attempt sent."""
        if self.payload is None:
            return places
        with self.payload.open("rb") as sent:
            return {one: places[one] for one in custom_ids(sent) if one in places}


def sources(view: View, arm: Arm, shard: Shard) -> tuple[Source, ...]:
    """The part's attempts that reached the provider, first to last."""
    record, root = view.parts.get(shard.part), view.layout.root
    found = []
    for attempt in record.attempts if record is not None else ():
        if not attempt.is_lost:
            path = result_file(root / arm.part_folder(shard.part_index), attempt.number)
            found.append(Source(attempt, path, path.relative_to(root).as_posix(), None if attempt.number == 1 else root / attempt.payload))
    return tuple(found)


class Line(msgspec.Struct, frozen=True, gc=False):
    """What answers a request, and where it lies: byte and length of the line in an attempt's file, null where no line came."""

    result: RawResult
    attempt: int | None = None
    file: str | None = None
    byte: int | None = None
    length: int | None = None


@dataclass(slots=True)
class Reader:
    """Reads the lines of a part. ids: of its requests, in order; odd: odd lines are counted here; check: raises Stopped."""

    ids: Sequence[str]
    decode: Decode
    odd: Mapping[OddKind, OddLines]
    check: Callable[[], None]

    def lines(self, sources: Sequence[Source]) -> list[Line]:
        """The line that answers each of the requests."""
        places = {one: place for place, one in enumerate(self.ids)}
        known: list[Line | None] = [None] * len(self.ids)
        last: list[Attempt | None] = [None] * len(self.ids)
        for source in sources:
            asked = source.asked(places)
            here = self._read(source, asked)
            nothing = Said(outcome=absent_outcome(source.attempt.wire_state))
            for place in asked.values():
                last[place] = source.attempt
                before, now = known[place], here[place]
                if before is None or takes_over(said(before.result), nothing if now is None else said(now.result)):
                    known[place] = now
        return [_without_line(self.ids[place], last[place]) if line is None else line for place, line in enumerate(known)]

    def _read(self, source: Source, asked: Mapping[str, int]) -> list[Line | None]:
        """What one attempt says of each request."""
        here: list[Line | None] = [None] * len(self.ids)
        number, file, end = source.attempt.number, source.name, 0
        for count, line in enumerate(_lines(source), 1):
            begin, end = end, end + len(line)
            if count % LINES_PER_CHECK == 1:
                self.check()
            if line.isspace():
                continue
            try:
                result = self.decode(line)
            except BadLine as error:
                self._is_odd("malformed", source, count, line, str(error))
                continue
            place = asked.get(result.custom_id)
            if place is None:
                self._is_odd("unknown", source, count, line, "its custom_id was not asked for in this attempt")
                continue
            before = here[place]
            if before is not None:
                self._is_odd("duplicate", source, count, line, "its custom_id was answered already in this attempt")
                if rank(before.result) <= rank(result):
                    continue
            here[place] = Line(result, number, file, begin, len(line))
        return here

    def _is_odd(self, kind: OddKind, source: Source, number: int, line: bytes, reason: str) -> None:
        told = self.odd[kind]
        told["count"] += 1
        text = line[: 4 * EXCERPT_CHARS].decode("utf-8", "replace").strip()[:EXCERPT_CHARS].replace("\x00", "\ufffd")
        if len(told["samples"]) < MOST_SAMPLES:
            told["samples"].append({"file": source.name, "line": number, "reason": reason, "excerpt": text})


def _lines(source: Source) -> Iterator[bytes]:
    """Result lines as received; none when nothing was fetched."""
    if source.attempt.is_saved:
        with source.path.open("rb") as file:
            yield from file


def _without_line(custom_id: str, last: Attempt | None) -> Line:
    """What is known of a request that no line answers. last: the last attempt that asked for it."""
    outcome, error = Outcome.MISSING, "missing: it was never sent"
    if last is not None and last.is_rejected:
        outcome, error = Outcome.ERRORED, f"batch_rejected: {last.reason or 'the provider gave no reason'}"
    elif last is not None and last.is_gone:
        error = "missing: the provider no longer has the batch or its results"
    elif last is not None:
        outcome = absent_outcome(last.wire_state)
        error = f"{outcome}: {WHY_ABSENT[outcome]}"
    return Line(RawResult(custom_id=custom_id, outcome=outcome, error=error), None if last is None else last.number)
