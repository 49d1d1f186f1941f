"""`python -m tests.cluster.drill`: a Dask cluster of this machine beside one process and beside the process pool, and workers killed at random.

Three things are measured, each with its ratio: a metric that waits, on two workers against one process; parse and score of a large run, CPU time of
every process of the cluster against that of the process pool; and the same with a worker killed every few seconds, whose tables are held against
those of one process. Exit code 1 when bytes differ; nothing here fails for being slow.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.lab import DaskCluster, answered, begun, files, tables, take

WAITS = "import time\n\n\ndef waits(item, text):\n    time.sleep({seconds})\n    return {{'waited': 1.0}}\n"


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def cpu_of(pids: Sequence[int]) -> float:
    """CPU seconds of processes and of their children, those that were waited for and those that still wait for parts."""
    ticks = os.sysconf("SC_CLK_TCK")
    pids = [*pids, *(int(child) for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split())]
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one) for found in fields for one in found[11:15]) / ticks


def copy_of(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


@contextmanager
def two_workers(folder: Path) -> Iterator[DaskCluster]:
    """A cluster of two workers that have joined."""
    with DaskCluster(folder) as cluster:
        for _ in range(2):
            cluster.add_worker()
        cluster.until_joined()
        yield cluster


def speed(root: Path, whole: Path, cluster: DaskCluster) -> bool:
    """parse and score in one process, on the process pool and on the cluster."""
    found = {}
    for executor in ("serial", "process", cluster.address):
        folder = copy_of(whole, root / executor.partition(":")[0])
        before = cpu_of([cluster.scheduler.pid, *(worker.pid for worker in cluster.workers)])
        took = [take(folder, step, executor=executor) for step in ("parse", "score")]
        spent = cpu_of([cluster.scheduler.pid, *(worker.pid for worker in cluster.workers)]) - before
        wall, cpu = sum(one["wall"] for one in took), sum(one["cpu"] for one in took) + (spent if executor == cluster.address else 0.0)
        found[executor] = wall, cpu, tables(folder)
        say(f"  {executor.partition(':')[0]:<8} {wall:8.1f} s wall {cpu:8.1f} s CPU")
    pool, dask = found["process"], found[cluster.address]
    same = dask[2] == pool[2] == found["serial"][2]
    say(f"  dask / process pool: wall {dask[0] / pool[0]:.2f}, CPU {dask[1] / pool[1]:.2f}; same bytes: {same}")
    return same


def kills(root: Path, whole: Path, want: dict[str, str], seconds: float) -> bool:
    """parse and score with a worker killed every so many seconds."""
    folder, draw, n_killed = copy_of(whole, root / "killed"), random.Random(7), 0
    with DaskCluster(root / "cluster-of-kills") as cluster:
        alive = [cluster.add_worker(), cluster.add_worker()]
        for step in ("parse", "score"):
            at_work, before = begun(folder, step, executor=cluster.address), files(folder)
            while at_work.poll() is None:
                try:
                    at_work.wait(timeout=draw.uniform(0.3, 2) * seconds)
                except subprocess.TimeoutExpired:
                    if (now := files(folder)) == before:  # where workers begin slowly, none would live until it has made a part
                        continue
                    before = now
                    alive.pop(draw.randrange(len(alive))).kill()
                    n_killed += 1
                    alive.append(cluster.add_worker())
            if at_work.returncode:
                say(at_work.communicate()[1].decode())
                return False
    same = tables(folder) == want
    say(f"  {n_killed} workers killed; same bytes: {same}")
    return same


def waiting(root: Path, n_rows: int, seconds: float, cluster: DaskCluster) -> bool:
    """A metric that waits for each answer, in one process and on two workers."""
    answered(root / "waiting", n_rows, WAITS.format(seconds=seconds))
    take(root / "waiting", "parse")
    found = {}
    for executor in ("serial", cluster.address):
        took = take(root / "waiting", "score", executor=executor)
        found[executor] = took["wall"], tables(root / "waiting")
        say(f"  {executor.partition(':')[0]:<8} {took['wall']:8.1f} s wall")
    one, two = found["serial"], found[cluster.address]
    same, faster = one[1] == two[1], one[0] / two[0]
    say(f"  a metric of {1000 * seconds:g} ms over {n_rows:,} answers: {faster:.2f} times as fast on two workers; same bytes: {same}")
    return same


def main() -> int:
    """Measure; 1 when bytes differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.drill", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, metavar="N", help="answers of the large run (default: %(default)s)")
    parser.add_argument("--kill_seconds", type=float, default=10, metavar="S", help="about so long between two kills (default: %(default)s)")
    parser.add_argument(
        "--waiting_rows", type=int, default=20_000, metavar="N", help="answers that the slow metric sees, or 0 (default: %(default)s)"
    )
    parser.add_argument("--wait_seconds", type=float, default=0.002, metavar="S", help="that it waits for each (default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchtrial-drill-") as name:
        root, is_same = Path(name), True
        if given.waiting_rows:
            with two_workers(root / "cluster-of-waiting") as cluster:
                is_same &= waiting(root, given.waiting_rows, given.wait_seconds, cluster)
        answered(root / "whole", given.rows)
        say(f"{given.rows:,} answers, two workers")
        with two_workers(root / "cluster-of-speed") as cluster:  # of its own: children that end here would count their earlier work
            is_same &= speed(root, root / "whole", cluster)
        is_same &= kills(root, root / "whole", tables(root / "serial"), given.kill_seconds)
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
