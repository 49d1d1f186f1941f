"""A small run to be killed: its config and questions, its uninterrupted twin, and worlds in which it is started, killed and resumed.

Everything is fixed (questions, seeds, the run's nonce), so that kill number n falls at the same place every time and the twin's artifacts are the
bytes that every survivor must end with.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.crash.children import NONCE
from tests.crash.providers import Emulator
from tests.small_run import LINES_PER_PART, config_tree, write_inputs

from batchtrial.app import emulator as dryrun
from batchtrial.app.invocation import Invocation
from batchtrial.cli.commands import execute as session
from batchtrial.config.expand import arms_of, expand
from batchtrial.errors import RunStateMissing
from batchtrial.keys import token
from batchtrial.phases.prepare.items import load_prepared
from batchtrial.reading.config import config_of_run
from batchtrial.run.options import Options
from batchtrial.state.entries import LedgerRead, read
from batchtrial.state.files import BuildManifest, PreparedManifest, load
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import LATER, fold, money
from batchtrial.state.machine import PartState
from batchtrial.state.store import fingerprint

RUN_ID = "r1"
RESULTS = re.compile(r"results(_a[0-9]+)?\.jsonl")
FINISHED = (0, 4)
"""Exit codes of a run that reached its end, with and without requests that never succeeded."""
IN_MEMORY: str | None = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A folder in memory, where there is one: an fsync costs nothing there."""
Rule = Mapping[str, Any]
Hook = Callable[[str], None]


def no_hook(point: str) -> None:
    """Kill nothing."""


def config_text(provider: str, settings: Mapping[str, Any]) -> str:
    """A config as JSON, which is YAML too."""
    tree = config_tree(provider, poll_seconds=20.0, **{key: value for key, value in settings.items() if key != "submission"})
    tree["submission"] |= settings.get("submission", {})
    return json.dumps(tree, indent=1)


