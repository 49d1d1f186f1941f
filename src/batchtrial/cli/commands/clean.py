"""`batchtrial clean`: show what can be deleted without losing anything, and delete it when told to."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from batchtrial.app.invocation import experiments_dir
from batchtrial.cli import args as flags
from batchtrial.cli.frame import complain, framed, say
from batchtrial.clock import real_now
from batchtrial.errors import RunLocked, RunStateMissing
from batchtrial.keys import check_run_id
from batchtrial.reading.folder_budget import cap_of
from batchtrial.reading.inventory import Inventory
from batchtrial.state.layout import RunLayout
from batchtrial.state.lock import RunLock
from batchtrial.upkeep.leftovers import Leftover, delete, find, ledger_mark

EXAMPLES = """examples:
  batchtrial clean                                   what can go, and what stays and why; deletes nothing
  batchtrial clean --yes                             delete it
  batchtrial clean --run_id r20261122103000 --yes    this run whole, although it is not archived
  batchtrial clean --archives /backup/trials         look for archives there too

Safe without being named: temporary files of dead processes, runs of which nothing was ever sent, and finished runs whose archive is there and sound;
not where the folder has a budget that counts what they spent.
A live run is never touched.
"""


def parser() -> flags.Parser:
    """Flags of `clean`."""
    p = flags.Parser(prog="batchtrial clean", description="Delete what is safe to delete; shows it first.", epilog=EXAMPLES)
    flags.add_folder(p)
    p.add_argument("--run_id", action="append", default=[], metavar="ID", help="this run whole, whatever it holds; may be repeated")
    p.add_argument(
        "--archives", action="append", type=flags.local_path, default=[], metavar="DIR", help="another folder that holds archives; may be repeated"
    )
    p.add_argument("--worlds", action="store_true", help="also the simulated providers of finished dry runs; their results cannot be fetched again")
    p.add_argument("--yes", action="store_true", help="delete")
    p.add_argument("--dry_run", action="store_true", help="delete nothing, even with --yes")
    p.add_argument("--json", action="store_true", help="as JSON")
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Show or delete what is safe to delete."""
    given = parser().parse_args(argv)
    folder = experiments_dir(given.experiments_dir, os.environ)
    named = [check_run_id(run_id) for run_id in given.run_id]
    runs = Inventory(folder).look()
    unknown = sorted(set(named) - {run.run_id for run in runs})
    if unknown:
        raise RunStateMissing(f"there is no run {unknown[0]}", where=str(folder), hint="`batchtrial status` lists the runs there are")
    if named:
        runs = tuple(run for run in runs if run.run_id in named)
    archives = [folder / "archives", *given.archives]
    found, kept = find(folder, runs, named, archives, with_worlds=given.worlds, is_capped=cap_of(folder) is not None)
    is_deleting = given.yes and not given.dry_run
    if given.json:
        say(
            json.dumps({"deleted" if is_deleting else "can_go": [_json(one) for one in found], "stays": {k.run_id: k.reason for k in kept}}, indent=2)
        )
    else:
        for one in found:
            say(f"{'deleting' if is_deleting else 'can go  '} {one.run_id:<20} {one.kind:<18} {one.size:>14,} bytes  {one.reason}")
        for stays in kept:
            say(f"stays    {stays.run_id:<20} {stays.reason}")
    if not found:
        if not given.json:
            say("nothing to clean")
        return 0
    if is_deleting:
        return _delete_all(found, folder)
    lost = "; ".join(f"{one.run_id}: {one.gives_up}" for one in found if one.gives_up)
    if lost:
        complain(f"nothing was deleted; this would give up what may be paid for: {lost}. Resume it first, and its answers are fetched")
        return 0
    complain(f"nothing was deleted; --yes frees {sum(one.size for one in found):,} bytes")
    return 0


def _json(one: Leftover) -> dict[str, object]:
    return {"kind": one.kind, "run_id": one.run_id, "paths": [path.as_posix() for path in one.paths], "bytes": one.size, "reason": one.reason}


def _delete_all(found: Sequence[Leftover], folder: Path) -> int:
    """Each run's rubbish under that run's lock, so that nobody starts it meanwhile; looked at once more after the lock is taken."""
    code = 0
    for one in found:
        layout = RunLayout.of(folder, one.run_id)
        if not layout.root.is_dir():
            delete(one)
            continue
        lock = RunLock(layout.guard, layout.lock_info)
        try:
            lock.acquire(real_now)
        except RunLocked as error:
            complain(f"left alone: {one.run_id}: {error.what}")
            code = 3
            continue
        try:
            if ledger_mark(layout.root) == one.mark:
                delete(one)
            else:
                complain(f"left alone: {one.run_id} has been worked on meanwhile")
                code = 3
        finally:
            if layout.root.is_dir():
                lock.release(real_now)
    return code


main = framed(_command)
