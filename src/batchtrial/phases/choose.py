"""Which line answers which request of a part: the join by custom_id, whatever order the lines came in.

`Quick` is for the ordinary part: one attempt, every line names its request in the same place, none twice. It looks at nothing but those names.
`Careful` decodes every line of every attempt, and counts what is odd; it is right for any content, and costs more. Both leave the lines in their
files and hand them out by request, so that a part is never held in memory.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Self

from batchtrial.records import BadLine, Outcome, RawResult
from batchtrial.state.ledger import Attempt

OddKind = Literal["malformed", "unknown", "duplicate"]
MOST_SAMPLES: Final = 5
EXCERPT_CHARS: Final = 200
_NAME: Final = re.compile(rb'\s*\{\s*"custom_id"\s*:\s*"')
Decode = Callable[[bytes], RawResult]


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


class Quick(AbstractContextManager["Quick"]):
    """The ordinary part: one attempt, every line names its request where the first line does, each request at most once, and no other.

    Names found there are only believed because the caller decodes each line and compares: a difference means that this part needs `Careful`.
    """

    def __init__(self, view: mmap.mmap, starts: list[int | None]) -> None:
        self._view, self._starts = view, starts

    @classmethod
    def open(cls, source: Source, ids: Sequence[str]) -> Self | None:
        """None when the part is not of this kind. ids: every request of the part, in order."""
        if not source.attempt.is_saved or source.asked is not None or source.path.stat().st_size == 0:
            return None
        with source.path.open("rb") as file:
            view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        starts = cls._starts_of(view, ids)
        if starts is None:
            view.close()
            return None
        return cls(view, starts)

    @staticmethod
    def _starts_of(view: mmap.mmap, ids: Sequence[str]) -> list[int | None] | None:
        head = view[:4096]
        name = _NAME.match(head)
        if name is None:
            return None
        lengths = set(map(len, ids))
        # Where ids differ in length, the closing quote keeps sample 1 apart from sample 12.
        close = b'"' if len(lengths) > 1 else b""
        begin, end = name.end(), name.end() + min(lengths) + len(close)
        where: dict[bytes, int] = {}
        at = n_lines = 0
        # `readline` because `find` of a mapped file goes byte by byte.
        for line in iter(view.readline, b""):
            where[line[begin:end]] = at
            at += len(line)
            n_lines += 1
        if view[at - 1 :] != b"\n" or len(where) < n_lines:
            return None
        # All at once: between the reading of lines each look-up would find the processor's cache cold.
        keys = [(one.encode() + close)[: end - begin] for one in ids] if close else map(str.encode, ids)
        starts = list(map(where.get, keys))
        return starts if len(ids) - starts.count(None) == n_lines else None

    def lines(self, begin: int, end: int) -> list[bytes | None]:
        """The lines of requests begin .. end of the part, in request order; None for one without."""
        seek, readline = self._view.seek, self._view.readline
        lines: list[bytes | None] = []
        for at in self._starts[begin:end]:
            if at is None:
                lines.append(None)
            else:
                seek(at)
                lines.append(readline())
        return lines

    def __exit__(self, *exc: object) -> None:
        self._view.close()


@dataclass(frozen=True, slots=True)
class _Pick:
    """The best line for a request so far, and what it says."""

    source: int
    begin: int
    end: int
    outcome: Outcome


class Careful(AbstractContextManager["Careful"]):
    """Any part. Among the lines of one attempt for one request a success wins, then the first in the order of their bytes.

    Over attempts the first success wins, else the last attempt's word, which is "no line" for a request that it was asked and did not answer.
    """

    def __init__(self, sources: Sequence[Source], ids: Sequence[str], decode: Decode) -> None:
        """ids: every request of the part, in order."""
        self.odd = Odd()
        self._ids = ids
        self._files = ExitStack()
        self._views: list[mmap.mmap | None] = []
        self._picks: dict[str, _Pick] = {}
        expected = frozenset(ids)
        for number, source in enumerate(sources):
            self._views.append(self._open(source))
            self._read(number, source, expected if source.asked is None else source.asked, decode)

    def _open(self, source: Source) -> mmap.mmap | None:
        if not source.attempt.is_saved or source.path.stat().st_size == 0:
            return None
        with source.path.open("rb") as file:
            return self._files.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def _read(self, number: int, source: Source, asked: frozenset[str], decode: Decode) -> None:
        view = self._views[number]
        here: dict[str, _Pick] = {}
        for count, (begin, line) in enumerate(_lines(view), 1):
            if not line.strip():
                continue
            try:
                result = decode(line)
            except BadLine as error:
                self.odd.add("malformed", source.name, count, line, str(error))
                continue
            if result.custom_id not in asked:
                self.odd.add("unknown", source.name, count, line, "its custom_id was not asked for in this attempt")
                continue
            pick = _Pick(number, begin, begin + len(line), result.outcome)
            other = here.get(result.custom_id)
            if other is not None:
                self.odd.add("duplicate", source.name, count, line, "its custom_id was answered already in this attempt")
                pick = min(pick, other, key=lambda one: (one.outcome is not Outcome.SUCCEEDED, self._bytes(one)))
            here[result.custom_id] = pick
        for one in asked:
            before = self._picks.get(one)
            if before is not None and before.outcome is Outcome.SUCCEEDED:
                continue
            if one in here:
                self._picks[one] = here[one]
            else:
                self._picks.pop(one, None)

    def lines(self, begin: int, end: int) -> list[bytes | None]:
        """The lines of requests begin .. end of the part, in request order; None for one without."""
        picks = (self._picks.get(one) for one in self._ids[begin:end])
        return [None if pick is None else self._bytes(pick) for pick in picks]

    def _bytes(self, pick: _Pick) -> bytes:
        view = self._views[pick.source]
        line = b"" if view is None else view[pick.begin : pick.end]
        return line if line.endswith(b"\n") else line + b"\n"

    def __exit__(self, *exc: object) -> None:
        self._files.close()


def _lines(view: mmap.mmap | None) -> Iterator[tuple[int, bytes]]:
    """Every line with the place where it begins."""
    at = 0
    for line in iter(view.readline, b"") if view is not None else ():
        yield at, line
        at += len(line)


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
    word = (last.wire_state or "").lower()
    if "expired" in word:
        return RawResult(custom_id=custom_id, outcome=Outcome.EXPIRED, error="expired: the batch ran out of time before this request")
    if "cancel" in word:
        return RawResult(custom_id=custom_id, outcome=Outcome.CANCELLED, error="cancelled: the batch was stopped before this request")
    return RawResult(custom_id=custom_id, outcome=Outcome.MISSING, error="missing: no result line names this request")


def stand_in(result: RawResult) -> bytes:
    """A line for results_combined.jsonl where the provider gave none."""
    code, _, message = (result.error or "").partition(": ")
    line = {"custom_id": result.custom_id, "response": None, "error": {"code": code, "message": message}}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
