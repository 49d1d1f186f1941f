"""`python -m tests.fuzz [--inputs N] [--seed S] [--jobs J] [--only TARGET] [--keep DIR]`: damaged inputs of every kind against the real commands.

Each input is a seed: `--seed S --inputs 1` gives it again. Exit 1 when any input crashed, hung, held too much memory or wrote outside its box.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STUCK_SECONDS = 60.0
"""A worker that says nothing for so long hangs where no signal reaches it."""
BATCH = 5000
"""Inputs a worker takes before it is replaced by a fresh process."""
IN_MEMORY = Path("/dev/shm")
"""Where Linux keeps files in memory: a small file costs a tenth there, and its fsync nothing."""
ENOUGH_BYTES = 1 << 30


def place() -> str | None:
    """The folder for boxes: one in memory where there is room, else the system's own for temporary files."""
    if not os.access(IN_MEMORY, os.W_OK):
        return None
    room = os.statvfs(IN_MEMORY)
    return str(IN_MEMORY) if room.f_bavail * room.f_frsize >= ENOUGH_BYTES else None


def serve(first: int, n: int, only: str | None, sound: Path, folder: Path) -> None:
    """One worker: seeds first .. first + n; a JSON line for each on standard output. It ends with a hang: what that has left half done is unknown."""
    from tests.fuzz.guard import Watch, watched
    from tests.fuzz.targets import TARGETS, bench, chosen, fresh, warm

    from batchtrial.cli.main import main

    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
    at = bench(sound, folder)
    warm(at)
    gc.freeze()
    tempfile.tempdir = str(folder / "box")
    watch = Watch()
    for seed in range(first, first + n):
        rng = random.Random(seed)
        name = chosen(rng, only)
        fresh(at)
        ends = []
        for argv in TARGETS[name][0](at, rng):
            done = watched(main, argv, at.box, watch)
            ends.append({"argv": argv, "kind": done.kind, "code": done.code, "seconds": done.seconds, "megabytes": done.megabytes})
            if done.fault is not None:
                ends[-1] |= {"text": done.text[-3000:], "escapes": done.escapes}
                break
        told.write(json.dumps({"seed": seed, "target": name, "ends": ends}) + "\n")
        told.flush()
        if ends[-1]["kind"] == "hang":
            return


