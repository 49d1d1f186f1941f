"""What every arm of a run has of the items that two of its arms are compared on: the beginning of an answer, and scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchtrial.config.expand import Arm
from batchtrial.reading.metrics import Metric
from batchtrial.reading.run_tables import Pairs, RunTables

Floats = NDArray[np.float64]


def scores_of(tables: RunTables, pairs: Pairs, metric: Metric, arm: Arm) -> Floats | None:
    """The arm's scores by a metric of two arms, by place; None where it has none: what a judge says of two answers is no score of a third."""
    for mine, scores in zip((pairs.control, pairs.treatment), pairs.scores[metric.column], strict=True):
        if mine.name == arm.name:
            return scores
    if not metric.judge:
        return tables.scores(arm, metric.column)
    if metric.judge == "pairwise":
        return None
    for trial, temp in tables.ready():
        role = next((role for role in ("control", "treatment") if (one := trial.arm(role, temp)) is not None and one.name == arm.name), None)
        said = None if role is None else tables.pairs(trial.slug, temp).judged.get(metric.column)
        if said is not None:
            return said.control if role == "control" else said.treatment
    return None


def beginnings(tables: RunTables, arm: Arm, places: Sequence[int], most: int) -> list[str]:
    """The beginning of each item's first sample; empty where the arm was not asked."""
    n = tables.n_answers(arm)
    rows = {place: place * arm.samples for place in places if place * arm.samples < n}
    found = tables.texts(arm).of(rows.values())
    return [found[rows[place]][:most] if place in rows else "" for place in places]


def cells(tables: RunTables, pairs: Pairs, metric: Metric, places: Sequence[int], most: int) -> list[list[dict[str, Any]]]:
    """Of each item what the arms beside the two have: which arm, the beginning of its answer, score, and of how many samples that is."""
    found: list[list[dict[str, Any]]] = [[] for _ in places]
    for at, arm in enumerate(tables.arms()):
        if arm.name in (pairs.control.name, pairs.treatment.name):
            continue
        scores, lost = scores_of(tables, pairs, metric, arm), tables.scores(arm, "n_lost")
        for row, place, text in zip(found, places, beginnings(tables, arm, places, most), strict=True):
            n = arm.samples - round(score_at(lost, place) or 0)
            row.append({"arm": at, "answer": text, "score": score_at(scores, place), "n": n})
    return found


def score_at(scores: Floats | None, place: int) -> float | None:
    """The score of the item at a place; None where there is none."""
    return None if scores is None or place >= scores.size or np.isnan(scores[place]) else float(scores[place])
