"""A running emulator for tests: a real process on a free port of this machine.

    with running(tmp_path, seed=1, faults=[{"match": {"op": "create"}, "do": {"status": 503}}]) as emu:
        client = Fireworks(base_url=emu.fireworks_base_url, api_key="any", account_id="test")

Time stands still until `emu.advance(seconds)` unless `clock="real"`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 30.0
STOP_SECONDS = 10.0


class Emulator:
    """One emulator process and its world, which outlives it."""

    def __init__(self, root: Path, arguments: Sequence[str]) -> None:
        self.root, self.arguments = root, list(arguments)
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start the process, on the port it had before if there was one; returns when it answers."""
        ready = self.root / "ready.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "batchtrial.emulator", "--state", str(self.root / "world"), "--port", str(self.port)]
        command += ["--ready_file", str(ready), "--parent_pid", str(os.getpid()), "--quiet", *self.arguments]
        with (self.root / "emulator.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the emulator did not start: {self.log()}")
            time.sleep(0.01)
        record = json.loads(ready.read_text())
        self.url: str = record["url"]
        self.fireworks_base_url: str = record["fireworks_base_url"]
        self.openai_base_url: str = record["openai_base_url"]
        self.anthropic_base_url: str = record["anthropic_base_url"]
        self.port = int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def log(self) -> str:
        """What the process has written so far."""
        return (self.root / "emulator.log").read_text(errors="replace")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request to `/_emulator...`; raises HTTPError when it is refused."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def ledger(self, *, at_end: bool = False) -> dict[str, Any]:
        """The bill; with `at_end` as it will be when every live batch has run its course."""
        return dict(self.call("GET", "/_emulator/ledger" + ("?at=end" if at_end else "")))

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self.call("POST", "/_emulator/clock", {"advance_seconds": seconds})

    def add_faults(self, faults: Sequence[Mapping[str, Any]]) -> list[str]:
        """Add fault rules; returns their ids."""
        return list(self.call("POST", "/_emulator/faults", list(faults))["ids"])

    def remove_faults(self) -> None:
        """Forget all fault rules."""
        self.call("DELETE", "/_emulator/faults")

    def batches(self) -> list[dict[str, Any]]:
        """Every batch ever accepted, oldest first, with its wire parameters."""
        return list(self.call("GET", "/_emulator/batches")["batches"])

    def requests(self, custom_id: str | None = None) -> list[dict[str, Any]]:
        """Requests as they were received."""
        return list(self.call("GET", "/_emulator/requests" + (f"?custom_id={custom_id}" if custom_id else ""))["requests"])

    def calls(self) -> dict[str, Any]:
        """Number of calls by provider and operation."""
        return dict(self.call("GET", "/_emulator/calls"))

    def truth(self) -> dict[str, Any]:
        """Planted rates and differences."""
        return dict(self.call("GET", "/_emulator/truth"))

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code. Does nothing when it is stopped already."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the emulator did not stop") from None

    def restart(self) -> None:
        """Start again after `kill` or `stop`, in the same world and on the same port."""
        assert self.process is not None
        if self.process.poll() is None:
            self.stop()
        self.start()


@contextmanager
def running(
    root: Path,
    *,
    seed: int = 1,
    faults: Sequence[Mapping[str, Any]] = (),
    model: Mapping[str, Any] | None = None,
    clock: str = "manual",
    speed: float = 1.0,
    arguments: Sequence[str] = (),
) -> Iterator[Emulator]:
    """A running emulator whose world lies under `root`; stopped at the end."""
    root.mkdir(parents=True, exist_ok=True)
    flags = ["--seed", str(seed), "--clock", clock, "--speed", str(speed), *arguments]
    if faults:
        (root / "faults.json").write_text(json.dumps(list(faults)))
        flags += ["--faults", str(root / "faults.json")]
    if model is not None:
        (root / "model.json").write_text(json.dumps(dict(model)))
        flags += ["--model", str(root / "model.json")]
    emulator = Emulator(root, flags)
    try:
        yield emulator
    finally:
        if emulator.process is not None and emulator.process.poll() is None:
            emulator.stop()
