"""Whether a run can go on with a config that was changed: asked before the change is written down, since what is on record counts from then on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from batchtrial.config.metric_entries import named_metrics
from batchtrial.config.model import Config
from batchtrial.errors import ConfigDrift
from batchtrial.phases.base import View
from batchtrial.phases.build.questions import Questions
from batchtrial.phases.build.sent import sent_otherwise
from batchtrial.phases.prepare import phase as prepare
from batchtrial.phases.prepare.columns_read import check_slices_kept
from batchtrial.phases.prepare.endpoints import check_endpoints
from batchtrial.phases.prepare.items import load_prepared, prepared_items
from batchtrial.phases.prepare.metrics import check_values, try_metrics
from batchtrial.providers.base import Provider
from batchtrial.reading.config import config_of_run
from batchtrial.scoring.metrics.base import ReferenceMetric

log = logging.getLogger(__name__)


def check_can_go_on(view: View, changed: Mapping[str, str], codec: Provider) -> None:
    """Raises ConfigDrift, ConfigError. view: with the config that was changed. changed: its settings, each as `old -> new`."""
    if view.prepared is None or not prepare.was_sent(view) or not prepare.verdict(view).is_done:
        return  # nothing that could not be made anew, or items that are to be made anew first
    if any(key.startswith(("stats.primary", "stats.confirmatory")) for key in changed):
        items = load_prepared(view.layout) if view.config.limit_items is None else None
        check_endpoints(view.config, items, view.prepared.sources)
    if any(key.startswith("slices") for key in changed):
        check_slices_kept(view.config, prepared_items(view.layout))
    if any(key.startswith("metrics") for key in changed):
        check_metrics(view, view.config, log.warning)
    if part := sent_otherwise(view, codec):
        raise ConfigDrift(
            f"with this change {part} would hold other requests than those that were sent",
            where="; ".join(f"{key}: {change}" for key, change in changed.items()),
            hint="use the old values, or start a new run; `batchtrial grow` adds items and samples to those that are there",
        )


def check_metrics(view: View, after: Config, note: Callable[[str], None]) -> None:
    """Raises ConfigError for metrics that cannot score the run's items, and MissingExtra. after: with metrics that the run's own config, which is on
    disk, may not have. note: is told of a call that takes long."""
    known = named_metrics(config_of_run(view.layout).metrics)
    if any(isinstance(one, ReferenceMetric) and one.uses_references for one in named_metrics(after.metrics) if one not in known):
        check_values(after, prepared_items(view.layout))  # which keep the columns that were read when they were prepared, and no others
    with Questions(view.layout) as questions:
        try_metrics(after, view.prepared, questions.one_of_each_set(), note)
