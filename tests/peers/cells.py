"""One client through one fault, against an emulator of its own: what was paid for, and what came back.

A run that does not end with code 0 and all its rows is made once more, as its user would. The bill is the emulator's, as it will be when every batch
has run its course.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.emulator_process import Emulator, running
from tests.peers.clients import OURS, Client, python_of

N: Final = 10
PATIENCE: Final = 240.0
"""Seconds after which a run counts as hanging; generous, so that a slow machine changes no cell."""
BATCH_SECONDS: Final = 2.0
ODD: Final = 3
"""The question whose answer has a line separator in it."""
CREATE: Final = {"op": "create"}
SURE: Final = {"right": 0.999999999}


@dataclass(frozen=True, slots=True)
class Fault:
    """rules: of the emulator. words: what happens."""

    name: str
    rules: tuple[Mapping[str, Any], ...]
    words: str
    times: int = 1


def _on_create(**do: Any) -> tuple[Mapping[str, Any], ...]:
    return ({"match": CREATE, "on": [1], "do": do},)


FAULTS: Final = (
    Fault("none", (), "nothing"),
    Fault("lost", _on_create(close_after_commit=True), "the first batch is accepted, and the answer that says so is lost"),
    Fault(
        "killed",
        _on_create(slow_body={"bytes_per_second": 5, "cap_seconds": 60}),
        "SIGKILL after the first batch was accepted, before the client has the answer",
    ),
    Fault("expired", _on_create(expire_after={"fraction": 0.5}), "the first batch expires with half of its rows answered"),
    Fault("missing", _on_create(rows={"missing": 1}), "one row of the first batch has no line in the results, and is not billed"),
    Fault("U+2028", (), "one answer has a line separator of Unicode in it, raw where the wire has raw text"),
    Fault(
        "two",
        ({"match": CREATE, "on": "every", "do": {"delay": 3.0}},),
        "two processes begin at once over one state; each create takes three seconds, so that they meet; three times",
        times=3,
    ),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a client. code: None for one that was killed on purpose, "hangs" for one that did not end. right: rows with their own answer."""

    code: int | str | None
    right: int
    twice: int

    @property
    def is_whole(self) -> bool:
        return self.code == 0 and self.right == N


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a cell: rows paid for, rows accepted, and each run."""

    paid: int
    accepted: int
    attempts: tuple[Attempt, ...]


def cell(client: Client, wire: str, fault: Fault, environments: Path) -> Seen:
    """Play it in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="peers-") as scratch:
        root = Path(scratch)
        model = _model(root, is_odd=fault.name == "U+2028")
        arguments = ["--batch_seconds", str(BATCH_SECONDS)]
        with running(root / "emulator", seed=7, model=model, faults=fault.rules, clock="real", arguments=arguments) as emulator:
            attempts = _attempts(_Runs(client, wire, root, environments, emulator), fault)
            bill = emulator.ledger(at_end=True)
    return Seen(bill["answered_requests"], bill["accepted_requests"], attempts)


def _model(root: Path, *, is_odd: bool) -> dict[str, Any]:
    """One fixed answer a question."""
    lines = []
    for number in range(N):
        answer = f"ANS {number}" + (" first\u2028second" if is_odd and number == ODD else "")
        lines.append({"item": f"q{number}", "kind": "closed", "question": f"What is {number}+{number}?", "answers": [answer]})
    (root / "key.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"items_file": str(root / "key.jsonl"), "sigma": 0.0, "default_rates": {"closed": SURE}}


@dataclass(slots=True)
class _Runs:
    """Runs of one client over one state."""

    client: Client
    wire: str
    root: Path
    environments: Path
    emulator: Emulator
    n: int = 0

    def begin(self) -> tuple[subprocess.Popen[bytes], Path]:
        """A run under way, and where it will hand its rows back."""
        self.n += 1
        home, state, out = self.root / "home", self.root / "state", self.root / f"rows-{self.n}.jsonl"
        for folder in (home, state):
            folder.mkdir(exist_ok=True)
        command = [str(python_of(self.client, self.environments)), str(self.client.driver), self.emulator.url, self.wire, str(state), str(out)]
        with (self.root / f"run-{self.n}.log").open("ab") as log:
            run = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(home), cwd=self.root, start_new_session=True
            )
        return run, out

    def _environment(self, home: Path) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "ANTHROPIC", "FIREWORKS", "PYTHON"))}
        keys = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "FIREWORKS_API_KEY"), "any")
        at = {"OPENAI_BASE_URL": self.emulator.openai_base_url, "ANTHROPIC_BASE_URL": self.emulator.url, "FIREWORKS_BASE_URL": self.emulator.url}
        still = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "TELEMETRY_ENABLED": "false", "CURATOR_VIEWER": "0", "HF_HUB_OFFLINE": "1"}
        plain = {"HOME": str(home), "NO_PROXY": "127.0.0.1", "PYTHONUNBUFFERED": "1", "COLUMNS": "200", "FIREWORKS_ACCOUNT_ID": "test"}
        return kept | keys | at | still | plain

    def end(self, run: subprocess.Popen[bytes], out: Path) -> Attempt:
        """Wait for a run; one that does not end is killed."""
        try:
            code: int | str = run.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            _kill(run)
            code = "hangs"
        rows = [json.loads(line) for line in out.read_text("utf-8").split("\n") if line] if out.exists() else []
        found = [row["row"] for row in rows if row["text"].split()[:2] == ["ANS", str(self._answer_to(row["row"]))]]
        return Attempt(code, len(set(found)), len(found) - len(set(found)))

    def _answer_to(self, row: int) -> int:
        """Our own driver asks five questions twice."""
        return row % (N // 2) if self.client.name == OURS else row


def _attempts(runs: _Runs, fault: Fault) -> tuple[Attempt, ...]:
    if fault.name == "two":
        both = [runs.begin() for _ in range(2)]
        return tuple(runs.end(*one) for one in both)
    first = _killed(runs) if fault.name == "killed" else runs.end(*runs.begin())
    return (first,) if first.is_whole else (first, runs.end(*runs.begin()))


def _killed(runs: _Runs) -> Attempt:
    """Killed between accept and record."""
    run, out = runs.begin()
    end = time.monotonic() + PATIENCE
    while runs.emulator.ledger()["creates"] < 1 and run.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.1)
    is_alive = run.poll() is None
    _kill(run)
    runs.emulator.remove_faults()
    return Attempt(None, 0, 0) if is_alive else runs.end(run, out)


def _kill(run: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()
