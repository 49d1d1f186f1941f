"""The scores of a trial as one table with what it says of the items: from its arms' tables, or from the CSV of an earlier version."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import polars as pl

from batchtrial.config.expand import Trial, TrialArm
from batchtrial.phases.base import Work, arms_in_order
from batchtrial.phases.build.questions import read_items, reference
from batchtrial.phases.tables.columns import ITEM_COLUMNS, SCORE_COLUMNS, SCORES, TEXTS
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import Sink

ITEMS_AT_ONCE: Final = 1 << 15
_TYPES: Final[dict[str, type[pl.DataType]]] = {
    **dict.fromkeys(("item_key", "condition", "type", "dataset", "cluster", "lost_to"), pl.String),
    **dict.fromkeys(("n_samples", "n_lost"), pl.Int64),
}


def write_scores(work: Work, trial: Trial, out: Sink) -> None:
    """The rows of per_item_scores.csv: item by item, each with its arms in order. Raises Stopped."""
    arms = arms_in_order(trial)
    user = [name for name in _schema(work.layout, arms) if name not in SCORES]
    n_items = n_items_of(work.layout, arms)
    for first in range(0, n_items, ITEMS_AT_ONCE):
        work.stop.check()
        n = min(ITEMS_AT_ONCE, n_items - first)
        items = read_items(work.layout.items, first, n, "place", *ITEM_COLUMNS.values(), "question", "references")
        facts = items.select("place", *(pl.col(own).alias(name) for name, own in ITEM_COLUMNS.items()), "question", reference())
        scores = [_of_arm(work.layout, arm, user).slice(first, n).collect() for arm in arms]
        frames = [one.hstack(facts.drop("place")).with_columns(pl.lit(number).alias("arm")) for number, one in enumerate(scores)]
        rows = pl.concat(frames).sort("place", "arm").select(*SCORE_COLUMNS, *user, *TEXTS)
        out.write(as_csv(rows, header=first == 0))


def as_csv(frame: pl.DataFrame, *, header: bool) -> bytes:
    """Rows in the form of every table that we write: absent values empty, line ends as in predictions.csv."""
    out = io.BytesIO()
    frame.write_csv(out, include_header=header, line_terminator="\r\n")
    return out.getvalue()


def n_items_of(layout: RunLayout, arms: Sequence[TrialArm]) -> int:
    """Items of the prefix that all of the arms were asked about: a trial that stopped early may share an arm with one that went on."""
    return min((pl.scan_parquet(layout.arm(arm.name).scores).select(pl.len()).collect().item() for arm in arms), default=0)


def scores_of(layout: RunLayout, trial: Trial) -> pl.LazyFrame:
    """Every row of the trial's scores, with the columns of per_item_scores.csv but its texts; arm after arm, or item by item where it is the CSV."""
    arms = arms_in_order(trial)
    if not all(layout.arm(arm.name).scores.exists() for arm in arms):
        return pl.scan_csv(layout.trial(trial.slug).scores, schema_overrides=_TYPES | {"temp": pl.Float64}, infer_schema=False).with_columns(
            pl.exclude(*_TYPES).cast(pl.Float64)
        )
    user = [name for name in _schema(layout, arms) if name not in SCORES]
    items = pl.scan_parquet(layout.items).select("place", *(pl.col(own).alias(name) for name, own in ITEM_COLUMNS.items()))
    n_items = n_items_of(layout, arms)
    rows = pl.concat([_of_arm(layout, arm, user).slice(0, n_items) for arm in arms])
    return rows.join(items, on="place", how="left", maintain_order="left").select("place", *SCORE_COLUMNS, *user)


def _schema(layout: RunLayout, arms: Sequence[TrialArm]) -> list[str]:
    """Columns of any of the arms' tables."""
    found = [name for arm in arms for name in pl.scan_parquet(layout.arm(arm.name).scores).collect_schema().names()]
    return [*SCORES, *sorted(set(found) - set(SCORES))]


def _of_arm(layout: RunLayout, arm: TrialArm, user: Sequence[str]) -> pl.LazyFrame:
    table = pl.scan_parquet(layout.arm(arm.name).scores)
    missing = [name for name in user if name not in table.collect_schema().names()]
    return table.with_columns(
        *(pl.lit(None, dtype=pl.Float64).alias(name) for name in missing),
        pl.lit(arm.condition).alias("condition"),
        pl.lit(arm.at, dtype=pl.Float64).alias("temp"),
    ).select(*SCORES, *user, "condition", "temp")
