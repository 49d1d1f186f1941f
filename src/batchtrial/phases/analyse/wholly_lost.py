"""Items that both arms lost: whether they would have had a metric is told by the items of their kind that were answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.phases.analyse.paired import Floats
from batchtrial.state.layout import RunLayout

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class WhollyLost:
    """is_lost: items of which neither arm has a scored answer, shape (n_items,). like: a number per item, the same for items of one kind."""

    is_lost: Flags
    like: NDArray[np.int64]

    def with_lost(self, is_shown: Flags) -> Flags:
        """The items that show a metric, and those lost ones that may have had it: an answered item of their kind has. No loss is left out."""
        has_it = np.zeros(int(self.like.max()) + 1, dtype=np.bool_)
        has_it[self.like[is_shown]] = True
        return np.asarray(is_shown | (self.is_lost & has_it[self.like]))


def wholly_lost(layout: RunLayout, facts: pl.DataFrame, n_lost: tuple[Floats, Floats], samples: int) -> WhollyLost | None:
    """None when no item was lost by both arms. facts: item_key, type and dataset of each. Of one kind are items of one set with a passage or without,
    and with an accepted answer or without."""
    is_lost = np.logical_and(*(np.isnan(one) | (one >= samples) for one in n_lost))
    if not is_lost.any():
        return None
    kinds = facts.select(pl.col("type").cast(pl.String), pl.col("dataset").cast(pl.String))
    if layout.items.exists():
        known = pl.scan_parquet(layout.items).select("item_key", (pl.col("references").list.len() > 0).alias("has_reference"))
        kinds = kinds.hstack(facts.lazy().select("item_key").join(known, on="item_key", how="left", maintain_order="left").collect().drop("item_key"))
    like = kinds.select(pl.struct(pl.all()).rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
    return WhollyLost(is_lost, like)
