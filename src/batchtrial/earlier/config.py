"""A config of the earlier system in the words of this one: pure, from what its YAML held and what its run folder still tells.

What has no meaning here is not carried over silently: its keys are listed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchtrial.config.load import flatten
from batchtrial.config.model import Config
from batchtrial.names import RECORDED
from batchtrial.records import Kind

NAME = re.compile(r"[^A-Za-z0-9_.-]+")
SLUG = re.compile(r"[A-Za-z0-9_-]{1,60}")
CARRIED = (
    "model_id", "temps", "samples_per_item", "max_new_tokens", "top_p", "top_k", "stop", "backend", "provider.name", "provider.model", "pricing.",
    "stats.permutation_samples", "stats.random_seed", "unsupported.threshold", "unsupported.min_token_overlap",
    "optional.", "paths.", "model_aliases", "models", "prompt_sets", "default_prompt_set", "sweep", "trials", "sizes.", "use_batch_api",
    "unsupported_threshold",
)  # fmt: skip
"""Old keys, or beginnings of keys, whose meaning is in the new config, or has become part of the run's folder."""
ANALYSES = {
    "enable_unsupported_sensitivity": "unsupported_sensitivity",
    "enable_mixed_effects": "mixed_effects",
    "enable_power_analysis": "power_analysis",
    "enable_cost_effectiveness": "cost_effectiveness",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierTrial:
    """One trial of the old run. prompts: by condition, the text that was sent, or a stand-in when it is lost."""

    slug: str
    model_id: str
    prompt_set: str
    temps: tuple[float, ...]
    samples: Mapping[float, int]
    top_p: float | None
    top_k: int | None
    max_open: int
    max_closed: int
    prompts: Mapping[str, str]


def backend_of(old: Mapping[str, Any]) -> str:
    """The provider that ran it."""
    provider = old.get("provider")
    name = str(provider.get("name", "")).lower() if isinstance(provider, dict) else ""
    if name in ("openai", "anthropic"):
        return name
    return "local" if old.get("backend") == "local" else "fireworks"


def dataset_name(dataset: str, kind: Kind, names: Sequence[tuple[str, Kind]]) -> str:
    """A name that this system takes; told apart by kind when the set has questions of both."""
    plain = NAME.sub("_", dataset).lstrip("_.-")[:60] or "set"
    return plain if sum(one == dataset for one, _ in names) < 2 else f"{plain}_{kind}"[:64]


def translated(old: Mapping[str, Any], trials: Sequence[EarlierTrial], sets: Sequence[tuple[str, Kind]], instructions: Mapping[Kind, str]) -> Config:
    """The config of a run that was taken over. sets: (dataset, kind) of its items. Raises pydantic's ValidationError."""
    first = trials[0]
    samples = {f"{temp:g}": n for trial in trials for temp, n in trial.samples.items()}
    stats, unsupported = _mapping(old.get("stats")), _mapping(old.get("unsupported"))
    tree: dict[str, Any] = {
        "mode": "live",
        "backend": backend_of(old),
        "model_id": first.model_id,
        "model_aliases": {str(k): str(v) for k, v in _mapping(old.get("model_aliases")).items()},
        "temps": list(first.temps),
        "samples_per_item": samples or 1,
        "max_new_tokens": {"open_book": first.max_open, "closed_book": first.max_closed},
        "top_p": first.top_p,
        "top_k": first.top_k,
        "stop": [str(one) for one in old.get("stop") or ()],
        "datasets": [_source(dataset, kind, sets) for dataset, kind in sets],
        "task_instructions": {
            "open_book": {"path": "earlier/open_book.txt", "text": instructions["open"]},
            "closed_book": {"path": "earlier/closed_book.txt", "text": instructions["closed"]},
        },
        "prompt_sets": {trial.prompt_set: _prompts(trial) for trial in reversed(trials)},
        "trials": [_spec(trial) for trial in trials],
        "pricing": {"overrides": _prices(old, {trial.model_id for trial in trials})},
        "unsupported": {key: unsupported[key] for key in ("threshold", "min_token_overlap") if key in unsupported},
        "stats": {"permutation_samples": max(999, int(stats["permutation_samples"]))} if "permutation_samples" in stats else {},
        "optional": {new: bool(value) for key, new in ANALYSES.items() if (value := _mapping(old.get("optional")).get(key)) is not None},
    }
    if isinstance(stats.get("random_seed"), int):
        tree["stats"]["random_seed"] = stats["random_seed"]
    return Config.model_validate(tree, context=RECORDED)


def left_behind(old: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys of the old config that mean nothing here."""
    keys = (key for key, value in flatten(old) if value is not None)
    return tuple(sorted(key for key in keys if not any(key == one or key.startswith(one if one.endswith(".") else f"{one}.") for one in CARRIED)))


def _source(dataset: str, kind: Kind, sets: Sequence[tuple[str, Kind]]) -> dict[str, Any]:
    return {"name": dataset_name(dataset, kind, sets), "source": "file", "path": f"earlier/{kind}_book.jsonl", "format": "jsonl", "kind": kind}


def _prompts(trial: EarlierTrial) -> dict[str, Any]:
    return {c: {"system": {"path": f"earlier/{trial.prompt_set}_{c}.txt", "text": text}} for c, text in trial.prompts.items()}


def _spec(trial: EarlierTrial) -> dict[str, Any]:
    return {
        "id": trial.slug if SLUG.fullmatch(trial.slug) else None,
        "model_id": trial.model_id,
        "prompt_set": trial.prompt_set,
        "temps": list(trial.temps),
        "top_p": trial.top_p,
        "top_k": trial.top_k,
        "max_new_tokens": {"open_book": trial.max_open, "closed_book": trial.max_closed},
    }


def _prices(old: Mapping[str, Any], models: set[str]) -> dict[str, Any]:
    """The old prices with their discount worked in: it was a factor on the standard price."""
    pricing = _mapping(old.get("pricing"))
    if "input_per_million" not in pricing and "output_per_million" not in pricing:
        return {}
    factor = float(pricing.get("batch_discount", 0.5))
    price = {
        "input_per_mtok": float(pricing.get("input_per_million", 0.15)) * factor,
        "output_per_mtok": float(pricing.get("output_per_million", 0.60)) * factor,
    }
    return dict.fromkeys(sorted(models), price)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
