"""What a phase is, what it may look at, and what it may do.

A phase is a module with a `name`, a pure `verdict(view)` that says whether it has to run and why, and a `run(work)` that does it. Phases meet
through files, never through imports, and each writes only its own artifacts. Clock, sleep and stop are handed in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from batchtrial.config.expand import Arm, Trial, TrialArm, lanes_of_arms
from batchtrial.config.lanes import lanes_of
from batchtrial.config.model import Config
from batchtrial.keys import arm_of_part
from batchtrial.providers.base import Limits, Provider, codec_of
from batchtrial.records import CONDITIONS, Item, Verdict
from batchtrial.state.files import BuildManifest, PreparedManifest, Shard, StageRecord, same
from batchtrial.state.layout import RunLayout, TrialLayout
from batchtrial.state.ledger import Ledger, PartRecord
from batchtrial.state.store import Hook, Sink, Stamps, no_hook, replacing
from batchtrial.stats.looks import Look

EXPORTS = ("predictions.csv", "per_item_scores.csv", "results_combined.jsonl")
"""Artifacts made for people, which no phase reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is true on disk when the plan is made: enough for every verdict, and nothing that could change it.

    trials: expanded against the prepared items, empty while there are none. parts: folded from the ledger.
    unlooked: lanes whose account was not listed for second batches since the last batch was made there.
    failed: lanes that could not be asked to the end -> why.
    open_items: arm -> items of the prefix about which it may ask by now; None where no looks are planned. looks: trial -> those that were taken.
    judge_build: the parts of the second wave, in which judges are asked.
    beside: trials of the wave that the view is not of.
    elsewhere: what a copy of the run may have asked besides, where no provider can be asked for it (`phases/batches/elsewhere.py`).
    stages: (trial slug, stage) -> record from the trial's manifest. limits: the provider's, which decide how requests are cut.
    """

    layout: RunLayout
    config: Config
    trials: tuple[Trial, ...]
    prepared: PreparedManifest | None
    build: BuildManifest | None
    parts: Mapping[str, PartRecord]
    stages: Mapping[tuple[str, str], StageRecord]
    stamps: Stamps
    limits: Limits
    unlooked: frozenset[str] = frozenset()
    failed: Mapping[str, str] = field(default_factory=dict)
    open_items: Mapping[str, int] | None = None
    looks: Mapping[str, tuple[Look, ...]] = field(default_factory=dict)
    judge_build: BuildManifest | None = None
    beside: tuple[Trial, ...] = ()
    elsewhere: tuple[Mapping[str, Any], ...] = ()

    def is_open(self, shard: Shard) -> bool:
        """Whether the part may be asked by now: not before the look that it waits for, never after a stop."""
        return self.open_items is None or shard.first_item + shard.n_items <= self.open_items.get(shard.arm, 0)

    def asked_shards(self) -> dict[str, Shard]:
        """Parts that may be asked by now, of the lanes that have not failed, by name."""
        lane_of = lanes_of_arms(self.trials) if self.failed else {}
        shards = self.build.shards if self.build is not None else {}
        return {name: shard for name, shard in shards.items() if lane_of.get(shard.arm) not in self.failed and self.is_open(shard)}

    @property
    def asked_lanes(self) -> frozenset[str]:
        """Lanes that the wave has parts for, those that have failed too."""
        lane_of, shards = lanes_of_arms(self.trials), self.build.shards if self.build is not None else {}
        return frozenset(lane_of.get(shard.arm, self.config.backend) for shard in shards.values())

    @property
    def but_failed(self) -> str:
        """What stands behind a sentence about all parts when some lanes have failed."""
        return "".join(f"; but those of {name}, which failed: {reason}" for name, reason in self.failed.items())

    def trial_layout(self, trial: Trial) -> TrialLayout:
        return self.layout.trial(trial.slug)

    def shards(self, arm: Arm) -> tuple[Shard, ...]:
        """The arm's parts that may be asked by now, in order."""
        return tuple(shard for shard in self.every_shard(arm) if self.is_open(shard))

    def every_shard(self, arm: Arm) -> tuple[Shard, ...]:
        """The arm's parts in order, those too that wait for a look or are never asked."""
        return () if self.build is None else tuple(s for s in self.build.shards.values() if s.arm == arm.name)

    def stage_verdict(self, trial: Trial, stage: str, inputs: str | None, *, needs: str) -> Verdict:
        """Done when the recorded artifacts are on disk as recorded and were made from `inputs`.

        inputs: digest of what the stage would be made from now; None when that is not there yet, and `needs` names the step to run first.
        """
        if inputs is None:
            return Verdict(status="blocked", reason=f"{trial.slug}: waits for {needs}", needs=needs)
        record = self.stages.get((trial.slug, stage))
        if record is None or record.status != "completed":
            return Verdict(status="missing", reason=f"{trial.slug}: not done yet")
        if record.inputs != inputs:
            return Verdict(status="stale", reason=f"{trial.slug}: its inputs have changed since")
        problem = same(record.artifacts, self.layout.root, self.stamps)
        if problem is not None:
            return Verdict(status="stale", reason=f"{trial.slug}: {problem}")
        return Verdict(status="done", reason=f"{len(record.artifacts)} artifacts as published")

    def stage_artifacts_digest(self, trial: Trial, stage: str) -> str | None:
        """Digest of a finished stage's artifacts but exports; None while the stage is not completed. What later stages take as their input."""
        record = self.stages.get((trial.slug, stage))
        if record is None or record.status != "completed":
            return None
        return digest_of({name: one.sha256 for name, one in record.artifacts.items() if name not in EXPORTS})


