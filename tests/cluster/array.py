"""`python -m tests.cluster.array`: 64 shares as 64 processes, as an array scheduler starts them: in any order, some twice, some at once, some killed.

After parse, and after score, `--merge` either puts all together or names the shares that are missing, which run again. What the run ends with is
held against the same run in one process. Exit code 1 when bytes differ, or when a merge names a share that had ended well.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.drill import copy_of, say
from tests.cluster.test_dask import METRIC, command
from tests.small_run import config_tree, write_inputs

AT_ONCE = 3
_SHARE = re.compile(r"\b([0-9]+)/([0-9]+)\b")


def polled(folder: Path, n_items: int) -> Path:
    """A folder with a dry run whose answers are there, in parts of two."""
    folder.mkdir()
    write_inputs(folder, n_items)
    (folder / "mine.py").write_text(METRIC)
    sending = {"lines_per_part": 2, "max_concurrent_jobs": 2 * n_items, "poll_seconds": 60}
    tree = config_tree("openai", poll_seconds=60, metrics=["mine:tone"], submission=sending)
    (folder / "trial.yaml").write_text(json.dumps(tree))
    done = command(folder, "run", "--config", "trial.yaml", "--run_id", "r1", "--dry_run", "--to_step", "poll")
    if done.returncode:
        raise SystemExit(done.stderr)
    return folder


def start(folder: Path, step: str, number: int, n: int) -> subprocess.Popen[str]:
    """One share."""
    env = {**os.environ, "BATCHTRIAL_EXPERIMENTS_DIR": "experiments"}
    flags = [step, "--run_id", "r1", "--shard", f"{number}/{n}", "--workers", "1"]
    out = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", "batchtrial", *flags], cwd=folder, stdout=out, stderr=subprocess.PIPE, text=True, env=env)


def carry_out(folder: Path, step: str, numbers: Sequence[int], n: int, draw: random.Random, killed: float) -> set[int]:
    """Run these shares, a few at a time, and kill that many of them; those that ended well."""
    waiting, running, well = list(numbers), list[tuple[int, subprocess.Popen[str], bool]](), set[int]()
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            number = waiting.pop()
            running.append((number, start(folder, step, number, n), draw.random() < killed))
        number, process, is_victim = running.pop(0)
        try:
            _, complaint = process.communicate(timeout=draw.uniform(0.2, 3) if is_victim else 300)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            continue
        if process.returncode:
            raise SystemExit(f"{step} --shard {number}/{n}: {complaint}")
        well.add(number)
    return well


def merge(folder: Path, step: str, n: int, well: set[int], draw: random.Random) -> bool:
    """Put together, running again what is named, until it is."""
    while (done := command(folder, step, "--run_id", "r1", "--merge")).returncode:
        named = {int(number) for number, of in _SHARE.findall(done.stderr.rpartition("--shard")[2]) if int(of) == n}
        say(f"  {step}: {' '.join(done.stderr.split())[:200]}")
        if done.returncode != 1 or not named or named & well:
            say(f"  {step}: exit code {done.returncode}; shares {sorted(named & well)} had ended well")
            return False
        well |= carry_out(folder, step, sorted(named), n, draw, 0.0)
    say(f"  {step}: {' '.join((done.stderr or done.stdout).split())[:200]}")
    return True


def results(folder: Path) -> dict[str, bytes]:
    """What a run ends with."""
    paths = [path for pattern in ("*.parquet", "*.csv", "significance.json") for path in sorted(folder.rglob(pattern))]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def main() -> int:
    """Run and compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.array", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=int, default=64, metavar="N", help="shares of each step (default: %(default)s)")
    parser.add_argument("--items", type=int, default=160, metavar="N", help="items of each arm (default: %(default)s)")
    parser.add_argument("--killed", type=float, default=0.2, metavar="P", help="chance of a share to be killed (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=11, metavar="N", help="of order, repeats and kills (default: %(default)s)")
    given = parser.parse_args()
    draw, n = random.Random(given.seed), given.shares
    with tempfile.TemporaryDirectory(prefix="batchtrial-array-") as name:
        here = polled(Path(name) / "here", given.items)
        whole = copy_of(here, Path(name) / "whole")
        if (done := command(whole, "resume", "--run_id", "r1", "--executor", "serial")).returncode:
            raise SystemExit(done.stderr)
        for step in ("parse", "score"):
            numbers = [*range(1, n + 1), *draw.sample(range(1, n + 1), n // 8)]
            draw.shuffle(numbers)
            well = carry_out(here, step, numbers, n, draw, given.killed)
            say(f"  {step}: {n} shares, {sum(count > 1 for count in Counter(numbers).values())} of them twice, {n - len(well)} without a good end")
            if not merge(here, step, n, well, draw):
                return 1
        if (done := command(here, "resume", "--run_id", "r1")).returncode:
            raise SystemExit(done.stderr)
        is_same = results(here) == results(whole)
        say(f"  {len(results(whole))} files; same bytes as one process: {is_same}")
        left = list(here.rglob("*.shares"))
    return 0 if is_same and not left else 1


if __name__ == "__main__":
    sys.exit(main())
