"""The result lines of one part as columns, and which of them answers each request.

Every line is decoded once, plain ones many at a time. Which of several lines is the answer is decided by `which_line`; here they are brought to
the place of their request.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Literal, TypedDict

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.config.expand import Arm
from batchtrial.phases.base import View
from batchtrial.phases.batches.tally import Decode, absent_outcome, custom_ids
from batchtrial.phases.batches.which_line import ANSWER, NO_SUCCESS, UNREAD, level_takes_over, rank
from batchtrial.phases.tables import columns
from batchtrial.providers.base import many_at_once, state_of_text
from batchtrial.records import AnswerState, BadLine, Outcome, RawResult, Usage
from batchtrial.state.files import Shard
from batchtrial.state.layout import result_file
from batchtrial.state.ledger import Attempt

OddKind = Literal["malformed", "unknown", "duplicate"]
KINDS: Final[tuple[OddKind, ...]] = ("malformed", "unknown", "duplicate")
MOST_SAMPLES: Final = 5
EXCERPT_CHARS: Final = 200
BYTES_AT_ONCE: Final = 1 << 21
"""Of lines that are decoded together, and become columns together."""
BYTES_PER_READ: Final = 1 << 18
_OF_PLAIN: Final = {field.name: field.default for field in msgspec.structs.fields(RawResult)} | {"outcome": Outcome.SUCCEEDED}
"""What a plain line says in fields that it does not tell of."""
_NOT_TOLD: Final = SimpleNamespace(**dict.fromkeys(Usage.__struct_fields__))
"""Stands where an answer does not say what it used."""
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

    def asked(self, requests: pl.DataFrame) -> pl.DataFrame:
        """Those of the part's requests that the attempt sent."""
        if self.payload is None:
            return requests
        with self.payload.open("rb") as sent:
            return requests.filter(pl.col("custom_id").is_in(list(custom_ids(sent))))

    def read(self, lines: pl.DataFrame) -> Iterator[bytes]:
        """The bytes of some of the attempt's lines."""
        with self.path.open("rb") as file:
            for byte, length in lines.select("byte", "length").iter_rows():
                file.seek(byte)
                yield file.read(length)


def sources(view: View, arm: Arm, shard: Shard) -> tuple[Source, ...]:
    """The part's attempts that reached the provider, first to last."""
    record, root = view.parts.get(shard.part), view.layout.root
    found = []
    for attempt in record.attempts if record is not None else ():
        if not (attempt.is_lost or attempt.is_left):
            path = result_file(root / arm.part_folder(shard.part_index), attempt.number)
            found.append(Source(attempt, path, path.relative_to(root).as_posix(), None if attempt.number == 1 else root / attempt.payload))
    return tuple(found)


@dataclass(slots=True)
class Reader:
    """Reads the lines of a part. ids: of its requests, in order; odd: odd lines are counted here; check: raises Stopped."""

    ids: pl.Series
    decode: Decode
    odd: Mapping[OddKind, OddLines]
    check: Callable[[], None]

    def table(self, sources: Sequence[Source]) -> pl.DataFrame:
        """What answers each request, in the columns that a line tells of, and where that line lies; nowhere when none came."""
        requests = self.ids.to_frame().with_row_index("request")
        n, n_lines = len(self.ids), 0
        chosen, level, last = np.full(n, -1), np.full(n, NO_SUCCESS), np.zeros(n, dtype=np.int64)
        frames = []
        for number, source in enumerate(sources, 1):
            asked = source.asked(requests)
            found = self._lines(source, asked)
            own, line, now = found["request"].to_numpy(), np.full(n, -1), np.full(n, NO_SUCCESS)
            line[own], now[own] = np.arange(n_lines, n_lines + len(own)), _levels(found)
            is_asked = np.zeros(n, dtype=np.bool_)
            is_asked[asked["request"].to_numpy()] = True
            is_new = is_asked & level_takes_over(level, now)
            chosen[is_new], level[is_new], last[is_asked] = line[is_new], now[is_new], number
            frames.append(found.drop("request", "line"))
            n_lines += len(own)
        frames.append(_without_line([None, *(source.attempt for source in sources)]))
        whole = pl.concat(frames, rechunk=True)
        return whole[np.where(chosen < 0, n_lines + last, chosen)].with_columns(requests["custom_id"])

    def _lines(self, source: Source, asked: pl.DataFrame) -> pl.DataFrame:
        """What one attempt says of the requests that it was asked, with each request's number: a row for each that has a line."""
        found = self._decoded(source)
        found.insert_column(0, found.select("custom_id").join(asked, on="custom_id", how="left", maintain_order="left")["request"])
        unknown = found.filter(pl.col("request").is_null())
        if unknown.height:
            self._are_odd("unknown", source, unknown, "its custom_id was not asked for in this attempt")
            found = found.filter(pl.col("request").is_not_null())
        if found["request"].n_unique() == found.height:
            return found
        repeated = found.filter(pl.col("request").is_duplicated()).sort("line")
        again = repeated.filter(~pl.col("request").is_first_distinct())
        self._are_odd("duplicate", source, again, "its custom_id was answered already in this attempt")
        ranked = zip(repeated["request"], map(rank, map(self.decode, source.read(repeated))), repeated["line"], strict=True)
        kept = {request: line for request, _, line in sorted(ranked, reverse=True)}
        return found.filter(~pl.col("request").is_in(again["request"]) | pl.col("line").is_in(kept.values()))

    def _decoded(self, source: Source) -> pl.DataFrame:
        """The lines of an attempt that can be read, in any order."""
        frames, lengths, n_lines = [_of_results({})], [np.array([], dtype=np.int64)], 0
        with source.path.open("rb", BYTES_PER_READ) if source.attempt.is_saved else io.BytesIO() as file:
            while lines := file.readlines(BYTES_AT_ONCE):
                self.check()
                plain, fields = many_at_once(self.decode, lines)
                if plain:
                    frames.append(_of_plain([n_lines + place for place in plain], fields))
                if len(plain) < len(lines):
                    frames.append(_of_results(self._records(source, lines, set(plain), n_lines)))
                lengths.append(np.fromiter(map(len, lines), dtype=np.int64))
                n_lines += len(lines)
        # One piece, since rows are then put in order without a copy of their texts.
        found = pl.concat(frames, rechunk=True)
        length = np.concatenate(lengths)
        line, begin = found["line"].to_numpy(), np.cumsum(length) - length
        return found.with_columns(
            pl.Series("byte", begin[line], dtype=pl.Int64),
            pl.Series("length", length[line], dtype=pl.Int64),
            pl.lit(source.attempt.number, dtype=pl.Int32).alias("attempt"),
            pl.lit(source.name).alias("file"),
        )

    def _records(self, source: Source, lines: Sequence[bytes], plain: Set[int], before: int) -> dict[int, RawResult]:
        """Lines that are not plain, by their number in the file. before: lines of the file that come before these."""
        found = {}
        for place, line in enumerate(lines):
            if place not in plain and not line.isspace():
                try:
                    found[before + place] = self.decode(line)
                except BadLine as error:
                    self._is_odd("malformed", source, before + place, line, str(error))
        return found

    def _are_odd(self, kind: OddKind, source: Source, lines: pl.DataFrame, reason: str) -> None:
        shown = lines.sort("line").head(MOST_SAMPLES)
        for number, line in zip(shown["line"], source.read(shown), strict=True):
            self._is_odd(kind, source, number, line, reason)
        self.odd[kind]["count"] += lines.height - shown.height

    def _is_odd(self, kind: OddKind, source: Source, before: int, line: bytes, reason: str) -> None:
        """Count a line. before: lines of the file that come before it."""
        told = self.odd[kind]
        told["count"] += 1
        text = line[: 4 * EXCERPT_CHARS].decode("utf-8", "replace").strip()[:EXCERPT_CHARS].replace("\x00", "\ufffd")
        if len(told["samples"]) < MOST_SAMPLES:
            told["samples"].append({"file": source.name, "line": before + 1, "reason": reason, "excerpt": text})