def digest_of(value: object) -> str:
    """Hex sha256 of the value as canonical JSON; for `inputs` of stages. Raises TypeError for a set, whose order is another one in every process."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_as_text, separators=(",", ":")).encode()).hexdigest()


def _as_text(value: object) -> str:
    if isinstance(value, set | frozenset):
        raise TypeError("a set has no order to be hashed in")
    return str(value)


class StopSignal(Protocol):
    """How a loop learns that it should end."""

    def check(self) -> None:
        """Raises Stopped when a stop was requested."""

    def is_requested(self) -> bool:
        """Whether one was, without raising."""

    def is_immediate(self) -> bool:
        """Whether it is to leave at once, after the durable write in hand."""

    def sleep(self, seconds: float) -> None:
        """Wait, or raise Stopped as soon as a stop is requested."""

    def sleep_draining(self, seconds: float) -> None:
        """Wait although a stop was requested; raise Stopped only when it is immediate."""


class Progress(Protocol):
    """Where a phase says how far it is; bars on a terminal, plain lines elsewhere."""

    def task(self, label: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        """A task; call the yielded function with the number of steps done since the last call."""

    def note(self, text: str) -> None:
        """One line for the person watching."""


class Worker(Protocol):
    """What a pure function of one part may use while it works, in whatever process."""

    def check(self) -> None:
        """Raises Stopped when a stop was requested."""

    def step(self, n: int) -> None:
        """So many rows are done."""

    def note(self, text: str) -> None:
        """One line for the person watching."""


@dataclass(slots=True)
class Standing:
    """What this process has found out about the account and about copies of the run, kept from phase to phase.

    is_proved: the key is the run's. earlier: batches that the ledger had when this process began.
    surveyed: (part, attempt) that others' batches were looked for; wanted: their tokens, with requests. listed_at: when that was last.
    sighted: tokens of ours that the provider showed. unread: size -> batches that may be ours until they have ended.
    nameless: size -> batches of which that can never be told.
    """

    is_proved: bool = False
    earlier: frozenset[str] | None = None
    surveyed: set[tuple[str, int]] = field(default_factory=set)
    wanted: dict[str, int] = field(default_factory=dict)
    listed_at: datetime | None = None
    sighted: set[str] = field(default_factory=set)
    unread: dict[int, frozenset[str]] = field(default_factory=dict)
    nameless: dict[int, frozenset[str]] = field(default_factory=dict)
    is_elsewhere: bool = False  # the last process worked on the run in another place, or a copy of it is at work now


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A provider beside the run's own: its part of `Work`. config: as it is for arms at this lane."""

    config: Config
    codec: Provider
    provider: Callable[[], Provider]
    standing: Standing = field(default_factory=Standing)


