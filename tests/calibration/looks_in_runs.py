"""Whole runs under a sequential plan with planted effects: prepare to stats, with a provider in memory and its clock.

Each run must decide, look by look, what the calibrated rule decides on the same answers in the run's order, and buy nothing behind its stop.
`python -m tests.calibration.looks_in_runs --seeds 20` prints how often each effect was found and what was not bought.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from tests.unit.rig import Rig

from batchtrial.keys import item_hash
from batchtrial.state.looks import LOOK

from .planned_looks import carried_through, plan_of

EFFECTS = (0.0, 0.05, 0.10)
CHANGED = 0.2
PLAN = {
    "primary": {"metric": "em", "kind": "all", "goal": "superiority"},
    "sequential": {"looks": 5, "futility": 0.05, "min_changed": 10},
    "permutation_samples": 999,
}


@dataclass(frozen=True, slots=True)
class Found:
    """How a run ended, and how the rule ends on the same answers: (items, decision) of each look."""

    run: tuple[tuple[int, str], ...]
    rule: tuple[tuple[int, str], ...]
    n_paid: int

    @property
    def is_as_calibrated(self) -> bool:
        return self.run == self.rule and self.n_paid == 2 * self.run[-1][0]


def one(folder: Path, seed: int, effect: float, n_items: int) -> Found:
    """A run with the answers of a seed."""
    rig = Rig(folder, n_items=n_items, settings={"lines_per_part": n_items // 5, "max_concurrent_jobs": 8}, changes={"stats": PLAN, "exports": []})
    u = np.random.default_rng([seed, round(1000 * effect)]).random(n_items)
    better = (CHANGED + effect) / 2
    treatment, control = u < better, (u >= better) & (u < CHANGED)
    marks = {item_hash("reading", f"o{n}"): n for n in range(n_items)}
    heads = rig.arms("treatment")

    def answer(custom_id: str, batch: int) -> str:
        item = next(marks[part] for part in (custom_id[k : k + 16] for k in range(len(custom_id) - 15)) if part in marks)
        is_right = (treatment if custom_id.startswith(heads) else control)[item]
        return f"succeeded=answer {item}" if is_right else "succeeded=no idea at all"

    rig.memory.answer = answer
    rig.run("stats")
    order = [int(name[1:]) for name in pl.read_parquet(rig.layout.items, columns=["item_id"])["item_id"].to_list()]
    looks, _ = carried_through(plan_of(n_items), treatment[order].astype(float), control[order].astype(float))
    lines = [entry.detail for entry in rig.entries() if entry.event == LOOK and entry.detail]
    decided = tuple((detail["n_items"], seen["decision"]) for detail in lines for seen in detail["trials"].values())
    return Found(decided, tuple((look.n_items, look.decision) for look in looks), len(rig.memory.paid()))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; 1 when a run decided otherwise than the rule."""
    parser = argparse.ArgumentParser(prog="python -m tests.calibration.looks_in_runs", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="runs of each effect")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--items", type=int, default=500, help="items of each run")
    given = parser.parse_args(argv)
    n_wrong = 0
    with tempfile.TemporaryDirectory() as place:
        for effect in EFFECTS:
            found = []
            for seed in range(given.first, given.first + given.seeds):
                found.append(one(Path(place) / "run", seed, effect, given.items))
                shutil.rmtree(Path(place) / "run")
            wrong = sum(not run.is_as_calibrated for run in found)
            n_wrong += wrong
            crossed = sum(run.run[-1][1] == "crossed" for run in found) / len(found)
            saved = 1 - sum(run.run[-1][0] for run in found) / (len(found) * given.items)
            sys.stdout.write(
                f"effect {100 * effect:g} pp: {len(found)} runs, {crossed:.3f} crossed, {saved:.3f} not bought, {wrong} otherwise than the rule\n"
            )
            sys.stdout.flush()
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
