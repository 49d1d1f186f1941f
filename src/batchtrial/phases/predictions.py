"""The form of predictions.csv: one row per request, whatever became of it.

Rows are in request order: the control arm first, then the treatment; within each by temperature, part, place of the item, sample. An absent value
is an empty field without quotes; an empty text is a quoted one. Text is kept to the letter: a spreadsheet that is told to import columns as text
shows it as it is, one that guesses may take an answer for a formula.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

from batchtrial.config.expand import Arm, Trial
from batchtrial.phases.index import Index
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


STRETCH: Final = 4096
"""Items whose rows of one arm are read together. account.json says at which byte each such stretch begins: rows hold line ends, so that no reader
could find one of them from the middle of the file."""


def schema() -> dict[str, Any]:
    """Column types for polars."""
    import polars as pl  # only readers need it; parse is done without

    whole = {"sample_index", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens"}
    return {name: pl.Int64 if name in whole else pl.Float64 if name == "temp" else pl.String for name in COLUMNS}


def read_stretch(path: Path, begin: int, end: int) -> Any:
    """The rows between two bytes of the file as a polars frame."""
    import polars as pl

    with path.open("rb") as file:
        file.seek(begin)
        return pl.read_csv(file.read(end - begin), has_header=False, schema=schema())


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


class Rows:
    """Writes the rows of one arm."""

    def __init__(self, index: Index, arm: Arm) -> None:
        self._index = index
        # What stands between an item's own fields and the answer, by kind and sample.
        self._middles = {kind: [f",{arm.condition},{arm.temp!r},{sample},{kind}," for sample in range(arm.samples)] for kind in ("open", "closed")}
        self._samples = arm.samples

    def _frames(self, first: int, n_items: int) -> Iterator[tuple[str, str, str, str]]:
        """Fields around the answer in the rows of items first .. first + n_items: dataset, item_id, what follows up to the answer, cluster."""
        index, end = self._index, first + n_items
        names = [index.dataset[first:end], index.item_id[first:end], index.cluster[first:end]]
        # One look at all names together: they hardly ever need quotes.
        if needs_quotes("".join([name for column in names for name in column])):
            names = [[quoted(name) if name else "" for name in column] for column in names]
        middles = [middle for kind in index.kind[first:end] for middle in self._middles[kind]]
        if self._samples > 1:
            names = [[name for name in column for _ in range(self._samples)] for column in names]
        return zip(names[0], names[1], middles, names[2], strict=True)

    def plain(self, first: int, n_items: int, answers: Sequence[Plain]) -> bytes:
        """Rows of requests that all succeeded, in request order."""
        if needs_quotes("".join([name for answer in answers for name in answer[2:4] if name is not None])):
            answers = [(*answer[:2], field(answer[2]), field(answer[3]), *answer[4:]) for answer in answers]
        made = []
        for (dataset, item_id, middle, cluster), answer in zip(self._frames(first, n_items), answers, strict=True):
            custom_id, text, finish, request_id, n_in, n_out, cached, written, reasoning = answer
            if '"' in text:
                text = text.replace('"', '""')
            details = f"{cached},{written},{reasoning}" if cached or written or reasoning else "0,0,0"
            # Encoded row by row: a single wide character would otherwise widen the whole block.
            made.append(
                f'{custom_id},{dataset},{item_id}{middle}{request_id or ""},{finish or ""},"{text}",'
                f"{n_in},{n_out},{n_in + n_out},succeeded,,{details},{cluster}\r\n".encode()
            )
        return b"".join(made)

    def mixed(self, first: int, n_items: int, results: Iterable[RawResult]) -> bytes:
        """Rows of requests that ended in any way, in request order."""
        made = []
        for (dataset, item_id, middle, cluster), result in zip(self._frames(first, n_items), results, strict=True):
            used = result.usage
            tokens = f"{used.input_tokens},{used.output_tokens},{used.input_tokens + used.output_tokens}" if used else ",,"
            details = f"{used.cached_tokens},{used.cache_write_tokens},{used.reasoning_tokens}" if used else ",,"
            text = "" if result.text is None else f'"{result.text.replace(chr(34), chr(34) * 2)}"'
            made.append(
                f"{result.custom_id},{dataset},{item_id}{middle}{field(result.request_id)},{field(result.finish_reason)},{text},"
                f"{tokens},{result.outcome},{field(result.error)},{details},{cluster}\r\n"
            )
        return "".join(made).encode()


ROW_GROUP: Final = 8192
"""Rows that a reader of predictions.parquet can skip or take at once."""


def write_parquet(source: Path, target: IO[bytes]) -> None:
    """predictions.csv as a table with types, in row groups that can be read one by one; streamed, so that memory does not grow with it."""
    import polars as pl

    lazy = pl.scan_csv(source, schema=schema())
    lazy.sink_parquet(target, compression="lz4", statistics=False, row_group_size=ROW_GROUP, maintain_order=True, engine="streaming")
