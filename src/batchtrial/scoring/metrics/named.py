"""The metrics that a config can name, and what it wrote made into them."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from batchtrial.errors import wanted
from batchtrial.plugins import added, faults
from batchtrial.scoring.metrics import choice, command, corpus, likeness, structured, texts, usage, values
from batchtrial.scoring.metrics.base import NamedMetric

OWN: Final[tuple[type[NamedMetric], ...]] = (
    *texts.FAMILY,
    *choice.FAMILY,
    *values.FAMILY,
    *structured.FAMILY,
    *likeness.FAMILY,
    *corpus.FAMILY,
    *usage.FAMILY,
    *command.FAMILY,
)
NAMED_METRICS: Mapping[str, type[NamedMetric]] = MappingProxyType({one.id: one for one in OWN})
"""Our own by name; `known` has those of other packages too."""


def known() -> Mapping[str, type[NamedMetric]]:
    """Every metric that a config can name: our own, then those that plugins add under names of their own."""
    others = {one.id: one for _, one in added("batchtrial.metrics") if isinstance(one, type) and issubclass(one, NamedMetric)}
    return {**others, **NAMED_METRICS}


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
    kind = NAMED_METRICS.get(name) or known().get(name) if isinstance(name, str) else None
    if kind is None:
        told = " ".join((_near(str(name), known()), "A metric of your own is written package.module:function", *faults()))
        raise ValueError(f"there is no metric {name!r}; {told}")
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(f"{name}: parameters are written as a mapping, such as `{{name: mine}}`; it is {given!r}"[:300])
    try:
        return kind.model_validate(dict(given or {}))
    except ValidationError as error:
        raise ValueError(_told(name, kind, error)) from None


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
    message = wanted(first)
    quotes = "; a text such as 'yes' or '12' stands in quotes" if first["type"] == "string_type" and isinstance(first["input"], int | float) else ""
    return f"{name}: {where}: {message}; it is {first['input']!r}{quotes}"[:400] if where else f"{name}: {message}"


def _near(word: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, 1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}."
