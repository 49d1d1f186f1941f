"""`python -m batchtrial.selftest.bench growth`: what a further row costs, from one size to the next, in CPU time, memory and bytes on the disk.

A step takes about a second before it sees its first row. So the cost of a row is told by the difference of two sizes, and the last column holds it
against the cost between the two smallest: 1.00 is a straight line. CPU time is that of one process, since it does not depend on who else is at work.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from batchtrial.selftest.bench.taken import Taken, take

STEPS: Final = ("prepare", "build", "parse", "score", "stats", "costs", "report")
Size = tuple[int, dict[str, Taken], int]
"""Rows, what each step took, bytes of the run's folder."""


def measured(folder: Path, n_rows: int) -> Size:
    """One size, made in an empty folder."""
    take(folder, "questions", n_rows)
    found: dict[str, Taken] = {}
    for step in STEPS:
        if step == "parse":
            take(folder, "answers")
        found[step] = take(folder, step, 1)
    return n_rows, found, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def lines(sizes: Sequence[Size]) -> list[str]:
    """The tables, a row a step and pair of sizes."""
    told = [f"{'step':<8} {'rows':>12} {'CPU s':>8} {'peak MB':>8} {'us a row':>9} {'MB a 100k':>10} {'of first':>9}"]
    for step in STEPS:
        first = 0.0
        for at, (n_rows, found, _) in enumerate(sizes):
            own = found[step]
            line = f"{step:<8} {n_rows:>12,} {own.cpu:>8.2f} {own.peak_mb:>8.0f}"
            if at:
                before = sizes[at - 1]
                row = (own.cpu - before[1][step].cpu) / (n_rows - before[0]) * 1e6
                grown = (own.peak_mb - before[1][step].peak_mb) / (n_rows - before[0]) * 1e5
                first = first or row
                line += f" {row:>9.1f} {grown:>10.1f} {row / first if first else 0.0:>9.2f}"
            told.append(line)
    told += [f"folder   {n_rows:>12,} rows {size / 1e6:>10,.0f} MB {size / n_rows:>10,.0f} bytes a row" for n_rows, _, size in sizes]
    return told


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m batchtrial.selftest.bench growth", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], metavar="N", help="sizes (default: %(default)s)")
    found = []
    for n_rows in sorted(parser.parse_args(argv).rows):
        folder = Path(tempfile.mkdtemp(prefix="batchtrial-growth-"))
        try:
            found.append(measured(folder, n_rows))
        finally:
            shutil.rmtree(folder)
    sys.stdout.write("\n".join(lines(found)) + "\n")
    return 0
