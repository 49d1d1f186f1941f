"""Emulators by the dozen: each a process of its own, forked from one that has everything imported, so that a fresh provider costs 60 ms."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PRELOADED = (
    *("batchtrial.emulator.command", "batchtrial.cli.commands.execute", "polars", "numpy.fft", "numpy.ma"),
    *(f"batchtrial.providers.{name}" for name in ("fireworks", "openai", "anthropic")),
    *("fireworks.resources", "openai.resources", "anthropic.resources", "httpcore", "httpcore2", "truststore"),
)
START_SECONDS = 60.0

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(list(PRELOADED))


def _serve(arguments: list[str], log: str) -> None:
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    from batchtrial.emulator.command import main

    sys.exit(main(arguments))


class Emulator:
    """One emulator and its world, which outlives it. faults: rules as in docs/emulator.md."""

    def __init__(self, root: Path, *, model: Path | None = None, faults: Sequence[Mapping[str, Any]] = (), seed: int = 7) -> None:
        self.root, self._port = root, 0
        root.mkdir(parents=True, exist_ok=True)
        self._arguments = ["--state", str(root / "world"), "--seed", str(seed), "--clock", "manual", "--quiet"]
        if model is not None:
            self._arguments += ["--model", str(model)]
        if faults:
            (root / "faults.json").write_text(json.dumps(list(faults)))
            self._arguments += ["--faults", str(root / "faults.json")]
        self.process: BaseProcess | None = None
        self.url = ""
        self.start()

    def start(self) -> None:
        """Serve, on the port it had before if there was one; returns when it answers."""
        ready = self.root / "ready.json"
        ready.unlink(missing_ok=True)
        arguments = [*self._arguments, "--port", str(self._port), "--ready_file", str(ready), "--parent_pid", str(os.getpid())]
        self.process = forks.Process(target=_serve, args=(arguments, str(self.root / "emulator.log")), daemon=True)
        self.process.start()
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if not self.process.is_alive() or time.monotonic() > deadline:
                raise AssertionError(f"the emulator did not start: {(self.root / 'emulator.log').read_text()}")
            time.sleep(0.002)
        self.url = str(json.loads(ready.read_text())["url"])
        self._port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None and self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, signal.SIGKILL)
        if self.process is not None:
            self.process.join()

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """One request, by default to `/_emulator...`."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=dict(headers or {}))
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def bill(self) -> dict[str, Any]:
        """What was accepted and paid, once every live batch has run its course."""
        return dict(self.call("GET", "/_emulator/ledger?at=end"))

    def calls(self) -> dict[str, dict[str, dict[str, int]]]:
        """Calls received and carried out, by provider and operation."""
        return dict(self.call("GET", "/_emulator/calls"))

    def add_foreign_batch(self, numbers: Iterable[int]) -> None:
        """A batch that somebody else in the same Anthropic workspace creates now; a number for each request."""
        asked = [(number, [{"role": "user", "content": f"Whose is parcel {number}?"}]) for number in numbers]
        params = [{"model": "claude-haiku-4-5", "max_tokens": 8, "messages": turns} for _, turns in asked]
        body = {"requests": [{"custom_id": f"parcel-{number}", "params": one} for (number, _), one in zip(asked, params, strict=True)]}
        self.call("POST", "/v1/messages/batches", body, {"x-api-key": "somebody-else@dry-run-key", "anthropic-version": "2023-06-01"})

    def add_faults(self, *rules: Mapping[str, Any]) -> None:
        """More faults, from now on."""
        self.call("POST", "/_emulator/faults", list(rules))
