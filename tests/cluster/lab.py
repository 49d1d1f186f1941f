"""A real Dask scheduler and real workers on loopback, and runs whose answers are there to be parsed and scored on them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

READY_SECONDS: Final = 120.0
STEP: Final = "batchtrial.selftest.bench.step"


class DaskCluster(ExitStack):
    """A scheduler and the workers that are started at it. folder: for its own files, elsewhere than any run. python_path: as for a worker."""

    def __init__(self, folder: Path, *, python_path: str = "") -> None:
        super().__init__()
        folder.mkdir(parents=True)
        self._folder, self._file = folder, folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        flags = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self._file), "--no-dashboard")
        self.scheduler = self._start("scheduler", *flags, python_path=python_path)
        self.address = f"dask://{_until_written(self._file)['address'].removeprefix('tcp://')}"

    def add_worker(self, *, python_path: str = "", n_threads: int = 1) -> subprocess.Popen[bytes]:
        """A worker, started and not waited for. python_path: where it finds modules first."""
        number = len(self.workers)
        flags = ("--scheduler-file", str(self._file), "--nthreads", str(n_threads), "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        self.workers.append(self._start("worker", *flags, "--local-directory", str(self._folder / str(number)), python_path=python_path))
        return self.workers[-1]

    def until_joined(self) -> None:
        """Wait for the workers that were added."""
        from distributed import Client

        with Client(self.address.replace("dask:", "tcp:"), set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=READY_SECONDS)

    def _start(self, what: str, *flags: str, python_path: str) -> subprocess.Popen[bytes]:
        log = self.enter_context((self._folder / f"{what}-{len(self.workers)}.log").open("wb"))
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *flags]
        env = {**os.environ, "PYTHONPATH": python_path} if python_path else None
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, env=env)
        self.callback(process.wait)
        self.callback(process.kill)
        return process


def _until_written(path: Path) -> dict[str, Any]:
    """The record that the scheduler writes once it listens."""
    begin = time.monotonic()
    while time.monotonic() - begin < READY_SECONDS:
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):
            time.sleep(0.05)
        else:
            return found
    raise TimeoutError("the scheduler did not begin to listen")


def take(folder: Path, step: str, n: int = 2, executor: str = "process") -> dict[str, float]:
    """Carry out a step of the bench's run in a process of its own, which says what it took."""
    done = begun(folder, step, n, executor)
    out, complaint = done.communicate(timeout=3600)
    assert done.returncode == 0, complaint.decode()
    taken: dict[str, float] = json.loads(out.splitlines()[-1])
    return taken


def begun(folder: Path, step: str, n: int = 2, executor: str = "process") -> subprocess.Popen[bytes]:
    """The same, not waited for."""
    command = [sys.executable, "-m", STEP, str(folder), step, str(n), executor]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder)


def answered(folder: Path, n_rows: int, metric: str = "") -> None:
    """Make a run with so many answers that are not parsed yet. metric: the source of a function `waits`."""
    folder.mkdir(parents=True)
    if metric:
        (folder / "slow.py").write_text(metric)
        (folder / "metrics.json").write_text('["slow:waits"]')
    take(folder, "questions", n_rows)
    for step in ("prepare", "build", "answers"):
        take(folder, step)


def tables(folder: Path) -> dict[str, str]:
    """sha256 of every table of the arms."""
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("arms/*/*.parquet"))}


def files(folder: Path) -> set[str]:
    """What lies in a folder while others work there."""
    return {f"{place}/{name}" for place, _, names in os.walk(folder) for name in names}
