"""Answers to judge, without a run around them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batchtrial.scoring.metrics.base import Rows
from batchtrial.scoring.metrics.named import metric_of


@dataclass(frozen=True)
class Question:
    """What a metric may know of an item."""

    answers: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)


def judged(entry: object, texts: Sequence[str | None], references: Sequence[str] = (), **rows: Any) -> list[float | None]:
    """The metric's own column for these answers, all to one item."""
    metric = metric_of(entry)
    items = [Question(answers=tuple(references))] * len(texts)
    return plain(metric.of(Rows(texts=texts, items=items, **rows))[metric.column].tolist())


def plain(values: Sequence[float]) -> list[float | None]:
    """None where a value is undefined."""
    return [None if math.isnan(value) else value for value in values]
