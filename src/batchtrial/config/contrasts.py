"""Arms that are written out, and which of them are compared. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from batchtrial.config.model import Config
from batchtrial.config.recipes import ArmSpec
from batchtrial.errors import ConfigError

CONTROL: Final = "control"
"""The arm that the others are compared with, where `contrasts` names no pairs; and the first of all wherever arms are listed."""


def names_in_order(arms: Mapping[str, ArmSpec]) -> tuple[str, ...]:
    """The control first, then by name: an order that the written record of a config keeps."""
    return tuple(sorted(arms, key=lambda name: (name != CONTROL, name)))


def pairs(config: Config) -> tuple[tuple[str, str], ...]:
    """(control, treatment) of each contrast, in order. Raises ConfigError for an arm that is not there, twice the same arm or contrast."""
    names = names_in_order(config.arms)
    if len(names) < 2:
        raise ConfigError(f"one arm ({names[0]}) cannot be compared", where="arms", hint="name a second one")
    if config.contrasts == "all_pairs":
        return tuple(combinations(names, 2))
    if isinstance(config.contrasts, tuple):
        return _listed(config.contrasts, names)
    if CONTROL not in names:
        near = difflib.get_close_matches(CONTROL, names, 1)
        hint = f"did you mean {near[0]!r} to be it? Else" if near else "name the arm that the others are compared with so, or"
        raise ConfigError("no arm is named control", where="arms", hint=f"{hint} set `contrasts: all_pairs` or a list of pairs")
    return tuple((CONTROL, name) for name in names if name != CONTROL)


def as_counted(config: Config, control: str, treatment: str) -> list[tuple[bool, list[tuple[int, str]], str]]:
    """Sorts trials for who reads them: a2 before a10, the control first; as they are where the run lists them itself.

    Their order in the run stays another, by letters: a run that exists was built by it.
    """
    if not config.arms or isinstance(config.contrasts, tuple):
        return []
    runs = {name: re.split("([0-9]+)", name) for name in (control, treatment)}
    return [(name != CONTROL, [(int(one), "") if one.isdigit() else (-1, one) for one in parts], name) for name, parts in runs.items()]


def _listed(given: Sequence[tuple[str, str]], names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    seen: set[frozenset[str]] = set()
    for place, pair in enumerate(given):
        where = f"contrasts.{place}"
        for name in pair:
            if name not in names:
                near = difflib.get_close_matches(name, names, 1)
                raise ConfigError(
                    f"there is no arm {name!r}", where=where, hint=f"did you mean {near[0]!r}?" if near else f"arms: {', '.join(names)}"
                )
        if pair[0] == pair[1]:
            raise ConfigError(f"the arm {pair[0]!r} is compared with itself", where=where, hint="name two arms")
        if frozenset(pair) in seen:
            raise ConfigError(f"{pair[0]!r} and {pair[1]!r} are compared twice", where=where, hint="list each pair once")
        seen.add(frozenset(pair))
    return tuple(given)


def check_arms(config: Config) -> None:
    """Raises ConfigError for settings of the short form beside arms, and for arms that lack what they need."""
    short: tuple[tuple[str, Any], ...] = (
        ("sweep", config.sweep),
        ("trials", config.trials),
        ("default_prompt_set", config.default_prompt_set),
        ("control_from", config.control_from),
    )
    for key, value in short:
        if value:
            raise ConfigError(f"{key} goes with prompt_sets, and this config has arms", where=key, hint="leave it out; an arm names what it changes")
    if len(config.conditions) < 2:
        raise ConfigError("with arms, which are run is told by `contrasts`", where="conditions", hint="leave it out")
    if isinstance(config.samples_per_item, dict):
        raise ConfigError("with arms, each item is asked equally often in all of them", where="samples_per_item", hint="give one number")
    other = [name for name in names_in_order(config.arms) if (config.arms[name].backend or config.backend) != config.backend]
    for name in other:
        if config.arms[name].model is None:
            what = f"arm {name!r} is at {config.arms[name].backend}, and names no model"
            raise ConfigError(what, where=f"arms.{name}.model", hint=f"say which; the run's own model, {config.model_id}, is one of {config.backend}")
    named = [name for name in names_in_order(config.arms) if config.arms[name].temperature is not None]
    if named and len(config.temps) > 1:
        what = f"arm {named[0]!r} has a temperature of its own, and `temps` has {len(config.temps)}"
        raise ConfigError(what, where=f"arms.{named[0]}.temperature", hint="leave one in `temps`, or name each temperature as an arm")
    for name in names_in_order(config.arms):
        if config.arms[name].system is None and config.system is None and (config.arms[name].task or config.task) is None:
            raise ConfigError(
                f"arm {name!r} has no system prompt", where=f"arms.{name}", hint="give it `system: PATH`, or give the run one: `system: PATH`"
            )
    alone = [name for name in names_in_order(config.arms) if not any(name in pair for pair in pairs(config))]
    if alone:
        raise ConfigError(f"no contrast has the arm {alone[0]!r}", where="contrasts", hint="compare it, or leave it out: it would not be bought")
