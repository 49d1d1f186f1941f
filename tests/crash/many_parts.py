"""What keeping state costs in a run of many parts: `python -m tests.crash.many_parts` prints time and bytes for 500, 1,000, 2,000 and 4,000 parts.

The run goes through the real SDK over HTTP to the emulator; time spent in writing state is measured around every function that writes some.
"""

from __future__ import annotations

import argparse
import functools
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash.lab import Lab

from batchtrial.cli.frame import say
from batchtrial.run.options import Options
from batchtrial.run.session import Session
from batchtrial.run.snapshots import Snapshots
from batchtrial.state.ledger import Ledger

WRITERS: tuple[tuple[type, str], ...] = (
    (Ledger, "__init__"),
    (Ledger, "append"),
    (Snapshots, "save_state"),
    (Snapshots, "phase"),
    (Snapshots, "refresh"),
    (Snapshots, "write_trials"),
    (Snapshots, "publish"),
    (Session, "close"),
)


class Meter:
    """Adds up the time inside functions that write state, and the bytes that they write."""

    def __init__(self) -> None:
        self.seconds, self.n_bytes, self.n_lines, self.n_files = 0.0, 0, 0, 0
        self._depth = 0
        self.run = Path()

    def timed(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(plain)
        def call(*args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            began = time.perf_counter()
            try:
                return plain(*args, **kwargs)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.seconds += time.perf_counter() - began

        return call

    @contextmanager
    def on(self) -> Iterator[None]:
        """Measure inside the block."""
        plain = [(owner, name, owner.__dict__[name]) for owner, name in WRITERS]
        for owner, name, function in plain:
            setattr(owner, name, self.timed(function))
        try:
            yield
        finally:
            for owner, name, function in plain:
                setattr(owner, name, function)

    def hook(self, point: str) -> None:
        """Counts what a durable write has put on disk; only state is written inside a writer."""
        kind, name, when = (*point.split(":"), "")[:3]
        if kind == "ledger" and when == "after":
            self.n_lines += 1
        if kind == "write" and when == "written" and self._depth > 0:
            self.n_files += 1
            self.n_bytes += sum(path.stat().st_size for path in self._temps(name))

    def _temps(self, name: str) -> Iterator[Path]:
        for folder in (".", "*", "*/results"):
            yield from self.run.glob(f"{folder}/.{name}.part~")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One run. Seconds are of the wall clock; bytes are those of all state written over the run, snapshots as often as they were."""

    n_parts: int
    run_seconds: float
    state_seconds: float
    ledger_bytes: int
    snapshot_bytes: int
    n_snapshots: int


def measured(root: Path, n_parts: int, in_flight: int) -> Cost:
    """A run of so many parts, up to the last fetched result."""
    settings = {"submission": {"lines_per_part": 1, "max_concurrent_jobs": in_flight}}
    lab = Lab(root, n_items=n_parts // 2, settings=settings, has_twin=False)
    world = lab.world("many")
    meter = Meter()
    meter.run = world.layout.root
    began = time.perf_counter()
    with meter.on():
        assert world.start(meter.hook, Options(to_step="poll")) == 0
    took = time.perf_counter() - began
    cost = Cost(
        n_parts=n_parts,
        run_seconds=took,
        state_seconds=meter.seconds,
        ledger_bytes=world.layout.ledger.stat().st_size,
        snapshot_bytes=meter.n_bytes,
        n_snapshots=meter.n_files,
    )
    world.close()
    return cost


def table(costs: Sequence[Cost]) -> list[str]:
    """One line for each size."""
    head = f"{'parts':>6} {'run s':>8} {'state s':>8} {'share':>7} {'ledger kB':>10} {'snapshots':>10} {'their kB':>9} {'bytes a part':>13}"
    lines = [head]
    for one in costs:
        total = one.ledger_bytes + one.snapshot_bytes
        lines.append(
            f"{one.n_parts:>6} {one.run_seconds:>8.1f} {one.state_seconds:>8.2f} {one.state_seconds / one.run_seconds:>7.1%} "
            f"{one.ledger_bytes / 1e3:>10.0f} {one.n_snapshots:>10} {one.snapshot_bytes / 1e3:>9.0f} {total / one.n_parts:>13.0f}"
        )
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.many_parts", description=__doc__)
    parser.add_argument("--parts", type=int, nargs="+", default=[500, 1000, 2000, 4000])
    parser.add_argument("--max_concurrent_jobs", type=int, default=20)
    given = parser.parse_args(argv)
    costs = []
    for n_parts in given.parts:
        root = Path(tempfile.mkdtemp(prefix="batchtrial-parts-"))
        costs.append(measured(root, n_parts, given.max_concurrent_jobs))
        shutil.rmtree(root, ignore_errors=True)
        sys.stderr.write(table(costs[-1:])[1] + "\n")
    for line in table(costs):
        say(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
