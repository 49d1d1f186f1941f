"""Which answer belongs to which request of a part: the join by custom_id, whatever order the lines came in.

Lines are read once, in the order of the file, and kept as the bytes that their row of predictions.csv will have. The ordinary part (one attempt, no
line odd, no request twice) takes nothing else; any other part is read again line by line, with every oddity counted. A part with very much text is
read in several rounds, each for some of its requests, so that memory stays bounded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import numpy as np

from batchtrial.config.expand import Arm
from batchtrial.phases.answers import absent_outcome
from batchtrial.phases.base import View
from batchtrial.phases.joining import Pile, places
from batchtrial.phases.predictions import answer_fields, plain_fields
from batchtrial.providers.base import Provider
from batchtrial.records import BadLine, Outcome, RawResult
from batchtrial.state.files import Shard
from batchtrial.state.layout import result_file
from batchtrial.state.ledger import Attempt

OddKind = Literal["malformed", "unknown", "duplicate"]
MOST_SAMPLES: Final = 5
EXCERPT_CHARS: Final = 200
LINES_AT_ONCE: Final = 96
"""Lines that are read and decoded together: few enough to stay in the processor's cache."""
BYTES_PER_ROUND: Final = 160 * 10**6
"""Result lines whose answers may be held at one time."""
WHY_ABSENT: Final = {
    Outcome.EXPIRED: "the batch ran out of time before this request",
    Outcome.CANCELLED: "the batch was stopped before this request",
    Outcome.MISSING: "no result line names this request",
}
Check = Callable[[], None]


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
        if sum(one.kind == kind for one in self.samples) < MOST_SAMPLES:
            text = line[: 4 * EXCERPT_CHARS].decode("utf-8", "replace").strip()[:EXCERPT_CHARS].replace("\x00", "�")
            self.samples.append(OddLine(kind=kind, file=file, line=number, reason=reason, excerpt=text))

    def extend(self, other: Odd) -> None:
        """Count another part's too."""
        for kind, count in other.counts.items():
            self.counts[kind] += count
        for sample in other.samples:
            if sum(one.kind == sample.kind for one in self.samples) < MOST_SAMPLES:
                self.samples.append(sample)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One attempt as the ledger has it, with its result file and who was asked. asked: None means every request of the part."""

    attempt: Attempt
    path: Path
    name: str
    asked: frozenset[str] | None

    @property
    def size(self) -> int:
        """Bytes of its result lines."""
        return self.path.stat().st_size if self.attempt.is_saved else 0


def sources(view: View, arm: Arm, shard: Shard) -> tuple[Source, ...]:
    """The part's attempts that reached the provider, first to last."""
    record = view.parts.get(shard.part)
    folder = arm.part_folder(shard.part_index)
    found = []
    for attempt in record.attempts if record is not None else ():
        if attempt.is_lost:
            continue
        path = result_file(view.layout.root / folder, attempt.number)
        asked = None if attempt.number == 1 else frozenset(_asked(view.layout.root / attempt.payload))
        found.append(Source(attempt=attempt, path=path, name=path.relative_to(view.layout.root).as_posix(), asked=asked))
    return tuple(found)


def _asked(payload: Path) -> Iterable[str]:
    with payload.open("rb") as lines:
        for line in lines:
            yield json.loads(line)["custom_id"]


@dataclass(slots=True)
class Found:
    """Answers by custom_id. rows: fields of predictions.csv from request_id to reasoning_tokens; failed: the outcome of each that is no success."""

    rows: dict[str, bytes] = field(default_factory=dict)
    failed: dict[str, Outcome] = field(default_factory=dict)

    def put(self, custom_id: str, fields: bytes, outcome: Outcome) -> None:
        """Keep an answer, in place of what was known of its request."""
        self.rows[custom_id] = fields
        if outcome is Outcome.SUCCEEDED:
            self.failed.pop(custom_id, None)
        else:
            self.failed[custom_id] = outcome

    def drop(self, custom_id: str) -> None:
        """Forget what was known of a request."""
        self.rows.pop(custom_id, None)
        self.failed.pop(custom_id, None)

    def has_success(self, custom_id: str) -> bool:
        """Whether the request was answered."""
        return custom_id in self.rows and custom_id not in self.failed


@dataclass(frozen=True, slots=True)
class Answers:
    """Fields of every request, in request order, and how many ended in each way."""

    rows: Sequence[bytes | memoryview]
    outcomes: dict[Outcome, int]


