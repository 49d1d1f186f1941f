"""One measured step in a process of its own: `python -m batchtrial.selftest.bench.step FOLDER STEP [N [EXECUTOR]]` prints what it took as JSON.

N is the number of rows to make, or of processes that a phase may work on; EXECUTOR is where, as `--executor` says it.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchtrial.phases.base import Phase


def phase_of(step: str) -> Phase:
    """The phase of that name. Raises KeyError."""
    from batchtrial.run.plan import PHASES

    return {phase.name: phase for phase in PHASES}[step]


def yardstick(folder: Path) -> int:
    """The bare loop that every phase is compared with: lines of all result files through `json.loads`."""
    n = 0
    for path in sorted(folder.rglob("results.jsonl")):
        with path.open("rb") as file:
            for line in file:
                json.loads(line)
                n += 1
    return n


def peak_mb() -> float:
    """The largest resident set of this process alone; what a parent had before the fork does not count."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except FileNotFoundError:
        found = None
    return int(found[1]) / 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def do(folder: Path, step: str, n: int, executor: str) -> None:
    """Carry out one step."""
    if step == "yardstick":
        yardstick(folder)
        return
    from batchtrial.selftest.bench import rig

    if step == "questions":
        rig.make_questions(folder, n)
        return
    with rig.opened(folder) as run:
        if step == "answers":
            rig.make_answers(run)
        else:
            run.run(phase_of(step), n or 1, executor)


def main() -> int:
    """Do the step named on the command line; print wall and CPU seconds and peak memory."""
    folder, step, n, executor = (*sys.argv[1:], *("", "", "0", "process")[len(sys.argv) - 1 :])
    begin = time.perf_counter()
    do(Path(folder), step, int(n), executor)
    wall = time.perf_counter() - begin
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(used.ru_utime + used.ru_stime for used in (own, ended))
    taken = {"wall": wall, "cpu": cpu, "peak_mb": max(peak_mb(), ended.ru_maxrss / 1024)}
    sys.stdout.write(json.dumps(taken) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
