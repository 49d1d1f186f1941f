"""What `metrics` of a config may hold: functions of the user's own, and metrics by name with their parameters."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from batchtrial.scoring.metrics.base import NamedMetric
from batchtrial.scoring.metrics.named import is_named, metric_of, metrics_of

Entry = str | dict[str, Any]


def _known(entry: Entry) -> Entry:
    if is_named(entry):
        metric_of(entry)
    return entry


def _apart(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    metrics_of(entries)
    return entries


MetricEntries = Annotated[tuple[Annotated[Entry, AfterValidator(_known)], ...], AfterValidator(_apart)]


def own_functions(entries: tuple[Entry, ...]) -> tuple[str, ...]:
    """Import paths of the user's functions among the entries."""
    return tuple(entry for entry in entries if isinstance(entry, str) and not is_named(entry))


def lower_is_better(entries: tuple[Entry, ...]) -> frozenset[str]:
    """Columns of metrics by name of which less is better."""
    return frozenset(column for metric in metrics_of(entries) if metric.direction == "lower" for column in metric.columns)


def named_metrics(entries: tuple[Entry, ...]) -> tuple[NamedMetric, ...]:
    """The metrics by name among the entries."""
    return metrics_of(entries)
