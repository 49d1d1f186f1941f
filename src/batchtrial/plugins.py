"""The door for what other packages add: providers, metrics, sources, exporters and judges, as entry points; our own come through it too.

Ours are listed here, so that a checkout that was never installed has them. A package that fails to import is named and stops nothing else, and none
can take a name that is there. `BATCHTRIAL_PLUGINS=none` loads nothing but our own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from batchtrial import __version__

log = logging.getLogger(__name__)
OURS: Final = "batchtrial"
VARIABLE: Final = "BATCHTRIAL_PLUGINS"
GROUPS: Final[Mapping[str, str]] = {
    "batchtrial.providers": "a row of the registry (batchtrial.providers.registry.Row), or several",
    "batchtrial.metrics": "a class made from batchtrial.scoring.metrics.base.NamedMetric, or several",
    "batchtrial.sources": "a function of a SourceSpec that yields rows as mappings; `source: NAME` in a question set",
    "batchtrial.exporters": "a batchtrial.exporting.forms.Form, or several; `export --NAME TARGET`",
    "batchtrial.judges": "a batchtrial.config.judge_recipes.JudgeRecipe, or several; `rubric: NAME` of a judge",
}
"""What an entry point of each group leads to."""
OWN: Final = (
    EntryPoint("own", "batchtrial.providers.registry:OWN", "batchtrial.providers"),
    EntryPoint("own", "batchtrial.scoring.metrics.named:OWN", "batchtrial.metrics"),
    EntryPoint("hub", "batchtrial.sources.hub:read_hub", "batchtrial.sources"),
    EntryPoint("own", "batchtrial.exporting.forms:OWN", "batchtrial.exporters"),
    EntryPoint("own", "batchtrial.config.judge_recipes:OWN", "batchtrial.judges"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One entry point. origin, version: of the distribution. loaded: what it leads to. fault: why it is not used, "" when it is."""

    group: str
    name: str
    value: str
    origin: str
    version: str
    loaded: Any = None
    fault: str = ""

    @property
    def parts(self) -> tuple[Any, ...]:
        """What it brings, one by one."""
        return tuple(self.loaded) if isinstance(self.loaded, tuple | list) else (self.loaded,)


@cache
def plugins(group: str) -> tuple[Plugin, ...]:
    """All of a group, our own first; those that cannot be used have a fault."""
    return tuple(_loaded(group, point) for point in (*(one for one in OWN if one.group == group), *_of_others(group)))


def added(group: str) -> Iterator[tuple[Plugin, Any]]:
    """What other packages bring to a group, one by one, as far as it can be used."""
    return ((plugin, part) for plugin, part in _of_others_loaded(group) if called(plugin, part) not in contested(group))


def called(plugin: Plugin, part: object) -> str:
    """What a config calls it: a provider by its row, a metric by its id, a source by its entry point."""
    told = getattr(part, "id" if isinstance(part, type) else "name", plugin.name)
    return told if isinstance(told, str) else plugin.name


@cache
def contested(group: str) -> Mapping[str, str]:
    """Names that several other packages bring -> why none of them is used: a key would go to whichever came last."""
    origins: dict[str, set[str]] = {}
    for plugin, part in _of_others_loaded(group):
        origins.setdefault(called(plugin, part), set()).add(plugin.origin)
    return {name: f"several packages bring {name}: {', '.join(sorted(found))}" for name, found in origins.items() if len(found) > 1}


def _of_others_loaded(group: str) -> Iterator[tuple[Plugin, Any]]:
    return ((plugin, part) for plugin in plugins(group) if plugin.origin != OURS and not plugin.fault for part in plugin.parts)


def faults() -> tuple[str, ...]:
    """`NAME of ORIGIN: why` for every plugin that cannot be used, and the names that several bring."""
    failed = (f"{one.name} of {one.origin}: {one.fault}" for group in GROUPS for one in plugins(group) if one.fault)
    return (*failed, *(why for group in GROUPS for why in contested(group).values()))


def words_of(error: BaseException) -> str:
    """What somebody else's code raised, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _of_others(group: str) -> tuple[EntryPoint, ...]:
    if os.environ.get(VARIABLE, "").strip().lower() == "none":
        return ()
    return tuple(sorted((one for one in entry_points(group=group) if _origin(one) != OURS), key=lambda one: (_origin(one), one.name)))


def _origin(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else OURS


def _loaded(group: str, point: EntryPoint) -> Plugin:
    told = {"group": group, "name": point.name, "value": point.value, "origin": _origin(point)}
    version = point.dist.version if point.dist is not None else __version__
    try:
        return Plugin(**told, version=version, loaded=point.load())
    except (Exception, SystemExit) as error:  # noqa: BLE001  of somebody else's module, which may raise anything when imported; it is named, not used
        fault = words_of(error)
        log.warning("plugin %s of %s cannot be used: %s", point.name, told["origin"], fault)
        return Plugin(**told, version=version, fault=fault)
