"""Does the reported interval hold the effect that was planted? Whole dry runs with different seeds, each judged by the emulator's own truth."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from batchtrial.app.invocation import Invocation
from batchtrial.app.templates import templates
from batchtrial.cli.commands import execute as live
from batchtrial.emulator.answers.modelfile import ModelFile
from batchtrial.emulator.answers.truth import truth
from batchtrial.phases.prepare.items import load_prepared
from batchtrial.records import Item
from batchtrial.run.options import Options
from batchtrial.state.layout import RunLayout

RIGHT: Final[Mapping[str, str]] = {"open_answerable": "exact", "open_unanswerable": "abstain", "closed": "exact"}
"""What exact match counts as right, by class of question: a right answer wrapped in a sentence is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One dry run: the planted difference in exact match over its items, and the interval that the report gives."""

    seed: int
    planted: float
    low: float
    high: float

    @property
    def is_inside(self) -> bool:
        return self.low <= self.planted <= self.high


def question_class(item: Item) -> str:
    """As the emulator names it."""
    if item.kind == "closed":
        return "closed"
    return "open_unanswerable" if item.is_unanswerable else "open_answerable"


def planted_difference(model: Mapping[str, Any], items: tuple[Item, ...]) -> float:
    """Mean over the items of P(right | treatment) - P(right | control), from the emulator's own integration."""
    told = truth(ModelFile.model_validate(model))
    (difference,) = told["differences"].values()
    return float(sum(difference[kind][RIGHT[kind]] for kind in map(question_class, items))) / len(items)


def dry_runs(n: int, *, first_seed: int = 1, limit_items: int | None = None) -> Iterator[Trial]:
    """So many whole dry runs of the shipped config on the bundled questions, simulated with seeds first_seed, first_seed + 1 ..."""
    for seed in range(first_seed, first_seed + n):
        with tempfile.TemporaryDirectory(prefix="batchtrial_planted_") as scratch:
            yield _one(seed, Path(scratch), limit_items)


def _one(seed: int, root: Path, limit_items: int | None) -> Trial:
    changes: dict[str, Any] = {"mode": "dry_run", "simulation.seed": seed}
    if limit_items is not None:
        changes["limit_items"] = limit_items
    ask = Invocation(
        run_id=None, is_resume=False, config=templates() / "eval_config.yaml", changes=changes, options=Options(to_step="stats"), experiments=root
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        live.run(ask, "planted", nonce="0" * 16, env={})
    layout = RunLayout(root / "run_planted")
    (found,) = layout.root.glob("*/results/significance.json")
    estimate = next(one for one in json.loads(found.read_bytes())["tests"] if one["standing"] == "primary")["estimate"]
    model = {**json.loads((layout.emulator / "model.json").read_bytes()), "items_file": None}
    return Trial(seed=seed, planted=planted_difference(model, load_prepared(layout)), low=estimate["ci_low"], high=estimate["ci_high"])
