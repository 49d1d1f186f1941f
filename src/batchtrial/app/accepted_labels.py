"""Labels made of accepted answers, where a demonstration has no people: what is right is known there, so it is known which arm's answer is better."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import polars as pl

from batchtrial.state.labels import Label, append_label
from batchtrial.state.layout import RunLayout

WHO: Final = "accepted answers"


def label_by_accepted_answers(root: Path, n: int) -> int:
    """Label the first n items of a finished run, in the seeded order in which they were asked, by exact match; returns how many that were.

    root: the run's folder. An item that an arm has no whole answer to gets none.
    """
    layout, n_labelled = RunLayout(root), 0
    places = pl.read_parquet(layout.items, columns=["place", "item_key"]).sort("place").head(n)
    for path in sorted(root.glob("*/results/per_item_scores.csv")):
        scores = pl.read_csv(path, infer_schema=False).select("item_key", "condition", pl.col("em").cast(pl.Float64, strict=False))
        arms = [scores.filter(pl.col("condition") == name).select("item_key", "em") for name in ("control", "treatment")]
        both = places.with_columns(pl.col("item_key").cast(pl.String)).join(arms[0], on="item_key").join(arms[1], on="item_key", suffix="_treatment")
        for place, key, control, treatment in both.sort("place").drop_nulls().select("place", "item_key", "em", "em_treatment").iter_rows():
            verdict: Literal["better", "worse", "same"] = "better" if treatment > control else "worse" if treatment < control else "same"
            name = f"accepted-{path.parent.parent.name}-{place}"
            append_label(layout.labels, Label(id=name, who=WHO, item_key=key, trial=path.parent.parent.name, verdict=verdict, is_blind=True))
            n_labelled += 1
    return n_labelled