class Worker:
    """A process that works through a range of seeds, started again at a seed that hangs it, and behind one that hangs it twice.

    Time on a busy machine passes without the command: once is no finding.
    """

    def __init__(self, first: int, n: int, only: str | None, sound: Path) -> None:
        self.next, self._end, self._only, self._sound = first, first + n, only, sound
        self._folder: Path | None = None
        self._slow = -1  # the seed that hung last
        self._start()

    def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=place()))
        asked = [sys.executable, "-m", "tests.fuzz", "--serve", str(self.next), str(min(BATCH, self._end - self.next))]
        asked += [str(self._sound), str(self._folder)]
        env = {"PATH": os.environ.get("PATH", ""), "HOME": str(self._folder), "PYTHONPATH": os.pathsep.join(sys.path), "POLARS_MAX_THREADS": "1"}
        self.process = subprocess.Popen([*asked, *(["--only", self._only] if self._only else [])], stdout=subprocess.PIPE, env=env)
        self._heard, self._has_told = time.monotonic(), False

    def lines(self) -> Iterator[dict[str, Any]]:
        """What has come since the last look; a hang or a death of the process counts as the next seed's."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            while ready.select(timeout=0.05):
                line = self.process.stdout.readline()
                if not line:
                    break
                self._heard, self._has_told = time.monotonic(), True
                one = json.loads(line)
                if one["ends"][-1]["kind"] == "hang" and self._slow != one["seed"]:
                    self._slow = one["seed"]
                    continue
                self.next += 1
                yield one
        if self.process.poll() is None and time.monotonic() - self._heard < STUCK_SECONDS:
            return
        is_over = self.process.poll() == 0
        if self.process.poll() and not self._has_told:
            raise RuntimeError("a worker could not make its sound files; see above")
        self.stop()
        if not is_over:
            yield {"seed": self.next, "target": "?", "ends": [{"argv": [], "kind": "hang" if self.process.returncode == -9 else "crash", "code": 1}]}
            self.next += 1
        if self.next < self._end:
            self._start()

    @property
    def is_done(self) -> bool:
        return self.next >= self._end

    def stop(self) -> None:
        """End the process and delete its files."""
        self.process.kill()
        self.process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def table(kinds: Counter[tuple[str, str]], n: Counter[str], seconds: float) -> str:
    """Inputs by target and how they ended."""
    columns = ("accepted", "refused", "crash", "silent", "hang", "memory", "escape")
    rows = [f"{'target':<10} {'inputs':>8} " + " ".join(f"{kind:>8}" for kind in columns)]
    for name in (*sorted(n), "all"):
        count = {kind: sum(v for (t, k), v in kinds.items() if k == kind and name in (t, "all")) for kind in columns}
        rows.append(f"{name:<10} {n.total() if name == 'all' else n[name]:>8} " + " ".join(f"{count[kind]:>8}" for kind in columns))
    return "\n".join([*rows, f"{seconds:.0f} s"])


def show(found: dict[str, Any]) -> str:
    """One finding: its seed, the command, what it said last."""
    last = found["ends"][-1]
    said = "\n    ".join(last.get("text", "").splitlines()[-12:])
    return f"seed {found['seed']} ({found['target']}): {last['kind']}, exit {last['code']}: {last['argv']} {last.get('escapes', '')}\n    {said}"


def fuzz(first: int, n: int, jobs: int, only: str | None, most: int) -> int:
    """Try so many inputs; the number of findings."""
    step = -(-n // jobs)
    sound = Path(tempfile.mkdtemp(prefix="fuzz-sound-", dir=place()))
    workers: list[Worker] = []
    kinds: Counter[tuple[str, str]] = Counter()
    tried: Counter[str] = Counter()
    n_found, begun, told = 0, time.monotonic(), 0.0
    try:
        subprocess.run([sys.executable, "-m", "tests.fuzz", "--sound", str(sound)], check=True)
        workers += [Worker(first + k, min(step, n - k), only, sound) for k in range(0, n, step)]
        while not all(worker.is_done for worker in workers):
            for worker in [one for one in workers if not one.is_done]:
                for one in worker.lines():
                    tried[one["target"]] += 1
                    kinds[(one["target"], one["ends"][-1]["kind"])] += 1
                    if one["ends"][-1]["kind"] not in ("accepted", "refused"):
                        n_found += 1
                        if n_found <= most:
                            sys.stdout.write(show(one) + "\n")
            if time.monotonic() - told > 10:
                told = time.monotonic()
                sys.stdout.write(f"{tried.total()} of {n} inputs, {n_found} findings\n")
                sys.stdout.flush()
    finally:
        for worker in workers:
            worker.stop()
        shutil.rmtree(sound)
    sys.stdout.write(table(kinds, tried, time.monotonic() - begun) + "\n")
    return n_found


def run(argv: list[str] | None = None) -> int:
    """Read the flags and try the inputs."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=5000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at one time (default: the cores)")
    parser.add_argument("--only", help="this target alone")
    parser.add_argument("--most", type=int, default=20, help="findings that are shown in full (default: %(default)s)")
    parser.add_argument("--serve", nargs=4, metavar=("FIRST", "N", "SOUND", "DIR"), help=argparse.SUPPRESS)
    parser.add_argument("--sound", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.sound:
        from tests.fuzz.targets import make_sound

        make_sound(given.sound)
        return 0
    if given.serve:
        serve(int(given.serve[0]), int(given.serve[1]), given.only, Path(given.serve[2]), Path(given.serve[3]))
        return 0
    return 1 if fuzz(given.seed, given.inputs, given.jobs, given.only, given.most) else 0


if __name__ == "__main__":
    sys.exit(run())
