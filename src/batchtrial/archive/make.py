"""Making an archive of a run: what goes in, what is said about it, and how paths of the machine are kept out.

Where a question file lay is needed on no other machine: its content is in the prepared items. So an absolute path becomes a file name, in the
config and in the ledger's copy of it alike, and both keep fitting each other's checksums. Nothing is changed in the run itself but its record of
having been archived.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from batchtrial.archive import zip as archive
from batchtrial.config.load import config_hash, encode
from batchtrial.config.model import Config
from batchtrial.errors import StateError
from batchtrial.names import RECORDED
from batchtrial.reading.config import config_of_run, config_text_of_run
from batchtrial.reading.inventory import RunSummary
from batchtrial.state import entries
from batchtrial.state.files import RunState, StageRecord, TrialManifest, load, save, seal
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import check_sound, fold
from batchtrial.state.store import Fingerprint, encode_json

LINKS = {"report": "report_md", "report_html": "report_html", "significance": "significance", "costs": "costs", "predictions": "predictions"}
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:[^\s'\"/:]+/)+")
"""An absolute path up to its last step; URLs have a colon and two slashes before theirs."""
SETTINGS = frozenset({"effective_config.yaml", "ledger.jsonl", "run_state.json", "trial_manifest.json"})
"""Where nothing should look like a key. In an answer it may: only keys that are known are looked for there."""
MARKS = (b"sk-", b"fw_")
"""One of these is in whatever SECRET finds; looking for them takes a tenth of its time."""
SECRET = re.compile(rb"(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_-]{20,}|fw_[A-Za-z0-9]{20,}|sk-ant-[A-Za-z0-9_-]{20,})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """What was put away. rewritten: files that went in without the machine's paths. left: number of files left out, by reason."""

    manifest: archive.ArchiveManifest
    rewritten: tuple[str, ...]
    left: Mapping[str, int]


def make(
    layout: RunLayout, run: RunSummary, target: Path, *, description: str, keys: tuple[str, ...], send: Callable[[Path], str | None]
) -> Archived:
    """Write the archive and leave archive_manifest.json in the run; the caller holds the run's lock.

    keys: secrets that no file may hold. send: brings the archive to where it is to be, and returns the address of a store.

    Raises StateError, before anything is written, when a file holds a key, or is not as it is on record.
    """
    is_complete = not run.phase
    files, left = archive.chosen_files(layout, with_world=not is_complete and run.has_world)
    ledger = entries.read(layout.ledger)
    finished = max((r.updated_at for r in run.phases.values() if r.updated_at is not None), default=None)
    instead = rewritten(layout, ledger)
    prints = archive.fingerprints(files, instead, sight=keyless(keys))
    manifests = {layout.trial(slug).manifest: load(TrialManifest, layout.trial(slug).manifest) for slug in run.trials}
    _check_sound(layout, ledger, manifests.values(), prints)
    if is_complete:
        marked = _mark_archived(layout, manifests, finished)
        prints |= archive.fingerprints({name: files[name] for name in marked}, {})
    manifest = archive.ArchiveManifest(
        run_id=run.run_id,
        description=description,
        is_complete=is_complete,
        mode=run.mode,
        config_hash=_hash_of(layout, instead),
        migrated=run.is_migrated,
        phases={name: record.status for name, record in run.phases.items()},
        finished_at=finished,
        requests=run.outcomes,
        spent_usd=str(run.money.spent_usd.normalize()),
        unknown_usd=str(run.money.unknown_usd.normalize()),
        cost=run.money.sentence(),
        files=prints,
        trials={slug: _links(layout, slug) for slug in run.trials},
    )
    where = archive.write(target, manifest, files, instead)
    where = where.model_copy(update={"address": send(target)})
    save(layout.archive_manifest, manifest.model_copy(update={"archive": where, "rewritten": tuple(sorted(instead))}))
    return Archived(manifest=manifest, rewritten=tuple(sorted(instead)), left=left)


def _check_sound(layout: RunLayout, ledger: entries.LedgerRead, manifests: Iterable[TrialManifest | None], prints: Mapping[str, Fingerprint]) -> None:
    """Nothing damaged is put away as proof: every file on record is as it was published. Raises StateError naming the first that is not."""
    parts = fold(ledger.entries).values()
    wanted = {a.path: a.sha256 for part in parts for a in part.attempts if a.is_saved and a.path is not None}
    for manifest in manifests:
        for record in manifest.stage_status.values() if manifest is not None else ():
            wanted |= {one.path: one.sha256 for one in record.artifacts.values()}
    bad = sorted(path for path, sha256 in wanted.items() if path not in prints or prints[path].sha256 != sha256)
    if bad:
        raise StateError(
            f"{len(bad)} files are not as they are on record, so nothing is archived: {bad[0]}" + (" ..." if len(bad) > 1 else ""),
            where=str(layout.root),
            hint=f"`batchtrial repair {layout.flags}`, then `batchtrial resume {layout.flags}`",
        )


