"""What of a config is the plan of the trial: everything that decides which claims a report may make. Pure.

A setting belongs to the plan unless it is named in CARRIED_OUT, so that a section that is added later is part of it without further ado.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from batchtrial.config.metric_entries import named_metrics
from batchtrial.config.model import Config
from batchtrial.scoring.metrics.usage import COST

CARRIED_OUT: Final = frozenset(
    {
        "arm_form",
        "grown",
        "mode",
        "backend",
        "model_aliases",
        "provider",
        "lanes",
        "submission",
        "pricing",
        "simulation",
        "optional",
        "report",
        "metric_seconds",
        "exports",
        "slices",
    }
)
"""Sections that say where and how requests are sent and what they cost, or that ask for analyses which never make a claim."""
SENT: Final = ("endpoint", "api_version", "sampling", "accepts", "quirks", "request_overrides")
"""Settings of `provider` that shape what is asked, and so are part of the plan; the others say where it goes."""
PRICED: Final = ("pricing_key", "service_tier", "prompt_cache")
"""Settings of `provider` that decide what a request costs."""
PRICES: Final = "prices"
"""Part of a plan that no config has: for each metric of dollars, what decides its numbers."""
CODE: Final = "metric_code"
"""Part of a plan that no config has: sha256 of the code of metrics of the user's own."""
NOT_THERE: Final = "(not there)"


def plan_of(config: Config, code: Mapping[str, Mapping[str, str]] | None = None) -> dict[str, Any]:
    """The plan as JSON values, defaults filled in; prompts by their sha256, question files without their places.

    code: sha256 by import path of the metrics that decide a set ("sets") and of the further ones ("further").
    """
    tree = config.model_dump(mode="json")
    plan = {name: _without_texts(value) for name, value in tree.items() if name not in CARRIED_OUT}
    plan["datasets"] = {spec.name: spec.model_dump(mode="json", exclude={"path"}, exclude_defaults=True) for spec in config.datasets}
    plan["provider"] = {name: tree["provider"][name] for name in SENT}
    if config.lanes:
        plan["lanes"] = {lane: {name: settings[name] for name in SENT} for lane, settings in tree["lanes"].items()}
    if dollars := [column for metric in named_metrics(config.metrics) if COST in metric.facts for column in metric.columns]:
        plan[PRICES] = dict.fromkeys(dollars, _prices(tree))
    return plan | {CODE: {role: dict(by_path) for role, by_path in code.items()}} if code else plan


def _prices(tree: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the dollars of a request."""
    lanes = {"provider": tree["provider"], **(tree.get("lanes") or {})}
    by_lane = {lane: {name: settings.get(name) for name in PRICED} for lane, settings in lanes.items()}
    return {"overrides": tree["pricing"]["overrides"] or None, **by_lane}


def plan_hash(plan: Mapping[str, Any]) -> str:
    """Hex sha256 of the plan as canonical JSON."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")).hexdigest()


def written_keys(config: Config) -> tuple[str, ...]:
    """Settings of the section `stats` that somebody wrote, as against those that are its defaults."""
    return tuple(sorted(config.stats.model_fields_set)) if "stats" in config.model_fields_set else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A setting of two plans. key: dotted."""

    key: str
    before: Any
    after: Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Settings in which two plans differ. One that an older plan does not have had its default then.

    Code and prices are compared where both have them: a metric that came or went is a setting that changed, and a file that is gone says nothing.
    A sweep over nothing is none, and a price that is null is not set.
    """
    old, new, usual = dict(_leaves(before)), dict(_leaves(after)), dict(_leaves(_defaults()))
    found = []
    for key in sorted(old.keys() | new.keys()):
        if not _can_be_compared(key, (before, after), old, new):
            continue
        values = [values.get(key, usual.get(key, NOT_THERE)) for values in (old, new)]
        if values[0] != values[1] and not (key.startswith(("sweep.", f"{PRICES}.")) and all(value in (NOT_THERE, None) for value in values)):
            found.append(Difference(key=key, before=values[0], after=values[1]))
    return tuple(found)


def _can_be_compared(key: str, plans: tuple[Mapping[str, Any], Mapping[str, Any]], old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if key.startswith(f"{CODE}."):
        return bool(old.get(key) and new.get(key))
    if key.startswith(f"{PRICES}."):
        return all(any(key.startswith(f"{PRICES}.{metric}.") for metric in plan.get(PRICES, ())) for plan in plans)
    return not key.startswith("provider.") or "provider" in plans[0]


def _without_texts(value: Any) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("text"), str) and "path" in value:
            return {"sha256": hashlib.sha256(value["text"].encode()).hexdigest()}
        return {name: _without_texts(one) for name, one in value.items()}
    return [_without_texts(one) for one in value] if isinstance(value, list) else value


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) pairs; a list is one value."""
    for name, value in tree.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, key)
        else:
            yield key, value


def _defaults() -> dict[str, Any]:
    """Sections that have a default, with it, as JSON values."""
    found = {}
    for name, info in Config.model_fields.items():
        value = info.get_default(call_default_factory=True, validated_data={})
        if name not in CARRIED_OUT and value is not PydanticUndefined:
            found[name] = value.model_dump(mode="json") if isinstance(value, BaseModel) else list(value) if isinstance(value, tuple) else value
    return found
