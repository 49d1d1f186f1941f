"""The CSV files of a trial, made for people from the arms' tables once everything is known: predictions.csv and per_item_scores.csv.

predictions.csv has one row per request, whatever became of it, in request order: the control arm first, then the treatment; within each by
temperature, part, place of the item, sample. An absent value is an empty field without quotes; an empty text is a quoted one. Text is kept to the
letter: a spreadsheet that is told to import columns as text shows it as it is, one that guesses may take an answer for a formula.
per_item_scores.csv has one row per item and arm, the items in the run's order.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import polars as pl

from batchtrial.config.expand import Trial, TrialArm
from batchtrial.phases.base import Work, arms_in_order, publishing
from batchtrial.phases.build.questions import read_items, reference
from batchtrial.phases.score.tables import columns_of, n_items_of, of_arm
from batchtrial.phases.tables.arm_table import ROWS_PER_GROUP
from batchtrial.phases.tables.columns import ITEM_COLUMNS, PREDICTIONS, SCORE_COLUMNS, SCORES, TEXTS
from batchtrial.state.store import Sink

HEADER: Final = (",".join(PREDICTIONS) + "\r\n").encode()
ROWS_AT_ONCE: Final = ROWS_PER_GROUP
ITEMS_AT_ONCE: Final = 1 << 15
_ITEM: Final = ("dataset", "item_id", "kind", "cluster", "question")


def write_exports(work: Work, trial: Trial) -> list[Path]:
    """Write those that the config asks for, and return where they are. Raises Stopped."""
    layout, arms = work.view.trial_layout(trial), arms_in_order(trial)
    wanted = {"predictions.csv": (layout.predictions, write_predictions)}
    if arms:
        wanted["per_item_scores.csv"] = (layout.scores, write_scores)
    paths = []
    for name, (path, write) in wanted.items():
        if name in work.config.exports:
            with publishing(work, path) as out:
                write(work, trial, out)
            paths.append(path)
    return paths


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


def write_scores(work: Work, trial: Trial, out: Sink) -> None:
    """The rows of per_item_scores.csv: item by item, each with its arms in order. Raises Stopped."""
    arms = arms_in_order(trial)
    user = [name for name in columns_of(work.layout, arms) if name not in SCORES]
    n_items = n_items_of(work.layout, arms)
    for first in range(0, n_items, ITEMS_AT_ONCE):
        work.stop.check()
        n = min(ITEMS_AT_ONCE, n_items - first)
        items = read_items(work.layout.items, first, n, "place", *ITEM_COLUMNS.values(), "question", "references")
        facts = items.select("place", *(pl.col(own).alias(name) for name, own in ITEM_COLUMNS.items()), "question", reference())
        scores = [of_arm(work.layout, arm, user).slice(first, n).collect() for arm in arms]
        frames = [one.hstack(facts.drop("place")).with_columns(pl.lit(number).alias("arm")) for number, one in enumerate(scores)]
        rows = pl.concat(frames).sort("place", "arm").select(*SCORE_COLUMNS, *user, *TEXTS)
        out.write(_csv(rows, first == 0))


def _csv(frame: pl.DataFrame, has_header: bool) -> bytes:
    """Absent values empty, line ends as in predictions.csv."""
    out = io.BytesIO()
    frame.write_csv(out, include_header=has_header, line_terminator="\r\n")
    return out.getvalue()
