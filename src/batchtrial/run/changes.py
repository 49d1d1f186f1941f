"""Whether a run can go on with a config that was changed: asked before the change is written down, since what is on record counts from then on."""

from __future__ import annotations

from collections.abc import Mapping

from batchtrial.errors import ConfigDrift
from batchtrial.phases.base import View
from batchtrial.phases.build.sent import sent_otherwise
from batchtrial.phases.prepare import phase as prepare
from batchtrial.phases.prepare.endpoints import check_endpoints
from batchtrial.phases.prepare.items import load_prepared
from batchtrial.providers.base import Provider


def check_can_go_on(view: View, changed: Mapping[str, str], codec: Provider) -> None:
    """Raises ConfigDrift, ConfigError. view: with the config that was changed. changed: its settings, each as `old -> new`."""
    if view.prepared is None or not prepare.was_sent(view) or not prepare.verdict(view).is_done:
        return  # nothing that could not be made anew, or items that are to be made anew first
    if any(key.startswith(("stats.primary", "stats.confirmatory")) for key in changed):
        items = load_prepared(view.layout) if view.config.limit_items is None else None
        check_endpoints(view.config, items, view.prepared.sources)
    if part := sent_otherwise(view, codec):
        raise ConfigDrift(
            f"with this change {part} would hold other requests than those that were sent",
            where="; ".join(f"{key}: {change}" for key, change in changed.items()),
            hint="use the old values, or start a new run; `batchtrial grow` adds items and samples to those that are there",
        )
