"""What can be deleted without losing anything: leftovers, whole runs that are safe elsewhere or never began, and simulated providers if asked.

Finding is apart from deleting, so that everything is shown first. A run that is live is never touched; one that is finished and not archived, or
that has money in flight, only when it is named.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from batchtrial.archive.zip import ArchiveManifest
from batchtrial.errors import ManifestCorrupt
from batchtrial.modes import MODES
from batchtrial.reading.inventory import RunSummary, Standing
from batchtrial.state.files import load
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import TEMP_SUFFIX, fingerprint, is_unchanged

DELETING = ".deleting"
Kind = Literal["temporary files", "simulated provider", "run"]
UNSENT = (Standing.NEW, Standing.PARTIAL, Standing.STOPPED, Standing.FAILED, Standing.KILLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that can go. paths: files or folders, all inside the run or the folder of runs. reason: why nothing is lost, or what is.

    gives_up: what is in flight at the provider, in words, and would be lost with it; empty when nothing is.
    mark: the ledger's size and time when that was found to be so; None without a ledger.
    """

    kind: Kind
    run_id: str
    paths: tuple[Path, ...]
    size: int
    reason: str
    gives_up: str = ""
    mark: tuple[int, int] | None = None


def ledger_mark(root: Path) -> tuple[int, int] | None:
    """Size and time of a run's ledger: both change with everything that is ever sent or paid."""
    try:
        stat = RunLayout(root).ledger.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A run that stays, and why."""

    run_id: str
    reason: str


def find(
    experiments: Path,
    runs: Sequence[RunSummary],
    named: Iterable[str],
    archives: Sequence[Path],
    *,
    with_worlds: bool = False,
    is_capped: bool = False,
) -> tuple[tuple[Leftover, ...], tuple[Kept, ...]]:
    """(what can go, what stays and why). named: runs that may go whole although they are finished and not archived, or have money in flight.

    archives: folders to look for archives in. with_worlds: also the simulated providers of finished dry runs that stay. is_capped: the folder has a
    budget, which counts what a live run has spent for as long as its ledger is there.
    """
    wanted, found, kept = frozenset(named), [], []
    found += list(_left_over_restores(experiments))
    for run in runs:
        if run.standing.is_live:
            kept.append(Kept(run_id=run.run_id, reason=f"it is {run.standing}: stop it first"))
            continue
        mark = ledger_mark(run.root)
        is_counted = is_capped and MODES.get(run.mode, MODES["live"]).is_called and not run.money.is_nothing
        reason = None if is_counted and run.run_id not in wanted else _why_whole(run, archives, is_named=run.run_id in wanted)
        if reason is not None:
            found.append(
                Leftover(kind="run", run_id=run.run_id, paths=(run.root,), size=_size(run.root), reason=reason, gives_up=_in_flight(run), mark=mark)
            )
            continue
        kept.append(Kept(run_id=run.run_id, reason="what it has spent counts in the folder's budget" if is_counted else _why_kept(run)))
        found += [replace(one, mark=mark) for one in _inside(run, with_worlds=with_worlds)]
    return tuple(found), tuple(kept)


def _why_whole(run: RunSummary, archives: Sequence[Path], *, is_named: bool) -> str | None:
    """Why the whole run can go; None when it must stay."""
    if is_named:
        flight = f"; {_in_flight(run)} are given up" if run.has_money_in_flight else ""
        return f"named ({run.standing}{flight})"
    if run.has_money_in_flight:
        return None
    if run.standing in UNSENT and not run.money.spent_usd and not run.problems and not any(n for state, n in run.parts.items() if state != "pending"):
        return "nothing was ever sent"
    if run.standing is Standing.FINISHED:
        archive = archive_of(run, archives)
        return None if archive is None else f"archived in {archive}"
    return None


def _in_flight(run: RunSummary) -> str:
    most = run.money.in_flight(before="up to ") or "whose cost is not known"
    return f"{run.in_flight_requests} requests in flight at the provider ({most})" if run.has_money_in_flight else ""


def archive_of(run: RunSummary, archives: Sequence[Path]) -> Path | None:
    """The archive that holds the run as it is now; None when there is none, it is not as it was written, or the run has changed since."""
    layout = RunLayout(run.root)
    try:
        manifest = load(ArchiveManifest, layout.archive_manifest)
    except ManifestCorrupt:
        return None
    if manifest is None or manifest.archive is None:
        return None
    for folder in archives:
        path = folder / manifest.archive.name
        if path.is_file() and path.stat().st_size == manifest.archive.size and fingerprint(path).sha256 == manifest.archive.sha256:
            return path if _is_unchanged(run.root, manifest) else None
    return None


def _is_unchanged(root: Path, manifest: ArchiveManifest) -> bool:
    for name, want in manifest.files.items():
        try:
            if name not in manifest.rewritten and not is_unchanged(f"{root}/{name}", want):
                return False
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def _why_kept(run: RunSummary) -> str:
    if run.has_money_in_flight:
        return f"{run.in_flight_requests} requests are in flight at the provider"
    if run.standing is Standing.FINISHED:
        return "it is finished and not archived, or has changed since"
    return f"it is {run.standing}, and what it has bought is nowhere else"


def _inside(run: RunSummary, *, with_worlds: bool) -> Iterator[Leftover]:
    """What can go of a run that stays."""
    temps = tuple(path for path in run.root.rglob(f".*{TEMP_SUFFIX}") if path.is_file())
    if temps:
        size = sum(path.stat().st_size for path in temps)
        yield Leftover(kind="temporary files", run_id=run.run_id, paths=temps, size=size, reason="left by a process that died while writing")
    world = RunLayout(run.root).emulator
    if with_worlds and run.is_dry and run.standing is Standing.FINISHED and world.is_dir() and not world.is_symlink():
        reason = "the run is finished; its results could no longer be downloaded again"
        yield Leftover(kind="simulated provider", run_id=run.run_id, paths=(world,), size=_size(world), reason=reason)


def _left_over_restores(experiments: Path) -> Iterator[Leftover]:
    for ending, what in ((".restoring", "a restore that did not finish"), (DELETING, "a deletion that did not finish")):
        for folder in sorted(experiments.glob(f".run_*{ending}")):
            yield Leftover(kind="temporary files", run_id="-", paths=(folder,), size=_size(folder), reason=what)


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(f"{place}/{name}").st_size
            except OSError:
                continue
    return total


def delete(leftover: Leftover) -> None:
    """Remove it; links are removed, never followed. A run disappears at once, under another name, and then bit by bit."""
    for path in leftover.paths:
        if path.is_dir() and not path.is_symlink():
            going = path
            if leftover.kind == "run":
                going = path.rename(path.with_name(f".{path.name}{DELETING}"))
            shutil.rmtree(going)
        else:
            path.unlink(missing_ok=True)