def _of_plain(lines: Sequence[int], fields: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    """Of what a decoder told of plain lines with these numbers."""
    states = {word: state_of_text(word).value for word in set(fields["finish_reason"])}
    told = {**fields, "state": [states[word] for word in fields["finish_reason"]]}

    def column(one: columns.Column) -> pl.Series:
        if one.field in told:
            return pl.Series(one.name, told[one.field], dtype=_type(one))
        return pl.Series(one.name, [_OF_PLAIN[one.field]], dtype=_type(one)).new_from_index(0, len(lines))

    return pl.DataFrame([pl.Series("line", lines, dtype=pl.Int64), *(column(one) for one in columns.ANSWERS if one.of in ("result", "usage"))])


def _of_results(results: Mapping[int, RawResult]) -> pl.DataFrame:
    """Of records by place."""
    of: dict[str, list[Any]] = {"result": list(results.values()), "usage": [one.usage or _NOT_TOLD for one in results.values()]}
    own = [column for column in columns.ANSWERS if column.of in of]
    made = [pl.Series(one.name, list(map(attrgetter(one.field), of[one.of])), dtype=_type(one)) for one in own]
    return pl.DataFrame([pl.Series("line", list(results), dtype=pl.Int64), *made])


def _type(column: columns.Column) -> Any:
    return getattr(pl, column.type)


def _levels(found: pl.DataFrame) -> NDArray[np.int64]:
    """Of each line, as `which_line` has them."""
    is_unread = pl.col("answer_state") == AnswerState.NOT_UNDERSTOOD.value
    level = pl.when(pl.col("outcome") != Outcome.SUCCEEDED.value).then(NO_SUCCESS).when(is_unread).then(UNREAD).otherwise(ANSWER)
    return found.select(level.cast(pl.Int64)).to_series().to_numpy()


def _without_line(attempts: Sequence[Attempt | None]) -> pl.DataFrame:
    """What is known of a request that no line answers, a row for each attempt that may be the last to have asked for it."""
    found = _of_results({place: RawResult(custom_id="", **_why_absent(last)) for place, last in enumerate(attempts)})
    numbers = pl.Series("attempt", [None if last is None else last.number for last in attempts], dtype=pl.Int32)
    nowhere = pl.lit(None, dtype=pl.Int64)
    return found.drop("line").with_columns(nowhere.alias("byte"), nowhere.alias("length"), numbers, pl.lit(None, dtype=pl.String).alias("file"))


def _why_absent(last: Attempt | None) -> dict[str, Any]:
    """Outcome and error of such a request. last: the last attempt that asked for it."""
    if last is None:
        return {"outcome": Outcome.MISSING, "error": "missing: it was never sent"}
    if last.is_rejected:
        return {"outcome": Outcome.ERRORED, "error": f"batch_rejected: {last.reason or 'the provider gave no reason'}"}
    if last.is_gone:
        return {"outcome": Outcome.MISSING, "error": "missing: the provider no longer has the batch or its results"}
    outcome = absent_outcome(last.wire_state)
    return {"outcome": outcome, "error": f"{outcome}: {WHY_ABSENT[outcome]}"}
