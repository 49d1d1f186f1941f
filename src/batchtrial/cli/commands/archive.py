"""`batchtrial archive`: put a finished run away with proof that nothing is lost, look whether that still holds, and bring it back."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batchtrial.amounts import counted
from batchtrial.app.invocation import experiments_dir
from batchtrial.archive import restore as restores
from batchtrial.archive import zip as archives
from batchtrial.archive.bundle import SCRIPT, About, check_target, write_bundle
from batchtrial.archive.make import Archived
from batchtrial.archive.store import ENDING, Local, Source, stored
from batchtrial.archive.whole_run import archivable, archive_run, archive_to_store, default_target
from batchtrial.cli import args as flags
from batchtrial.cli.frame import complain, framed, say, say_json
from batchtrial.errors import ConfigError, RunStateMissing
from batchtrial.keys import check_run_id
from batchtrial.names import is_url
from batchtrial.reading.declared_plan import declared_plan
from batchtrial.reading.inventory import RunReader
from batchtrial.state.layout import RunLayout

EXAMPLES = """examples:
  batchtrial archive --run_id r20261122103000                    into experiments/archives/run_r20261122103000.zip
  batchtrial archive --run_id r20261122103000 --dry_run          what would go in
  batchtrial archive --verify experiments/archives/run_r20261122103000.zip
  batchtrial archive --run_id r20261122103000 --bundle paper --creator "Curie, Marie" --license CC-BY-4.0       a folder to deposit and cite
  batchtrial archive --restore run_r20261122103000.zip --experiments_dir /data/experiments
  batchtrial archive --run_id r20261122103000 --to s3://trials/2026/        into an object store; again after a broken connection sends the rest
  batchtrial archive --list s3://trials/2026/                               what is there
  batchtrial archive --verify s3://trials/2026/run_r20261122103000.zip

A run that is not finished needs --allow_incomplete. The same run gives the same bytes. Keys, locks, logs and the machine's paths stay out.
exit codes: 0 done, 1 --verify found something wrong, 2 bad flag, 3 the run or the archive refuses.
"""


def parser() -> flags.Parser:
    """Flags of `archive`."""
    p = flags.Parser(prog="batchtrial archive", description="Archive a run, verify an archive, restore a run from one.", epilog=EXAMPLES)
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("--run_id", metavar="ID", help="the run to archive")
    what.add_argument("--verify", metavar="FILE", help="check an archive here or in a store, or a run's folder against what was archived of it")
    what.add_argument("--restore", metavar="FILE", help="put the run of this archive, here or in a store, back")
    what.add_argument("--list", metavar="FOLDER", help="the archives in a folder, or under an address of a store")
    flags.add_folder(p)
    where = p.add_mutually_exclusive_group()
    where.add_argument("--output", type=flags.written_file, metavar="FILE", help="where to (default: archives/run_ID.zip beside the runs)")
    where.add_argument("--to", type=flags.store_address, metavar="URL", help="into an object store: s3://BUCKET/FOLDER/, or a name ending in .zip")
    p.add_argument("--description", default="", metavar="TEXT", help="a few words to keep with it")
    p.add_argument(
        "--bundle", type=flags.written_folder, default=None, metavar="DIR", help="a folder to deposit: the archive, how to cite and check it"
    )
    p.add_argument("--title", default="", metavar="TEXT", help="of the bundle (default: the run's name)")
    p.add_argument("--creator", action="append", default=[], metavar="NAME", help="of the bundle: `Family, Given`; once for each")
    p.add_argument("--license", default="", metavar="SPDX", help="of the bundle, such as CC-BY-4.0")
    p.add_argument("--publisher", default="", metavar="NAME", help="of the bundle: the repository that it goes to")
    p.add_argument("--allow_incomplete", action="store_true", help="also a run that is not finished")
    p.add_argument("--dry_run", action="store_true", help="list what would go in; write nothing")
    p.add_argument("--json", action="store_true", help="with --verify and --list: as JSON")
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Archive, verify or restore."""
    given = parser().parse_args(argv)
    folder = experiments_dir(given.experiments_dir, os.environ)
    if given.verify is not None:
        return verify(given.verify, is_json=given.json)
    if given.restore is not None:
        return restore(given.restore, folder)
    if given.list is not None:
        return list_archives(given.list, is_json=given.json)
    layout = RunLayout.of(folder, check_run_id(given.run_id))
    if given.dry_run:
        return preview(layout, allow_incomplete=given.allow_incomplete)
    if given.bundle is not None:
        return bundle(layout, given)
    if given.to is not None:
        return send(layout, given)
    target = given.output or default_target(layout)
    made = archive_run(layout, target, os.environ, allow_incomplete=given.allow_incomplete, description=given.description)
    tell(Local(target), made)
    return 0