def answers(sources: Sequence[Source], ids: Sequence[str], samples: int, codec: Provider, odd: Odd, pile: Pile, check: Check) -> Iterator[Answers]:
    """The part's answers, in request order, in one round or several of whole items.

    ids: every request of the part, `samples` per item. odd: odd lines are counted here. pile: memory for the rows of one part at a time. check:
    raises Stopped.
    """
    if len(sources) == 1 and sources[0].attempt.is_saved and sources[0].asked is None and sources[0].size <= BYTES_PER_ROUND:
        made = _quickly(sources[0], ids, codec, pile, check)
        if made is not None:
            yield made
            return
    n_rounds = max(1, -(-sum(source.size for source in sources) // BYTES_PER_ROUND))
    expected, n_ids = frozenset(ids), -(-len(ids) // samples // n_rounds) * samples
    for begin in range(0, len(ids), n_ids):
        here = ids[begin : begin + n_ids]
        reader = _Careful(expected, frozenset(here), codec, odd if begin == 0 else Odd(), check)
        yield _in_order(reader.read(sources), here, sources)


@dataclass(slots=True)
class Arrived:
    """Answers in the order of their lines: ids, and as in Found the fields of each and the outcome of what is no success."""

    rows: Pile
    ids: list[str] = field(default_factory=list)
    failed: dict[str, Outcome] = field(default_factory=dict)


def _quickly(source: Source, ids: Sequence[str], codec: Provider, pile: Pile, check: Check) -> Answers | None:
    """All answers of the part's only attempt; None when a line is malformed, names no request of it or names one a second time."""
    arrived = _read(source, codec, pile, check)
    if arrived is None:
        return None
    found = places(ids, arrived.ids)
    if found is not None:
        return Answers(arrived.rows.take(found), _counted(len(ids), arrived.failed.values()))
    rows = dict(zip(arrived.ids, map(bytes, arrived.rows.take(np.arange(len(arrived.rows)))), strict=True))
    if len(rows) != len(arrived.ids) or not rows.keys() <= set(ids):
        return None
    return _in_order(Found(rows, arrived.failed), ids, (source,))


def _read(source: Source, codec: Provider, pile: Pile, check: Check) -> Arrived | None:
    """All lines of one attempt; None when one is malformed."""
    pile.clear()
    arrived, n_rounds = Arrived(pile), 0
    with source.path.open("rb", buffering=1 << 16) as file:
        while lines := list(islice(file, LINES_AT_ONCE)):
            if n_rounds % 64 == 0:
                check()
            n_rounds += 1
            plain = codec.decode_plain(lines)
            if plain is not None:
                arrived.ids += [answer[0] for answer in plain]
                pile.put(plain_fields(plain))
                continue
            for line in lines:
                try:
                    result = codec.decode(line)
                except BadLine:
                    return None
                arrived.ids.append(result.custom_id)
                pile.put([answer_fields(result)])
                if result.outcome is not Outcome.SUCCEEDED:
                    arrived.failed[result.custom_id] = result.outcome
    return arrived


def _counted(n_requests: int, others: Iterable[Outcome]) -> dict[Outcome, int]:
    """Requests by outcome. others: of those that did not succeed."""
    outcomes = dict.fromkeys(Outcome, 0)
    for outcome in others:
        outcomes[outcome] += 1
    outcomes[Outcome.SUCCEEDED] = n_requests - sum(outcomes.values())
    return outcomes


def _in_order(found: Found, ids: Sequence[str], sources: Sequence[Source]) -> Answers:
    """The answers in request order."""
    rows = []
    others = list(found.failed.values())
    for custom_id in ids:
        row = found.rows.get(custom_id)
        if row is None:
            result = fate(custom_id, sources)
            others.append(result.outcome)
            row = answer_fields(result).encode()
        rows.append(row)
    return Answers(rows, _counted(len(ids), others))


class _Careful:
    """Reads any part. Among the lines of one attempt for one request a success wins, then the first in the order of their fields.

    Over attempts the first success wins, else the last attempt's word, which is "no line" for a request that it was asked and did not answer.
    """

    def __init__(self, expected: frozenset[str], wanted: frozenset[str], codec: Provider, odd: Odd, check: Check) -> None:
        self._expected, self._wanted, self._codec, self._odd, self._check = expected, wanted, codec, odd, check

    def read(self, sources: Sequence[Source]) -> Found:
        """The answers to the wanted requests."""
        found = Found()
        for source in sources:
            asked = self._expected if source.asked is None else source.asked
            here = self._attempt(source, asked)
            for custom_id in asked & self._wanted:
                if found.has_success(custom_id):
                    continue
                fields = here.rows.get(custom_id)
                if fields is None:
                    found.drop(custom_id)
                else:
                    found.put(custom_id, fields, here.failed.get(custom_id, Outcome.SUCCEEDED))
        return found

    def _attempt(self, source: Source, asked: frozenset[str]) -> Found:
        here, seen = Found(), set[str]()
        for number, line in enumerate(_lines(source), 1):
            if number % 4096 == 1:
                self._check()
            if not line.strip():
                continue
            try:
                result = self._codec.decode(line)
            except BadLine as error:
                self._odd.add("malformed", source.name, number, line, str(error))
                continue
            one = result.custom_id
            if one not in asked:
                self._odd.add("unknown", source.name, number, line, "its custom_id was not asked for in this attempt")
                continue
            if one in seen:
                self._odd.add("duplicate", source.name, number, line, "its custom_id was answered already in this attempt")
            seen.add(one)
            if one in self._wanted:
                self._keep(here, result)
        return here

    @staticmethod
    def _keep(here: Found, result: RawResult) -> None:
        one, fields = result.custom_id, answer_fields(result).encode()
        before = here.rows.get(one)
        rank = (result.outcome is not Outcome.SUCCEEDED, fields)
        if before is None or rank < (one in here.failed, before):
            here.put(one, fields, result.outcome)


def _lines(source: Source) -> Iterable[bytes]:
    if source.attempt.is_saved:
        with source.path.open("rb") as file:
            yield from file


def fate(custom_id: str, sources: Sequence[Source]) -> RawResult:
    """What is known of a request that no line answers, by the last attempt that asked for it."""
    asked = [one.attempt for one in sources if one.asked is None or custom_id in one.asked]
    last = asked[-1] if asked else None
    if last is None:
        return RawResult(custom_id=custom_id, outcome=Outcome.MISSING, error="missing: it was never sent")
    if last.is_rejected:
        return RawResult(custom_id=custom_id, outcome=Outcome.ERRORED, error=f"batch_rejected: {last.reason or 'the provider gave no reason'}")
    if last.is_gone:
        return RawResult(custom_id=custom_id, outcome=Outcome.MISSING, error="missing: the provider no longer has the batch or its results")
    outcome = absent_outcome(last.wire_state)
    return RawResult(custom_id=custom_id, outcome=outcome, error=f"{outcome}: {WHY_ABSENT[outcome]}")
