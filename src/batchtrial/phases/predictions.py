"""The form of predictions.csv: one row per request, whatever became of it.

Rows are in request order: the control arm first, then the treatment; within each by temperature, part, place of the item, sample. An absent value
is an empty field without quotes; an empty text is a quoted one. Text is kept to the letter: a spreadsheet that is told to import columns as text
shows it as it is, one that guesses may take an answer for a formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

from batchtrial.config.expand import Arm, Trial
from batchtrial.phases.index import HASH_CHARS, fields
from batchtrial.providers.base import Plain
from batchtrial.records import CONDITIONS, RawResult

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
    "cluster",
)
HEADER: Final = (",".join(COLUMNS) + "\r\n").encode()

_MOST_DIGITS: Final = 1 << 14
_DIGITS: Final = tuple(map(str, range(_MOST_DIGITS)))
"""Token counts as text: looking one up takes a third of the time of formatting it."""

STRETCH: Final = 4096
"""Items whose rows of one arm are read together. account.json says at which byte each such stretch begins: rows hold line ends, so that no reader
could find one of them from the middle of the file."""


def schema() -> dict[str, Any]:
    """Column types for polars."""
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


def arms_in_order(trial: Trial) -> tuple[Arm, ...]:
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


def plain_fields(answers: Sequence[Plain]) -> list[str]:
    """Fields from request_id to reasoning_tokens of successes, each ended by a comma."""
    if needs_quotes("".join([answer[3] or "" for answer in answers])) or needs_quotes("".join({answer[2] or "" for answer in answers})):
        answers = [(*answer[:2], field(answer[2]), field(answer[3]), *answer[4:]) for answer in answers]
    made = []
    digits = _DIGITS
    for _, text, finish, request_id, n_in, n_out, cached, written, reasoning in answers:
        if '"' in text:
            text = text.replace('"', '""')
        total = n_in + n_out
        if total < _MOST_DIGITS and not (cached or written or reasoning):
            row = f'{request_id or ""},{finish or ""},"{text}",{digits[n_in]},{digits[n_out]},{digits[total]},succeeded,,0,0,0,'
        else:
            row = f'{request_id or ""},{finish or ""},"{text}",{n_in},{n_out},{total},succeeded,,{cached},{written},{reasoning},'
        made.append(row)
    return made


def answer_fields(result: RawResult) -> str:
    """The same of a request that ended in any way."""
    used = result.usage
    tokens = f"{used.input_tokens},{used.output_tokens},{used.input_tokens + used.output_tokens}" if used else ",,"
    details = f"{used.cached_tokens},{used.cache_write_tokens},{used.reasoning_tokens}" if used else ",,"
    text = "" if result.text is None else f'"{result.text.replace(chr(34), chr(34) * 2)}"'
    names = f"{field(result.request_id)},{field(result.finish_reason)}"
    return f"{names},{text},{tokens},{result.outcome},{field(result.error)},{details},"


class Rows:
    """Puts the rows of one arm together. lines: of the index, one per item in the run's order."""

    def __init__(self, lines: Sequence[str], arm: Arm) -> None:
        self._lines = lines
        # What stands between an item's own fields and the answer, by kind and sample.
        self._middles = {kind: [f",{arm.condition},{arm.temp!r},{sample},{kind}," for sample in range(arm.samples)] for kind in ("open", "closed")}

    def join(self, first: int, n_items: int, ids: Sequence[str], answers: Sequence[bytes | memoryview]) -> bytes:
        """The rows of items first .. first + n_items. ids, answers: of their requests, in request order."""
        heads: list[bytes] = []
        add, middles = heads.append, self._middles
        request, end = 0, ""
        for line in self._lines[first : first + n_items]:
            # Unquoted fields of the index can stand as they are.
            is_plain = '"' not in line and "\r" not in line
            item, kind, cluster = line[HASH_CHARS + 1 :].rsplit(",", 2) if is_plain else _quoted_fields(line)
            for middle in middles[kind]:
                # The end of the row before comes with the head of the next: one piece to encode instead of two.
                add(f"{end}{ids[request]},{item}{middle}".encode())
                request += 1
                end = f"{cluster}\r\n"
        return b"".join([*chain.from_iterable(zip(heads, answers, strict=True)), end.encode()])


def _quoted_fields(line: str) -> tuple[str, str, str]:
    """(dataset and item_id, kind, cluster) of a line of the index with a name that needs quotes."""
    _, dataset, item_id, kind, cluster = fields(line)
    return f"{quoted(dataset)},{quoted(item_id)}", kind, quoted(cluster) if cluster else ""


ROW_GROUP: Final = 8192
"""Rows that a reader of predictions.parquet can skip or take at once."""


def write_parquet(source: Path, target: IO[bytes]) -> None:
    """predictions.csv as a table with types, in row groups that can be read one by one; streamed, so that memory does not grow with it."""
    import polars as pl

    lazy = pl.scan_csv(source, schema=schema())
    lazy.sink_parquet(target, compression="lz4", statistics=False, row_group_size=ROW_GROUP, maintain_order=True, engine="streaming")
