"""Carrying a repair out: damaged originals are kept aside as *.corrupt.<time>, what can be rebuilt is written anew, the rest is left to --resume.

The caller holds the run's lock. Killed half way, a repair can simply be run again: each step leaves the run no worse than before.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from batchtrial.config.expand import lanes_of_arms
from batchtrial.config.judge_arms import judge_trials
from batchtrial.config.load import config_hash, encode
from batchtrial.keys import arm_of_part
from batchtrial.phases.batches import tally as answers
from batchtrial.providers.base import codec_of
from batchtrial.reading.config import synthesised_state
from batchtrial.reading.view import look
from batchtrial.records import RawResult
from batchtrial.run.plan import phases_of
from batchtrial.run.snapshots import Snapshots
from batchtrial.state import entries
from batchtrial.state.files import PhaseRecord, RunState, Shelf
from batchtrial.state.layout import RunLayout, result_file
from batchtrial.state.ledger import Ledger
from batchtrial.state.rebuild import folder_of
from batchtrial.state.store import TEMP_SUFFIX, Stamps, fsync_folder, write_bytes
from batchtrial.upkeep.diagnose import Diagnosis, Finding


def put_right(found: Diagnosis, *, clock: Callable[[], datetime]) -> list[str]:
    """Do what can be done; one line per thing done. clock: real time, UTC. Raises StateError, OSError; nothing that costs is ever done."""
    done: list[str] = []
    for temp in found.layout.root.rglob(f".*{TEMP_SUFFIX}"):
        temp.unlink(missing_ok=True)
    if found.rebuilt is not None:
        done += _replace_ledger(found, clock())
    for finding in found.findings:
        if finding.is_there and finding.cure != "hopeless" and finding.path != found.layout.ledger.name:
            path = found.layout.root / finding.path
            if path.exists():
                done.append(f"{finding.path} is kept as {set_aside(path, clock()).name}")
    if found.restores_config:
        write_bytes(found.layout.effective_config, encode(found.config))
        done.append(f"{found.layout.effective_config.name} is restored from the ledger")
    done += [_retry_payload(found, finding) for finding in found.findings if "/retries/" in finding.path]
    found.layout.stamps.unlink(missing_ok=True)
    if found.layout.ledger.exists() and entries.read(found.layout.ledger).is_sound:
        done += _state_and_manifests(found, clock)
    return done


def set_aside(path: Path, now: datetime) -> Path:
    """Rename to *.corrupt.<time>, never over another one."""
    aside = path.with_name(f"{path.name}.corrupt.{now:%Y%m%dT%H%M%S%f}")
    path.rename(aside)
    fsync_folder(path.parent)
    return aside


def _replace_ledger(found: Diagnosis, now: datetime) -> list[str]:
    """The old file gets a second name before the new one takes its own, so that no moment is without a ledger."""
    path, done = found.layout.ledger, []
    if path.exists():
        aside = path.with_name(f"{path.name}.corrupt.{now:%Y%m%dT%H%M%S%f}")
        try:
            os.link(path, aside)
        except OSError:  # a file system without links
            shutil.copyfile(path, aside)
        done.append(f"{path.name} is kept as {aside.name}")
    rebuilt = found.rebuilt
    assert rebuilt is not None
    write_bytes(path, b"".join(entries.encode(entry) for entry in rebuilt.entries))
    entries.mark_of(path).unlink(missing_ok=True)  # it counted the old file's lines
    doubt = f", {len(rebuilt.in_doubt)} parts are in doubt until the provider is asked" if rebuilt.in_doubt else ""
    return [*done, f"{path.name} is rebuilt: {len(rebuilt.entries)} lines, {rebuilt.filled} of them made anew{doubt}"]


def _retry_payload(found: Diagnosis, finding: Finding) -> str:
    """The rows of a later attempt, chosen again from the part's requests and what the attempts before it brought."""
    attempt, part = next((a, part) for part, record in found.parts.items() for a in record.attempts if a.payload == finding.path)
    layout = found.layout
    whole, folder = layout.part_input(part), layout.root / folder_of(part)
    before = tuple(a for a in found.parts[part].attempts if a.number < attempt.number)
    try:
        again = answers.fate(whole, before, layout.root, lambda number: result_file(folder, number), _decode(found, part)).again
        data = b"".join(answers.rows(whole, again))
    except FileNotFoundError as error:
        return f"{finding.path} waits for {Path(str(error.filename)).name}: run --resume, then repair again"
    if hashlib.sha256(data).hexdigest() != attempt.payload_sha256:
        return f"{finding.path} cannot be rebuilt as it was sent; it is needed only if its results have to be counted again"
    write_bytes(layout.root / finding.path, data)
    return f"{finding.path} is rebuilt"


def _decode(found: Diagnosis, part: str) -> Callable[[bytes], RawResult]:
    """What reads the part's result lines."""
    lanes = lanes_of_arms((*found.trials, *judge_trials(found.config)))
    return codec_of(found.codec, lanes.get(arm_of_part(part), found.config.backend)).decode


def _state_and_manifests(found: Diagnosis, clock: Callable[[], datetime]) -> list[str]:
    """run_state.json, then every manifest that is missing. The ledger is opened to read it; nothing is appended."""
    layout = found.layout
    ledger = Ledger(layout.ledger, clock=clock)
    try:
        state = found.state
        if state is None:
            fresh = RunState(run_id=layout.run_id, config_hash=config_hash(found.config), mode=found.config.mode)
            state = synthesised_state(fresh, ledger.notes)
        snapshots = Snapshots(layout, state, ledger, Shelf(), clock=clock)
        before = _manifests(layout)
        view = look(layout, found.config, ledger.parts, Stamps(layout.root, layout.stamps), found.codec.limits)
        if view.trials and view.build is not None:
            snapshots.write_trials(view)
        done = [f"{path.relative_to(layout.root)} is rebuilt" for path in sorted(_manifests(layout) - before)]
        if found.state is None:
            done_phases = {
                phase.name: PhaseRecord(status="completed", updated_at=clock()) for phase in phases_of(found.config) if phase.verdict(view).is_done
            }
            snapshots.save_state(phases=done_phases, notes=(*state.notes, *_note(found, clock())))
            done.append("run_state.json is rebuilt")
        elif found.rebuilt is not None:
            snapshots.save_state(notes=(*state.notes, *_note(found, clock())))
        return done
    finally:
        ledger.close()


def _manifests(layout: RunLayout) -> set[Path]:
    """Those that are there."""
    single = (layout.control_registry, layout.multi_trial_manifest)
    return {*(path for path in single if path.exists()), *layout.root.glob("*/results/trial_manifest.json")}


def _note(found: Diagnosis, now: datetime) -> tuple[str, ...]:
    """What run_state.json says of a rebuilt ledger."""
    if found.rebuilt is None:
        return ()
    doubt = f", {len(found.rebuilt.in_doubt)} parts put in doubt" if found.rebuilt.in_doubt else ""
    return (f"the ledger was rebuilt on {now:%Y-%m-%d %H:%M:%S} UTC: {found.rebuilt.filled} lines made anew{doubt}",)
