"""What two runs with partly the same questions say on those that are in both: are they the same, and did the effect change."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl

from batchtrial.phases.prepare.items import decode_row
from batchtrial.records import KEY_SEPARATOR
from batchtrial.state.layout import RunLayout
from batchtrial.stats.clusters import clustered_mean
from batchtrial.stats.results import Estimate
from batchtrial.stats.scores import paired_t

KEY = ["item_key", "temp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Items of two runs. n: in both; n_other: of these, with another text or other answers behind the same id."""

    n: int
    n_other: int


def questions_of(layout: RunLayout) -> dict[str, str]:
    """Fingerprint of each prepared item by `dataset|item_id`; empty where the prepared files are gone."""
    found = {}
    for path in (layout.open_book, layout.closed_book):
        for line in path.read_bytes().splitlines() if path.exists() else ():
            row = decode_row(line)
            found[f"{row.dataset}{KEY_SEPARATOR}{row.item_id}"] = hashlib.sha256(line).hexdigest()
    return found


def common_of(a: RunLayout, b: RunLayout) -> Common:
    """How many items are in both, and of how many the question is another one."""
    one, other = questions_of(a), questions_of(b)
    both = one.keys() & other.keys()
    return Common(n=len(both), n_other=sum(one[name] != other[name] for name in both))


def change_of_effect(a: pl.DataFrame, b: pl.DataFrame, *, level: float) -> dict[float, Estimate]:
    """By temperature: how much larger the difference treatment minus control is in B than in A, item by item of those that are in both.

    a, b: columns item_key, condition, temp, score, cluster. Items of one cluster count together.
    """
    effects = [_effects(one) for one in (a, b)]
    joined = effects[0].join(effects[1], on=KEY, how="inner", suffix="_b").drop_nulls(["effect", "effect_b"]).sort("item_key")
    found = {}
    for temp in sorted(joined["temp"].unique().to_list()):
        here = joined.filter(pl.col("temp") == temp)
        change = (here["effect_b"] - here["effect"]).to_numpy()
        codes = here["cluster"].rank("dense").to_numpy().astype(np.int64)
        is_clustered = codes.size > 0 and int(np.bincount(codes).max()) > 1
        found[float(temp)] = clustered_mean(change, codes, level=level).estimate if is_clustered else paired_t(change, level).estimate
    return found


def _effects(scores: pl.DataFrame) -> pl.DataFrame:
    """Treatment minus control of each item."""
    wide = scores.pivot(on="condition", index=["item_key", "temp", "cluster"], values="score", aggregate_function="first")
    if not {"treatment", "control"} <= set(wide.columns):
        return pl.DataFrame(schema={"item_key": pl.String, "temp": pl.Float64, "cluster": pl.String, "effect": pl.Float64})
    own = pl.when(pl.col("cluster").fill_null("") == "").then("item_key").otherwise("cluster").alias("cluster")
    return wide.select("item_key", "temp", own, (pl.col("treatment") - pl.col("control")).alias("effect"))
