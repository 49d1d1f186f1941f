"""Keeping the snapshots up to date: run_state.json, the trial manifests, the control registry, the list of trials.

Each is rebuilt from the ledger and the plan whenever it is written, so a lost or damaged one heals by being written again. Events of parts are
coalesced: a snapshot follows when enough parts have changed, so that bytes written grow linearly with parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from batchtrial.config.expand import Arm, Trial, controls_of, users_of
from batchtrial.config.hosts import hosts_of
from batchtrial.phases.base import View
from batchtrial.phases.batches.frozen_plan import plan_mark
from batchtrial.state.files import (
    BatchRecord,
    Checkpoint,
    ControlEntry,
    ControlRegistry,
    File,
    MultiTrialManifest,
    PhaseRecord,
    PromptRecord,
    RunState,
    Shelf,
    StageRecord,
    Status,
    TrialEntry,
    TrialManifest,
    artifact,
    save,
)
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import Counts, Ledger
from batchtrial.state.machine import PartState
from batchtrial.state.store import Hook, decode_json, no_hook

JOB_STATUS: Mapping[PartState, str] = {
    PartState.PENDING: "pending",
    PartState.SUBMITTING: "pending",
    PartState.SUBMITTED: "running",
    PartState.COMPLETED: "completed",
    PartState.DOWNLOADED: "completed",
    PartState.FAILED: "failed",
    PartState.SETTLED: "completed",
}


class Snapshots:
    """The only writer of the files named above. shelf: of the process that owns the run. clock: real time, UTC."""

    def __init__(
        self, layout: RunLayout, state: RunState, ledger: Ledger, shelf: Shelf, *, clock: Callable[[], datetime], hook: Hook = no_hook
    ) -> None:
        self._layout, self._ledger, self._shelf, self._clock, self._hook = layout, ledger, shelf, clock, hook
        self.state = state
        self._written_lines = ledger.n_lines

    def _save(self, path: Path, value: File) -> None:
        """A snapshot must not know of lines that a power cut could still take back: it would accuse the ledger of having lost them."""
        self._ledger.sync()
        save(path, value, hook=self._hook)

    # run_state.json

    def save_state(self, **changes: object) -> None:
        """Durably replace run_state.json with the given fields changed; nothing is written when nothing changes."""
        changed = self.state.model_copy(update=changes)
        if changed != self.state or not self._layout.run_state.exists():
            plan = changed.plan or plan_mark(self._ledger.notes)
            changed = changed.model_copy(update={"run_nonce": self._ledger.run_nonce, "ledger_lines": self._ledger.n_lines, "plan": plan})
            self.state = changed
            self._save(self._layout.run_state, changed)

    def phase(self, name: str, status: Status, *, error: str | None = None) -> None:
        """Record where a phase stands."""
        now = self._clock()
        before = self.state.phases.get(name, PhaseRecord())
        started = now if status == "in_progress" else before.started_at
        record = PhaseRecord(status=status, started_at=started, updated_at=now, last_error=error)
        checkpoint = Checkpoint(phase=name, timestamp=now) if status == "completed" else self.state.last_checkpoint
        self.save_state(phases={**self.state.phases, name: record}, last_checkpoint=checkpoint)

    # Manifests

    def publish(self, view: View, trial: Trial, stage: str, inputs: str, paths: Sequence[Path]) -> None:
        """Record a finished stage: its artifacts as they are on disk now, and what they were made from."""
        found = {}
        for path in paths:
            got = view.stamps.of(path)
            if got is None:
                raise FileNotFoundError(path)
            is_of_trial = path.is_relative_to(self._layout.trial(trial.slug).root)
            name = path.name if is_of_trial else path.relative_to(self._layout.root).as_posix()
            found[name] = artifact(self._layout.root, path, got)
        record = StageRecord(status="completed", updated_at=self._clock(), inputs=inputs, artifacts=found)
        self.write_trial(view, trial, {stage: record})
        self.save_state(last_checkpoint=Checkpoint(phase=stage, trial_slug=trial.slug, timestamp=self._clock()))

    def refresh(self, view: View, *, is_final: bool = False) -> None:
        """Bring manifests and registry up to date when enough has happened since last time, or when `is_final`."""
        news = self._ledger.n_lines - self._written_lines
        n_parts = len(view.build.shards) if view.build is not None else 0
        if news == 0 or not (is_final or news >= max(64, 3 * n_parts)):
            return
        self._written_lines = self._ledger.n_lines
        for trial in view.trials:
            self.write_trial(view, trial, {})
        self._write_registry(view)

    def write_trials(self, view: View) -> None:
        """The list of trials, a manifest for each, and the registry, once the trials are known; files that are up to date stay untouched."""
        self._write_list(view)
        for trial in view.trials:
            if self._shelf.intact(TrialManifest, self._layout.trial(trial.slug).manifest) is None:
                self.write_trial(view, trial, {})
        if self._shelf.intact(ControlRegistry, self._layout.control_registry) is None:
            self._write_registry(view)

    def write_trial(self, view: View, trial: Trial, stages: Mapping[str, StageRecord]) -> None:
        """Durably replace one trial's manifest; stages not named keep their record."""
        path = self._layout.trial(trial.slug).manifest
        old = self._shelf.intact(TrialManifest, path)
        now = self._clock()
        created = old.timestamps.get("created_at", now) if old is not None else now
        known = dict(old.stage_status) if old is not None else {}
        known |= {"downloaded": self._downloaded(view, trial, known.get("downloaded"))} | dict(stages)
        self._save(path, self._manifest(view, trial, {"created_at": created, "updated_at": now}, known))

    def _manifest(self, view: View, trial: Trial, times: dict[str, datetime], stages: dict[str, StageRecord]) -> TrialManifest:
        config, first = view.config, trial.arms[0]
        records = {s.part: self._ledger.part(s.part) for arm in trial.arms for s in view.shards(arm)}
        decoding: dict[str, Any] = {"top_p": first.top_p, "top_k": first.top_k, "max_new_tokens": first.max_tokens.model_dump()}
        if config.arms:
            decoding |= {"control": trial.against, "models": {arm.stem: arm.model for arm in trial.arms}}
        return TrialManifest(
            timestamps=times,
            run_id=self.state.run_id,
            trial={"slug": trial.slug, "model_id": trial.model, "prompt_set": trial.prompt_set, **decoding},
            temps=trial.temps,
            samples_per_item={f"{temp:.1f}": config.samples_for(temp) for temp in trial.temps},
            prompts={arm.condition: _prompt(arm) for arm in trial.arms},
            backend=", ".join(dict.fromkeys(arm.backend for arm in trial.arms)) or config.backend,
            mode=config.mode,
            pricing_key=first.pricing_key,
            server=_server(self._layout.server),
            host=hosts_of(config),
            arms={arm.stem: arm.name for arm in trial.arms},
            datasets={arm.stem: self._ids(view, arm, "file_id") for arm in trial.arms},
            jobs={arm.stem: self._ids(view, arm, "batch_id") for arm in trial.arms},
            job_status={f"{arm.stem}_p{s.part_index:02d}": JOB_STATUS[records[s.part].state] for arm in trial.arms for s in view.shards(arm)},
            job_counts={name: counts for name, record in records.items() if (counts := record.counts) is not None},
            batches=tuple(
                BatchRecord(part=name, attempt=a.number, batch_id=a.batch_id, wire_state=a.wire_state, ids=dict(a.ids))
                for name, record in records.items()
                for a in record.attempts
                if a.batch_id is not None
            ),
            control_registry={f"{arm.temp:.1f}": arm.key for arm in trial.arms if arm.condition == "control"},
            stage_status=stages,
        )

    def _ids(self, view: View, arm: Arm, field: str) -> tuple[str, ...]:
        attempts = (a for s in view.shards(arm) for a in self._ledger.part(s.part).attempts)
        return tuple(value for a in attempts if (value := getattr(a, field)) is not None)

    def _downloaded(self, view: View, trial: Trial, old: StageRecord | None) -> StageRecord:
        shards = [s for arm in trial.arms for s in view.shards(arm)]
        done = [s for s in shards if self._ledger.part(s.part).state is PartState.SETTLED]
        status: Status = "completed" if shards and len(done) == len(shards) else "in_progress" if done else "not_started"
        if old is not None and old.status == status:
            return old
        return StageRecord(status=status, updated_at=self._clock())

    def _write_list(self, view: View) -> None:
        entries = tuple(
            TrialEntry(
                slug=t.slug,
                model_id=t.model,
                prompt_set=t.prompt_set,
                temps=t.temps,
                results_dir=f"{t.slug}/results",
                reports_dir=f"{t.slug}/reports",
            )
            for t in view.trials
        )
        old = self._shelf.intact(MultiTrialManifest, self._layout.multi_trial_manifest)
        if old is None or old.trials != entries:
            now = self._clock()
            created = old.created_utc if old is not None else now
            new = MultiTrialManifest(created_utc=created, updated_utc=now, run_id=self.state.run_id, num_trials=len(entries), trials=entries)
            self._save(self._layout.multi_trial_manifest, new)

    def _write_registry(self, view: View) -> None:
        if view.prepared is None:
            return
        controls: dict[str, ControlEntry] = {}
        for arm in controls_of(view.trials):
            controls[arm.key] = self._control(view, arm, view.prepared.sha256, users_of(arm, view.trials))
        self._save(self._layout.control_registry, ControlRegistry(controls=controls))

    def _control(self, view: View, arm: Arm, input_sha: str, users: tuple[str, ...]) -> ControlEntry:
        records = [self._ledger.part(s.part) for s in view.shards(arm)]
        is_done = bool(records) and all(r.state is PartState.SETTLED for r in records)
        is_begun = any(r.attempts for r in records)
        return ControlEntry(
            status="completed" if is_done else "in_progress" if is_begun else "pending",
            shared_rel=arm.folder.as_posix(),
            producer_trial=users[0],
            trials=users,
            backend=arm.backend,
            model_id=arm.model,
            prompt_sha=arm.prompt.system.sha256,
            input_sha=input_sha,
            temp=arm.temp,
            samples_per_item=arm.samples,
            imported_from=view.config.control_from,
            counts=Counts.of_all(r.counts for r in records) if is_done else None,
        )


def _prompt(arm: Arm) -> PromptRecord:
    both = f"{arm.instructions.open_book.sha256}-{arm.instructions.closed_book.sha256}"
    return PromptRecord(path=arm.prompt.system.path, sha256=arm.prompt.system.sha256, instructions_sha256=both)


def _server(path: Path) -> dict[str, Any] | None:
    try:
        return dict(decode_json(path.read_bytes()))
    except (OSError, ValueError):
        return None