@dataclass(frozen=True, slots=True)
class Share:
    """Every `of`-th part of a step, from the `number`-th on; the first is 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


class FolderCap(Protocol):
    """What all runs of a folder may cost together."""

    @property
    def where(self) -> str:
        """What says so."""

    def cap(self) -> Decimal | None:
        """Dollars; None when there is no cap."""

    def held(self) -> AbstractContextManager[bool]:
        """Nobody else reserves anything meanwhile; False when that cannot be had for now."""

    def left(self) -> Decimal | None:
        """What is left to this run, what it has committed included; None when there is no cap."""

    def refusal(self, part: str, committed: Decimal, reserve: Decimal, besides: Decimal) -> str | None:
        """Why the cap does not cover it; None when it does."""


@dataclass(slots=True, kw_only=True)
class Work:
    """What `run` gets: the view, and the only ways to change anything.

    codec: the adapter for its pure half (encode, decode, limits); nothing is sent. provider: the same, ready to call; made at first use.
    now: the clock, UTC. publish: record a finished stage in the trial's manifest, durably. hook: called at every durable write.
    """

    view: View
    ledger: Ledger
    codec: Provider
    provider: Callable[[], Provider]
    now: Callable[[], datetime]
    stop: StopSignal
    progress: Progress
    publish: Callable[[Trial, str, str, Sequence[Path]], None]
    refresh: Callable[[], None]  # parts or batches have changed: the manifests may be brought up to date
    fits_what_was_sent: Callable[[Sequence[Item], str], bool] = lambda items, sha256: False  # whether requests were sent about these items
    is_remaking: bool = False  # make finished artifacts again; never anything that costs
    is_partial: bool = False  # a budget below the whole plan is meant
    workers: int = 1  # processes that parse, score and analyse at the same time, at most
    executor: str = "process"  # who works on parts and trials: see phases/tables/executor.py
    share: Share | None = None  # make these parts alone, without the run's lock: see phases/tables/shares.py
    is_merging: bool = False  # take the parts that shares have made
    hook: Hook = no_hook
    standing: Standing = field(default_factory=Standing)
    others: Mapping[str, Lane] = field(default_factory=dict)  # further lanes, by backend
    folder: FolderCap | None = None  # a cap over the runs beside this one
    lane: str | None = None  # the one lane that this is about; None: the run with all of them

    @property
    def lanes(self) -> tuple[Work, ...]:
        """The work of each lane by itself: its own config, codec, provider and standing; itself alone where there is one lane."""
        if not self.others or self.lane is not None:
            return (self,)
        return tuple(self.at(name) for name in lanes_of(self.config))

    def at(self, lane: str) -> Work:
        """The work of one lane."""
        if lane == self.config.backend:
            return replace(self, lane=lane, codec=codec_of(self.codec, lane))
        one = self.others[lane]
        return replace(self, lane=lane, view=replace(self.view, config=one.config), codec=one.codec, provider=one.provider, standing=one.standing)

    @property
    def is_own(self) -> bool:
        """Whether it is about the run's own lane, or about all of them. Lines of the ledger name the others."""
        return self.lane is None or self.lane not in self.others

    def records(self) -> dict[str, PartRecord]:
        """What the ledger has of the lane's parts. A part of an arm that is no longer in the config is the run's own lane's."""
        if self.lane is None:
            return self.ledger.parts
        lane_of = lanes_of_arms((*self.view.trials, *self.view.beside))
        elsewhere = {name for name, lane in lane_of.items() if lane != self.lane}
        mine = {name for name, lane in lane_of.items() if lane == self.lane}
        arms = {part: arm_of_part(part) for part in self.ledger.parts}
        return {part: self.ledger.parts[part] for part, arm in arms.items() if arm in mine or (self.is_own and arm not in elsewhere)}

    def batches(self) -> frozenset[str]:
        """Ids of the lane's batches that the ledger has a receipt for."""
        return frozenset(one.batch_id for record in self.records().values() for one in record.attempts if one.batch_id)

    @property
    def config(self) -> Config:
        return self.view.config

    @property
    def layout(self) -> RunLayout:
        return self.view.layout

    def due(self, phase: PhaseByTrial) -> Iterator[tuple[Trial, str]]:
        """Trials that the phase has to work on, each with the digest of its inputs; looks for a stop between them."""
        for trial in self.view.trials:
            self.stop.check()
            verdict = phase.trial_verdict(self.view, trial)
            inputs = phase.inputs(self.view, trial)
            if inputs is not None and (self.is_remaking or not verdict.is_done):
                yield trial, inputs


class Phase(Protocol):
    """A step of the pipeline."""

    @property
    def name(self) -> str: ...

    def verdict(self, view: View) -> Verdict: ...

    def run(self, work: Work) -> None: ...


class PhaseByTrial(Phase, Protocol):
    """A phase that works trial by trial."""

    def inputs(self, view: View, trial: Trial) -> str | None: ...

    def trial_verdict(self, view: View, trial: Trial) -> Verdict: ...


def over_trials(phase: PhaseByTrial, view: View) -> Verdict:
    """The phase's verdict for the whole run: done when every trial is, else the first trial that is not and how many there are."""
    if not view.trials:
        return Verdict(status="blocked", reason="waits for build", needs="build")
    verdicts = [phase.trial_verdict(view, trial) for trial in view.trials]
    open_ones = [v for v in verdicts if not v.is_done]
    if not open_ones:
        return Verdict(status="done", reason=f"{len(verdicts)} trial{'s' * (len(verdicts) > 1)}: {verdicts[0].reason}")
    first = open_ones[0]
    count = f"{len(open_ones)} of {len(verdicts)} trials: " if len(verdicts) > 1 else ""
    return Verdict(status=first.status, reason=count + first.reason, needs=first.needs)


def arms_in_order(trial: Trial) -> tuple[TrialArm, ...]:
    """Control arms by temperature, then treatment arms; without those whose lane failed."""
    found = (trial.arm(condition, temp) for condition in CONDITIONS for temp in trial.temps)
    absent = dict(trial.absent)
    return tuple(arm for arm in found if arm is not None and arm.name not in absent)


@contextmanager
def publishing(work: Work, path: Path) -> Iterator[Sink]:
    """A sink whose content durably becomes `path` on a clean exit; its fingerprint is then known without another look at the file."""
    with replacing(path, hook=work.hook) as file:
        sink = Sink(file)
        yield sink
    work.view.stamps.learn(path, sink.fingerprint)
