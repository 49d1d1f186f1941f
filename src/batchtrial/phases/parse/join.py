"""Which answer belongs to which request of a part: the join by custom_id, whatever order the lines came in.

The lines of an ordinary part (one attempt, no line odd, no request twice) are brought into the order of the requests as they are, by the id that
stands in each, and then decoded some at a time. What decoding says has the last word: a part that proves not to be ordinary is read line by line,
with every oddity counted. A part with very much text is read so too, in several rounds, each for some of its requests, so that memory stays bounded.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np

from batchtrial.config.expand import Arm
from batchtrial.phases.base import View
from batchtrial.phases.batches.standing import PLAIN, Note, Standing, note_of, of_plain
from batchtrial.phases.batches.tally import absent_outcome
from batchtrial.phases.choice import Said, rank, said, takes_over
from batchtrial.phases.parse.predictions import Rows, answer_fields, bytewise
from batchtrial.phases.places import Places, line_ends, pieces, places
from batchtrial.providers.base import Plain, Provider
from batchtrial.records import AnswerState, BadLine, Outcome, RawResult
from batchtrial.scoring.standing import AnswerRules
from batchtrial.state.files import Shard
from batchtrial.state.layout import result_file
from batchtrial.state.ledger import Attempt

OddKind = Literal["malformed", "unknown", "duplicate"]
MOST_SAMPLES: Final = 5
EXCERPT_CHARS: Final = 200
LINES_AT_ONCE: Final = 256
"""Lines that are read or decoded together: few enough to stay in the processor's cache."""
ROUNDS_PER_CHECK: Final = 64
"""So many times LINES_AT_ONCE between two looks at whether somebody asked to stop."""
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
    """Answers by custom_id. rows: fields of predictions.csv from request_id to answer_state, bytewise; notes: what is to be counted of each that is
    no whole answer."""

    rows: dict[str, str] = field(default_factory=dict)
    notes: dict[str, Note] = field(default_factory=dict)

    def put(self, custom_id: str, fields: str, note: Note) -> None:
        """Keep an answer, in place of what was known of its request."""
        self.rows[custom_id] = fields
        if note == PLAIN:
            self.notes.pop(custom_id, None)
        else:
            self.notes[custom_id] = note

    def drop(self, custom_id: str) -> None:
        """Forget what was known of a request."""
        self.rows.pop(custom_id, None)
        self.notes.pop(custom_id, None)

    def said(self, custom_id: str) -> Said | None:
        """What is known of a request, as far as choosing between attempts goes; None when nothing is."""
        return self.notes.get(custom_id, PLAIN).said if custom_id in self.rows else None


class Answers(Protocol):
    """What became of some requests, in request order."""

    def __len__(self) -> int: ...

    @property
    def standing(self) -> Standing:
        """How many ended in each way."""

    def rows(self, form: Rows, first: int, n_items: int, chosen: slice) -> bytes:
        """Rows of predictions.csv of the chosen ones, which ask items first .. first + n_items."""


@dataclass(frozen=True, slots=True)
class Plainly:
    """Successes with nothing odd about their lines. states: of each, None when all are complete."""

    answers: Sequence[Plain]
    states: Sequence[AnswerState] | None
    standing: Standing

    def __len__(self) -> int:
        return len(self.answers)

    def rows(self, form: Rows, first: int, n_items: int, chosen: slice) -> bytes:
        return form.of_plain(first, n_items, self.answers[chosen], None if self.states is None else self.states[chosen])


@dataclass(frozen=True, slots=True)
class Somehow:
    """Requests that ended in any way. answers: custom_id and fields from request_id to answer_state, bytewise."""

    answers: Sequence[tuple[str, str]]
    standing: Standing

    def __len__(self) -> int:
        return len(self.answers)

    def rows(self, form: Rows, first: int, n_items: int, chosen: slice) -> bytes:
        return form.of_any(first, n_items, self.answers[chosen])


class NotOrdinary(Exception):
    """The part is none for `quickly`; what that gave already may be wrong."""


