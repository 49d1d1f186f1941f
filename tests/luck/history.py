"""Carries one history out: turns of a run under its events, then calm weather until it is done."""

from __future__ import annotations

import json
import re
import shutil
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.crash.children import NONCE
from tests.luck import tools
from tests.luck.lab import KEYS, RUN_ID, Lab, environment, quiet
from tests.luck.machine import CLOCK, Being, Killed, Process, Turnstile
from tests.luck.provider import Provider, exchange
from tests.luck.schedule import DRIFTS, MOST_TURNS, Event, History, fault_of

from batchtrial.cli.commands import execute as session
from batchtrial.emulator.world.effects import Effects, merged
from batchtrial.errors import RunLocked, RunnerError, RunStateMissing
from batchtrial.keys import OUT
from batchtrial.state.entries import read
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import fold
from batchtrial.state.machine import Event as PartEvent

FINISHED = (0, 4)
MOST_RESUMES = 12
BETWEEN = ("gone", "cancelled", "stuck", "tool")
"""Happens before a turn's process begins; what stands for the point says which batch, or where the command is killed."""
PASSING = ("ProviderError", "PhaseFailed", "RateLimited", "Ambiguous", "Unsure")
"""What may be over when the run is resumed once more."""
DENIED = re.compile(r"PhaseFailed: the provider knows no batch of this run: (\S+) of ")
"""What a run ends with whose every batch was deleted at the provider: a person who has looked there gives them up."""


@dataclass
class Place:
    """A folder of runs, the original's or the copy's. refusal: why it will not go on, in calm weather."""

    experiments: Path
    is_done: bool = False
    refusal: str = ""

    @property
    def folder(self) -> Path:
        return self.experiments / f"run_{RUN_ID}"


@dataclass
class Played:
    """How a history ended. bad: what no history may do, such as a traceback; said: what each turn came to."""

    provider: Provider
    places: list[Place]
    bad: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)  # batches that the provider shows nobody any more
    is_brought: bool = False  # somebody brought downloaded results of batches that were under way
    is_shifted: bool = False  # batches were cancelled or lost, so that the attempts are others than the twin's
    is_blank: bool = False  # the folder was copied before anything was sent, so that each copy may be begun with an account of its own
    is_unbegun: bool = False  # the folder was copied before its ledger began: whoever begins it makes a run of its own
    is_elsewhere: bool = False  # the folder was copied, or put back from a backup or an archive
    is_raced: bool = False  # two copies were at work at once, and neither could see what the other was about to send
    is_told: bool = False  # something is in the report that is not in the twin's: a drift, a raised budget

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.places[0].experiments.parent, ignore_errors=True)


