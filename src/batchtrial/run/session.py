"""A session: this process owns the run directory from `open_run` to `close`.

Opening takes the lock, heals what a crash may have left (temp files, a torn ledger line, a damaged snapshot), refuses config drift, and only then
lets anything be written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from batchtrial.config.analysis_plan import CODE, differences
from batchtrial.config.hosts import hosts_of
from batchtrial.config.lanes import lanes_of
from batchtrial.config.load import carried_out, config_hash, drift, encode
from batchtrial.config.model import Config
from batchtrial.errors import ConfigDrift, ManifestCorrupt, StateError
from batchtrial.keys import OUT
from batchtrial.phases.base import View
from batchtrial.phases.batches.frozen_plan import PLAN, latest_plan, plan_line, plan_mark
from batchtrial.providers.base import Limits, Provider
from batchtrial.reading.config import config_of_run, recorded_config, synthesised_state, unwritten_change
from batchtrial.reading.view import look
from batchtrial.run.changes import check_can_go_on
from batchtrial.run.snapshots import Snapshots
from batchtrial.state.files import (
    BuildManifest,
    ControlRegistry,
    Drift,
    File,
    MultiTrialManifest,
    PreparedManifest,
    RunState,
    Shelf,
    TrialManifest,
    load,
)
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import TORN, Ledger, PartRecord
from batchtrial.state.lock import RunLock
from batchtrial.state.machine import IN_FLIGHT
from batchtrial.state.store import TEMP_SUFFIX, Hook, Stamps, no_hook, write_bytes

log = logging.getLogger(__name__)
F = TypeVar("F", bound=File)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What is opened and how. nonce: fresh random digits, used only when the run is new. overrides: settings given by flag, for the record."""

    run_id: str
    config: Config
    is_resume: bool
    accept_drift: bool
    overrides: Mapping[str, Any]
    nonce: str
    folder_mode: int = 0o777  # of a new run's folder, before the umask


@dataclass(slots=True, kw_only=True)
class Session:
    """An open run. `look` gives a fresh view whenever something may have changed."""

    layout: RunLayout
    config: Config
    lock: RunLock
    ledger: Ledger
    snapshots: Snapshots
    stamps: Stamps
    limits: Limits
    clock: Callable[[], datetime]
    healed: list[str] = field(default_factory=list)
    shelf: Shelf

    def look(self) -> View:
        """The view now; a damaged snapshot is set aside first, since everything in it can be made again."""
        for path, model in self._snapshot_files():
            self.healed += set_aside_if_damaged(path, model, self.clock(), self.shelf)
        return look(self.layout, self.config, self.ledger.parts, self.stamps, self.limits, self.shelf, self.ledger.notes)

    def _snapshot_files(self) -> list[tuple[Path, type[File]]]:
        files: list[tuple[Path, type[File]]] = [
            (self.layout.prepared_manifest, PreparedManifest),
            (self.layout.build_manifest, BuildManifest),
            (self.layout.judging.build_manifest, BuildManifest),
            (self.layout.multi_trial_manifest, MultiTrialManifest),
            (self.layout.control_registry, ControlRegistry),
        ]
        return files + [(path, TrialManifest) for path in self.layout.root.glob("*/results/trial_manifest.json")]

    def close(self) -> None:
        """Save the cache, let go of the ledger and the lock. A full disk keeps neither: the cache is only a saving."""
        with ExitStack() as closing:
            closing.callback(self.lock.release, self.clock)
            closing.callback(self.ledger.close)
            with suppress(OSError):
                self.stamps.save()


def set_aside_if_damaged(path: Path, model: type[File], now: datetime, shelf: Shelf) -> list[str]:
    """Rename a file that is not what it claims to be to *.corrupt.<time>; what was done, for the person watching."""
    try:
        shelf.load(model, path)
    except ManifestCorrupt as error:
        aside = path.with_name(f"{path.name}.corrupt.{now:%Y%m%dT%H%M%S%f}")
        path.rename(aside)
        log.warning("set aside %s as %s: %s", path.name, aside.name, error.what)
        return [f"{error.what}; it is kept as {aside.name} and made again"]
    return []


def open_run(
    layout: RunLayout,
    opening: Opening,
    codec: Provider,
    *,
    clock: Callable[[], datetime],
    ledger_clock: Callable[[], datetime],
    hook: Hook = no_hook,
) -> Session:
    """Take the run. Raises RunLocked, ConfigDrift, StateError, RunStateMissing; nothing but the lock is touched before those are settled."""
    _make_folder(layout, opening)
    lock = RunLock(layout.guard, layout.lock_info)
    lock.acquire(clock)
    try:
        return _open_locked(layout, opening, codec, lock, clock, ledger_clock, hook)
    except BaseException:
        lock.release(clock)
        raise


