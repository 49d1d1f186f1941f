"""`python -m batchtrial.selftest.bench makespan`: how long dry runs take, in the emulator's time, beside what no order of sending could beat.

Each run is whole: the command, its queue, HTTP, an emulator whose account has limits and a speed for each model. The makespan is read from the
emulator's own books; the bound is the larger of all work of one model at its speed and the longest part. Refusals for limits are counted.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from batchtrial.errors import PhaseFailed

N_MODELS: Final = (1, 3, 10)
SIZES: Final = ("auto", "8", "32", "128")
LIMIT: Final = 1.15
"""Times the bound that the project holds itself to with parts of the size that `auto` takes."""
WORK_HOURS: Final = 10.0
"""Of the model that is slowest: speeds are chosen so."""
QUEUE_HOURS: Final = 2.0
"""Work that a model's queue holds."""
BATCH_SECONDS: Final = 300.0
POLL_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Made:
    """One run. seconds: from the first batch to the end of the last. least: no order could beat it. refused: batches, for limits."""

    n_models: int
    size: str
    lines: int
    parts: int
    seconds: float
    least: float
    refused: int

    @property
    def ratio(self) -> float:
        return self.seconds / self.least


def config(n_models: int, size: str, tokens_of_arm: int, n_items: int) -> dict[str, Any]:
    """A config with one arm a model (two of one model where there is one), whose limits and speeds differ."""
    models = [f"model-{number}" for number in range(n_models)]
    n_arms = Counter(models if n_models > 1 else models * 2)
    speeds = {model: round(n_arms[model] * tokens_of_arm / WORK_HOURS * (1 + 0.5 * place)) for place, model in enumerate(models)}
    limits = {model: round(speed * QUEUE_HOURS) for model, speed in speeds.items()}
    queue = {
        "enqueued_tokens": limits,
        "tokens_per_hour": speeds,
        "batch_seconds": BATCH_SECONDS,
        "creates_per_hour": 2000,
    }
    system = {"path": "system.txt", "text": "Answer as briefly as you can."}
    arms: dict[str, dict[str, Any]] = {f"arm{place}": {"model": model} for place, model in enumerate(models if n_models > 1 else models * 2)}
    arms["arm1"]["system"] = {"path": "other.txt", "text": "Answer with care, as briefly as you can."}
    return {
        "backend": "openai",
        "model_id": models[0],
        "datasets": [{"name": "made", "source": "file", "path": "questions.jsonl"}],
        "limit_items": n_items,
        "system": system,
        "task_instructions": {"open_book": {"path": "o.txt", "text": "Answer."}, "closed_book": {"path": "c.txt", "text": "Answer."}},
        "arms": arms,
        "contrasts": [["arm0", f"arm{place}"] for place in range(1, len(arms))],
        "provider": {"queue": {**queue, "enqueued_tokens": {model: round(limit * 0.9) for model, limit in limits.items()}}},
        "simulation": {"queue": queue},
        "submission": {
            "lines_per_part": size if size == "auto" else int(size),
            "max_concurrent_jobs": 1000,
            "poll_seconds": POLL_SECONDS,
        },
        "pricing": {"overrides": {model: {"input_per_mtok": 1, "output_per_mtok": 1} for model in models}},
    }


def made(folder: Path, n_models: int, size: str, n_items: int) -> Made:
    """Carry out one run. Raises PhaseFailed with what it said."""
    folder.mkdir()
    rows = [
        {"id": f"q{n}", "question": f"What is the name of the thing number {n}? " + "It is long. " * 12, "answers": [f"name{n}"]}
        for n in range(n_items)
    ]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokens = n_items * (sum(len(str(row["question"])) for row in rows) // n_items // 4 + 20)
    (folder / "config.yaml").write_text(json.dumps(config(n_models, size, tokens, n_items)))
    command = [sys.executable, "-m", "batchtrial", "run", "--config", "config.yaml", "--dry_run", "--run_id", "m", "--to_step", "poll"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PhaseFailed("a dry run of the bench failed", where=f"{n_models} models, parts of {size}", hint=done.stderr.strip()[-2000:])
    return Made(n_models, size, *told(next(folder.glob("**/world.sqlite")), folder))


def told(world: Path, folder: Path) -> tuple[int, int, float, float, int]:
    """(lines of the largest part, parts, makespan, bound, refusals) by the emulator's books."""
    speeds = json.loads((folder / "config.yaml").read_text())["simulation"]["queue"]["tokens_per_hour"]
    with sqlite3.connect(world) as db:
        taken = db.execute("SELECT model, tokens, created_at, usual_seconds, n_rows FROM batches WHERE problems = '[]'").fetchall()
        refused = db.execute("SELECT count(*) FROM batches WHERE problems != '[]'").fetchone()[0]
    db.close()
    work: Counter[str] = Counter()
    for model, tokens, *_ in taken:
        work[model] += tokens
    longest = max(max(BATCH_SECONDS, tokens / speeds[model] * 3600) for model, tokens, *_ in taken)
    least = max(longest, *(tokens / speeds[model] * 3600 for model, tokens in work.items()))
    seconds = max(begun + life for _, _, begun, life, _ in taken) - min(begun for _, _, begun, _, _ in taken)
    return max(row[4] for row in taken), len(taken), seconds, least, refused


def rounds(n_models: Sequence[int], sizes: Sequence[str], n_items: int) -> Iterator[Made]:
    """Every run."""
    with tempfile.TemporaryDirectory(prefix="batchtrial-bench-") as folder:
        for n in n_models:
            for size in sizes:
                yield made(Path(folder) / f"{n}-{size}", n, size, n_items)


def main(argv: Sequence[str]) -> int:
    """Print the table; exit code 0 unless a run failed."""
    parser = argparse.ArgumentParser(prog="python -m batchtrial.selftest.bench makespan", description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=list(N_MODELS), metavar="N", help="how many models (default: %(default)s)")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), metavar="N", help="requests per part, or auto (default: %(default)s)")
    parser.add_argument("--items", type=int, default=600, metavar="N", help="items of each arm (default: %(default)s)")
    given = parser.parse_args(argv)
    sys.stdout.write(f"{'models':>6} {'size':>6} {'lines':>6} {'parts':>6} {'hours':>7} {'bound':>7} {'ratio':>6} {'refused':>8}\n")
    try:
        for one in rounds(given.models, given.sizes, given.items):
            limit = f"  (at most {LIMIT:g}, refused 0)" if one.size == "auto" else ""
            times = f"{one.seconds / 3600:>7.2f} {one.least / 3600:>7.2f} {one.ratio:>6.3f}"
            sys.stdout.write(f"{one.n_models:>6} {one.size:>6} {one.lines:>6} {one.parts:>6} {times} {one.refused:>8}{limit}\n")
            sys.stdout.flush()
    except PhaseFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
