"""The metrics that a config can name, and what it wrote made into them."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from batchtrial.scoring.metrics import command, corpus, likeness, structured, texts, usage, values
from batchtrial.scoring.metrics.base import NamedMetric

NAMED_METRICS: Mapping[str, type[NamedMetric]] = MappingProxyType(
    {one.id: one for one in chain(texts.FAMILY, values.FAMILY, structured.FAMILY, likeness.FAMILY, corpus.FAMILY, usage.FAMILY, command.FAMILY)}
)
"""Metric by its name in a config."""


def is_named(entry: object) -> bool:
    """Whether an entry of `metrics` asks for one of these, and not for a function of the user's own."""
    return not (isinstance(entry, str) and ":" in entry)


def metric_of(entry: object) -> NamedMetric:
    """The metric of an entry: `exact`, or a mapping of one name to its parameters. Raises ValueError naming what is wrong, and the nearest name."""
    if isinstance(entry, Mapping):
        if len(entry) != 1:
            raise ValueError(f"one metric an entry, as `- regex: {{pattern: ...}}`; it names {', '.join(map(str, entry)) or 'none'}")
        ((name, given),) = entry.items()
    else:
        name, given = entry, None
    if not isinstance(name, str) or name not in NAMED_METRICS:
        raise ValueError(f"there is no metric {name!r}; {_near(str(name), NAMED_METRICS)} A metric of your own is written package.module:function")
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(f"{name}: parameters are written as a mapping, such as `{{name: mine}}`; it is {given!r}"[:300])
    try:
        return NAMED_METRICS[name].model_validate(dict(given or {}))
    except ValidationError as error:
        raise ValueError(_told(name, NAMED_METRICS[name], error)) from None


def metrics_of(entries: Sequence[object]) -> tuple[NamedMetric, ...]:
    """The named metrics among the entries. Raises ValueError as `metric_of` does, and for two that fill the same column."""
    found = tuple(metric_of(entry) for entry in entries if is_named(entry))
    owner: dict[str, NamedMetric] = {}
    for metric in found:
        for column in metric.columns:
            if column in owner:
                raise ValueError(f"the metrics {owner[column].id} and {metric.id} are both called {column!r}; give one another `name`")
            owner[column] = metric
    return found


def sha256_of(metric: NamedMetric) -> str:
    """Hex sha256 of what decides the metric's numbers."""
    told = json.dumps([metric.id, metric.made_of()], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(told.encode("ascii")).hexdigest()


def _told(name: str, model: type[BaseModel], error: ValidationError) -> str:
    """The first fault in words."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{name}: unknown parameter {where!r}; {_near(where, [field.alias or key for key, field in model.model_fields.items()])}"
    if first["type"] == "missing":
        return f"{name}: the parameter {where!r} is not set"
    message = first["msg"].removeprefix("Value error, ")
    return f"{name}: {where}: {message}; it is {first['input']!r}"[:400] if where else f"{name}: {message}"


def _near(word: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, 1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}."