def _make_folder(layout: RunLayout, opening: Opening) -> None:
    if opening.is_resume:
        layout.check_there()
    if not opening.is_resume and layout.effective_config.exists():
        raise StateError(
            f"the run {opening.run_id} exists already", where=str(layout.root), hint="add --resume to go on with it, or use another --run_id"
        )
    try:
        layout.root.mkdir(mode=opening.folder_mode, parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"cannot make the run's folder: {error.strerror}", where=str(layout.root), hint="choose another --experiments_dir") from None


def _open_locked(
    layout: RunLayout,
    opening: Opening,
    codec: Provider,
    lock: RunLock,
    clock: Callable[[], datetime],
    ledger_clock: Callable[[], datetime],
    hook: Hook,
) -> Session:
    if not opening.is_resume and layout.effective_config.exists():
        raise StateError(f"the run {opening.run_id} exists already", where=str(layout.root), hint="add --resume to go on with it")
    healed = [f"process {lock.previous.pid} died without leaving in order; its run is taken over"] if lock.previous is not None else []
    if lock.previous is not None:
        _sweep_temp_files(layout.root)
    changed = _check_drift(layout, opening)
    healed += set_aside_if_damaged(layout.run_state, RunState, clock(), Shelf())
    state = load(RunState, layout.run_state)
    ledger = Ledger(layout.ledger, clock=ledger_clock, hook=hook)
    try:
        session = _assembled(layout, opening, codec, lock, clock, hook, ledger, state, changed, healed)
        _keep_settings(session, opening)
        return session
    except BaseException:
        ledger.close()
        raise


def _assembled(
    layout: RunLayout,
    opening: Opening,
    codec: Provider,
    lock: RunLock,
    clock: Callable[[], datetime],
    hook: Hook,
    ledger: Ledger,
    state: RunState | None,
    changed: Mapping[str, str],
    healed: list[str],
) -> Session:
    shelf = Shelf()
    healed += _checked_ledger(layout, opening, changed, ledger, state, shelf)
    is_new = ledger.run_nonce is None
    digest = config_hash(opening.config) if is_new or state is None or changed else state.config_hash
    if is_new:
        ledger.append("opened", run_nonce=opening.nonce, config_hash=digest, detail=_opened_with(opening))
    if state is None:
        state = RunState(run_id=opening.run_id, config_hash=digest, mode=opening.config.mode, overrides=dict(opening.overrides))
        state = state if is_new or _is_just_opened(ledger) else synthesised_state(state, ledger.notes)
    snapshots = Snapshots(layout, state, ledger, shelf, clock=clock, hook=hook)
    session = Session(
        layout=layout,
        config=opening.config,
        lock=lock,
        ledger=ledger,
        snapshots=snapshots,
        stamps=Stamps(layout.root, layout.stamps),
        limits=codec.limits,
        clock=clock,
        healed=healed,
        shelf=shelf,
    )
    if changed:
        check_can_go_on(session.look(), changed, codec)
        _record_drift(opening, changed, digest, ledger, snapshots, state, clock())
    is_frozen = _freeze_plan(ledger, opening.config, is_changed=bool(changed))
    if changed or _is_config_behind(layout):
        write_bytes(layout.effective_config, encode(opening.config), hook=hook)
    if is_frozen:
        snapshots.save_state(plan=plan_mark(ledger.notes))
    return session


def _is_config_behind(layout: RunLayout) -> bool:
    """Whether effective_config.yaml is not there, or is that of before a change whose process was killed in between."""
    try:
        return unwritten_change(layout, layout.effective_config.read_text(encoding="utf-8")) is not None
    except FileNotFoundError:
        return True


