"""What right answers and F1 are called: by the rule of each question set, which may be a metric of the user's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from batchtrial.phases.tables.columns import LABELS

_NAMED: Final = 3
"""Sets that are named one by one."""
_SEVERAL: Final[Mapping[str, str]] = {"em": "right by each set's own rule", "f1": "F1 by each set's own rule"}


@dataclass(frozen=True, slots=True)
class SetRules:
    """The rules of a trial's question sets. own: set -> the user's metric that decides there; with_f1: those that return an F1 of their own."""

    own: Mapping[str, str] = field(default_factory=dict)
    with_f1: frozenset[str] = frozenset()

    def title(self, metric: str, sets: Iterable[str]) -> str:
        """What a metric is called on these sets: as the one rule of all of them, or as each one's own."""
        names = self._by_name(metric, sets)
        return next(iter(names)) if len(names) == 1 else _SEVERAL.get(metric, LABELS.get(metric, metric))

    def is_em_again(self, metric: str, sets: Iterable[str]) -> bool:
        """Whether the metric is an F1 that none of these sets' rules gives, so that it is as `em` there."""
        given = list(sets)
        return metric == "f1" and bool(given) and all(name in self.own and self.own[name] not in self.with_f1 for name in given)

    def told(self, metric: str, sets: Iterable[str]) -> str:
        """Which rule holds on which set; empty where one holds on all."""
        names = self._by_name(metric, sets)
        if len(names) < 2:
            return ""
        return f"{_SEVERAL[metric]}: " + "; ".join(f"{name} in {_listed(some)}" for name, some in sorted(names.items()))

    def _by_name(self, metric: str, sets: Iterable[str]) -> dict[str, list[str]]:
        """What the metric is called by its rule -> sets."""
        usual = LABELS.get(metric, metric)
        found: dict[str, list[str]] = {}
        for name in sorted(sets) if metric in _SEVERAL else ():
            rule = self.own.get(name)
            called = usual if rule is None else f"f1 of {rule}" if metric == "f1" and rule in self.with_f1 else rule
            found.setdefault(called, []).append(name)
        return found or {usual: []}


def set_rules(record: Mapping[str, Any]) -> SetRules:
    """From scoring.json; where an earlier version scored, nothing is known and every set is called by the built-in names."""
    own = {name: str(rule) for name, rule in record.get("metric_by_set", {}).items() if ":" in str(rule)}
    return SetRules(own, frozenset(path for path, one in record.get("metrics", {}).items() if "f1" in one["names"]))


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more sets"
