"""The prepared items as build needs them: what is known of each, in the run's order, and their texts a slice at a time.

The prepared files are read once, line by line; texts are not kept, and come back from their place in the file when their slice is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from batchtrial.keys import item_hash
from batchtrial.phases.base import Work, Worker
from batchtrial.phases.build.sizes import weight
from batchtrial.phases.prepare.items import Prepared, decode_row, place_of
from batchtrial.records import Kind
from batchtrial.state.layout import RunLayout

if TYPE_CHECKING:
    import polars as pl

BYTES_AT_ONCE: Final = 1 << 22
ITEMS_AT_ONCE: Final = 1 << 13
FEW_ITEMS: Final = 200_000
"""Items up to which starting processes takes longer than reading them."""
ROW: Final = ("mark", "kind", "dataset", "item_id", "cluster", "at", "size", "n_bytes", "n_chars")
"""Columns of `rows_of`: the item's hash and name, where its line lies, how long its texts are (n_chars: by `weight`). cluster: "" for none."""
_NUMBERS: Final = ("at", "size", "n_bytes", "n_chars")
_NONE: Final = msgspec.Raw(b'""')


class InJson(msgspec.Struct, gc=False):
    """A prepared row whose texts are left as they stand in the line: most of them stand there as in every line that is made of them."""

    dataset: str
    item_id: str = msgspec.field(name="id")
    question: msgspec.Raw
    answers: msgspec.Raw
    context: msgspec.Raw = _NONE
    cluster: str | None = None
    added: int = 0


class Texts(msgspec.Struct, gc=False):
    """The same as far as request lines need it."""

    question: msgspec.Raw
    context: msgspec.Raw = _NONE


_decode: Final = msgspec.json.Decoder(InJson).decode
_decode_texts: Final = msgspec.json.Decoder(Texts).decode
_decode_text: Final = msgspec.json.Decoder(str | None).decode


def text_bytes(question: str, context: str) -> int:
    """At least what the texts add to a line: an escape is never shorter than what it stands for, whether or not the codec escapes."""
    return len(encode_basestring_ascii(question)) + len(encode_basestring_ascii(context))


@dataclass(frozen=True, slots=True)
class ReadRows:
    """Reads what build needs of the items of a prepared file whose lines begin between two bytes; on any process."""

    path: Path
    kind: Kind
    begin: int
    end: int
    seed: int
    keeps_clusters: bool

    def __call__(self, worker: Worker) -> pl.DataFrame:
        """Columns ROW, the sort key of the run's order, the question and, as JSON, the accepted answers."""
        import polars as pl

        worker.check()
        at, lines = lines_between(self.path, self.begin, self.end)
        said = list(map(in_json, lines))
        rows = rows_of(lines, said, self.kind, at)
        clusters = [one.cluster or "" for one in said] if self.keeps_clusters else [""] * len(said)
        places = [place_of(mark, self.seed, cluster, one.added) for mark, cluster, one in zip(rows["mark"], clusters, said, strict=True)]
        worker.step(len(lines))
        return rows.with_columns(
            pl.Series("place", places, dtype=pl.String),
            _unquoted(_raw("question", said), str),
            _raw("answers", said),
        )


def lines_between(path: Path, begin: int, end: int) -> tuple[int, list[bytes]]:
    """Where the first line that begins there begins, and all that do."""
    lines: list[bytes] = []
    with path.open("rb") as file:
        if begin:
            file.seek(begin - 1)
            file.readline()  # of the stretch before
        first = at = file.tell()
        while at < end and (line := file.readline()):
            lines.append(line)
            at += len(line)
    return first, lines


