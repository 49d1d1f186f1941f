"""Scores of all answers together (BLEU, chrF) compared between the arms: described with an interval, never a claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from batchtrial.phases.analyse.comparison import seed_of
from batchtrial.phases.analyse.tables import Table
from batchtrial.stats.corpus import FORMULAS, corpus_difference


def corpus_scores(scoring: Mapping[str, Any], tables: Mapping[float, Table], *, level: float, seed: int) -> list[dict[str, Any]]:
    """A record for each metric, temperature and kind of question; empty without such metrics. scoring: the content of scoring.json."""
    metrics = {name: one for name, one in scoring.get("metrics", {}).items() if one.get("formula") in FORMULAS}
    return [one for name, record in metrics.items() for temp, table in tables.items() for one in _of_table(name, record, temp, table, level, seed)]


def _of_table(name: str, record: Mapping[str, Any], temp: float, table: Table, level: float, seed: int) -> Iterator[dict[str, Any]]:
    if not all(column in table.scores for column in record["names"]):
        return
    asked = np.logical_or(*(~np.isnan(arm) for arm in table.scores[record["names"][0]]))
    asked = asked if table.lost is None else table.lost.with_lost(asked)
    for kind in table.kinds():
        mask = table.members(kind)
        where = slice(None) if mask is None else mask
        control, treatment = (np.stack([table.scores[column][arm][where] * table.samples for column in record["names"]], axis=1) for arm in (0, 1))
        found = corpus_difference(
            np.round(treatment),
            np.round(control),
            FORMULAS[record["formula"]],
            seed=seed_of(seed, f"{name}/{kind}/t{temp:g}"),
            level=level,
            clusters=None if table.clusters is None else table.clusters[where],
        )
        about = {"metric": name, "kind": kind, "temp": temp, "better": record["better"], "signature": record["signature"]}
        yield about | {"n_lost": int(asked[where].sum()) - found.n_items} | asdict(found)
