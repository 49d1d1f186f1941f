"""The form of predictions.csv: one row per request, whatever became of it.

Rows are in request order: the control arm first, then the treatment; within each by temperature, part, place of the item, sample. An absent value
is an empty field without quotes; an empty text is a quoted one. Text is kept to the letter: a spreadsheet that is told to import columns as text
shows it as it is, one that guesses may take an answer for a formula.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import IO, Any, Final

from batchtrial.config.expand import Trial, TrialArm
from batchtrial.phases.build.index import HASH_CHARS, IndexLines, fields
from batchtrial.providers.base import Plain
from batchtrial.records import CONDITIONS, AnswerState, Outcome, RawResult
from batchtrial.state.layout import TrialLayout

COLUMNS: Final = (
    "custom_id",
    "dataset",
    "item_id",
    "condition",
    "temp",
    "sample_index",
    "type",
    "request_id",
    "finish_reason",
    "response_text",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "outcome",
    "error",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "answer_state",
    "cluster",
)
HEADER: Final = (",".join(COLUMNS) + "\r\n").encode()

_MOST_DIGITS: Final = 1 << 14
_DIGITS: Final = tuple(map(str, range(_MOST_DIGITS)))
"""Token counts as text: looking one up takes a third of the time of formatting it."""

STRETCH: Final = 4096
"""Items whose rows of one arm are read together. account.json says at which byte each such stretch begins: rows hold line ends, so that no reader
could find one of them from the middle of the file."""

STRETCHES_AT_ONCE: Final = 8


def schema() -> dict[str, Any]:
    """Column types for polars, of a file that this version wrote."""
    import polars as pl  # only readers need it; parse is done without

    whole = {"sample_index", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens"}
    return {name: pl.Int64 if name in whole else pl.Float64 if name == "temp" else pl.String for name in COLUMNS}


def read_stretch(path: Path, begin: int, end: int, *columns: str) -> Any:
    """Columns of the rows between two bytes of the file as a polars frame; all of them when none is named."""
    import polars as pl

    with path.open("rb") as file:
        file.seek(begin)
        rows = pl.scan_csv(file.read(end - begin), has_header=False, schema=schema())
        return rows.select(*(columns or COLUMNS)).collect()


def read_in_pieces(layout: TrialLayout, *columns: str) -> Iterator[Any]:
    """Columns of the whole file, some stretches at a time, so that memory does not grow with what was answered."""
    record = json.loads(layout.account.read_bytes())["predictions"]
    begins = sorted(chain.from_iterable(record["stretches_begin"].values()))[::STRETCHES_AT_ONCE]
    for begin, end in pairwise([*begins, record["bytes"]]):
        yield read_stretch(layout.predictions, begin, end, *columns)


def arms_in_order(trial: Trial) -> tuple[TrialArm, ...]:
    """Control arms by temperature, then treatment arms."""
    found = (trial.arm(condition, temp) for condition in CONDITIONS for temp in trial.temps)
    return tuple(arm for arm in found if arm is not None)


def needs_quotes(text: str) -> bool:
    """Whether any character of it would end a field."""
    return "," in text or '"' in text or "\n" in text or "\r" in text


def quoted(text: str) -> str:
    """A field, with quotes only where it needs them."""
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if not text or needs_quotes(text) else text


def field(text: str | None) -> str:
    """A field that may be absent."""
    return "" if text is None else quoted(text)


def bytewise(text: str) -> str:
    """The text's UTF-8 with a letter for each byte.

    Rows are put together in this form: one wide letter would make the whole piece of text four times as large and slow to encode, and this is
    encoded by copying it.
    """
    return text if text.isascii() else text.encode().decode("latin-1")


def answer_fields(result: RawResult, state: AnswerState) -> str:
    """Fields from request_id to answer_state, each ended by a comma, of a request that ended in any way."""
    used = result.usage
    tokens = f"{used.input_tokens},{used.output_tokens},{used.input_tokens + used.output_tokens}" if used else ",,"
    details = f"{used.cached_tokens},{used.cache_write_tokens},{used.reasoning_tokens}" if used else ",,"
    text = "" if result.text is None else f'"{result.text.replace(chr(34), chr(34) * 2)}"'
    names = f"{field(result.request_id)},{field(result.finish_reason)}"
    shown = state if result.outcome is Outcome.SUCCEEDED else ""
    return f"{names},{text},{tokens},{result.outcome},{field(result.error)},{details},{shown},"


class Rows:
    """Puts the rows of one arm together. lines: of the index."""

    def __init__(self, lines: IndexLines, arm: TrialArm) -> None:
        self._lines = lines
        # What stands between an item's own fields and the answer, by kind and sample.
        self._middles = {kind: [f",{arm.condition},{arm.temp!r},{sample},{kind}," for sample in range(arm.samples)] for kind in ("open", "closed")}

    def of_plain(self, first: int, n_items: int, answers: Sequence[Plain], states: Sequence[AnswerState] | None) -> bytes:
        """The rows of items first .. first + n_items. answers: successes, in request order; states: of each, None when all are complete."""
        names = "".join([answer[3] or "" for answer in answers]) + "".join({answer[2] or "" for answer in answers})
        if not names.isascii() or needs_quotes(names):
            answers = [(*answer[:2], bytewise(field(answer[2])), bytewise(field(answer[3])), *answer[4:]) for answer in answers]
        pieces: list[str] = []
        add, middles, digits, request, end, state = pieces.append, self._middles, _DIGITS, 0, "", str(AnswerState.COMPLETE)
        for item, kind, cluster in self._items(first, n_items):
            for middle in middles[kind]:
                custom_id, text, finish, request_id, n_in, n_out, cached, written, reasoning = answers[request]
                # The end of the row before comes with the head of the next: one piece instead of two.
                add(f'{end}{custom_id},{item}{middle}{request_id or ""},{finish or ""},"')
                if '"' in text:
                    text = text.replace('"', '""')
                add(text if text.isascii() else bytewise(text))
                if states is not None:
                    state = states[request]
                total = n_in + n_out
                if total < _MOST_DIGITS and not (cached or written or reasoning):
                    end = f'",{digits[n_in]},{digits[n_out]},{digits[total]},succeeded,,0,0,0,{state},{cluster}\r\n'
                else:
                    end = f'",{n_in},{n_out},{total},succeeded,,{cached},{written},{reasoning},{state},{cluster}\r\n'
                request += 1
        add(end)
        return "".join(pieces).encode("latin-1")

    def of_any(self, first: int, n_items: int, answers: Sequence[tuple[str, str]]) -> bytes:
        """The same of requests that ended in any way. answers: custom_id and `answer_fields` bytewise, in request order."""
        requests = iter(answers)
        rows = []
        for item, kind, cluster in self._items(first, n_items):
            for middle, (custom_id, row) in zip(self._middles[kind], requests, strict=False):
                rows.append(f"{custom_id},{item}{middle}{row}{cluster}\r\n")
        return "".join(rows).encode("latin-1")

    def _items(self, first: int, n_items: int) -> list[list[str]]:
        """(dataset and item_id, kind, cluster) of each, bytewise."""
        text = self._lines.text(first, n_items)
        # Unquoted fields of the index can stand as they are.
        if '"' not in text and "\r" not in text:
            return [line[HASH_CHARS + 1 :].rsplit(",", 2) for line in text.split("\n")[:-1]]
        return list(map(_quoted_fields, self._lines.of(first, n_items)))


def _quoted_fields(line: str) -> list[str]:
    """The same of a line with a name that needs quotes."""
    _, dataset, item_id, kind, cluster = fields(line)
    return [f"{quoted(dataset)},{quoted(item_id)}", kind, quoted(cluster) if cluster else ""]


ROW_GROUP: Final = 8192
"""Rows that a reader of predictions.parquet can skip or take at once."""


def write_parquet(source: Path, target: IO[bytes]) -> None:
    """predictions.csv as a table with types, in row groups that can be read one by one; streamed, so that memory does not grow with it."""
    import polars as pl

    lazy = pl.scan_csv(source, schema=schema())
    try:
        lazy.sink_parquet(target, compression="lz4", statistics=False, row_group_size=ROW_GROUP, maintain_order=True, engine="streaming")
    except pl.exceptions.PolarsError as error:
        raise disk_error(error, getattr(target, "name", "")) from None


OS_ERROR: Final = re.compile(r"[(]os error ([0-9]+)[)]")


def disk_error(error: Exception, path: str) -> Exception:
    """What the disk said, which polars wraps into an error of its own; the error itself when it is about something else."""
    found = OS_ERROR.search(str(error))
    return error if found is None else OSError(int(found[1]), os.strerror(int(found[1])), path)
