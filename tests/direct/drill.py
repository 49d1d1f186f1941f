"""Kills the process that asks rows, at moments drawn by a seed, until every row is answered; then holds its book against the server's.

python -m tests.direct.drill [--rows 10000] [--concurrency 32] [--kills 20] [--share 0.05] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.direct.server import PAID, ROOT, counts, fault_of, serving

from batchtrial.direct.journal import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """What a drill saw. n_again: rows carried out more than once; n_by_fault: of these because the server lost the answer itself."""

    n_answered: int
    n_again: int
    n_by_fault: int
    most_again_a_kill: int
    n_kills: int
    n_told: int
    mb: float


def start(url: str, journal: Path, rows: int, concurrency: int, way: str = "direct") -> subprocess.Popen[str]:
    flags = ["--url", url, "--journal", str(journal), "--rows", str(rows), "--concurrency", str(concurrency)]
    return subprocess.Popen([sys.executable, "-m", "tests.direct.asker", way, *flags], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=590)
    assert process.returncode == 0, output
    return dict(json.loads(output))


def drill(folder: Path, url: str, *, rows: int, concurrency: int, kills: int, share: float, seed: int) -> Drilled:
    """Run with kills to the end. The server must be a new one."""
    random, journal = Random(seed), folder / "rows.jsonl"
    by_fault = {f"row-{number}" for number in range(rows) if fault_of(f"row-{number}", share) in PAID - {"stream", "slow"}}
    again_before, most = 0, 0
    stops = sorted(random.randrange(rows // 20, rows) for _ in range(kills))
    n_kills = 0
    for stop in stops:
        process = start(url, journal, rows, concurrency)
        while process.poll() is None and counts(url)["seen"] < stop:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            n_kills += 1
        process.communicate()
        book = Journal(journal)
        in_flight = book.n_maybe_twice - book.n_lost
        most = max(most, in_flight - again_before)
        again_before = in_flight
    mb = finished(start(url, journal, rows, concurrency))["mb"]
    book, carried_out = Journal(journal), counts(url)["carried_out"]
    again = {name for name, n in carried_out.items() if n > 1}
    answers = dict(book.answers())
    assert set(carried_out) == {f"row-{number}" for number in range(rows)}
    assert all(json.loads(answers[number].body)["id"] == f"row-{number}" for number in range(rows))
    assert sum(n - 1 for n in carried_out.values()) <= book.n_maybe_twice, "more was paid twice than is told"
    return Drilled(
        n_answered=len(answers),
        n_again=len(again),
        n_by_fault=len(again & by_fault),
        most_again_a_kill=most,
        n_kills=n_kills,
        n_told=book.n_maybe_twice,
        mb=mb,
    )


def compared(folder: Path, url: str, rows: int, concurrency: int, rounds: int) -> tuple[float, float, float]:
    """(rows a second directly, by the bare loop, megabytes) in alternating rounds at a server without faults; medians."""
    ours, theirs, mb = [], [], 0.0
    for number in range(rounds):
        theirs.append(rows / finished(start(url, folder / "none", rows, concurrency, "bare"))["seconds"])
        got = finished(start(url, folder / f"speed{number}.jsonl", rows, concurrency))
        ours.append(rows / got["seconds"])
        mb = max(mb, got["mb"])
    return statistics.median(ours), statistics.median(theirs), mb


def main() -> None:
    """Print what was seen."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--rows", type=int, default=10_000)
    flags.add_argument("--concurrency", type=int, default=32)
    flags.add_argument("--kills", type=int, default=20)
    flags.add_argument("--share", type=float, default=0.05)
    flags.add_argument("--seed", type=int, default=1)
    flags.add_argument("--rounds", type=int, default=3)
    given = flags.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder, seconds=0.02) as url:
            ours, theirs, mb = compared(folder, url, given.rows, given.concurrency, given.rounds)
        sys.stdout.write(f"{ours:.0f} rows/s, bare loop {theirs:.0f} rows/s: {ours / theirs:.2f} of it; {mb:.0f} MB\n")
        with serving(folder, share=given.share, seconds=0.02) as url:
            asked = {"rows": given.rows, "concurrency": given.concurrency, "kills": given.kills, "share": given.share, "seed": given.seed}
            sys.stdout.write(f"{drill(folder, url, **asked)}\n")


if __name__ == "__main__":
    main()
