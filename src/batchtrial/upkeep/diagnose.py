"""What is wrong with a run's folder, file by file, and what can be done about each. Reads everything afresh, writes nothing, needs no lock.

Trust runs from the artifacts over the ledger and the manifests to run_state.json; a file that a later phase can make again is only named here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from batchtrial.archive.zip import ArchiveManifest
from batchtrial.config.expand import Trial, expand
from batchtrial.config.load import config_hash, decode, drift
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError, IllegalTransition, ManifestCorrupt, RunnerError, RunStateMissing
from batchtrial.phases.base import over_trials
from batchtrial.phases.batches.frozen_plan import plan_by_mark, plan_made_anew
from batchtrial.phases.build.sent import fits_what_was_sent, parts_of_answers
from batchtrial.phases.judge.parse import on_record
from batchtrial.phases.prepare import phase as prepare
from batchtrial.phases.report import phase as report
from batchtrial.providers.base import Provider
from batchtrial.reading.config import recorded_config
from batchtrial.reading.view import look
from batchtrial.state.entries import Entry, LedgerRead, read
from batchtrial.state.files import (
    BuildManifest,
    ControlRegistry,
    File,
    MultiTrialManifest,
    PreparedManifest,
    RunState,
    Shelf,
    TrialManifest,
)
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import PartRecord, fold, look_lines
from batchtrial.state.machine import PartState
from batchtrial.state.rebuild import Rebuilt, Source, rebuild, symptoms
from batchtrial.state.store import Fingerprint, Stamps, fingerprint, is_unchanged
from batchtrial.upkeep.remains import Remains

F = TypeVar("F", bound=File)
Cure = Literal["rebuild", "remake", "refetch", "drop", "hopeless"]
CURES: Mapping[Cure, str] = {
    "rebuild": "repair rebuilds it",
    "remake": "--resume makes it again",
    "refetch": "--resume downloads it again, which costs nothing, while the provider keeps it",
    "drop": "repair sets it aside; archive the run again",
    "hopeless": "cannot be rebuilt",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong with one file. path: relative to the run. is_there: a damaged file is kept aside before a new one takes its place."""

    path: str
    problem: str
    cure: Cure
    why: str = ""  # for hopeless ones: what is missing
    is_there: bool = True

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; {CURES[self.cure]}" + (f": {self.why}" if self.why else "")


