"""The CSV files of a trial, made for people from the arms' tables once everything is known: predictions.csv and per_item_scores.csv.

predictions.csv has one row per request, whatever became of it, in request order: the control arm first, then the treatment; within each by
temperature, part, place of the item, sample. An absent value is an empty field without quotes; an empty text is a quoted one. Text is kept to the
letter: a spreadsheet that is told to import columns as text shows it as it is, one that guesses may take an answer for a formula.
per_item_scores.csv has one row per item and arm, the items in the run's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl

from batchtrial.config.expand import Trial, TrialArm
from batchtrial.phases.base import Work, arms_in_order, publishing
from batchtrial.phases.build.questions import read_items, reference
from batchtrial.phases.tables.ahead import made_ahead
from batchtrial.phases.tables.arm_table import ROWS_PER_GROUP
from batchtrial.phases.tables.columns import ITEM_COLUMNS, PREDICTIONS, SCORE_COLUMNS, SCORES, TEXTS
from batchtrial.phases.tables.csv_rows import csv_rows, quoted, quoted_where
from batchtrial.phases.tables.trial_scores import columns_of, n_items_of, of_arm
from batchtrial.state.store import Sink

HEADER: Final = (",".join(PREDICTIONS) + "\r\n").encode()
ROWS_AT_ONCE: Final = ROWS_PER_GROUP
ITEMS_AT_ONCE: Final = 1 << 14
_ITEM: Final = ("dataset", "item_id", "kind", "cluster", "question")
_QUOTED_WHERE_NEEDED: Final = ("dataset", "item_id", "cluster", "question", "request_id", "finish_reason", "error", "reference")


def write_exports(work: Work, trial: Trial) -> list[Path]:
    """Write those that the config asks for, and return where they are. Raises Stopped."""
    layout, arms = work.view.trial_layout(trial), arms_in_order(trial)
    wanted: dict[str, tuple[Path, Callable[[Work, Trial, Sink], None]]] = {"predictions.csv": (layout.predictions, write_predictions)}
    if arms:
        wanted["per_item_scores.csv"] = (layout.scores, write_scores)
    paths = []
    for name, (path, write) in wanted.items():
        if name in work.config.exports:
            with publishing(work, path) as out:
                write(work, trial, out)
            paths.append(path)
    return paths


def write_predictions(work: Work, trial: Trial, out: Sink, *, rows_at_once: int = ROWS_AT_ONCE) -> None:
    """The rows of a trial. Raises Stopped."""
    out.write(HEADER)
    tables = [(arm, pl.scan_parquet(work.layout.arm(arm.name).answers)) for arm in arms_in_order(trial)]
    _write(
        work,
        out,
        (
            partial(_answers_of, work.layout.items, arm, table.slice(first, rows_at_once))
            for arm, table in tables
            for first in range(0, table.select(pl.len()).collect().item(), rows_at_once)
        ),
    )


def _write(work: Work, out: Sink, blocks: Iterable[Callable[[], list[bytes]]]) -> None:
    with closing(made_ahead(blocks, work.workers)) as made:
        for block in made:
            for piece in block:
                out.write(piece)
            work.stop.check()


def _answers_of(items_path: Path, arm: TrialArm, table: pl.LazyFrame) -> list[bytes]:
    """Rows of predictions.csv, of some answers of an arm."""
    answers = table.collect()
    places = answers["place"]
    first, n = places[0], places[-1] - places[0] + 1
    items = read_items(items_path, first, n, *_ITEM, "references").select(*_ITEM, reference())
    whole = answers.hstack(items[(places - first).to_list()] if arm.samples > 1 else items)
    fields = whole.with_columns(
        pl.lit(arm.condition).alias("condition"),
        pl.lit(repr(arm.temp)).alias("temp"),
        (pl.col("input_tokens") + pl.col("output_tokens")).alias("total_tokens"),
        quoted("text"),
        *(_field(name) for name in _QUOTED_WHERE_NEEDED),
    )
    return csv_rows(fields.select(PREDICTIONS.values()), quotes="never")


def _field(name: str) -> pl.Expr:
    return quoted_where(name, pl.col(name).str.contains(r'[,"\r\n]') | (pl.col(name).str.len_bytes() == 0))


def write_scores(work: Work, trial: Trial, out: Sink, *, items_at_once: int = ITEMS_AT_ONCE) -> None:
    """The rows of per_item_scores.csv: item by item, each with its arms in order. Raises Stopped."""
    arms = arms_in_order(trial)
    user = [name for name in columns_of(work.layout, arms) if name not in SCORES]
    n_items = n_items_of(work.layout, arms)
    tables = [of_arm(work.layout, arm, user) for arm in arms]
    _write(
        work,
        out,
        (
            partial(_scores_of, work.layout.items, tables, user, first, min(items_at_once, n_items - first))
            for first in range(0, n_items, items_at_once)
        ),
    )


def _scores_of(items_path: Path, tables: Sequence[pl.LazyFrame], user: Sequence[str], first: int, n: int) -> list[bytes]:
    """Rows of per_item_scores.csv, of some items; the first with the names of the columns before them."""
    items = read_items(items_path, first, n, "place", *ITEM_COLUMNS.values(), "question", "references")
    facts = items.select("place", *(pl.col(own).alias(name) for name, own in ITEM_COLUMNS.items()), "question", reference())
    scores = [table.slice(first, n).collect() for table in tables]
    frames = [one.hstack(facts.drop("place")).with_columns(pl.lit(number).alias("arm")) for number, one in enumerate(scores)]
    rows = pl.concat(frames).sort("place", "arm").select(*SCORE_COLUMNS, *user, *TEXTS)
    return csv_rows(rows, has_header=first == 0)