def _mark_archived(layout: RunLayout, manifests: Mapping[Path, TrialManifest | None], at: datetime | None) -> list[str]:
    """The stage in every trial's manifest; returns those written. Its time is the run's, so that archiving twice gives the same bytes."""
    marked = []
    for path, manifest in manifests.items():
        record = StageRecord(status="completed", updated_at=at)
        if manifest is not None and manifest.stage_status.get("archived") != record:
            save(path, manifest.model_copy(update={"stage_status": {**manifest.stage_status, "archived": record}}))
            marked.append(path.relative_to(layout.root).as_posix())
    return marked


def _links(layout: RunLayout, slug: str) -> dict[str, str]:
    trial = layout.trial(slug)
    paths = {name: getattr(trial, attribute) for name, attribute in LINKS.items()}
    return {name: path.relative_to(layout.root).as_posix() for name, path in paths.items() if path.exists()}


def _hash_of(layout: RunLayout, instead: Mapping[str, bytes]) -> str:
    data = instead.get(layout.effective_config.name)
    return hashlib.sha256(config_text_of_run(layout).encode() if data is None else data).hexdigest()


def rewritten(layout: RunLayout, got: entries.LedgerRead) -> dict[str, bytes]:
    """Files that name paths of this machine, as they read without them; files that name none are not listed. Raises StateError, ManifestCorrupt."""
    found: dict[str, bytes] = {}
    state = load(RunState, layout.run_state)
    config = config_of_run(layout)
    bare = without_paths(config)
    is_bare = bare == config
    ledger = _bare_ledger(layout, got)
    if ledger is not None:
        found[layout.ledger.name] = ledger
    if not is_bare and layout.effective_config.exists():
        found[layout.effective_config.name] = encode(bare)
    if state is not None:
        tree = state.model_dump(mode="json", exclude_none=True, exclude={"check"})
        clean = {**tree, "phases": _clean(tree["phases"]), "notes": _clean(tree["notes"])}
        if not is_bare:
            clean["config_hash"] = config_hash(bare)
        if clean != tree:
            found[layout.run_state.name] = encode_json({**clean, "check": seal(clean)})
    return found


def without_paths(config: Config) -> Config:
    """The config with absolute data paths cut down to file names."""
    specs = tuple(spec.model_copy(update={"path": bare_name(spec.path)}) if spec.path else spec for spec in config.datasets)
    return config.model_copy(update={"datasets": specs})


def bare_name(path: str) -> str:
    """The last step of an absolute path; a relative path as it is."""
    if PureWindowsPath(path).is_absolute():
        return PureWindowsPath(path).name
    return PurePosixPath(path).name if PurePosixPath(path).is_absolute() else path


def _bare_ledger(layout: RunLayout, got: entries.LedgerRead) -> bytes | None:
    """The ledger's bytes without machine paths; None when it names none. Raises StateError for a damaged one."""
    check_sound(got, layout.ledger)
    clean = [_bare_entry(entry) for entry in got.entries]
    if got.torn or any(one is not entry for one, entry in zip(clean, got.entries, strict=True)):
        return b"".join(entries.encode(one) for one in clean)
    return None


def _bare_entry(entry: entries.Entry) -> entries.Entry:
    changes: dict[str, Any] = {}
    if entry.reason and MACHINE_PATH.search(entry.reason):
        changes["reason"] = MACHINE_PATH.sub("", entry.reason)
    tree = (entry.detail or {}).get("config")
    if isinstance(tree, dict):
        config = Config.model_validate(tree, context=RECORDED)
        bare = without_paths(config)
        if bare != config:
            changes["detail"] = {**(entry.detail or {}), "config": bare.model_dump(mode="json")}
            changes["config_hash"] = config_hash(bare)
    return entry.but(**changes) if changes else entry


def _clean(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _clean(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_clean(value) for value in tree]
    return MACHINE_PATH.sub("", tree) if isinstance(tree, str) else tree


def keyless(keys: tuple[str, ...]) -> archive.Sight:
    """Lets pass what holds none of the keys, and nothing that looks like one where nothing should; else raises StateError naming the file."""
    known = [key.encode() for key in keys if len(key) >= 8]
    longest = max([200, *(len(key) for key in known)])

    def sight(name: str, blocks: Iterable[bytes]) -> Iterable[bytes]:
        is_settings = name.rsplit("/", 1)[-1] in SETTINGS
        return looked_at(name, blocks, is_settings=is_settings) if known or is_settings else blocks

    def looked_at(name: str, blocks: Iterable[bytes], *, is_settings: bool) -> Iterator[bytes]:
        held = b""
        for block in blocks:
            window = held + block
            if any(key in window for key in known) or (is_settings and any(mark in window for mark in MARKS) and SECRET.search(window)):
                hint = "take the key out of the config, change it at the provider, and start again"
                raise StateError(f"{name} holds something that looks like an API key; nothing is archived", hint=hint)
            held = window[-longest:]
            yield block

    return sight
