"""Trials may be worked out by others: what goes out and comes back is whole, and the files have the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.elsewhere import Elsewhere
from tests.unit.phases.world import closed_items, text_of, world

from batchtrial.config.expand import TrialArm
from batchtrial.config.model import OptionalAnalyses
from batchtrial.phases.analyse import trial_by_trial
from batchtrial.phases.analyse.costs import phase as costs
from batchtrial.phases.analyse.optional import phase as optional
from batchtrial.phases.analyse.stats import phase as stats
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.score import phase as score
from batchtrial.phases.tables.workers import Team

PHASES = (stats, costs, optional)


def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
    number = int(item_id[1:])
    return None if number == 7 else f"thing {number}" if number % len(arm.prompt.system.text) else "no"


def test_trials_worked_out_by_others_have_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sacrebleu")
    sets = {name: {"control": {"system": text_of("c", "Answer.")}, "treatment": {"system": text_of("t", name)}} for name in ("one", "three")}
    switched = dict.fromkeys(OptionalAnalyses.model_fields, True)
    changes: dict[str, Any] = {"prompt_sets": sets, "sweep": {"prompt_sets": list(sets)}, "stats": {"primary": {"metric": "em"}}, "metrics": ["bleu"]}
    with world(tmp_path, closed=closed_items(25), **changes, optional=switched) as w:
        w.answer_all(answer)
        for step in (parse.phase, score.phase, *PHASES):
            w.run(step)
        here = {path: path.read_bytes() for path in w.layout.root.rglob("results/*.json") if path.name != "trial_manifest.json"}
        others = Elsewhere()
        monkeypatch.setattr(trial_by_trial, "FEW_ROWS", 1)
        monkeypatch.setattr(Team, "_others", lambda self, n_rows, n_jobs: others)
        for step in PHASES:
            w.run(step, is_remaking=True)
        assert {path: path.read_bytes() for path in here} == here
        assert {path.name for path in here} >= {"significance.json", "costs.json", "subgroups.json"}
        assert len(others.sent) == 3 * len(sets)  # what is declared, then all of it, then what is optional
    assert max(others.sent) < 10_000
