"""How a run is gone about, as arguments of `start`, `resume` and `plan`: what the flags of `batchtrial run` say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Final, TypedDict

from batchtrial.app.invocation import Invocation, experiments_dir, mode_changes
from batchtrial.errors import ConfigError
from batchtrial.run.options import Options

Given = str | os.PathLike[str] | Mapping[str, Any]
"""A config: its file, or what would stand in it."""


class How(TypedDict, total=False):
    """Arguments, each as the flag of its name (docs/cli.md). settings: config keys with dots, over the config."""

    settings: Mapping[str, Any]
    dry_run: bool
    limit_items: int | None
    budget_usd: float | None
    partial: bool
    only_step: str | None
    from_step: str | None
    to_step: str | None
    workers: int
    remake: bool
    accept_drift: bool
    ignore_stop: bool
    stop_stale_minutes: float
    replay_dir: str | os.PathLike[str] | None
    record_dir: str | os.PathLike[str] | None
    emulator_url: str | None
    emulator_key: str | None


_SETTINGS: Final = {"limit_items": "limit_items", "budget_usd": "submission.budget_usd"}
_OPTIONS: Final = frozenset(one.name for one in fields(Options)) & How.__annotations__.keys()
_KINDS: Final[Mapping[str, tuple[type, str]]] = {
    **dict.fromkeys(("dry_run", "partial", "remake", "accept_drift", "ignore_stop"), (bool, "True or False")),
    "workers": (Integral, "a whole number from 1"),
    "stop_stale_minutes": (Real, "a number"),
    "settings": (Mapping, "a mapping"),
}
_PRIVATE: Final = 0o700


def beginning(config: Given, folder: str | os.PathLike[str] | None, how: How) -> Invocation:
    """The invocation of a run that begins. Raises ConfigError."""
    _check(how)
    recording = _path(how.get("replay_dir"))
    mode = mode_changes(is_dry=how.get("dry_run", False), is_resume=False, recording=recording)
    # From the root: the run is carried out in a thread of its own, and the process may change its folder meanwhile.
    experiments = experiments_dir(None if folder is None else Path(folder), os.environ).absolute()
    if isinstance(config, Mapping):
        return _invocation(how, mode, run_id=None, experiments=experiments, config=None, tree=config)
    return _invocation(how, mode, run_id=None, experiments=experiments, config=Path(config))


def going_on(run_id: str, folder: Path, config: str | os.PathLike[str] | None, how: How) -> Invocation:
    """The invocation of a run that goes on. Raises ConfigError."""
    _check(how)
    if how.get("dry_run") is not None or how.get("limit_items") is not None:
        raise ConfigError("dry_run and limit_items were settled when the run began", hint="leave them out")
    return _invocation(how, {}, run_id=run_id, experiments=folder, config=_path(config))


def _check(how: How) -> None:
    """Raises ConfigError for an argument that is none, or not of its kind: before anything is bought, not once it is used."""
    unknown = sorted(how.keys() - How.__annotations__.keys())
    if unknown:
        hint = f"arguments are: {', '.join(sorted(How.__annotations__))}; other keys of the config go into `settings`"
        raise ConfigError(f"there is no argument {unknown[0]!r}", hint=hint)
    given: Mapping[str, Any] = how
    for name in given.keys() & _KINDS.keys():
        (kind, of_kind), value = _KINDS[name], given[name]
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise ConfigError(f"{name} is {of_kind}, and not {value!r}")
    if how.get("workers", 1) < 1:
        raise ConfigError(f"workers is a whole number from 1, and not {how['workers']}")


def _invocation(how: How, mode: Mapping[str, Any], **who: Any) -> Invocation:
    given: Mapping[str, Any] = how
    own = {key: given[name] for name, key in _SETTINGS.items() if given.get(name) is not None}
    options: dict[str, Any] = {name: given[name] for name in _OPTIONS if name in given}
    return Invocation(
        is_resume=who["run_id"] is not None,
        changes={**own, **how.get("settings", {}), **mode},
        options=Options(**{"workers": 1, **options}, is_partial=how.get("partial", False)),
        folder_mode=_PRIVATE,
        replay_dir=_path(how.get("replay_dir")),
        record_dir=_path(how.get("record_dir")),
        emulator_url=how.get("emulator_url"),
        emulator_key=how.get("emulator_key"),
        **who,
    )


def _path(given: str | os.PathLike[str] | None) -> Path | None:
    return None if given is None else Path(given)
