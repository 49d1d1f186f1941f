"""The scores of a trial as one table with what it says of the items: from its arms' tables, or from the CSV of an earlier version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from batchtrial.config.expand import Trial, TrialArm
from batchtrial.phases.base import arms_in_order
from batchtrial.phases.tables.columns import ITEM_COLUMNS, SCORE_COLUMNS, SCORES
from batchtrial.state.layout import RunLayout

_TYPES: Final[dict[str, type[pl.DataType]]] = {
    **dict.fromkeys(("item_key", "condition", "type", "dataset", "cluster", "lost_to"), pl.String),
    **dict.fromkeys(("n_samples", "n_lost"), pl.Int64),
}


def n_items_of(layout: RunLayout, arms: Sequence[TrialArm]) -> int:
    """Items of the prefix that all of the arms were asked about: a trial that stopped early may share an arm with one that went on."""
    return min((pl.scan_parquet(layout.arm(arm.name).scores).select(pl.len()).collect().item() for arm in arms), default=0)


def scores_of(layout: RunLayout, trial: Trial) -> pl.LazyFrame:
    """Every row of the trial's scores, with the columns of per_item_scores.csv but its texts; arm after arm, or item by item where it is the CSV."""
    arms = arms_in_order(trial)
    if not all(layout.arm(arm.name).scores.exists() for arm in arms):
        table = pl.scan_csv(layout.trial(trial.slug).scores, schema_overrides=_TYPES | {"temp": pl.Float64}, infer_schema=False)
        places = pl.scan_parquet(layout.items).select("place", "item_key")
        return table.with_columns(pl.exclude(*_TYPES).cast(pl.Float64)).join(places, on="item_key", how="left", maintain_order="left")
    user = [name for name in columns_of(layout, arms) if name not in SCORES]
    items = pl.scan_parquet(layout.items).select("place", *(pl.col(own).alias(name) for name, own in ITEM_COLUMNS.items()))
    n_items = n_items_of(layout, arms)
    rows = pl.concat([of_arm(layout, arm, user).slice(0, n_items) for arm in arms])
    return rows.join(items, on="place", how="left", maintain_order="left").select("place", *SCORE_COLUMNS, *user)


def columns_of(layout: RunLayout, arms: Sequence[TrialArm]) -> list[str]:
    """Columns of any of the arms' tables."""
    found = [name for arm in arms for name in pl.scan_parquet(layout.arm(arm.name).scores).collect_schema().names()]
    return [*SCORES, *sorted(set(found) - set(SCORES))]


def of_arm(layout: RunLayout, arm: TrialArm, user: Sequence[str]) -> pl.LazyFrame:
    """An arm's scores with its role, and with a column of nulls for each of the user's measures that it does not have."""
    table = pl.scan_parquet(layout.arm(arm.name).scores)
    missing = [name for name in user if name not in table.collect_schema().names()]
    return table.with_columns(
        *(pl.lit(None, dtype=pl.Float64).alias(name) for name in missing),
        pl.lit(arm.condition).alias("condition"),
        pl.lit(arm.at, dtype=pl.Float64).alias("temp"),
    ).select(*SCORES, *user, "condition", "temp")
