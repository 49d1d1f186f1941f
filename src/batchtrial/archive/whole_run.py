"""Archiving a whole run: what may be put away, where to, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from batchtrial.archive.make import Archived, make
from batchtrial.clock import real_now
from batchtrial.errors import StateError
from batchtrial.providers.registry import key_variables
from batchtrial.reading.inventory import RunReader, RunSummary
from batchtrial.state.form import refuse_earlier
from batchtrial.state.layout import RunLayout
from batchtrial.state.lock import RunLock


def default_target(layout: RunLayout) -> Path:
    """`archives/run_ID.zip` beside the runs."""
    return layout.root.parent / "archives" / f"{layout.root.name}.zip"


def archivable(reader: RunReader, *, allow_incomplete: bool) -> RunSummary:
    """The run as it is now. Raises RunStateMissing, StateError."""
    layout = reader.layout
    layout.check_there()
    refuse_earlier(layout)
    run = reader.look()
    if run.phase and not allow_incomplete:
        raise StateError(
            f"{run.run_id} is not finished: {run.phase} is still to do",
            where=str(layout.root),
            hint=f"`batchtrial resume {layout.flags}` goes on; --allow_incomplete archives it as it is",
        )
    return run


def archive_run(layout: RunLayout, target: Path, env: Mapping[str, str], *, allow_incomplete: bool, description: str = "") -> Archived:
    """The archive that was made of the run under its lock. Raises RunLocked, StateError."""
    reader = RunReader(layout)
    archivable(reader, allow_incomplete=allow_incomplete)
    lock = RunLock(layout.guard, layout.lock_info)
    lock.acquire(real_now)
    try:
        run = archivable(reader, allow_incomplete=allow_incomplete)
        keys = tuple(env[name] for name in key_variables() if env.get(name))
        return make(layout, run, target, description=description, keys=keys)
    finally:
        lock.release(real_now)