@dataclass(slots=True)
class Lab:
    """One config and its twin.

    faults: what the provider does wrong in every world of this lab, twin included. is_crowded: somebody else creates batches of the same size in the
    same Anthropic workspace, at the start of every world and at every kill.
    """

    root: Path
    provider: str = "fireworks"
    n_items: int = 5
    settings: Mapping[str, Any] = field(default_factory=dict)
    faults: Callable[[Lab], Sequence[Rule]] = lambda lab: ()
    has_twin: bool = True
    is_crowded: bool = False
    provider_of: Callable[..., Any] = Emulator
    want: dict[str, str] = field(default_factory=dict)
    want_bill: dict[str, Any] = field(default_factory=dict)
    want_rows: int = 0
    parts: tuple[str, ...] = ()
    points: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Write the inputs, learn the parts, and run the twin."""
        write_inputs(self.root, self.n_items)
        (self.root / "config.yaml").write_text(config_text(self.provider, self.settings))
        self._learn()
        if self.has_twin:
            self._run_twin()

    def _run_twin(self) -> None:
        twin = self.world("twin")
        assert twin.start(self.points.append) in (0, 4)
        self.want, self.want_bill, self.want_rows = twin.outputs(), twin.bill(), twin.n_rows()
        assert self.want_bill["n_paid_more_than_once"] == 0
        twin.close()

    def _learn(self) -> None:
        ask = self.asked(self.root / "learn", "", is_resume=False, options=Options(to_step="build"))
        assert session.run(ask, RUN_ID, nonce=NONCE, env={}) == 0
        layout = RunLayout(self.root / "learn" / f"run_{RUN_ID}")
        config = config_of_run(layout)
        prepared, build = load(PreparedManifest, layout.prepared_manifest), load(BuildManifest, layout.build_manifest)
        assert prepared is not None
        assert build is not None
        trials = expand(config, prepared.sha256)
        assert arms_of(trials)
        assert len(load_prepared(layout)) == self.n_items
        self.parts = tuple(build.shards)
        dryrun.write_world(layout, config, trials)
        shutil.copytree(layout.emulator, self.root / "model")

    def asked(self, experiments: Path, url: str, *, is_resume: bool, options: Options | None = None) -> Invocation:
        """What the command line would ask for."""
        return Invocation(
            run_id=RUN_ID,
            is_resume=is_resume,
            config=None if is_resume else self.root / "config.yaml",
            changes={} if is_resume else {"mode": "dry_run"},
            options=options or Options(),
            experiments=experiments,
            emulator_url=url or None,
        )

    def mark(self, part: int, attempt: int = 1) -> str:
        """What the provider sees of an attempt at a part (from 0), whichever wire it is."""
        return token(NONCE, self.parts[part], attempt)

    @property
    def n_requests(self) -> int:
        """Rows that a run asks for."""
        return 2 * self.n_items

    def world(self, name: str) -> World:
        """A fresh provider and an empty folder of runs."""
        return World(self, self.root / "worlds" / name)


class World:
    """A provider with no past, and one run against it."""

    def __init__(self, lab: Lab, root: Path) -> None:
        self.lab, self.root = lab, root
        self.experiments = root / "experiments"
        self.layout = RunLayout(self.experiments / f"run_{RUN_ID}")
        self.emulator: Any = lab.provider_of(root / "provider", model=lab.root / "model" / "model.json", faults=lab.faults(lab))
        self._n_foreign = 0  # requests
        self.crowd()

    def crowd(self) -> None:
        """In a crowded workspace somebody else creates a batch now, of the size that a part has."""
        if self.lab.is_crowded:
            self.emulator.add_foreign_batch(range(self._n_foreign, self._n_foreign + LINES_PER_PART))
            self._n_foreign += LINES_PER_PART

    def start(self, hook: Hook = no_hook, options: Options | None = None) -> int:
        """Run in this process; returns the exit code."""
        return session.run(self._asked(is_resume=False, options=options), RUN_ID, nonce=NONCE, env={}, hook=hook)

    def resume(self, hook: Hook = no_hook, options: Options | None = None) -> int:
        """Go on in this process, as the person would: with `--resume`, or from the start when that says that nothing was begun."""
        try:
            return session.run(self._asked(is_resume=True, options=options), RUN_ID, nonce=NONCE, env={}, hook=hook)
        except RunStateMissing:
            assert not self.ledger().entries
            return self.start(hook, options)

    def _asked(self, *, is_resume: bool, options: Options | None) -> Invocation:
        return self.lab.asked(self.experiments, self.emulator.url, is_resume=is_resume, options=options)

    @property
    def log(self) -> Path:
        """What runs in processes of their own have said."""
        return self.root / "run.log"

    def is_begun(self) -> bool:
        """Whether there is a run to resume."""
        return bool(self.ledger().entries)

    def argv(self, *, is_resume: bool) -> list[str]:
        """The flags for a process of its own; its nonce is random, as ever."""
        place = ["--run_id", RUN_ID, "--experiments_dir", str(self.experiments), "--emulator_url", self.emulator.url]
        return [*place, "--resume"] if is_resume else [*place, "--config", str(self.lab.root / "config.yaml"), "--dry_run"]

    def n_rows(self) -> int:
        """Result lines on disk."""
        return sum(path.read_bytes().count(b"\n") for path in self.layout.artifacts() if RESULTS.fullmatch(path.name))

    def outputs(self) -> dict[str, str]:
        """sha256 of every artifact by its path inside the run."""
        return {path.relative_to(self.layout.root).as_posix(): fingerprint(path).sha256 for path in self.layout.artifacts()}

    def bill(self) -> dict[str, Any]:
        """The provider's own count, less what somebody else asked for."""
        if self.lab.is_crowded:
            self.emulator.call("POST", "/_emulator/clock", {"advance_seconds": 86_400})  # what somebody else has under way is none of ours
        bill: dict[str, Any] = self.emulator.bill()
        return bill | {"answered_requests": bill["answered_requests"] - self._n_foreign}

    def ledger(self) -> LedgerRead:
        """Our count."""
        return read(self.layout.ledger)

    def problems(self) -> list[str]:
        """What a survivor has that it should not, or lacks; empty when it is as good as its twin."""
        bill, want = self.bill(), self.lab.want_bill
        found = [
            f"{key} is {bill[key]}, not {want[key]}"
            for key in ("n_paid_more_than_once", "answered_requests", "in_flight_requests")
            if bill[key] != want[key]
        ]
        ours = self.outputs()
        found += [f"{name} differs" for name in sorted(ours.keys() | self.lab.want.keys()) if ours.get(name) != self.lab.want.get(name)]
        got = self.ledger()
        found += ["the ledger is damaged"] * (not got.is_sound or got.torn > 0)
        parts = fold(got.entries)
        found += [f"{name} is {part.state}" for name, part in parts.items() if part.state is not PartState.SETTLED]
        found += ["the ledger does not know every part"] * (set(parts) != set(self.lab.parts))
        found += ["money is still reserved"] * (money(parts.values()).in_flight_usd != 0)
        owned = [attempt.batch_id for part in parts.values() for attempt in part.attempts]
        found += ["two attempts claim one batch"] * (len(owned) != len(set(owned)))
        return found

    def close(self) -> None:
        """End the provider and remove the files."""
        self.emulator.kill()
        shutil.rmtree(self.root, ignore_errors=True)


