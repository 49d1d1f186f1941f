"""predictions.csv: one row per request, whatever became of it, made from the arms' tables.

Rows are in request order: the control arm first, then the treatment; within each by temperature, part, place of the item, sample. An absent value
is an empty field without quotes; an empty text is a quoted one. Text is kept to the letter: a spreadsheet that is told to import columns as text
shows it as it is, one that guesses may take an answer for a formula.
"""

from __future__ import annotations

import io
from typing import Final

import polars as pl

from batchtrial.config.expand import Trial, TrialArm
from batchtrial.phases.base import Work, arms_in_order
from batchtrial.phases.build.questions import read_items, reference
from batchtrial.phases.tables.arm_table import ROWS_PER_GROUP
from batchtrial.phases.tables.columns import PREDICTIONS
from batchtrial.state.store import Sink

HEADER: Final = (",".join(PREDICTIONS) + "\r\n").encode()
ROWS_AT_ONCE: Final = ROWS_PER_GROUP
_ITEM: Final = ("dataset", "item_id", "kind", "cluster", "question")


def write_predictions(work: Work, trial: Trial, out: Sink) -> None:
    """The rows of a trial. Raises Stopped."""
    out.write(HEADER)
    for arm in arms_in_order(trial):
        table = pl.scan_parquet(work.layout.arm(arm.name).answers)
        n_rows = table.select(pl.len()).collect().item()
        for first in range(0, n_rows, ROWS_AT_ONCE):
            work.stop.check()
            out.write(_rows(work, arm, table.slice(first, ROWS_AT_ONCE).collect()))


def _rows(work: Work, arm: TrialArm, answers: pl.DataFrame) -> bytes:
    """Rows of the CSV, of some answers of an arm."""
    places = answers["place"]
    first, n = places[0], places[-1] - places[0] + 1
    items = read_items(work.layout.items, first, n, *_ITEM, "references").select(*_ITEM, reference())
    whole = answers.hstack(items[(places - first).to_list()] if arm.samples > 1 else items)
    fields = whole.with_columns(
        pl.lit(arm.condition).alias("condition"),
        pl.lit(repr(arm.temp)).alias("temp"),
        (pl.col("input_tokens") + pl.col("output_tokens")).alias("total_tokens"),
        _quoted("text"),
        *(_field(name) for name in (*_ITEM, "request_id", "finish_reason", "error", "reference")),
    )
    file = io.BytesIO()
    fields.select(PREDICTIONS.values()).write_csv(file, include_header=False, line_terminator="\r\n", quote_style="never")
    return file.getvalue()


def _quoted(name: str) -> pl.Expr:
    return pl.format('"{}"', pl.col(name).str.replace_all('"', '""', literal=True)).alias(name)


def _field(name: str) -> pl.Expr:
    """With quotes only where it needs them."""
    return pl.when(pl.col(name).str.contains(r'[,"\r\n]|^$')).then(_quoted(name)).otherwise(pl.col(name)).alias(name)
