"""What the run tooling costs on a run of many parts: `python -m tests.runs.timings` makes a dry run of 4,000 parts and prints CPU seconds.

Each command is a process of its own, from the start of the interpreter to its end, and the best of three counts; beside it stands how much of that
is the interpreter and the imports. `--run DIR` takes a finished run that is there already, which is copied and left alone.
"""

from __future__ import annotations

import argparse
import csv
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RUN_ID = "many"
ROUNDS = 3
COMMANDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("status", ("status",)),
    ("list_runs --json", ("status", "--json")),
    ("repair --check", ("repair", "--check", "--run_id", RUN_ID)),
    ("resume --plan_only", ("resume", "--plan_only", "--run_id", RUN_ID)),
    ("resume, nothing to do", ("resume", "--run_id", RUN_ID)),
    ("compare", ("compare", RUN_ID, RUN_ID)),
    ("stop", ("stop", "--run_id", RUN_ID)),
    ("stop --cancel", ("stop", "--run_id", RUN_ID, "--cancel")),
    ("archive", ("archive", "--run_id", RUN_ID)),
    ("archive --verify FILE", ("archive", "--verify", f"archives/run_{RUN_ID}.zip")),
    ("archive --verify FOLDER", ("archive", "--verify", f"run_{RUN_ID}")),
    ("clean", ("clean",)),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds: of the whole process, and of one that only imports the command."""

    whole: float
    imports: float


def cpu(command: Sequence[str], folder: Path) -> float:
    """CPU seconds of the command and what it waits for, at best. Raises CalledProcessError."""
    found = []
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def cost(words: Sequence[str], folder: Path) -> Cost:
    """Of one command in the folder of runs."""
    place = () if "--verify" in words else ("--experiments_dir", ".")
    whole = cpu([sys.executable, "-m", "batchtrial", *words, *place], folder)
    module = f"batchtrial.cli.{words[0]}" if words[0] != "resume" else "batchtrial.cli.commands.execute"
    return Cost(whole=whole, imports=cpu([sys.executable, "-c", f"import {module}"], folder))


def make(folder: Path, n_parts: int) -> None:
    """A finished dry run of so many parts, each of one request."""
    with (folder / "sums.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("id", "question", "answers"))
        rows.writerows((k, f"What is {k} plus {k % 97}?", k + k % 97) for k in range(n_parts // 2))
    root = Path(__file__).parents[2]
    given = (root / "config" / "eval_config.yaml").read_text(encoding="utf-8")
    given = given.replace("{name: bundled_open, source: bundled}", "{name: sums, source: file, path: sums.csv}")
    unfit = ("bundled_closed", "false_answer", "confirmatory")
    config = "".join(line for line in given.splitlines(keepends=True) if not any(word in line for word in unfit))
    shutil.copytree(root / "config", folder / "config")
    (folder / "config" / "eval_config.yaml").write_text(config, encoding="utf-8")
    flags = ("--lines_per_part", "1", "--max_concurrent_jobs", "100", "--prompt_sets", "default", "--experiments_dir", ".")
    command = [sys.executable, "-m", "batchtrial", "run", "--config", "config/eval_config.yaml", "--dry_run", "--run_id", RUN_ID, *flags]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.runs.timings", description=__doc__)
    parser.add_argument("--parts", type=int, default=4000)
    parser.add_argument("--run", type=Path, metavar="DIR", help="a finished run, such as experiments/run_X")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="batchtrial-timings-") as name:
        folder = Path(name)
        if given.run is None:
            make(folder, given.parts)
        else:
            shutil.copytree(given.run, folder / f"run_{RUN_ID}")
        sys.stdout.write(f"{'command':<26} {'CPU s':>6} {'of it imports':>14}\n")
        for shown, words in COMMANDS:
            one = cost(words, folder)
            sys.stdout.write(f"{shown:<26} {one.whole:>6.2f} {one.imports:>14.2f}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
