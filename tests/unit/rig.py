"""A whole run at a provider in memory, without a command line: opened, carried out up to a step, and opened again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.unit.memory import Clock, Memory
from tests.unit.phases.world import Quiet, config, open_items

from batchtrial.config.expand import expand
from batchtrial.config.model import Config
from batchtrial.run.loop import Finished, Services, execute
from batchtrial.run.options import Options
from batchtrial.run.session import Opening, Session, open_run
from batchtrial.run.stop import StopToken
from batchtrial.state.files import BuildManifest, load
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import Entry, Money, PartRecord, fold, money, read
from batchtrial.state.store import Hook, no_hook

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def real_clock() -> datetime:
    return NOW


@dataclass(slots=True)
class Rig:
    """One run. settings: keys under `submission`; changes: other keys of the config. nonce: another one for each run at one provider."""

    folder: Path
    n_items: int = 4
    settings: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    nonce: str = "00ff00ff00ff00ff"
    notes: list[str] = field(default_factory=list)
    memory: Memory = field(init=False)
    layout: RunLayout = field(init=False)

    def __post_init__(self) -> None:
        self.memory = Memory(self.clock)
        self.layout = RunLayout(self.folder / "run_r1")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.questions.write_text("".join(json.dumps(row) + "\n" for row in open_items(self.n_items)))

    @property
    def questions(self) -> Path:
        return self.folder / "questions.jsonl"

    def config(self, **settings: Any) -> Config:
        """The config, with further keys under `submission`."""
        submission = {"lines_per_part": 2, "max_concurrent_jobs": 2, "poll_seconds": 20.0} | self.settings | settings
        datasets = [{"name": "reading", "source": "file", "path": str(self.questions)}]
        return config(datasets, submission=submission, **self.changes)

    def open(self, *, hook: Hook = no_hook, accept_drift: bool = False, given: Config | None = None, is_resume: bool | None = None) -> Session:
        """Take the run."""
        begun = self.layout.effective_config.exists() if is_resume is None else is_resume
        opening = Opening(run_id="r1", config=given or self.config(), is_resume=begun, accept_drift=accept_drift, overrides={}, nonce=self.nonce)
        return open_run(self.layout, opening, self.memory, clock=real_clock, ledger_clock=self.clock.now, hook=hook)

    def stop_token(self) -> StopToken:
        """The run's stop token, on simulated time."""
        return StopToken(self.layout.stop_requested, self.layout.stop_now, self.clock.wait, float("inf"))

    def run(self, to_step: str = "poll", *, hook: Hook = no_hook, given: Config | None = None, options: Options | None = None) -> Finished:
        """Carry it out up to a step; the run is closed afterwards, whatever happens."""
        chosen = options or Options(to_step=to_step)
        session = self.open(hook=hook, given=given, accept_drift=chosen.accept_drift)
        quiet = Quiet(self.notes)
        services = Services(
            codec=self.memory, provider=lambda: self.memory, now=self.clock.now, stop=self.stop_token(), progress=quiet, hook=hook
        )  # fmt: skip
        try:
            return execute(session, chosen, services)
        finally:
            session.close()

    # What is true afterwards

    @property
    def n_requests(self) -> int:
        return 2 * self.n_items

    def entries(self) -> tuple[Entry, ...]:
        return read(self.layout.ledger).entries

    def events(self, part: str | None = None) -> list[str]:
        """Ledger events of a part, or of all parts."""
        return [entry.event for entry in self.entries() if entry.part is not None and part in (None, entry.part)]

    def parts(self) -> Mapping[str, PartRecord]:
        return fold(self.entries())

    def arms(self, condition: str) -> tuple[str, ...]:
        """What the custom_ids begin with of the arms that play this role."""
        return tuple(arm.id_head for trial in expand(self.config(), "") for arm in trial.arms if arm.condition == condition)

    def names(self) -> tuple[str, ...]:
        """Part names in the order of sending."""
        build = load(BuildManifest, self.layout.build_manifest)
        return tuple(build.shards) if build is not None else ()

    def money(self) -> Money:
        return money(self.parts().values())

    def counts(self) -> Counter[str]:
        """Final outcomes of all settled requests."""
        total: Counter[str] = Counter()
        for record in self.parts().values():
            total += Counter(record.counts.model_dump() if record.counts is not None else {})
        return total

    def is_paid_once(self) -> bool:
        """Every request was answered once and no more, by the provider's count."""
        paid = self.memory.paid()
        return len(paid) == self.n_requests and set(paid.values()) == {1}


Action = Callable[[], None]


def once(point: str, action: Action, at: int = 1) -> Hook:
    """A hook that acts the n-th time it meets the point."""
    seen = 0

    def hook(where: str) -> None:
        nonlocal seen
        if where == point:
            seen += 1
            if seen == at:
                action()

    return hook