def _checked_ledger(
    layout: RunLayout, opening: Opening, changed: Mapping[str, str], ledger: Ledger, state: RunState | None, shelf: Shelf
) -> list[str]:
    """Refuse what the ledger shows the run cannot go on with; what was healed in it, for the person watching. Raises ConfigDrift, StateError."""
    told = []
    if ledger.dropped_bytes:
        told.append(f"the ledger's last line was torn by a crash ({ledger.dropped_bytes} bytes); it is dropped")
    for refuse in (_refuse_other_items, _refuse_other_form):
        refuse(changed, ledger)
    _refuse_other_host(changed, ledger, opening.config)
    is_torn_late = ledger.is_torn_late or (state is not None and ledger.dropped_bytes > 0 and state.ledger_lines == ledger.n_lines + 1)
    _refuse_orphans(layout, ledger, state, shelf, n_torn=int(is_torn_late))
    if is_torn_late:
        ledger.append(TORN, reason="the last line was torn after it had been on the disk")
        told.append("that line was whole once; the provider is asked about every waiting part before it is sent")
    return told


def _keep_settings(session: Session, opening: Opening) -> None:
    """Write down what a config that was given later says of how the run is carried out, for the processes after this one. Flags, and what may be
    spent, hold for one process."""
    base, known = recorded_config(session.layout), session.snapshots.state.submission
    changed = carried_out(base, opening.config) if base is not None else {}
    given = {key: value for key, value in changed.items() if key not in opening.overrides and key != "submission.budget_usd"}
    settings = given | {key: value for key, value in known.items() if key in opening.overrides}
    if settings != known:
        session.snapshots.save_state(submission=settings)


def _opened_with(opening: Opening) -> dict[str, Any]:
    """What the ledger's first line says the run was opened with."""
    plan = plan_line(opening.config, ())
    mark = {name: plan[name] for name in ("hash", "written")}  # so that a lost plan line can be told from one that never was
    mark |= {CODE: plan["plan"][CODE]} if CODE in plan["plan"] else {}
    config = opening.config.model_dump(mode="json")
    return {"config": config, "overrides": dict(opening.overrides), "plan": mark, "host": hosts_of(opening.config)}


def _record_drift(
    opening: Opening, changed: Mapping[str, str], digest: str, ledger: Ledger, snapshots: Snapshots, state: RunState, now: datetime
) -> None:
    """Write down, ledger first, that the run goes on with another config."""
    ledger.append("drift", config_hash=digest, detail={"config": opening.config.model_dump(mode="json"), "changed": dict(changed)})
    drifts = (*state.drift, Drift(at=now, keys=dict(changed), config_hash=digest))
    snapshots.save_state(drift=drifts, config_hash=digest)


def _is_just_opened(ledger: Ledger) -> bool:
    """Nothing was done but what opening a run writes."""
    return not ledger.parts and all(note.event in ("opened", PLAN) for note in ledger.notes)


def _freeze_plan(ledger: Ledger, config: Config, *, is_changed: bool) -> bool:
    """Write down the plan before anything is sent; later only a changed one, with how many results had arrived. Whether it wrote."""
    before, parts = latest_plan(ledger.notes), ledger.parts.values()
    if before is None and not is_changed and any(part.attempts for part in parts):
        return False  # a run that was begun without a plan line gets none that looks as if it had been there
    detail = plan_line(config, parts, ledger.notes)
    if before is None or differences((before.detail or {})["plan"], detail["plan"]):
        ledger.append(PLAN, detail=detail)
        return True
    return False


def _refuse_other_form(changed: Mapping[str, str], ledger: Ledger) -> None:
    """Under another form every arm would have another name, and be bought again."""
    if "arm_form" in changed and any(part.attempts for part in ledger.parts.values()):
        raise ConfigDrift(
            "the run's requests were sent under another form of arms", where=f"arm_form: {changed['arm_form']}", hint="put the old value back"
        )


ITEM_KEYS = ("datasets.", "limit_items", "skip_bad_rows")
"""Settings that choose the questions. Not even --accept_drift changes them once requests about the questions were sent."""


def _refuse_other_items(changed: Mapping[str, str], ledger: Ledger) -> None:
    is_growing = any(key.startswith("grown") for key in changed)  # prepare proves that the items which were asked about are all there
    keys = [key for key in changed if key.startswith(ITEM_KEYS) and not (is_growing and key == "limit_items")]
    if keys and any(part.attempts for part in ledger.parts.values()):
        ledger.close()
        raise ConfigDrift(
            "the config asks for other questions than those that requests were sent about",
            where="; ".join(f"{key}: {changed[key]}" for key in keys),
            hint="use the old values, or start a new run",
        )


HOST_KEYS = ("backend", "mode", "provider.base_url", "provider.account_id")
LANE_HOST_KEYS = ("base_url", "account_id")
"""Settings that say where batches lie. While some are under way there, not even --accept_drift looks for them elsewhere."""


