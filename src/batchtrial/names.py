"""Names that become folders, files or labels: one pattern for all of them, checked when a config is read.

A run that exists is read under the weaker rule of its day: a name must be one plain step of a path, no more.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, ValidationInfo

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
MAX_NAME: Final = 64
MAX_SLUG: Final = 160
"""A slug is put together from several names; with what is appended to it (arm, part, attempt, temporary ending) it stays under 255 bytes."""
MAX_STEP_BYTES: Final = 200

DEVICES: Final = frozenset({"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789")})
"""What Windows takes for a device, with any ending."""

RESERVED: Final = frozenset(
    {
        "aggregate.json",
        "aggregate_report.md",
        "answers.html",
        "answers.json",
        "archive_manifest.json",
        "arms",
        "arrivals",
        "batch_inputs",
        "control_registry.json",
        "direct",
        "earlier_scores",
        "effective_config.yaml",
        "emulator",
        "index.html",
        "judgements",
        "judgements.json",
        "labels.jsonl",
        "ledger.jsonl",
        "multi_trial_manifest.json",
        "prepared",
        "provenance.json",
        "run.lock",
        "run.log",
        "run_state.json",
        "scores.json",
        "server.json",
        "shared_controls",
        "stop_now",
        "stop_requested",
    }
)
"""Folders and files of a run's own, in lower case: no trial may be called so."""

RECORDED: Final[Mapping[str, bool]] = {"is_recorded": True}
"""Validation context of a config that a run was started with."""

URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""A scheme has two letters at least, so that a Windows drive is none."""

RULE: Final = "letters a-z, digits, '_', '-' and '.', beginning with a letter or digit"


def is_recorded(info: ValidationInfo) -> bool:
    """Whether the config that is being read belongs to a run that exists."""
    return bool(info.context and info.context.get("is_recorded"))


def name_fault(name: str, longest: int = MAX_NAME) -> str | None:
    """Why `name` cannot name a folder or file on every system; None when it can."""
    if not name:
        return "the name is empty"
    if len(name) > longest:
        return f"the name {name[:20]!r}... has {len(name)} characters; {longest} is the most"
    if not NAME.fullmatch(name):
        return f"the name {name!r} is not usable as a folder name: use {RULE}"
    if ".." in name or name.endswith("."):
        return f"the name {name!r} is not usable as a folder name: it holds '..' or ends with '.'"
    if name.split(".")[0].lower() in DEVICES:
        return f"the name {name!r} is a device on Windows"
    return None


def is_one_step(name: str) -> bool:
    """Whether `name` is a single plain step of a path, so that nothing named by it can lie elsewhere."""
    is_plain = bool(name) and name not in (".", "..") and not any(char in "/\\" or ord(char) < 32 or ord(char) == 127 for char in name)
    return is_plain and len(name.encode("utf-8", "surrogatepass")) <= MAX_STEP_BYTES


def checked_name(name: str, info: ValidationInfo) -> str:
    """The same name. Raises ValueError when it cannot be used."""
    fault = name_fault(name)
    if fault is None or (is_recorded(info) and is_one_step(name)):
        return name
    raise ValueError(fault)


Name = Annotated[str, AfterValidator(checked_name)]
"""A name that becomes a folder, a file or a label."""


def same_but_for_case(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two names that one file system in three would take for the same; None when there are none."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            return other, name
    return None


def near_file(path: Path) -> str:
    """The path with the name that comes nearest in its folder, "" where none is near: what a path without a file may have meant."""
    near = difflib.get_close_matches(path.name, [one.name for one in path.parent.glob("*")], 1)
    return path.with_name(near[0]).as_posix() if near else ""


def is_url(text: str) -> bool:
    """Whether the text is an address rather than a path of this machine."""
    return URL.match(text) is not None
