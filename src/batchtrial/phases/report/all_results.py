"""results_combined.jsonl: the line that answers each request, as received, in request order; a stand-in where there is none.

A copy for people and other programs: nothing in the pipeline reads it. Lines stay in their files until they are written, so that memory does not
grow with what they say. Which line is the answer is decided by `choice`, as everywhere.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice

from batchtrial.config.expand import Trial
from batchtrial.phases.base import Work
from batchtrial.phases.batches.standing import PLAIN
from batchtrial.phases.build.index import Ids, IndexLines
from batchtrial.phases.choice import Rank, Said, rank, said, takes_over
from batchtrial.phases.parse.join import LINES_AT_ONCE, Source, absent, fate, sources
from batchtrial.phases.parse.predictions import arms_in_order
from batchtrial.phases.published import Sink
from batchtrial.providers.base import Provider
from batchtrial.records import BadLine, RawResult


@dataclass(frozen=True, slots=True)
class _Place:
    """A line: bytes begin .. end of an attempt's file, and what it says."""

    source: int
    begin: int
    end: int
    said: Said


class Lines:
    """The lines of a part by request. Use as a context."""

    def __init__(self, sources: Sequence[Source], codec: Provider, check: Callable[[], None]) -> None:
        self._sources, self._codec, self._check = sources, codec, check
        self._open = ExitStack()
        self._views: list[mmap.mmap | None] = []
        self._places: dict[str, _Place] = {}

    def __enter__(self) -> Lines:
        for number, source in enumerate(self._sources):
            self._views.append(self._map(source))
            self._merge(source, self._read(number))
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def of(self, custom_id: str) -> bytes:
        """The request's line with its end."""
        place = self._places.get(custom_id)
        return stand_in(fate(custom_id, self._sources)) if place is None else self._line(place)

    def _map(self, source: Source) -> mmap.mmap | None:
        if source.size == 0:
            return None
        with source.path.open("rb") as file:
            return self._open.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def _line(self, place: _Place) -> bytes:
        view = self._views[place.source]
        line = b"" if view is None else view[place.begin : place.end]
        return line if line.endswith(b"\n") else line + b"\n"

    def _merge(self, source: Source, here: dict[str, _Place]) -> None:
        """What the attempt says takes the place of what was known where `choice` says so; it may be that there is no line."""
        if source.asked is None:
            # The first attempt asks every request; nothing is known before it.
            self._places = here
            return
        for one in source.asked:
            before, now = self._places.get(one), here.get(one)
            if not takes_over(None if before is None else before.said, absent(source.attempt) if now is None else now.said):
                continue
            if now is None:
                self._places.pop(one, None)
            else:
                self._places[one] = now

    def _read(self, number: int) -> dict[str, _Place]:
        here: dict[str, _Place] = {}
        for custom_id, what, begin, end in self._named(self._views[number]):
            place = _Place(number, begin, end, what)
            before = here.get(custom_id)
            here[custom_id] = place if before is None else min(before, place, key=self._rank)
        return here

    def _rank(self, place: _Place) -> Rank:
        return rank(self._codec.decode(self._line(place)))

    def _named(self, view: mmap.mmap | None) -> Iterator[tuple[str, Said, int, int]]:
        """(custom_id, what it says, begin, end) of every line that can be decoded."""
        at = 0
        while view is not None and (lines := list(islice(iter(view.readline, b""), LINES_AT_ONCE))):
            self._check()
            plain = self._codec.decode_plain(lines)
            for place, line in enumerate(lines):
                begin, at = at, at + len(line)
                if plain is not None:
                    yield plain[place][0], PLAIN.said, begin, at
                    continue
                try:
                    result = self._codec.decode(line)
                except BadLine:
                    continue
                yield result.custom_id, said(result), begin, at


def write_combined(work: Work, trial: Trial, out: Sink) -> None:
    """The lines of a trial: control arms first, as in predictions.csv. Raises Stopped."""
    index = IndexLines.load(work.layout.index)
    for arm in arms_in_order(trial):
        ids = Ids.of(arm)
        for shard in work.view.shards(arm):
            asked = ids.of_items(index.hashes(shard))
            with Lines(sources(work.view, arm, shard), work.codec, work.stop.check) as lines:
                for begin in range(0, len(asked), LINES_AT_ONCE):
                    out.write(b"".join([lines.of(one) for one in asked[begin : begin + LINES_AT_ONCE]]))


def stand_in(result: RawResult) -> bytes:
    """A line for a request without one."""
    code, _, message = (result.error or "").partition(": ")
    line = {"custom_id": result.custom_id, "response": None, "error": {"code": code, "message": message}}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
