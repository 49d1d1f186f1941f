"""The dry run's provider: an emulator of its own in a child process, or one that is running, and the clock that batches live by.

The emulator's world lies in the run's folder, so a resumed run meets the same provider at the same simulated time.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchtrial.config.expand import Arm, Trial
from batchtrial.config.lanes import config_of_lane
from batchtrial.config.model import Config
from batchtrial.config.simulation import SimulatedArm
from batchtrial.errors import ProviderError, StateError
from batchtrial.keys import IDENTITY_PATTERN, item_hash
from batchtrial.phases.prepare.items import load_prepared
from batchtrial.records import Item
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import encode_json, write_bytes

KEY = "dry-run-key"
ACCOUNT = "dry-run"
READY_SECONDS = 30.0
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Simulated time before the emulator has said what time it is."""
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks this machine, past every proxy."""


def model_file(config: Config, trials: tuple[Trial, ...]) -> dict[str, Any]:
    """What the simulated model is to do, told by what stands in the requests, so that swapped prompts would show in its answers."""
    arms: dict[str, dict[str, Any]] = {}
    tried = {trial.prompt_set for trial in trials} if config.arms else set()
    for trial in trials:
        for arm in trial.arms:
            name = trial.prompt_set if arm.condition == "treatment" else trial.against if config.arms else "control"
            is_control = name not in tried if config.arms else arm.condition == "control"
            usual = config.simulation.control if is_control else config.simulation.treatment
            planted = config.simulation.by_prompt_set.get(name, usual) if config.arms or not is_control else usual
            for kind in ("open_book", "closed_book"):
                match = _match(config, arm, kind)
                arms.setdefault(json.dumps(match, sort_keys=True), {"name": name, "match": match, "rates": _rates(planted)})
    return {
        "identity_pattern": IDENTITY_PATTERN,
        "items_file": "items.jsonl",
        "sigma": config.simulation.difficulty_sd,
        "arms": list(arms.values()),
        **{name: given.model_dump() for name in ("judge", "queue") if (given := getattr(config.simulation, name)) is not None},
    }


def _match(config: Config, arm: Arm, kind: str) -> dict[str, Any]:
    if arm.task:
        return {"id_begins": arm.id_head}  # its turns are another text for every item
    match: dict[str, Any] = {"system_sha256": arm.prompt.system.sha256}
    if arm.prompt.instruction is not None:
        match["user_contains"] = getattr(arm.instructions, kind).text.strip()
    if config.arms:
        match |= {"model": arm.model, "max_tokens": getattr(arm.max_tokens, kind)}
        match |= {} if config_of_lane(config, arm.backend).provider.sampling == "omit" else {"temperature": arm.temp}
    return match


def _rates(planted: SimulatedArm) -> dict[str, Any]:
    right = {"right": planted.right, "verbose": planted.verbose, "abstain": planted.abstain}
    return {"open_answerable": right, "open_unanswerable": {"right": planted.unanswerable_abstain}, "closed": right}


CHOICES = ("choices", "options", "labels")
"""Columns in which the answers to choose from are looked for."""
MOST_LABELS = 20


def labels_of(items: Sequence[Item]) -> dict[str, list[str]]:
    """For items of tasks whose answer is one of a few: what it may be, by item. Told by a column of choices, or by how few answers their set has."""
    by_set: dict[str, dict[str, int]] = {}
    for item in items:
        for answer in item.answers:
            counts = by_set.setdefault(item.dataset, {})
            counts[answer] = counts.get(answer, 0) + 1
    found = {}
    for item in items if any(one.columns for one in items) else ():
        own = next((item.columns[name] for name in CHOICES if isinstance(item.columns.get(name), list)), None)
        usual = by_set.get(item.dataset, {})
        if own and all(isinstance(one, str) for one in own):
            found[item.key] = list(own)
        elif item.answers and len(usual) <= MOST_LABELS and 2 * len(usual) <= sum(usual.values()):
            found[item.key] = sorted(usual)
    return found


def write_world(layout: RunLayout, config: Config, trials: tuple[Trial, ...], around: Sequence[Item] = ()) -> Path:
    """Write the emulator's model file and answer key from the prepared items; returns the model file.

    around: items that tell which answers there are to choose from; empty: the prepared ones.
    """
    prepared = load_prepared(layout)
    labels = labels_of(around or prepared)
    items = [
        json.dumps(
            {
                "item": item_hash(item.dataset, item.item_id),
                "answers": item.answers,
                "is_unanswerable": item.is_unanswerable,
                "distractors": item.distractors,
                "kind": item.kind,
                "dataset": item.dataset,
            }
            | ({"labels": labels[item.key]} if item.key in labels else {}),
            ensure_ascii=False,
        )
        for item in prepared
    ]
    write_bytes(layout.emulator / "items.jsonl", "".join(f"{line}\n" for line in items).encode())
    path = layout.emulator / "model.json"
    write_bytes(path, encode_json(model_file(config, trials)))
    return path


@dataclass(slots=True)
class Emulator:
    """The emulator as a run sees it. start: gives the base URL, starting a child process when the run brings its own. hint: when it is silent."""

    start: Callable[[], tuple[str, subprocess.Popen[bytes] | None]]
    hint: str = ""
    _url: str | None = None
    _child: subprocess.Popen[bytes] | None = None
    _time: float | None = None
    _reported: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The root of the three wires; started at first use."""
        if self._url is None:
            self._url, self._child = self.start()
            self._time = float(self._ask("GET", "/_emulator/clock")["now"])
        return self._url

    def now(self) -> datetime:
        """Simulated time, as of the last call to the clock."""
        return EPOCH if self._time is None else datetime.fromtimestamp(self._time, UTC)

    def wait(self, seconds: float) -> None:
        """Let simulated time pass; no real time does."""
        if self._url is not None:
            self._time = float(self._ask("POST", "/_emulator/clock", {"advance_seconds": seconds})["now"])

    def ledger(self) -> dict[str, Any]:
        """What the provider counted."""
        return self._ask("GET", "/_emulator/ledger", at=self.url)

    def truth(self) -> dict[str, Any]:
        """The planted effect."""
        return self._ask("GET", "/_emulator/truth", at=self.url)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, at: str | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{at or self._url}{path}", data=data, method=method, headers={"content-type": "application/json"})
        try:
            with DIRECT.open(request, timeout=60) as answer:
                return dict(json.load(answer))
        except (OSError, http.client.HTTPException) as error:
            raise ProviderError(f"the emulator does not answer: {error}", where=str(at or self._url), hint=self.hint, retryable=True) from None

    def close(self) -> None:
        """End the child that this process started."""
        if self._child is not None:
            self._child.terminate()
            try:
                self._child.wait(timeout=READY_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._child = None


def own(layout: RunLayout, config: Config, trials: Callable[[], tuple[Trial, ...]], around: Sequence[Item] = ()) -> Emulator:
    """An emulator of this run alone, its world in the run's folder."""

    def start() -> tuple[str, subprocess.Popen[bytes]]:
        model = write_world(layout, config, trials(), around)
        return spawn(layout.emulator, seed=config.simulation.seed, arguments=("--clock", "manual", "--model", str(model)))

    return Emulator(start)


def recorded(layout: RunLayout, config: Config, recording: Path) -> Emulator:
    """An emulator of this run alone that answers from a recording of a real model."""
    arguments = ("--clock", "manual", "--answers", str(recording.resolve()))
    return Emulator(lambda: spawn(layout.emulator, seed=config.simulation.seed, arguments=arguments))


CHILD_VARIABLES = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
CHILD_PREFIXES = ("LC_", "PYTHON", "COVERAGE")


def emulator_environment() -> dict[str, str]:
    """What the emulator's process gets to know: how to run, and no key of any provider."""
    return {name: value for name, value in environment().items() if name.upper() in CHILD_VARIABLES or name.upper().startswith(CHILD_PREFIXES)}


def environment() -> dict[str, str]:
    """This process's environment for children that import the package: a bare checkout has it on sys.path only."""
    here = str(Path(__file__).resolve().parents[2])
    rest = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != here]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*rest, here])}


