"""What a step of the bench takes, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from batchtrial.errors import PhaseFailed


@dataclass(frozen=True, slots=True)
class Taken:
    """What a step took: seconds and megabytes."""

    wall: float
    cpu: float
    peak_mb: float


def take(folder: Path, step: str, n: int = 0) -> Taken:
    """Run one step in a process of its own. n: rows to make, or processes to work on. Raises PhaseFailed with what it said."""
    command = [sys.executable, "-m", "batchtrial.selftest.bench.step", str(folder), step, str(n)]
    # Modules are found compiled, as an installed program has them, also where the surroundings forbid Python to keep byte code.
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise PhaseFailed(f"the bench's step {step} failed", where=f"n = {n}", hint=done.stderr.strip()[-2000:])
    return Taken(**json.loads(done.stdout.splitlines()[-1]))
