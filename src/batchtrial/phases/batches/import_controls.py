"""Taking control arms over from a finished run, so that the same answers are not bought twice.

A control is the same when its requests are the same bytes, which hold model, prompts, decoding and items. Anything else is refused. There it may have
played another role.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from batchtrial.config.expand import Arm, Trial, controls_of
from batchtrial.config.load import decode
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.keys import check_run_id
from batchtrial.phases.base import Work
from batchtrial.state.files import BuildManifest, ControlRegistry, PreparedManifest, Shard, load
from batchtrial.state.layout import RunLayout, result_file
from batchtrial.state.ledger import Attempt, PartRecord, load_parts
from batchtrial.state.machine import Event, PartState
from batchtrial.state.store import fingerprint, replacing


def import_controls(work: Work) -> None:
    """Copy every control part that has no attempt yet from the run named by `control_from`. Raises ConfigError when it is not the same."""
    if work.config.control_from is None or work.view.build is None:
        return
    theirs = RunLayout.of(work.layout.root.parent, check_run_id(work.config.control_from))
    build = load(BuildManifest, theirs.build_manifest)
    if build is None:
        raise _no_run(work.config.control_from)
    _check_source(work, theirs)
    parts = load_parts(theirs.ledger)
    for arm in controls_of(work.view.trials):
        for shard in work.view.shards(arm):
            if not work.ledger.part(shard.part).attempts:
                record = _same_part(work, theirs, build, parts, arm, shard)
                _take_over(work, theirs, arm, shard, record)


def taken_over(config: Config, layout: RunLayout, trials: Iterable[Trial], input_sha256: str) -> frozenset[str]:
    """Names of the arms that `control_from` brings, without writing anything. Raises ConfigError when that run has not got them whole.

    input_sha256: fingerprint of the items.
    """
    if config.control_from is None:
        return frozenset()
    theirs = RunLayout.of(layout.root.parent, check_run_id(config.control_from))
    build = load(BuildManifest, theirs.build_manifest)
    if build is None:
        raise _no_run(config.control_from)
    parts, prepared = load_parts(theirs.ledger), load(PreparedManifest, theirs.prepared_manifest)
    found = set()
    for arm in controls_of(trials):
        mine = [s for s in build.shards.values() if s.arm == arm.name]
        states = [parts[s.part].state if s.part in parts else None for s in mine]
        is_same = prepared is not None and prepared.sha256 == input_sha256
        if not states or not is_same or sum(s.lines for s in mine) != arm.samples * sum(s.n_items for s in mine if not s.first_sample):
            raise ConfigError(
                f"run {config.control_from} has no such control: {arm.name}" + (" about these items" if states else ""),
                where="control_from",
                hint="leave control_from out to buy the control for this run",
            )
        if any(state is not PartState.SETTLED for state in states):
            raise ConfigError(f"{arm.name} is not finished in run {config.control_from}", where="control_from", hint="finish that run first")
        found.add(arm.name)
    return frozenset(found)


def _no_run(run_id: str) -> ConfigError:
    return ConfigError(f"there is no finished run {run_id}", where="control_from", hint="`batchtrial status` lists the runs there are")


def _check_source(work: Work, theirs: RunLayout) -> None:
    """Who answered must be the same: live answers are no match for simulated ones, nor one host's for another's."""
    mine, other = work.config, config_there(theirs)
    for name, a, b in (("mode", mine.mode, other.mode), ("provider.base_url", mine.provider.base_url, other.provider.base_url)):
        if a != b:
            raise ConfigError(f"run {mine.control_from} was made with {name} {b or 'unset'}, this one with {a or 'unset'}", where="control_from")


def config_there(theirs: RunLayout) -> Config:
    """The other run's config."""
    text = theirs.effective_config.read_text(encoding="utf-8")
    return decode(text, where=str(theirs.effective_config), folder=theirs.root, flags={}, env={}).config


def _same_part(work: Work, theirs: RunLayout, build: BuildManifest, parts: dict[str, PartRecord], arm: Arm, shard: Shard) -> PartRecord:
    other = build.shards.get(shard.part)
    if other is None or other.sha256 != shard.sha256:
        raise ConfigError(
            f"the control of {work.config.control_from} is not this run's: {_difference(work, theirs, arm)}",
            where="control_from",
            hint="leave control_from out to buy the control for this run",
        )
    record = parts.get(shard.part)
    if record is None or record.state is not PartState.SETTLED:
        raise ConfigError(f"{shard.part} is not finished in run {work.config.control_from}", where="control_from", hint="finish that run first")
    return record


def _difference(work: Work, theirs: RunLayout, arm: Arm) -> str:
    """In words, from the other run's registry."""
    registry = load(ControlRegistry, theirs.control_registry)
    mine = {
        "backend": work.config.backend,
        "model_id": arm.model,
        "prompt_sha": arm.prompt.system.sha256,
        "input_sha": work.view.prepared.sha256 if work.view.prepared is not None else "",
        "temp": arm.temp,
        "samples_per_item": arm.samples,
    }
    names = {"prompt_sha": "control prompt", "input_sha": "items", "model_id": "model", "samples_per_item": "samples per item", "temp": "temperature"}
    others = registry.controls.values() if registry is not None else ()
    differences = [[names.get(key, key) for key, value in mine.items() if getattr(one, key) != value] for one in others]
    closest = min(differences, key=len, default=[])
    return f"different {', '.join(closest)}" if closest else "different instructions, decoding, order or cutting of the requests"


def _take_over(work: Work, theirs: RunLayout, arm: Arm, shard: Shard, record: PartRecord) -> None:
    folder = arm.part_folder(shard.part_index)
    for attempt in record.attempts:
        if not attempt.is_saved:
            continue
        _copy(work, theirs.root / attempt.payload, work.layout.root / attempt.payload, attempt.payload_sha256)
        target = result_file(work.layout.root / folder, attempt.number)
        _copy(work, result_file(theirs.root / folder, attempt.number), target, attempt.sha256 or "")
        _record(work, shard, attempt, target)
    work.ledger.append(Event.SETTLED, shard.part, counts=record.counts)
    work.progress.note(f"took {shard.part} over from run {work.config.control_from}")


def _copy(work: Work, source: Path, target: Path, sha256: str) -> None:
    if not source.exists() or fingerprint(source).sha256 != sha256:
        raise ConfigError(
            f"{source.name} of run {work.config.control_from} is not as recorded there", where=str(source), hint="repair that run first"
        )
    if target.exists() and fingerprint(target).sha256 == sha256:
        return
    with source.open("rb") as taken, replacing(target, hook=work.hook) as file:
        shutil.copyfileobj(taken, file)


def _record(work: Work, shard: Shard, attempt: Attempt, target: Path) -> None:
    work.ledger.append(
        Event.IMPORTED,
        shard.part,
        attempt=attempt.number,
        payload=attempt.payload,
        payload_sha256=attempt.payload_sha256,
        n_requests=attempt.n_requests,
        batch_id=attempt.batch_id,
        path=target.relative_to(work.layout.root).as_posix(),
        sha256=attempt.sha256,
        size=attempt.size,
        counts=attempt.counts,
        odd=dict(attempt.odd),
        usage=dict(attempt.usage),
        cost_usd="0",
        reason=f"taken over from run {work.config.control_from}, where it was paid for",
    )