def bundle(layout: RunLayout, given: argparse.Namespace) -> int:
    """Archive the run into a folder with all that a deposit needs."""
    if given.output is not None or given.to is not None:
        raise ConfigError("--bundle excludes --output and --to", hint="the archive lies in the bundle's folder")
    folder: Path = given.bundle
    about = About(
        title=given.title or f"Prompt trial {layout.run_id}", creators=tuple(given.creator), licence=given.license, publisher=given.publisher
    )
    target = folder / f"{layout.root.name}.zip"
    check_target(folder, target.name)
    made = archive_run(layout, target, os.environ, allow_incomplete=given.allow_incomplete, description=given.description)
    write_bundle(folder, target, made.manifest, declared_plan(layout), about)
    tell(Local(target), made)
    say(f"to deposit: {folder}; whoever has it checks it with: python {shlex.quote(str(folder / SCRIPT))}")
    return 0


def send(layout: RunLayout, given: argparse.Namespace) -> int:
    """Archive the run into an object store."""
    place, made = archive_to_store(
        layout, stored(given.to), os.environ, allow_incomplete=given.allow_incomplete, description=given.description, tell=complain
    )
    tell(place, made)
    return 0


def tell(target: Source, made: Archived) -> None:
    """Say what was archived, what was left out, and how to check it."""
    files = made.manifest.files
    size = sum(one.size for one in files.values())
    say(f"archived {made.manifest.run_id}: {len(files)} files, {size:,} bytes, in {target} ({target.size:,} bytes)" + _left(made.left))
    if made.rewritten:
        say(f"paths of this machine were taken out of {', '.join(made.rewritten)}")
    say(f"check it at any time with: batchtrial archive --verify {shlex.quote(str(target))}")


def _left(left: Mapping[str, int]) -> str:
    return f"; left out: {', '.join(f'{n} {reason}' for reason, n in sorted(left.items()))}" if left else ""


def preview(layout: RunLayout, *, allow_incomplete: bool) -> int:
    """List what would go in."""
    run = archivable(RunReader(layout), allow_incomplete=allow_incomplete)
    files, left = archives.chosen_files(layout, with_world=bool(run.phase) and run.has_world)
    sizes = {name: Path(path).stat().st_size for name, path in files.items()}
    for name, size in sizes.items():
        say(f"{size:>14,}  {name}")
    say(f"{sum(sizes.values()):>14,}  bytes in {len(files)} files" + _left(left))
    return 0


def _source(text: str, flag: str) -> Source:
    """The archive that a flag names. Raises RunStateMissing for a file that is not there, and what a store raises."""
    if is_url(text):
        return stored(text)
    if not Path(text).is_file():
        raise RunStateMissing(f"there is no archive {text}", where=flag)
    return Local(Path(text))


def verify(named: str, *, is_json: bool) -> int:
    """Say whether everything is as it was archived; 1 when it is not."""
    if not is_url(named) and Path(named).is_dir():
        is_read, faults = True, restores.verify_folder(Path(named))
    else:
        manifest, faults = restores.verify(_source(named, "--verify"))
        is_read = manifest is not None
    if is_json:
        say_json({"sound": not faults, "faults": [{"member": fault.member, "problem": fault.problem} for fault in faults]})
        return 1 if faults else 0
    for fault in faults:
        complain(f"damaged: {fault}")
    rest = "; nothing else has changed" if is_read else "; nothing else could be looked at"
    found = f"{counted(len(faults), 'fault')}{rest}" if faults else "everything is as it was archived"
    say(f"{named}: {found}")
    return 1 if faults else 0


def restore(named: str, folder: Path, flag: str = "--restore") -> int:
    """Put the run back."""
    root, manifest = restores.restore(_source(named, flag), folder)
    say(f"restored {manifest.run_id}: {len(manifest.files)} files in {root}")
    say(f"look at it with: batchtrial status {RunLayout(root).flags}")
    if not manifest.is_complete:
        say(f"go on with: batchtrial resume {RunLayout(root).flags}")
    return 0


def list_archives(named: str, *, is_json: bool) -> int:
    """Say which archives there are, from the first member of each."""
    if is_url(named):
        sources: Sequence[Source] = stored(named).archives()
    else:
        folder = Path(named)
        if not folder.is_dir():
            raise RunStateMissing(f"there is no folder {named}", where="--list")
        sources = [Local(path) for path in sorted(folder.glob(f"*{ENDING}"))]
    rows = [_row(source) for source in sources]
    if is_json:
        say_json(rows)
        return 0
    for row in rows:
        whole = row.get("problem") or ("complete" if row["is_complete"] else "not finished")
        say(f"{row['bytes']:>14,}  {row['archive']}  {whole}" + (f"  {row['description']}" if row.get("description") else ""))
    say(f"{counted(len(rows), 'archive')} in {named}")
    return 0


def _row(source: Source) -> dict[str, Any]:
    head: dict[str, Any] = {"archive": str(source), "bytes": source.size}
    manifest, problem = restores.looked_at(source)
    if manifest is None:
        return head | {"problem": problem}
    told = {
        "run_id": manifest.run_id,
        "is_complete": manifest.is_complete,
        "mode": manifest.mode,
        "spent_usd": manifest.spent_usd,
        "cost": manifest.cost,
    }
    return head | told | {"description": manifest.description}


main = framed(_command)
