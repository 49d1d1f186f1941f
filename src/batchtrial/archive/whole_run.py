"""Archiving a whole run: what may be put away, where to, and what is left out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from batchtrial.archive.make import Archived, make
from batchtrial.archive.restore import looked_at, nonce_in
from batchtrial.archive.send import check_reachable, send
from batchtrial.archive.store import ENDING, Local, Source, Stored
from batchtrial.clock import real_now
from batchtrial.errors import StateError
from batchtrial.providers.registry import key_variables
from batchtrial.reading.inventory import RunReader, RunSummary
from batchtrial.state import entries
from batchtrial.state.form import refuse_earlier
from batchtrial.state.layout import RunLayout
from batchtrial.state.lock import RunLock


def default_target(layout: RunLayout) -> Path:
    """`archives/run_ID.zip` beside the runs."""
    return layout.root.parent / "archives" / f"{layout.root.name}.zip"


def refuse_others(target: Source, layout: RunLayout, flag: str) -> None:
    """Raises StateError where something else than an archive of this run is: it may be all that is left of another, of the same name too."""
    if not target.is_there:
        return
    there, _ = looked_at(target)
    if there is None:
        what = "something else than an archive"
    elif there.run_id != layout.run_id:
        what = f"an archive of run {there.run_id}"
    elif (nonce := nonce_in(target)) is not None and nonce != (own := _nonce_of(layout)) and own is not None:
        what = f"an archive of another run that is called {layout.run_id} too"
    else:
        return
    raise StateError(f"{target} is {what}", where=flag, hint="name another place, or remove what is there")


def _nonce_of(layout: RunLayout) -> str | None:
    return next((one.run_nonce for one in entries.read(layout.ledger).entries if one.run_nonce), None)


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


def archive_run(
    layout: RunLayout,
    target: Path,
    env: Mapping[str, str],
    *,
    allow_incomplete: bool,
    description: str = "",
    send: Callable[[Path], str | None] = lambda file: None,
) -> Archived:
    """The archive that was made of the run under its lock. send: see `make`. Raises RunLocked, StateError."""
    reader = RunReader(layout)
    archivable(reader, allow_incomplete=allow_incomplete)
    refuse_others(Local(target), layout, "--output")
    lock = RunLock(layout.guard, layout.lock_info)
    lock.acquire(real_now)
    try:
        run = archivable(reader, allow_incomplete=allow_incomplete)
        keys = tuple(env[name] for name in key_variables() if env.get(name))
        return make(layout, run, target, description=description, keys=keys, send=send)
    finally:
        lock.release(real_now)


def archive_to_store(
    layout: RunLayout,
    to: Stored,
    env: Mapping[str, str],
    *,
    allow_incomplete: bool,
    description: str = "",
    tell: Callable[[str], None],
) -> tuple[Stored, Archived]:
    """(where it lies in the store, the archive). to: a prefix, or the object when it ends in .zip. Raises StoreFailed, and what `refuse_others` and
    `archive_run` do.

    The archive is made beside the runs first, which needs its size on this disk for a while: the checksum at its end covers all of it.
    """
    place = to if to.path.endswith(ENDING) else to.at(f"{layout.root.name}{ENDING}")
    check_reachable(place)
    refuse_others(place, layout, "--to")
    folder = default_target(layout).parent
    folder.mkdir(parents=True, exist_ok=True)

    def sent(file: Path) -> str:
        send(file, place, tell)
        return place.address

    with tempfile.TemporaryDirectory(prefix=".sending-", dir=folder) as beside:
        target = Path(beside) / place.path.rpartition("/")[2]
        return place, archive_run(layout, target, env, allow_incomplete=allow_incomplete, description=description, send=sent)
