"""Which columns of an item a run reads beside its question: by templates, by references of metrics, and by slices."""

from __future__ import annotations

from dataclasses import replace

from batchtrial.config.expand import arms_of, expand, task_reads
from batchtrial.config.metric_entries import named_metrics
from batchtrial.config.model import Config
from batchtrial.phases.columns import MEASURES
from batchtrial.scoring.metrics.base import ReferenceMetric
from batchtrial.sources.spec import TaskReads


def columns_read(config: Config) -> TaskReads | None:
    """What is read of each item, which then keeps all of its columns; None where a question is all that it is."""
    asked = task_reads(arms_of(expand(config, "")))
    metrics = named_metrics(config.metrics)
    references = {metric.reference for metric in metrics if isinstance(metric, ReferenceMetric) and metric.reference is not None}
    names = frozenset({*references, *config.slices})
    is_free = are_references_optional(config)
    if not names and not is_free:
        return asked
    base = TaskReads(names=frozenset(), has_questions=True) if asked is None else asked
    return replace(base, names=base.names | names, is_reference_optional=is_free)


def are_references_optional(config: Config) -> bool:
    """Whether rows without an accepted answer will do: metrics by name are asked for, and no declared endpoint is about what is right."""
    endpoints = (config.stats.primary, *config.stats.confirmatory)
    return bool(named_metrics(config.metrics)) and all(one.metric not in MEASURES for one in endpoints)
