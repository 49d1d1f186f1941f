"""Making a View: what is true of a run directory now. Reads only; a run that does not exist yet gives an empty one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from batchtrial.config.expand import Trial, arms_of, expand, lanes_of_arms
from batchtrial.config.judge_arms import judge_trials
from batchtrial.config.lanes import lanes_of
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError, RunStateMissing, StateError
from batchtrial.keys import arm_of_part, check_run_id
from batchtrial.phases.analyse.analyses import Material, material
from batchtrial.phases.analyse.stopping import BETWEEN, is_between_looks
from batchtrial.phases.base import View
from batchtrial.phases.batches.elsewhere import told_of_elsewhere
from batchtrial.phases.batches.gates import looks_taken, open_items
from batchtrial.providers.base import Limits
from batchtrial.reading.config import config_of_run
from batchtrial.state.entries import Entry
from batchtrial.state.files import BuildManifest, PreparedManifest, Shelf, StageRecord, TrialManifest, refuse_damaged
from batchtrial.state.lanes import failed_lanes
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import PartRecord, is_look_due, load_parts, look_lines
from batchtrial.state.machine import PartState
from batchtrial.state.store import Stamps


def look(
    layout: RunLayout,
    config: Config,
    parts: dict[str, PartRecord],
    stamps: Stamps,
    limits: Limits,
    shelf: Shelf | None = None,
    notes: Iterable[Entry] = (),
) -> View:
    """The view of a run. Raises ManifestCorrupt for a damaged snapshot, ConfigError when the trials cannot be expanded.

    shelf: of an owner who looks again and again. notes: the ledger's lines about the run; without them nothing is known to be due.
    """
    shelf = shelf or Shelf()
    prepared = shelf.load(PreparedManifest, layout.prepared_manifest)
    trials = expand(config, prepared.sha256) if prepared is not None else ()
    build, notes = shelf.load(BuildManifest, layout.build_manifest), tuple(notes)
    failed = failed_lanes(notes)
    trials = without_answers(trials, failed, build, parts)
    looks = looks_taken(notes)
    judges = judge_trials(config) if trials else ()
    return View(
        layout=layout,
        config=config,
        trials=trials,
        prepared=prepared,
        build=build,
        parts=parts,
        stages=_stages(layout, trials, shelf),
        stamps=stamps,
        limits=limits,
        unlooked=_unlooked(config, (*trials, *judges), failed, notes, parts),
        failed=failed,
        open_items=open_items(trials, build, looks),
        looks=looks,
        judge_build=shelf.load(BuildManifest, layout.judging.build_manifest) if judges else None,
        beside=judges,
        elsewhere=told_of_elsewhere(notes),
    )


def without_answers(
    trials: tuple[Trial, ...], failed: Mapping[str, str], build: BuildManifest | None, parts: Mapping[str, PartRecord]
) -> tuple[Trial, ...]:
    """The trials, each with those of its arms named that have no answers because their lane failed."""
    if not failed or build is None:
        return trials
    settled = {name for name, part in parts.items() if part.state is PartState.SETTLED}
    open_arms = {shard.arm for name, shard in build.shards.items() if name not in settled}
    absent = {arm.name: failed[arm.backend] for arm in arms_of(trials) if arm.backend in failed and arm.name in open_arms}
    return tuple(replace(trial, absent=tuple({arm.name: absent[arm.name] for arm in trial.arms if arm.name in absent}.items())) for trial in trials)


def _unlooked(
    config: Config, trials: tuple[Trial, ...], failed: Mapping[str, str], notes: tuple[Entry, ...], parts: Mapping[str, PartRecord]
) -> frozenset[str]:
    """Lanes in which a look for second batches is due, of those that have not failed."""
    lanes = lanes_of(config)
    if len(lanes) == 1:
        return frozenset(lanes if is_look_due(notes, parts.values()) else ())
    lane_of = lanes_of_arms(trials)
    by_lane: dict[str, list[PartRecord]] = {name: [] for name in (config.backend, *lanes)}
    for name, part in parts.items():
        by_lane[lane_of.get(arm_of_part(name), config.backend)].append(part)
    return frozenset(
        name for name, mine in by_lane.items() if name not in failed and is_look_due(notes, mine, None if name == config.backend else name)
    )


def _stages(layout: RunLayout, trials: tuple[Trial, ...], shelf: Shelf) -> dict[tuple[str, str], StageRecord]:
    """Every recorded stage of every trial."""
    found = {}
    for trial in trials:
        manifest = shelf.load(TrialManifest, layout.trial(trial.slug).manifest)
        for stage, record in manifest.stage_status.items() if manifest is not None else ():
            found[trial.slug, stage] = record
    return found


def view_of(experiments: Path, run_id: str, limits_of: Callable[[Config], Limits]) -> View:
    """The run as it is on disk; nothing is written. limits_of: what the run's provider takes in one batch. Raises RunStateMissing."""
    layout = RunLayout.of(experiments, check_run_id(run_id))
    layout.check_there()
    config = config_of_run(layout)
    notes = look_lines(layout.ledger)
    return look(layout, config, load_parts(layout.ledger), Stamps(layout.root, layout.stamps), limits_of(config), notes=notes)


def trial_of(view: View, slug: str | None) -> Trial:
    """The trial named, or the only one. Raises ConfigError naming those there are."""
    slugs = [trial.slug for trial in view.trials]
    if slug is None and len(slugs) == 1:
        return view.trials[0]
    if slug not in slugs:
        what = "the run has several trials" if slug is None else f"there is no trial {slug!r}"
        raise ConfigError(what, where="--trial", hint=f"trials are: {', '.join(slugs) or 'none yet'}")
    return view.trials[slugs.index(slug)]


def material_of(view: View, trial: Trial) -> Material:
    """What analyses are made from. Raises RunStateMissing when the run has not come that far, StateError when a file is not as it was published."""
    if is_between_looks(view, trial):
        raise StateError(BETWEEN, where=trial.slug, hint=f"`batchtrial resume {view.layout.flags}` goes on to the next look")
    for stage in ("scored", "stats", "costs"):
        record = view.stages.get((trial.slug, stage))
        refuse_damaged(record.artifacts if record is not None else {}, view.layout.root, view.stamps)
    try:
        return material(view, trial)
    except FileNotFoundError as error:
        what = f"{trial.slug} has no {Path(error.filename or '').name} yet"
        raise RunStateMissing(what, where=str(view.layout.root), hint="`batchtrial resume` goes on with the run") from None
