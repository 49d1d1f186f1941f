"""Archiving a whole run: what may be put away, where to, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from batchtrial.archive.make import make
from batchtrial.cli.commands.archive import KEY_VARIABLES
from batchtrial.cli.frame import say
from batchtrial.clock import real_now
from batchtrial.errors import StateError
from batchtrial.reading.inventory import RunReader, RunSummary
from batchtrial.state.form import refuse_earlier
from batchtrial.state.layout import RunLayout
from batchtrial.state.lock import RunLock


def default_target(layout: RunLayout) -> Path:
    """`archives/run_ID.zip` beside the runs."""
    return layout.root.parent / "archives" / f"{layout.root.name}.zip"


def _archivable(reader: RunReader, *, allow_incomplete: bool) -> RunSummary:
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


def _left(left: Mapping[str, int]) -> str:
    return f"; left out: {', '.join(f'{n} {reason}' for reason, n in sorted(left.items()))}" if left else ""


def archive_run(layout: RunLayout, target: Path, env: Mapping[str, str], *, allow_incomplete: bool, description: str = "") -> Path:
    """Archive the run under its lock. Raises RunLocked, StateError."""
    reader = RunReader(layout)
    _archivable(reader, allow_incomplete=allow_incomplete)
    lock = RunLock(layout.guard, layout.lock_info)
    lock.acquire(real_now)
    try:
        run = _archivable(reader, allow_incomplete=allow_incomplete)
        keys = tuple(env[name] for name in KEY_VARIABLES if env.get(name))
        made = make(layout, run, target, description=description, keys=keys)
    finally:
        lock.release(real_now)
    files = made.manifest.files
    size = sum(one.size for one in files.values())
    say(f"archived {run.run_id}: {len(files)} files, {size:,} bytes, in {target} ({target.stat().st_size:,} bytes)" + _left(made.left))
    if made.rewritten:
        say(f"paths of this machine were taken out of {', '.join(made.rewritten)}")
    say(f"check it at any time with: batchtrial archive --verify {target}")
    return target
