"""One part's result lines as a table: what any process can work out from the part's files alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from batchtrial.phases.base import Worker
from batchtrial.phases.batches.reasons import counted_reasons
from batchtrial.phases.batches.standing import Standing, unknown_finish
from batchtrial.phases.batches.which_line import Said
from batchtrial.phases.build.index import Ids
from batchtrial.phases.parse.lines import OddKind, OddLines, Reader, Source, odd_lines
from batchtrial.phases.tables import columns
from batchtrial.phases.tables.arm_table import write_part
from batchtrial.prices import Price
from batchtrial.prices.columns import usd_of_answers
from batchtrial.records import AnswerState, Outcome, RawResult
from batchtrial.scoring.standing import AnswerRules
from batchtrial.scoring.thinking import MAY_HOLD_MARKS, has_marks

_NEEDS_READING: Final = pl.col("text").str.contains(MAY_HOLD_MARKS) | pl.col("text").str.contains(r"^[\s\x00-\x20]*$")
"""Of texts that may hold a mark of thinking, or hold nothing but blanks. As one pattern it takes five times as long."""
_SUCCEEDED: Final = pl.col("outcome") == Outcome.SUCCEEDED.value


@dataclass(slots=True)
class Parsed:
    """What was counted of a part, or of all parts of an arm."""

    standing: Standing = field(default_factory=Standing)
    odd: dict[OddKind, OddLines] = field(default_factory=odd_lines)

    def add(self, other: Parsed) -> None:
        """Count these too."""
        self.standing.add(other.standing)
        self.odd = odd_lines(self.odd, other.odd)

    def to_json(self) -> dict[str, Any]:
        """As the arm's record has it."""
        return {"requests": self.standing.to_json(), "answers": self.standing.answers_json(), "odd_lines": self.odd}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Parsed:
        """The same, read again."""
        return cls(Standing.from_json(record["requests"], record["answers"]), odd_lines(record["odd_lines"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsePart:
    """Parses a part. hashes: of its items; samples: which of each; first_item: place of the first. target: where to write."""

    ids: Ids
    hashes: pl.Series
    samples: range
    first_item: int
    sources: tuple[Source, ...]
    decode: Callable[[bytes], RawResult]
    rules: AnswerRules
    price: Price | None
    target: Path

    def __call__(self, worker: Worker) -> Parsed:
        """Write the table and return its counts. Raises Stopped."""
        odd = odd_lines()
        lines = Reader(self.ids.of_items(self.hashes), self.decode, odd, worker.check).table(self.sources)
        frame, standing = _judged(_answers(self, lines), self.rules)
        write_part(frame, self.target)
        worker.step(frame.height)
        return Parsed(standing, odd)


def _answers(job: ParsePart, lines: pl.DataFrame) -> pl.DataFrame:
    """One row per request, in request order. lines: what answers each of them."""
    n = pl.int_range(lines.height, dtype=pl.Int32)
    frame = lines.with_columns(
        (n // len(job.samples) + job.first_item).alias("place"),
        (n % len(job.samples) + job.samples.start).alias("sample"),
        pl.col("error").str.split_exact(": ", 1).struct.field("field_0").alias("error_code"),
        usd_of_answers(job.price).alias("usd"),
        pl.when(_SUCCEEDED).then("answer_state").alias("answer_state"),
    )
    return frame.select(pl.col(column.name).cast(getattr(pl, column.type)) for column in columns.ANSWERS)


def _judged(frame: pl.DataFrame, rules: AnswerRules) -> tuple[pl.DataFrame, Standing]:
    """The table with the states of answers whose text says more than the provider did, and the counts of all its rows."""
    standing = Standing(outcomes=Counter({Outcome(word): n for word, n in _counts(frame["outcome"])}))
    is_unread = pl.col("answer_state") == AnswerState.NOT_UNDERSTOOD.value
    answers = frame.with_row_index().filter(_SUCCEEDED & ~is_unread)
    for finish, n in _counts(answers["finish_reason"]):
        if (word := unknown_finish(finish)) is not None:
            standing.finish[word] += n
    is_read = pl.lit(rules.strip_thinking not in ("auto", "off")) | _NEEDS_READING
    odd = answers.filter(is_read.fill_null(True)).select("index", "answer_state", pl.col("text").fill_null(""))
    states = [rules.state_of(AnswerState(state), text).value for _, state, text in odd.iter_rows()]
    standing.thinking = sum(map(has_marks, odd["text"]))
    if states:
        frame = frame.with_columns(frame["answer_state"].scatter(odd["index"], pl.Series(states, dtype=pl.String)))
    standing.states.update({AnswerState(state): n for state, n in _counts(frame.filter(_SUCCEEDED)["answer_state"])})
    lost = frame.filter(~_SUCCEEDED | is_unread).select("outcome", "error")
    standing.reasons = counted_reasons(_reason(*row) for row in lost.iter_rows())
    return frame, standing


def _counts(column: pl.Series) -> Iterator[tuple[Any, int]]:
    return column.value_counts().iter_rows()


def _reason(outcome: str, error: str | None) -> str:
    code, _, message = (error or "").partition(": ")
    return Said(Outcome(outcome), code=code, message=message).reason