class Killed(BaseException):
    """The process died here."""


def is_durable(point: str) -> bool:
    """Whether every line of the ledger so far is on the disk after this point."""
    room, _, rest = point.partition(":")
    event, _, when = rest.rpartition(":")
    return (room, when) == ("ledger", "after") and event not in LATER


@dataclass
class KillAt:
    """A hook that dies at the n-th point it is shown, keeping the folder as it was at that moment.

    Whatever the dying process still writes on its way out (a real one would write nothing) is undone by `bury`. is_power_cut: the ledger loses every
    line that was not synced, and half of the last one that was being written is on the disk instead.
    """

    n: int
    run: Path
    is_power_cut: bool = False
    seen: int = 0
    point: str = ""
    n_durable: int = 0  # bytes of the ledger

    @cached_property
    def _frozen(self) -> Path:
        return self.run.with_name(f"{self.run.name}.frozen")

    def __call__(self, point: str) -> None:
        if self.point:
            raise Killed(self.point)
        if is_durable(point):
            self.n_durable = (self.run / "ledger.jsonl").stat().st_size
        self.seen += 1
        if self.seen == self.n:
            self.point = point
            shutil.copytree(self.run, self._frozen)
            if self.is_power_cut:
                self._cut_power()
            raise Killed(point)

    def _cut_power(self) -> None:
        path = self._frozen / "ledger.jsonl"
        data = path.read_bytes()
        unsynced = data[self.n_durable :] or b'{"seq":9999,"at":"2026-01-01T00:00:00Z","event":"intent"'
        path.write_bytes(data[: self.n_durable] + unsynced[: unsynced.find(b"\n") // 2])

    def bury(self) -> None:
        """Put the folder back to the moment of death."""
        if self.point:
            shutil.rmtree(self.run)
            self._frozen.rename(self.run)


def killed_at(world: World, n: int, *, first: bool, is_power_cut: bool = False, options: Options | None = None) -> str:
    """Start (or resume) the world's run and kill it at its n-th point; the point's name, "" when the run ended before."""
    hook = KillAt(n, world.layout.root, is_power_cut)
    try:
        code = world.start(hook, options) if first else world.resume(hook, options)
    except Killed:
        hook.bury()
        world.crowd()
        return hook.point
    assert code in FINISHED
    return ""


def rough(lab: Lab) -> list[Rule]:
    """A provider on a bad day, the same bad day in every world: what happens hangs on the part and the attempt, never on the order of calls."""

    def on_create(part: int, do: Mapping[str, Any], attempt: int = 1, on: Any = "every") -> Rule:
        return {"match": {"op": "create", "part": lab.mark(part, attempt)}, "on": on, "do": do}

    return [
        on_create(0, {"expire_after": 0.5}),
        on_create(1, {"close_after_commit": True}, on=1),
        on_create(2, {"status": 503, "after_commit": True}, on=1),
        on_create(2, {"unknown_state": "JOB_STATE_REBALANCING"}),
        on_create(3, {"rows": {"errored": {"count": 1, "status": 500}}}),
        on_create(3, {"rows": {"errored": {"count": 1, "status": 500}}}, attempt=2),
        on_create(4, {"status": 503}, on=1),
        on_create(4, {"rows": {"missing": 1, "unknown_id": 1}}),
        on_create(5, {"validation_failure": "a row is too long"}),
    ]
