"""Which form a run's files have, and where its manifests lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from batchtrial.errors import StateError
from batchtrial.state.entries import read
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import decode_json


def original(path: Path) -> Path:
    """The oldest backup of the file, else the file itself."""
    return min(path.parent.glob(f"{path.name}.backup.*"), default=path)


def read_json(path: Path) -> Any:
    """The original's content; None when it is absent or not JSON."""
    try:
        return decode_json(original(path).read_bytes())
    except (OSError, ValueError):
        return None


def is_of_earlier_system(layout: RunLayout) -> bool:
    """Whether the folder holds a run of the earlier system that has not been taken over yet."""
    if layout.ledger.exists():
        return False
    if (layout.root / ".state.lock").exists():
        return True
    trees = [read_json(path) for path in manifest_paths(layout)]
    return any(isinstance(tree, dict) and "check" not in tree for tree in trees)


def is_unbegun(layout: RunLayout) -> bool:
    """Whether no process came as far as the ledger's first line: nothing was sent, and whoever begins the run begins it anew."""
    got = read(layout.ledger)
    return not got.entries and not got.foreign and not layout.has_traces() and not is_of_earlier_system(layout)


def refuse_earlier(layout: RunLayout) -> None:
    """Raises StateError for a run that has to be taken over first."""
    if is_of_earlier_system(layout):
        raise StateError(
            f"{layout.run_id} is in the form of the earlier system",
            where=str(layout.root),
            hint=f"`batchtrial resume {layout.flags}` takes it over first; it sends nothing",
        )


def manifest_paths(layout: RunLayout) -> tuple[Path, ...]:
    """Where each trial's manifest is, or was before it was kept aside."""
    found = {path.with_name("trial_manifest.json") for path in layout.root.glob("*/results/trial_manifest.json*")}
    return tuple(sorted(found))