def quickly(sources: Sequence[Source], ids: bytes, n_ids: int, samples: int, codec: Provider, rules: AnswerRules, check: Check) -> Iterator[Answers]:
    """The answers of an ordinary part, in request order, some whole items at a time.

    ids: of every request of the part, `samples` per item, one behind the other. check: raises Stopped. Raises NotOrdinary, if need be in the middle.
    """
    source = sources[0] if len(sources) == 1 else None
    if source is None or not source.attempt.is_saved or source.asked is not None or not 0 < source.size <= BYTES_PER_ROUND:
        raise NotOrdinary
    with source.path.open("rb") as file:
        # Not closed but dropped: arrays that look at it may be alive while an exception passes.
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    begins, ends = _in_request_order(view, ids, n_ids, codec, check)
    at_once, size = max(1, LINES_AT_ONCE // samples) * samples, len(ids) // n_ids
    for done in range(0, n_ids, at_once):
        if done // at_once % ROUNDS_PER_CHECK == 0:
            check()
        chosen = slice(done, done + at_once)
        lines = [view[begin:end] for begin, end in zip(begins[chosen].tolist(), ends[chosen].tolist(), strict=True)]
        yield _decoded(lines, ids[done * size : (done + at_once) * size], size, codec, rules)


def _in_request_order(view: mmap.mmap, ids: bytes, n_ids: int, codec: Provider, check: Check) -> tuple[Places, Places]:
    """Where the line of each request begins and ends, judged by what stands where the first line has its custom_id. Raises NotOrdinary."""
    ends = line_ends(view, check)
    if len(ends) != n_ids:
        raise NotOrdinary
    begins = np.concatenate(([0], ends[:-1]))
    first = view[: ends[0]]
    try:
        custom_id = codec.decode(first).custom_id.encode()
    except BadLine:
        raise NotOrdinary from None
    at = first.find(custom_id)
    found = places(ids, pieces(view, begins + at, len(custom_id)), n_ids) if at >= 0 else None
    if found is None:
        raise NotOrdinary
    return begins[found], ends[found]


def _decoded(lines: list[bytes], ids: bytes, id_chars: int, codec: Provider, rules: AnswerRules) -> Answers:
    """What these lines say to these requests. Raises NotOrdinary when one is malformed or names another."""
    plain = codec.decode_plain(lines)
    if plain is not None:
        _expect([answer[0] for answer in plain], ids, id_chars)
        states, standing = of_plain(plain, rules)
        return Plainly(plain, states, standing)
    try:
        results = list(map(codec.decode, lines))
    except BadLine:
        raise NotOrdinary from None
    _expect([result.custom_id for result in results], ids, id_chars)
    notes = [note_of(one, rules) for one in results]
    answers = [(one.custom_id, bytewise(answer_fields(one, note.state))) for one, note in zip(results, notes, strict=True)]
    return Somehow(answers, Standing.of(notes))


def _expect(named: list[str], ids: bytes, id_chars: int) -> None:
    if "".join(named).encode() != ids or set(map(len, named)) != {id_chars}:
        raise NotOrdinary


def carefully(
    sources: Sequence[Source], ids: Sequence[str], samples: int, codec: Provider, rules: AnswerRules, odd: Odd, check: Check
) -> Iterator[Answers]:
    """The answers of any part, in request order, in one round or several of whole items.

    ids: every request of the part, `samples` per item. odd: odd lines are counted here. check: raises Stopped.
    """
    n_rounds = max(1, -(-sum(source.size for source in sources) // BYTES_PER_ROUND))
    expected, n_ids = frozenset(ids), -(-len(ids) // samples // n_rounds) * samples
    for begin in range(0, len(ids), n_ids):
        here = ids[begin : begin + n_ids]
        reader = _Careful(expected, frozenset(here), codec, rules, odd if begin == 0 else Odd(), check)
        yield _in_order(reader.read(sources), here, sources)


def _in_order(found: Found, ids: Sequence[str], sources: Sequence[Source]) -> Answers:
    """The answers in request order."""
    answers, notes = [], []
    for custom_id in ids:
        row, note = found.rows.get(custom_id), found.notes.get(custom_id, PLAIN)
        if row is None:
            result = fate(custom_id, sources)
            note = Note(said(result), result.state)
            row = bytewise(answer_fields(result, result.state))
        answers.append((custom_id, row))
        notes.append(note)
    return Somehow(answers, Standing.of(notes))


class _Careful:
    """Reads any part. Which line is the answer is decided by `choice`."""

    def __init__(self, expected: frozenset[str], wanted: frozenset[str], codec: Provider, rules: AnswerRules, odd: Odd, check: Check) -> None:
        self._expected, self._wanted, self._codec, self._rules, self._odd, self._check = expected, wanted, codec, rules, odd, check

    def read(self, sources: Sequence[Source]) -> Found:
        """The answers to the wanted requests."""
        found = Found()
        for source in sources:
            asked = self._expected if source.asked is None else source.asked
            here = self._attempt(source, asked)
            for custom_id in asked & self._wanted:
                now = here.said(custom_id)
                if not takes_over(found.said(custom_id), now or absent(source.attempt)):
                    continue
                if now is None:
                    found.drop(custom_id)
                else:
                    found.put(custom_id, here.rows[custom_id], here.notes.get(custom_id, PLAIN))
        return found

    def _attempt(self, source: Source, asked: frozenset[str]) -> Found:
        here, begins, end = Found(), dict[str, int](), 0
        for number, line in enumerate(_lines(source), 1):
            begin, end = end, end + len(line)
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
            if one in begins:
                self._odd.add("duplicate", source.name, number, line, "its custom_id was answered already in this attempt")
                if rank(self._codec.decode(_line_at(source, begins[one]))) <= rank(result):
                    continue
            begins[one] = begin
            if one in self._wanted:
                note = note_of(result, self._rules)
                here.put(one, bytewise(answer_fields(result, note.state)), note)
        return here


def _line_at(source: Source, begin: int) -> bytes:
    """The line that begins there: a request with two lines is rare, and a text that is kept for it would be kept for all."""
    with source.path.open("rb") as file:
        file.seek(begin)
        return file.readline()


def absent(attempt: Attempt) -> Said:
    """What an attempt says of a request that it asked and has no line for."""
    return Said(outcome=absent_outcome(attempt.wire_state))


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