def _refuse_other_host(changed: Mapping[str, str], ledger: Ledger, config: Config) -> None:
    keys = [key for key in changed if key in HOST_KEYS or (key.startswith("lanes.") and key.rpartition(".")[2] in LANE_HOST_KEYS)]
    is_by_tier = config.provider.lane is None  # a tier then says which way requests go
    ways = [key for key in changed if key.endswith(".lane") or (key.endswith(".service_tier") and is_by_tier)]
    _refuse_other_lane({key: changed[key] for key in ways}, ledger)
    flying = [name for name, part in ledger.parts.items() if part.state in IN_FLIGHT and not _is_out(part)]
    if lanes_of(config) == ("local",):
        keys = []  # the journals of a local run lie in its own folder, whichever server answers their rows
    keys += ways  # a batch is not found in the direct lane, nor a journal at the provider
    if not keys or not flying:
        return
    opened = next((note for note in ledger.notes if note.event == "opened"), None)
    if opened is None or "host" not in (opened.detail or {}):
        return  # an earlier version wrote down no host that an environment had named: now it can be
    raise ConfigDrift(
        f"{len(flying)} parts are under way at the host that the run was started with ({flying[0]})",
        where="; ".join(f"{key}: {changed[key]}" for key in keys),
        hint="use the old value until they are fetched; then the host may change with --accept_drift",
    )


def _refuse_other_lane(changed: Mapping[str, str], ledger: Ledger) -> None:
    """Answers that come one by one have another price than those of the batches before, and no look of one lane sees what the other has."""
    begun = any(attempt.batch_id and not attempt.batch_id.startswith(OUT) for part in ledger.parts.values() for attempt in part.attempts)
    other = [f"{key}: {told}" for key, told in changed.items() if key.endswith(".lane") or told.startswith("null ->") or told.endswith("-> null")]
    if begun and other:
        raise ConfigDrift("the run was begun in another lane", where="; ".join(other), hint="use the old value; ask the rest in a run of its own")


def _is_out(part: PartRecord) -> bool:
    return part.current is not None and (part.current.batch_id or "").startswith(OUT)


def _refuse_orphans(layout: RunLayout, ledger: Ledger, state: RunState | None, shelf: Shelf, *, n_torn: int) -> None:
    """A run whose ledger has lost lines must not go on: what they said was sent would be bought again. n_torn: lines known to be lost, 0 or 1."""
    why = ""
    if ledger.run_nonce is None and layout.has_traces():
        why = "this run has been worked on, but no ledger says what was paid for"
    elif state is not None and state.ledger_lines > ledger.n_lines + n_torn:
        why = f"the ledger has {ledger.n_lines} lines, and had {state.ledger_lines} when run_state.json was written"
    else:
        manifests = (shelf.intact(TrialManifest, path) for path in layout.root.glob("*/results/trial_manifest.json"))
        batches = {one.batch_id for manifest in manifests if manifest is not None for one in manifest.batches}
        unknown = sorted(filter(None, batches - ledger.owned_batches()))
        if len(unknown) > n_torn:
            why = f"the ledger does not know the batch {unknown[0]} that a manifest names ({len(unknown)} such batches)"
    if why:
        raise StateError(why, where=str(layout.ledger), hint="run `batchtrial repair --run_id RUN` to rebuild the ledger from the files")


def _check_drift(layout: RunLayout, opening: Opening) -> dict[str, str]:
    """Changed keys that --accept_drift accepts: this invocation's config against the one on record. Raises ConfigDrift."""
    base = recorded_config(layout)
    if base is None:
        if not layout.effective_config.exists():
            return {}
        base = config_of_run(layout)
    changed = drift(base, opening.config)
    if changed and not opening.accept_drift:
        is_judge = all(key.startswith("judges") for key in changed)
        price = (
            f"`batchtrial grow --run_id {opening.run_id} --config FILE` says what another judge costs and buys it when told; or " if is_judge else ""
        )
        raise ConfigDrift(
            f"the config has changed since run {opening.run_id} started",
            where="; ".join(f"{key}: {change}" for key, change in changed.items()),
            hint=f"{price}use the old values, or add --accept_drift to record the change and go on, or start a new run; "
            "if nobody edited effective_config.yaml, `batchtrial repair --run_id RUN` restores it",
        )
    return changed


def _sweep_temp_files(root: Path) -> None:
    for temp in root.rglob(f".*{TEMP_SUFFIX}"):
        temp.unlink(missing_ok=True)