@dataclass(slots=True, kw_only=True)
class Diagnosis:
    """What was found, and what the repair works from."""

    layout: RunLayout
    config: Config
    codec: Provider
    findings: list[Finding] = field(default_factory=list)
    state: RunState | None = None
    rebuilt: Rebuilt | None = None  # set when the ledger has to be replaced
    parts: dict[str, PartRecord] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    restores_config: bool = False
    shelf: Shelf = field(default_factory=Shelf)  # the snapshots as this examination has read them

    @property
    def is_sound(self) -> bool:
        return not self.findings

    @property
    def hopeless(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.cure == "hopeless"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    """How to look. codec_of: the adapter of a config, for its pure half. now: the time that batches live in. nonce: fresh random digits."""

    layout: RunLayout
    codec_of: Callable[[Config], Provider]
    now: Callable[[], datetime]
    nonce: str
    assume_unsent: bool = False
    is_live: bool = False

    def examine(self) -> Diagnosis:
        """Look at everything. Raises RunStateMissing when neither the config nor a copy of it is left."""
        layout, shelf = self.layout, Shelf()
        layout.check_there()
        findings: list[Finding] = []
        state = _snapshot(findings, layout, shelf, layout.run_state, RunState)
        config, restores = self._config(findings, state)
        manifests = {
            path.parent.parent.name: manifest
            for path in sorted(layout.root.glob("*/results/trial_manifest.json"))
            if (manifest := _snapshot(findings, layout, shelf, path, TrialManifest)) is not None
        }
        codec = self.codec_of(config)
        remains = Remains(layout, config, codec, manifests)
        got = read(layout.ledger)
        found = Diagnosis(layout=layout, config=config, codec=codec, findings=findings, state=state, restores_config=restores, shelf=shelf)
        self._ledger(found, got, remains)
        self._inputs(found, remains)
        self._results(found)
        self._snapshots(found, manifests)
        if not self.is_live:
            self._artifacts(found, manifests)
        if state is None and got.entries and not any(f.path == layout.run_state.name for f in findings):
            findings.append(Finding(path=layout.run_state.name, problem="it is gone", cure="rebuild", is_there=False))
        return found

    # The config

    def _config(self, findings: list[Finding], state: RunState | None) -> tuple[Config, bool]:
        """(the run's config, whether effective_config.yaml has to be written again)."""
        recorded = recorded_config(self.layout)
        name = self.layout.effective_config.name
        try:
            text = self.layout.effective_config.read_text(encoding="utf-8")
            written = decode(text, where=name, folder=self.layout.root, flags={}, env={}).config
            problem = ""
        except FileNotFoundError:
            written, problem = None, "it is gone"
        except (UnicodeDecodeError, ConfigError) as error:
            written, problem = None, getattr(error, "what", str(error))
        if written is not None and recorded is not None:
            changed = drift(recorded, written)
            problem = "it is not what the ledger has on record: " + "; ".join(f"{k}: {v}" for k, v in changed.items()) if changed else ""
        elif written is not None and state is not None and config_hash(written) != state.config_hash:
            problem = "it does not fit the hash in run_state.json, and the ledger has no copy of it"
            findings.append(Finding(path=name, problem=problem, cure="hopeless", why="put the file back from a copy or an archive of the run"))
            return written, False
        if not problem and written is not None:
            return recorded or written, False
        if recorded is None:
            raise RunStateMissing(
                f"the run's config cannot be rebuilt: {problem}, and the ledger has no copy of it",
                where=str(self.layout.effective_config),
                hint="put effective_config.yaml back from a copy or an archive of the run",
            )
        findings.append(Finding(path=name, problem=problem, cure="rebuild", is_there=self.layout.effective_config.exists()))
        return recorded, True

    # The ledger

    def _ledger(self, found: Diagnosis, got: LedgerRead, remains: Remains) -> None:
        signs = symptoms(got, found.state, remains.batches.values())
        try:
            parts = fold(got.entries)
        except IllegalTransition as error:
            signs = (*signs, error.what)
        if not signs:
            found.parts = parts
            return
        name, is_there = self.layout.ledger.name, self.layout.ledger.exists()
        nonce = next((e.run_nonce for e in got.entries if e.run_nonce), None) or (found.state.run_nonce if found.state is not None else None)
        remnants = remains.remnants(e.part for e in got.entries if e.part is not None)
        if self.assume_unsent:
            remnants = replace(remnants, payloads=frozenset())
        source = Source(nonce=nonce or self.nonce, intent=remains.intent, saved=remains.saved, now=self._now(got), ended=remains.ended)
        is_cut = _is_cut(got, found.state, signs)
        rebuilt = rebuild(got, self._opened(found, nonce), remnants, source, is_cut=is_cut, plan_anew=lambda heads: _plan_anew(found, heads))
        if nonce is None and (rebuilt.in_doubt or not (remnants.parts or self.assume_unsent)):
            which = f"{len(rebuilt.in_doubt)} parts ({rebuilt.in_doubt[0]} ...) were" if rebuilt.in_doubt else "anything was"
            why = (
                f"whether {which} sent is known to nobody here: the random digits that mark "
                "them at the provider are lost with the ledger and run_state.json. Put one of the two back from a copy or an archive, or, when the "
                "provider's console shows no batches of this run, say so with --assume_unsent"
            )
            found.findings.append(Finding(path=name, problem="; ".join(signs), cure="hopeless", why=why, is_there=is_there))
            return
        found.rebuilt, found.parts = rebuilt, fold(rebuilt.entries)
        doubt = f"; the provider is asked about {len(rebuilt.in_doubt)} parts before anything is sent" if rebuilt.in_doubt else ""
        found.findings.append(Finding(path=name, problem="; ".join(signs) + doubt, cure="rebuild", is_there=is_there))

    def _opened(self, found: Diagnosis, nonce: str | None) -> dict[str, object]:
        detail = {"config": found.config.model_dump(mode="json"), "overrides": dict(found.state.overrides) if found.state is not None else {}}
        return {"run_nonce": nonce or self.nonce, "config_hash": config_hash(found.config), "detail": detail}

    def _now(self, got: LedgerRead) -> datetime:
        return max((entry.at for entry in got.entries), default=self.now())

    # Request and result files

    def _inputs(self, found: Diagnosis, remains: Remains) -> None:
        """Prepared items, requests and the index; each can be made again from what stands before it."""
        layout, findings = self.layout, found.findings
        prepared = _snapshot(findings, layout, found.shelf, layout.prepared_manifest, PreparedManifest, cure="remake")
        build = _snapshot(findings, layout, found.shelf, layout.build_manifest, BuildManifest, cure="remake")
        if prepared is None and found.parts and not layout.prepared_manifest.exists():
            findings.append(Finding(path=_name(layout, layout.prepared_manifest), problem="it is gone", cure="remake", is_there=False))
        for file in prepared.datasets.values() if prepared is not None else ():
            _compare(findings, layout, file.path, file, cure="remake")
        if any(finding.path.startswith(f"{layout.prepared.name}/") for finding in findings):
            self._check_sources(found, prepared, build)
        if prepared is not None:
            found.trials = expand(found.config, prepared.sha256)
        if build is None and found.parts and not layout.build_manifest.exists():
            findings.append(Finding(path=_name(layout, layout.build_manifest), problem="it is gone", cure="remake", is_there=False))
        for shard in build.shards.values() if build is not None else ():
            _compare(findings, layout, shard.path, shard, cure="remake")
        second = _snapshot(findings, layout, found.shelf, layout.judging.build_manifest, BuildManifest, cure="remake")
        for shard in second.shards.values() if second is not None else ():
            _compare(findings, layout, shard.path, shard, cure="remake")
        for one in (build, second):
            if one is not None:
                _compare(findings, layout, one.index.path, one.index, cure="remake")

    def _check_sources(self, found: Diagnosis, prepared: PreparedManifest | None, build: BuildManifest | None) -> None:
        """Damaged items are made again from their sources: say now when those are gone or hold other items."""
        if any(spec.source == "hub" for spec in found.config.datasets):
            return
        try:
            chosen = prepare.choose(found.config)
            why = ""
        except (RunnerError, OSError) as error:
            chosen, why = None, f"its source cannot be read: {getattr(error, 'what', error)}"
        if chosen is not None and not self._fits(found, prepared, build, chosen):
            why = "its source holds other items now than those that the requests were made from"
        if why:
            for finding in [f for f in found.findings if f.path.startswith(f"{self.layout.prepared.name}/")]:
                _recure(found.findings, finding.path, "hopeless", f"{why}. Put the source or the prepared file back from a copy")

    def _fits(self, found: Diagnosis, prepared: PreparedManifest | None, build: BuildManifest | None, chosen: prepare.Prepared) -> bool:
        if prepared is not None:
            return chosen.sha256 == prepared.sha256
        return fits_what_was_sent(found.config, found.codec, chosen.items, chosen.sha256, parts_of_answers(build, found.parts))

    def _results(self, found: Diagnosis) -> None:
        """Result files against the ledger, and the requests of later attempts."""
        retries = f"{_name(self.layout, self.layout.batch_inputs)}/retries/"
        for record in found.parts.values():
            for attempt in record.attempts:
                if attempt.is_saved and attempt.path is not None:
                    want = Fingerprint(size=attempt.size or 0, sha256=attempt.sha256 or "")
                    _compare(found.findings, self.layout, attempt.path, want, cure="refetch")
                if attempt.number > 1 and attempt.payload.startswith(retries) and record.state is not PartState.PENDING:
                    path = self.layout.root / attempt.payload
                    got = fingerprint(path) if path.exists() else None
                    if got is None or got.sha256 != attempt.payload_sha256:
                        problem = "it is gone" if got is None else "it is not as it was sent"
                        found.findings.append(Finding(path=attempt.payload, problem=problem, cure="rebuild", is_there=got is not None))

    # Snapshots and artifacts

    def _snapshots(self, found: Diagnosis, manifests: Mapping[str, TrialManifest]) -> None:
        layout, findings = self.layout, found.findings
        registry = _snapshot(findings, layout, found.shelf, layout.control_registry, ControlRegistry)
        listed = _snapshot(findings, layout, found.shelf, layout.multi_trial_manifest, MultiTrialManifest)
        _snapshot(findings, layout, found.shelf, layout.archive_manifest, ArchiveManifest, cure="drop")
        if not found.trials or not layout.build_manifest.exists():
            return  # they are first written once the trials are known
        absent: list[tuple[Path, File | None]] = [(layout.control_registry, registry), (layout.multi_trial_manifest, listed)]
        absent += [(layout.trial(trial.slug).manifest, manifests.get(trial.slug)) for trial in found.trials]
        for path, value in absent:
            if value is None and not path.exists():
                findings.append(Finding(path=_name(layout, path), problem="it is gone", cure="rebuild", is_there=False))

    def _artifacts(self, found: Diagnosis, manifests: Mapping[str, TrialManifest]) -> None:
        """What the later phases published, against the trials' manifests."""
        seen: set[str] = set()
        for manifest in manifests.values():
            for record in manifest.stage_status.values():
                for artifact in record.artifacts.values():
                    if artifact.path not in seen:
                        seen.add(artifact.path)
                        _compare(found.findings, self.layout, artifact.path, artifact, cure="remake")
        judgements = on_record(self.layout)
        if judgements is not None:
            _compare(found.findings, self.layout, judgements.path, judgements, cure="remake")
        if found.findings or not found.trials:
            return
        stamps, notes = Stamps(self.layout.root, self.layout.stamps), look_lines(self.layout.ledger)
        view = look(self.layout, found.config, found.parts, stamps, found.codec.limits, found.shelf, notes)
        verdict = report.phase.verdict(view)
        if not verdict.is_done and over_trials(report.phase, view).is_done:
            is_there = self.layout.aggregate_report.exists()
            found.findings.append(Finding(path=self.layout.aggregate_report.name, problem=verdict.reason, cure="remake", is_there=is_there))


def _plan_anew(found: Diagnosis, heads: Sequence[Entry]) -> dict[str, Any] | None:
    """A lost plan line, from the lines about the run that are left, else by the hash in run_state.json."""
    return plan_made_anew(heads) or plan_by_mark(found.config, found.state.plan if found.state is not None else None, heads)


def _is_cut(got: LedgerRead, state: RunState | None, signs: tuple[str, ...]) -> bool:
    """Lines may be missing at the end: nothing that is left says how many."""
    if not got.entries or got.torn:
        return True
    last = got.entries[-1].seq
    is_behind = state is not None and state.ledger_lines > last
    return is_behind or any(number > last for number in (*got.foreign, *got.absent)) or any("manifest names" in sign for sign in signs)


def _name(layout: RunLayout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


def _snapshot(findings: list[Finding], layout: RunLayout, shelf: Shelf, path: Path, model: type[F], *, cure: Cure = "rebuild") -> F | None:
    """The file's content; a damaged one becomes a finding. None when it is absent or damaged."""
    try:
        return shelf.load(model, path)
    except ManifestCorrupt as error:
        findings.append(Finding(path=_name(layout, path), problem=error.what.partition("is damaged: ")[2] or error.what, cure=cure))
        return None


def _compare(findings: list[Finding], layout: RunLayout, path: str, want: Fingerprint, *, cure: Cure) -> None:
    """The file's bytes, read now, against what is on record."""
    try:
        if is_unchanged(f"{layout.root}/{path}", want):
            return
        problem, is_there = "it is not as it was published", True
    except (FileNotFoundError, NotADirectoryError):
        problem, is_there = "it is gone", False
    findings.append(Finding(path=path, problem=problem, cure=cure, is_there=is_there))


def _recure(findings: list[Finding], path: str, cure: Cure, why: str) -> None:
    for place, finding in enumerate(findings):
        if finding.path == path:
            findings[place] = replace(finding, cure=cure, why=why)