def rows_in_order(work: Work) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Every prepared item, in the seeded order of the run (columns ROW), and of the same their question and, as JSON, their accepted answers.

    Raises Stopped, PhaseFailed.
    """
    import polars as pl  # a verdict is told without

    from batchtrial.phases.tables.executor import executor_of
    from batchtrial.phases.tables.workers import Task, Team

    jobs = [
        ReadRows(path, kind, begin, begin + BYTES_AT_ONCE, work.config.seed, work.config.keeps_clusters)
        for kind, path in _books(work.layout)
        for begin in range(0, max(1, path.stat().st_size), BYTES_AT_ONCE)
    ]
    n_items = sum(one.items for one in work.view.prepared.datasets.values()) if work.view.prepared is not None else 0
    # A cluster's workers read over the network what lies here.
    near = replace(work, executor="process") if executor_of(work.executor).kind == "dask" else work
    with Team(near, FEW_ITEMS) as team:
        (found,) = team.carry_out([Task("items", n_items, jobs)])
        whole = pl.concat(found)
    order = whole.drop_in_place("place").arg_sort()
    # Column by column, so that two of each are never there at a time.
    in_order = pl.DataFrame([whole.drop_in_place(name)[order] for name in whole.columns])
    return in_order.select(ROW), in_order.select("question", "answers")


def rows_of(lines: Sequence[bytes], said: Sequence[InJson], kind: Kind, at: int) -> pl.DataFrame:
    """Columns ROW of lines that stand one behind the other, from byte `at` on."""
    import polars as pl

    sizes = pl.Series("size", list(map(len, lines)), dtype=pl.Int64)
    question, context = (_lengths(_raw(name, said)) for name in ("question", "context"))
    texts: dict[str, list[str]] = {
        "mark": [item_hash(one.dataset, one.item_id) for one in said],
        "kind": [kind] * len(said),
        "dataset": list(map(attrgetter("dataset"), said)),
        "item_id": list(map(attrgetter("item_id"), said)),
        "cluster": [one.cluster or "" for one in said],
    }
    numbers = (sizes.cum_sum() - sizes + at, sizes, question[0] + context[0], question[1] + context[1])
    return pl.DataFrame(
        [
            *(pl.Series(name, values, dtype=pl.String) for name, values in texts.items()),
            *(one.rename(name) for name, one in zip(_NUMBERS, numbers, strict=True)),
        ]
    )


def in_json(line: bytes) -> InJson:
    """The row of a prepared line. Raises msgspec.MsgspecError for what prepare did not write."""
    return _decode(line)


def _raw(name: str, said: Sequence[InJson] | Sequence[Texts]) -> pl.Series:
    import polars as pl

    return pl.Series(name, [bytes(raw) for raw in map(attrgetter(name), said)], dtype=pl.Binary).cast(pl.String)


def _lengths(raw: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Of each text its bytes as text_bytes counts them, and its characters as `weight` does. raw: as JSON has them."""
    import polars as pl

    n = raw.str.len_bytes().cast(pl.Int64)
    odd = ((raw.str.len_chars() != n) | raw.str.contains(r"[\\\x7f]") | (raw == "null")).arg_true()
    texts = [_decode_text(text) or "" for text in raw.gather(odd)]
    n_bytes = n.clone().scatter(odd, [len(encode_basestring_ascii(text)) for text in texts])
    return n_bytes, (n - 2).scatter(odd, list(map(weight, texts)))


def _unquoted(raw: pl.Series, written: Callable[[str], str]) -> pl.Series:
    """What stands between the quotes of texts in JSON; how those are written in which something is escaped there."""
    import polars as pl

    odd = (raw.str.contains("\\", literal=True) | (raw == "null")).arg_true()
    inside = raw.str.strip_prefix('"').str.strip_suffix('"')
    return inside.scatter(odd, pl.Series([written(_decode_text(text) or "") for text in raw.gather(odd)], dtype=pl.String))


def in_request(text: str) -> str:
    """A text as request lines have it, without its quotes."""
    return msgspec.json.encode(text)[1:-1].decode()


def _books(layout: RunLayout) -> tuple[tuple[Kind, Path], ...]:
    return ("open", layout.open_book), ("closed", layout.closed_book)


def _lines_of(layout: RunLayout, rows: pl.DataFrame) -> Iterator[bytes]:
    files = {kind: os.open(path, os.O_RDONLY) for kind, path in _books(layout)}
    try:
        for kind, size, at in rows.select("kind", "size", "at").iter_rows():
            yield os.pread(files[kind], size, at)
    finally:
        for fd in files.values():
            os.close(fd)


def texts_of(layout: RunLayout, rows: pl.DataFrame) -> Iterator[Prepared]:
    """The texts of some items, in their order, one after the other."""
    return map(decode_row, _lines_of(layout, rows))


def escaped(layout: RunLayout, rows: pl.DataFrame) -> pl.DataFrame:
    """mark and kind of some items, and their context and question as they stand inside JSON, the same in every arm."""
    import polars as pl

    frames = [rows.clear().select("mark", "kind", pl.lit("").alias("context"), pl.lit("").alias("question"))]
    for some in rows.iter_slices(ITEMS_AT_ONCE):
        said = list(map(_decode_texts, _lines_of(layout, some)))
        frames.append(some.select("mark", "kind").with_columns(_unquoted(_raw(name, said), in_request) for name in ("context", "question")))
    return pl.concat(frames)
