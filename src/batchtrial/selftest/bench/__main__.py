"""`python -m batchtrial.selftest.bench`: wall and CPU time and peak memory of the phases at growing sizes, next to a bare `json.loads` loop.

Phases that work on several processes are measured with as many as there are cores, and with one. CPU time is that of all processes of a step, memory
that of its largest. Each step runs in a process of its own and is timed from the start of the interpreter to its end; the yardstick loop over the
same result lines runs in the same bench, three times, and the median counts. The folder is removed afterwards. Nothing here fails for being slow: it
prints.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from batchtrial.errors import PhaseFailed
from batchtrial.selftest.bench import metrics
from batchtrial.selftest.bench.taken import Taken, take

SIZES: Final = (10_000, 100_000, 1_000_000)
BEFORE: Final = ("questions", "prepare")
PHASES: Final = ("build", "parse", "score", "stats", "costs", "report")
ALONE: Final = ("parse", "score")
"""Phases that are also measured with one process."""
WALL_LIMITS: Final = {"build": 1.5, "parse": 0.6, "score": 1.9, "stats": 0.4, "costs": 0.3, "report": 0.5, "sum": 5.2}
CPU_LIMITS: Final = {"parse alone": 1.0, "score alone": 3.6}
"""Ratios to the yardstick that the project holds itself to at a million rows on two cores."""
YARDSTICK_ROUNDS: Final = 3


def measure(folder: Path, n_rows: int, workers: int) -> tuple[dict[str, Taken], int]:
    """Every step at one size, the yardstick among them, and the bytes of the result files."""
    for step in BEFORE:
        take(folder, step, n_rows)
    found = {"build": take(folder, "build", workers)}
    take(folder, "answers")
    rounds = sorted((take(folder, "yardstick") for _ in range(YARDSTICK_ROUNDS)), key=lambda one: one.cpu)
    found["yardstick"] = rounds[len(rounds) // 2]
    for step in PHASES[1:]:
        if step in ALONE:
            found[f"{step} alone"] = take(folder, step, 1)
        found[step] = take(folder, step, workers)
    whole = [found[step] for step in PHASES]
    found["sum"] = Taken(sum(one.wall for one in whole), sum(one.cpu for one in whole), max(one.peak_mb for one in whole))
    size = sum(path.stat().st_size for path in folder.rglob("results.jsonl"))
    return found, size


def table(n_rows: int, size: int, found: dict[str, Taken]) -> str:
    """The figures of one size as lines of text."""
    base = found["yardstick"].cpu
    lines = [
        f"{n_rows:,} result rows, {size / 1e6:,.0f} MB; json.loads over the same lines: {base:.2f} s CPU = 1 Y",
        f"  {'step':<12} {'wall s':>8} {'CPU s':>8} {'peak MB':>8} {'wall / Y':>9} {'CPU / Y':>9}",
    ]
    for step in (*PHASES, "sum", *CPU_LIMITS):
        one = found[step]
        limits = [f"{name} at most {limit[step]:g}" for name, limit in (("wall", WALL_LIMITS), ("CPU", CPU_LIMITS)) if step in limit]
        told = f"  ({limits[0]})" if n_rows >= max(SIZES) else ""
        lines.append(f"  {step:<12} {one.wall:>8.2f} {one.cpu:>8.2f} {one.peak_mb:>8.0f} {one.wall / base:>9.2f} {one.cpu / base:>9.2f}{told}")
    return "\n".join(lines)


def run(sizes: Sequence[int], workers: int, keep: Path | None, names: Sequence[str] = ()) -> None:
    """Measure and print every size. names: of metrics, of which the cost is to be told alone."""
    for n_rows in sizes:
        folder = Path(tempfile.mkdtemp(prefix="batchtrial-bench-")) if keep is None else keep / str(n_rows)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            if names:
                sys.stdout.write(metrics.told(n_rows, names, *metrics.measure(folder, n_rows, names)) + "\n")
            else:
                found, size = measure(folder, n_rows, workers)
                sys.stdout.write(table(n_rows, size, found) + "\n\n")
            sys.stdout.flush()
        finally:
            if keep is None:
                shutil.rmtree(folder)


def speed() -> None:
    """Print how fast the statistics are, from a process of their own."""
    done = subprocess.run([sys.executable, "-m", "batchtrial.selftest.bench.speed"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise PhaseFailed("the bench of the statistics failed")
    sys.stdout.write(done.stdout)


def arms_told(n_treatments: int) -> str:
    """How many result lines are decoded where many treatments have one control, as a line of text."""
    from batchtrial.selftest.bench.rig import lines_decoded

    with tempfile.TemporaryDirectory(prefix="batchtrial-bench-") as folder:
        decoded, n_items = lines_decoded(Path(folder), n_treatments)
    return f"{n_treatments} treatments with one control: {decoded:,} lines decoded for {n_items:,} items, {decoded / n_items:g} arms' work\n\n"


def planted(n: int) -> None:
    """Print how many of so many seeded dry runs report an interval that holds the planted effect."""
    from batchtrial.selftest.bench.planted import dry_runs

    trials = list(dry_runs(n))
    inside = sum(trial.is_inside for trial in trials)
    sys.stdout.write(
        f"planted effect inside the 95 % interval: {inside} of {n} dry runs (missed by seeds {[t.seed for t in trials if not t.is_inside]})\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Read the flags, run the bench, print the tables; exit code 0 unless a step failed."""
    args = list(sys.argv[1:] if argv is None else argv)
    if args[:1] == ["growth"]:
        from batchtrial.selftest.bench import growth

        return growth.main(args[1:])
    if args[:1] == ["viewer"]:
        from batchtrial.selftest.bench import viewer

        return viewer.main(args[1:])
    if args[:1] == ["judges"]:
        from batchtrial.selftest.bench import judges

        return judges.main(args[1:])
    if args[:1] == ["makespan"]:
        from batchtrial.selftest.bench import makespan

        return makespan.main(args[1:])
    parser = argparse.ArgumentParser(
        prog="python -m batchtrial.selftest.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=list(SIZES), metavar="N", help="result rows per round (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes that work at once (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make the data here and leave it")
    parser.add_argument("--dry_runs", type=int, default=0, metavar="N", help="also N whole dry runs: how often the interval holds the planted effect")
    parser.add_argument(
        "--metrics",
        nargs="*",
        choices=[*metrics.ENTRIES],
        metavar="NAME",
        help=f"only what scoring by metrics takes: {', '.join(metrics.ENTRIES)}; no name: the first {len(metrics.FIRST)} of them",
    )
    given = parser.parse_args(args)
    try:
        if given.metrics is not None:
            run(given.rows, 1, given.keep, given.metrics or metrics.FIRST)
            return 0
        run(given.rows, given.workers, given.keep)
        sys.stdout.write(arms_told(10))
        speed()
        if given.dry_runs:
            planted(given.dry_runs)
    except PhaseFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
