"""Which columns of an item a run reads beside its question: by templates, by references of metrics, and by slices."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import replace

from batchtrial.config.expand import arms_of, expand, task_reads
from batchtrial.config.judge_arms import rubric_reads
from batchtrial.config.metric_entries import named_metrics
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.phases.tables.columns import MEASURES
from batchtrial.records import Item
from batchtrial.scoring.metrics.base import ReferenceMetric
from batchtrial.sources.spec import TaskReads


def columns_read(config: Config) -> TaskReads | None:
    """What is read of each item, which then keeps all of its columns; None where a question is all that it is."""
    asked = task_reads(arms_of(expand(config, "")))
    metrics = named_metrics(config.metrics)
    references = {metric.reference for metric in metrics if isinstance(metric, ReferenceMetric) and metric.reference is not None}
    names = frozenset({*references, *config.slices, *rubric_reads(config)})
    is_free = are_references_optional(config)
    if not names and not is_free:
        return asked
    base = TaskReads(names=frozenset(), has_questions=True) if asked is None else asked
    return replace(base, names=base.names | names, is_reference_optional=is_free)


def are_references_optional(config: Config) -> bool:
    """Whether rows without an accepted answer will do: metrics by name or judges are asked for, and no declared endpoint is about what is right."""
    endpoints = (config.stats.primary, *config.stats.confirmatory)
    return bool(named_metrics(config.metrics) or config.judges) and all(one.metric not in MEASURES for one in endpoints)


def check_columns_named(config: Config, items: Sequence[Item]) -> None:
    """Raises ConfigError for a column of `slices` or of a metric's references in which no row has a value, naming files and the nearest column."""
    for where, name, sets in _columns_named(config):
        mine = [item for item in items if not sets or item.dataset in sets]
        if any(name in item.columns for item in mine):
            continue
        known = {column for item in mine for column in item.columns}
        files = ", ".join(spec.path or spec.name for spec in config.datasets if not sets or spec.name in sets) or ", ".join(sets)
        hint = "`ignore_columns` leaves it out" if any(name in spec.ignore_columns for spec in config.datasets) else _near(name, known)
        raise ConfigError(f"no row of {files} has a column {name!r} with a value in it", where=where, hint=hint)


def check_slices_kept(config: Config, items: Iterable[Item]) -> None:
    """Raises ConfigError for a column of `slices` that no prepared item has kept. items: gone through once."""
    if not config.slices:
        return
    kept = {column for item in items for column in item.columns}
    for name in config.slices:
        if name not in kept:
            what = f"no item of the run has a column {name!r} with a value in it"
            raise ConfigError(what, where="slices", hint=f"{_near(name, kept)}: those that were kept when the run was prepared")


def _near(name: str, known: Set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1, cutoff=0.5)
    return (f"did you mean {near[0]!r}? " if near else "") + f"the columns are {', '.join(sorted(known)) or 'none'}"


def _columns_named(config: Config) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(config key, column, sets that it is about; none: all) of each column that the config names beside a task."""
    for name in config.slices:
        yield "slices", name, ()
    for metric in named_metrics(config.metrics):
        if isinstance(metric, ReferenceMetric) and metric.reference is not None:
            yield f"metrics.{metric.column}.reference", metric.reference, tuple(metric.sets)