class Play:
    """One history while it lasts."""

    def __init__(self, lab: Lab, history: History) -> None:
        self.lab, self.history = lab, history
        CLOCK.skew = 0.0
        self.provider, experiments = lab.open_provider(history.climate)
        self.original, self.copy = Place(experiments), Place(experiments.with_name("copied"))
        self.backup = experiments.with_name("backup")
        self.played = Played(self.provider, [self.original])
        self.to_step = None if history.is_whole else "poll"
        self.archive = experiments.with_name("archive.zip")
        self._n_foreign = 0
        self._stuck: dict[str, Effects] = {}
        self._requests: Path | None = None
        if not history.is_fresh:
            shutil.copytree(lab.template, self.original.folder)

    # One process

    def attempt(self, place: Place, process: Process, **asked: Any) -> str:
        """One process on the run from beginning to end, as a person would start it; how it ended, in a word and its message."""
        try:
            with Being(process):
                code = self._run(place, process, asked)
        except Killed:
            process.bury()
            return f"killed at {process.death}"
        except RunnerError as error:
            return f"{type(error).__name__}: {error.what} [{error.where}] hint: {error.hint}"
        except OSError as error:
            return f"OSError: {error}"
        except Exception:  # noqa: BLE001 -- whatever it is, a person would see it as a defect: a finding
            self.played.bad.append(f"a traceback: {traceback.format_exc(limit=-9)}")
            return "a traceback"
        return f"exit {code}"

    def _run(self, place: Place, process: Process, asked: Mapping[str, Any]) -> int:
        settings = dict(self.history.settings)
        is_there = bool(read(RunLayout(place.folder).ledger).entries)
        env = environment(process.key or "main")

        def go(*, is_resume: bool) -> int:
            given = {"changes": settings, "ignore_stop": True, "is_partial": True, "to_step": self.to_step, **asked}
            ask = self.lab.asked(place.experiments, is_resume=is_resume, **given)
            return session.run(ask, RUN_ID, nonce=NONCE, env=env, hook=process.point)

        try:
            return go(is_resume=is_there or place.folder.exists())
        except RunStateMissing:
            if is_there:
                raise
            return go(is_resume=False)

    # Turns

    def play(self) -> Played:
        """All turns, then calm weather."""
        with quiet():
            n_turns = min(MOST_TURNS + 1, 1 + max((event.turn for event in self.history.events), default=0))
            for turn in range(n_turns):
                self._turn([event for event in self.history.events if event.turn == turn])
                self._check_budget()
                self._check_given_up()
            self._calm()
        return self.played

    def _check_budget(self) -> None:
        """What was sent may cost no more than the budget: the bill of what came back, the reserve of all else.

        Files that another process hands out before the turn has written its budget down know of none, and cost nothing at the provider.
        """
        budget = dict(self.history.settings).get("submission.budget_usd")
        got = read(RunLayout(self.original.folder).ledger)
        if budget is None or not got.is_sound:
            return
        attempts = [attempt for part in fold(got.entries).values() for attempt in part.attempts if not attempt.is_lost and not attempt.is_rejected]
        attempts = [attempt for attempt in attempts if not (attempt.batch_id or attempt.file_id or "").startswith(OUT)]
        most = sum((attempt.cost_usd or Decimal(0)) if attempt.is_saved else attempt.reserved_usd for attempt in attempts)
        if most > Decimal(str(budget)):
            self.played.bad.append(f"over the budget: {most} of {budget}")

    def _check_given_up(self) -> None:
        """No turn ends with a batch given up that the provider has: a later look may find it again, and nobody is bound to look."""
        got = read(RunLayout(self.original.folder).ledger)
        if self.played.is_elsewhere or not got.is_sound:
            return
        gone = {attempt.batch_id or "" for part in fold(got.entries).values() for attempt in part.attempts if attempt.is_gone}
        self.played.bad += [f"{batch} is given up, and the provider has it" for batch in sorted(gone - self.played.deleted)]

    def _turn(self, events: Sequence[Event]) -> None:
        key, asked, place, together = "main", dict[str, Any](), self.original, None
        self._crowd()
        for event in events:
            if event.n == 0 or event.kind in BETWEEN:
                self._before(event)
            if event.kind == "key":
                key = event.how
            elif event.kind == "config":
                asked |= self._drift(event.how)
            elif event.kind == "in the copy" and self.copy.folder.exists():
                place = self.copy
            elif event.kind == "together" and self.copy.folder.exists():
                together = Turnstile(int(event.how))
        # What no ledger has begun, or `clean` has deleted since nothing was sent, begins with whatever config is given.
        at_work = [place] if together is None else [self.original, self.copy]
        is_begun = all(read(RunLayout(one.folder).ledger).entries for one in at_work)
        self.played.is_shifted |= "config" in asked and not is_begun and (self.played.is_unbegun or self.history.is_fresh)
        process = self._process(place, key, events)
        ended = self.attempt(place, process, **asked) if together is None else self._both(process, together, asked)
        self.played.said.append(ended)

    def _process(self, place: Place, key: str, events: Sequence[Event]) -> Process:
        process = Process(place.folder, key=key)
        for event in events:
            action = self._action(event, place)
            if event.n and action is not None and event.kind not in BETWEEN:
                process.at.setdefault(event.n, []).append(action)
        return process

    def _both(self, process: Process, turnstile: Turnstile, asked: Mapping[str, Any]) -> str:
        """The original in this thread, the copy in another, point by point in a drawn order."""
        self.played.is_raced = True
        second = Process(self.copy.folder, key=process.key)
        ended: list[str] = []

        def other() -> None:
            turnstile.enter(1)
            second.turnstile = turnstile
            try:
                ended.append(self.attempt(self.copy, second, **asked))
            finally:
                second.turnstile = None
                turnstile.leave()

        thread = threading.Thread(target=other, daemon=True)
        turnstile.enter(0)
        process.turnstile = turnstile
        thread.start()
        try:
            ended.append(self.attempt(self.original, process, **asked))
        finally:
            process.turnstile = None
            turnstile.leave()
        thread.join()
        return " and at once ".join(ended)

    def _crowd(self) -> None:
        """Somebody else in the workspace creates a batch of the size that a part has."""
        if self.history.is_crowded:
            self._n_foreign += 1
            foreign_batch(self.provider, self._n_foreign)

    # Events

    def _before(self, event: Event) -> None:
        """What happens while no process has the run."""
        if event.kind == "provider":
            self.provider.add(fault_of(event.how))
        elif event.kind == "copy":
            self._copy()
        elif event.kind == "backup":
            self._back_up()
        elif event.kind == "restore" and self.backup.exists():
            self.played.is_elsewhere = True
            # A folder put back from before it knew of anybody asks for a list once; nobody puts one back within the seconds that a list may lag.
            CLOCK.sleep(10.0)
            if event.how == "anew":
                shutil.rmtree(self.original.folder, ignore_errors=True)
            shutil.copytree(self.backup, self.original.folder, dirs_exist_ok=True)
        elif event.kind == "tool":
            self._tool(event.how, self.original, event.n)
        elif event.kind == "unarchive" and self.archive.exists():
            self._unarchive(event.how)
        elif event.kind in ("gone", "cancelled", "stuck"):
            self._disturb(self.provider, event)

    def _action(self, event: Event, place: Place) -> Callable[[Process, str], None] | None:
        """What happens at a point of the process."""
        layout = RunLayout(place.folder)

        def second(process: Process, name: str) -> None:
            other = Process(place.folder, key=process.key)
            ended = self.attempt(place, other)
            if not ended.startswith(RunLocked.__name__) and read(layout.ledger).entries and "ledger:opened" not in name:
                self.played.bad.append(f"a second process was let in at {name}: {ended}")

        def stop(process: Process, name: str) -> None:
            if place.folder.exists():
                (layout.stop_now if event.how == "now" else layout.stop_requested).touch()

        def fill(process: Process, name: str) -> None:
            process.full_until = process.seen + int(event.how)

        def jump(process: Process, name: str) -> None:
            CLOCK.skew += float(event.how)

        return {
            "kill": lambda process, name: process.die(name, power=event.how == "power"),
            "stop": stop,
            "disk full": fill,
            "clock jumps": jump,
            "second process": second,
            "copy": lambda process, name: self._copy(),
            "backup": lambda process, name: self._back_up(),
        }.get(event.kind)

    def _copy(self) -> None:
        if self.original.folder.exists() and not self.copy.folder.exists():
            self._note_blank()
            self.played.is_elsewhere = True
            self.copy.experiments.mkdir(exist_ok=True)
            shutil.copytree(self.original.folder, self.copy.folder)
            self.played.places.append(self.copy)

    def _back_up(self) -> None:
        if self.original.folder.exists():
            self._note_blank()
            shutil.rmtree(self.backup, ignore_errors=True)
            shutil.copytree(self.original.folder, self.backup)

    def _note_blank(self) -> None:
        entries = read(RunLayout(self.original.folder).ledger).entries
        self.played.is_unbegun |= not entries
        self.played.is_blank |= not any(entry.event == PartEvent.INTENT for entry in entries)

    def _drift(self, name: str) -> dict[str, Any]:
        dotted, value, is_accepted = DRIFTS[name]
        self.played.is_told |= is_accepted
        return {"config": self.lab.write_config({dotted: value}), "accept_drift": is_accepted}

    def _tool(self, name: str, place: Place, killed_at: int = 0) -> None:
        """A command on the run's folder, as a process of its own that may be killed at one of its points."""
        if not place.folder.exists():
            return
        process = Process(place.folder)
        if killed_at:
            process.at[killed_at] = [lambda process, name: process.die(name)]
        if name == "repair":
            wrong = tools.repaired(place.experiments, process)
        elif name == "export":
            self.played.is_shifted = True
            self._requests = place.experiments.with_name(f"requests{len(self.played.said)}")
            wrong = tools.exported(place.experiments, self._requests, process)
        elif name == "take back":
            wrong = tools.taken_back(place.experiments, process)
        elif name == "import":
            self.played.is_brought = True
            # It has no such flag: whether rows are owed again it decides by the run's own config, and an attempt that is decided is sent.
            self.played.is_shifted |= "submission.max_attempts" in dict(self.history.settings)
            wrong = tools.imported(place.experiments, self._downloads(), process)
        elif name == "archive":
            self._note_blank()
            self.archive.unlink(missing_ok=True)
            wrong = tools.archived(place.experiments, self.archive, process)
        else:
            wrong = tools.wrong_with(name, tools.use(name, place.experiments, process=process))
        self.played.bad += wrong
        self.played.said.append(f"{name}: {process.death or 'done'}")
        self.played.is_unbegun |= not place.folder.exists()  # nothing had been sent by its ledger, and it was deleted

    def _downloads(self) -> Path:
        """The result files of every batch that is over, as somebody downloads them by hand, and what an engine says to the rows exported last."""
        self.provider.bill.settle()
        folder = self.original.experiments.with_name(f"downloads{len(self.played.said)}")
        folder.mkdir(exist_ok=True)
        if self._requests is not None and self._requests.exists():
            tools.answered(self._requests, folder / "engine")
        for path in self.provider.world.blob("results").parent.glob("results-*"):
            shutil.copy(path, folder / f"{path.name}.jsonl")
        return folder

    def _unarchive(self, how: str) -> None:
        """The run comes back from its archive: in the folder's place, as a copy beside it, or not at all where the folder is still there."""
        place = self.copy if how == "copy" else self.original
        if how == "copy":
            if place.folder.exists():
                return
            place.experiments.mkdir(exist_ok=True)
            self.played.places.append(place)
        elif how == "anew":
            shutil.rmtree(place.folder, ignore_errors=True)
        self.played.is_elsewhere |= how != "over"
        self.played.bad += tools.restored(self.archive, place.experiments)

    def _disturb(self, provider: Provider, event: Event) -> None:
        batches = [batch for batch in provider.service.batches.all() if batch.deleted_at is None]
        if not batches:
            return
        batch = batches[event.n % len(batches)]
        is_over = provider.service.status(batch).outcome is not None
        if event.kind == "stuck" and not is_over:
            self._stuck.setdefault(batch.id, batch.effects)
            provider.service.batches.disturb(batch, merged([batch.effects, Effects.model_validate({"stuck": True})]))
        if event.kind == "gone" and is_over:
            provider.bill.settle()
            provider.service.batches.delete(batch)
            self.played.deleted.add(batch.id.rpartition("/")[2])
            self.played.is_shifted = True
        elif event.kind == "cancelled" and not is_over:
            provider.service.batches.disturb(batch, Effects.model_validate({"cancelled_half_way": 0.5}))
            self.played.is_shifted = True

    # The end

    def _calm(self) -> None:
        """Each place is resumed in fair weather until it is done or refuses for good."""
        CLOCK.skew = 0.0
        self.provider.calm()
        for batch in self.provider.service.batches.all():
            if batch.id in self._stuck:
                self.provider.service.batches.disturb(batch, self._stuck[batch.id])
        for place in self.played.places:
            self._until_done(place)

    def _until_done(self, place: Place) -> None:
        settings = dict(self.history.settings)
        plain: dict[str, Any] = {"changes": settings | ({"submission.budget_usd": 1000.0} if "submission.budget_usd" in settings else {})}
        is_repaired, ended = False, ""
        # Whose key the run was begun with hangs on where its first turns died: a wrong one must be harmless.
        keys = ["main", *sorted({event.how for event in self.history.events if event.kind == "key"})]
        asked, n_refusals = dict.fromkeys(keys, plain), 0
        for number in range(MOST_RESUMES):
            key = keys[number % len(keys)]
            ended = self.attempt(place, Process(place.folder, key=key), **asked[key])
            self.played.said.append(f"calm: {ended}")
            if ended in [f"exit {code}" for code in FINISHED]:
                place.is_done = True
                return
            asked[key] = plain
            if "batchtrial import_batch" in ended:
                n_refusals = 0  # of keys, since something last helped
                self._tool("import" if self.history.seed % 2 and place is self.original and number < 2 else "take back", place)
            elif "batchtrial repair" in ended and not is_repaired:
                is_repaired = True
                self._tool("repair", place)
            elif denied := DENIED.match(ended):
                if denied[1] not in self.played.deleted:
                    self.played.bad.append(f"told to give batches up that are there: {ended}")
                asked[key] = plain | {"give_up_unknown": True, "is_confirmed": True}
            elif not ended.startswith(PASSING) and (n_refusals := n_refusals + 1) > len(keys):
                break
            CLOCK.sleep(3600.0)
        place.refusal = ended


def foreign_batch(provider: Provider, number: int) -> None:
    """A batch of two requests that somebody else creates."""
    params = {"model": "claude-haiku-4-5", "max_tokens": 8, "messages": [{"role": "user", "content": "?"}]}
    rows = [{"custom_id": f"parcel-{number}-{row}", "params": params} for row in range(2)]
    headers = [(b"x-api-key", KEYS["main"].encode()), (b"anthropic-version", b"2023-06-01"), (b"content-type", b"application/json")]
    exchange(provider.app, "POST", "/v1/messages/batches", b"", headers, json.dumps({"requests": rows}).encode())