def spawn(state: Path, *, seed: int, arguments: tuple[str, ...] = ()) -> tuple[str, subprocess.Popen[bytes]]:
    """Start an emulator process on a free port; returns its URL once it listens. Raises StateError with what it said when it does not."""
    state.mkdir(parents=True, exist_ok=True)
    ready = state / "ready.json"
    _outwait(ready)
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "batchtrial.emulator", "--port", "0", "--state", str(state), "--seed", str(seed)]
    command += ["--ready_file", str(ready), "--parent_pid", str(os.getpid()), *arguments]
    log = state / "emulator.log"
    env = emulator_environment()
    with log.open("ab") as sink:
        # A session of its own: Ctrl-C in the terminal is for the run, which then ends the emulator in order.
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True, env=env)
    deadline = time.monotonic() + READY_SECONDS
    while not ready.exists():
        if child.poll() is not None or time.monotonic() > deadline:
            child.kill()
            child.wait()
            tail = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise StateError(f"the emulator did not start: {tail[0]}", where=str(log))
        time.sleep(0.02)
    return str(json.loads(ready.read_text())["url"]), child


def _outwait(ready: Path) -> None:
    """The emulator of a killed run ends by itself within moments; two must not serve one world."""
    try:
        url = json.loads(ready.read_text())["url"]
    except (FileNotFoundError, ValueError, KeyError):
        return
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            with DIRECT.open(f"{url}/_emulator", timeout=1):
                time.sleep(0.05)
        except OSError:
            return


def running(url: str) -> Emulator:
    """An emulator that someone else started."""
    return Emulator(lambda: (url.rstrip("/"), None), hint="start it again from its --state folder, or say where it is by now: --emulator_url URL")


def remember(layout: RunLayout, url: str) -> None:
    """Write down which emulator has the run's batches, for processes to come."""
    if remembered(layout) != url:
        write_bytes(layout.emulator_at, encode_json({"url": url}))


def remembered(layout: RunLayout) -> str | None:
    """The emulator of somebody else that has the run's batches; None for a run with its own."""
    try:
        return str(json.loads(layout.emulator_at.read_bytes())["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
