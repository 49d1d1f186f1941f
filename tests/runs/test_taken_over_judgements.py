"""What judges said of a control that is taken over, in the run that it comes from, is not bought again: read off the provider's bill."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.crash.lab import Killed
from tests.crash.looks import dying
from tests.unit.phases.world import text_of
from tests.unit.rig import Rig

from batchtrial.config.expand import expand
from batchtrial.config.judge_arms import judge_trials
from batchtrial.config.judges import ready_rubric
from batchtrial.config.model import Config
from batchtrial.phases.batches.import_judgements import lost_there
from batchtrial.phases.prepare.items import load_prepared
from batchtrial.run.judge_plan import JudgePlan, judge_plans
from batchtrial.state.entries import read
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import Hook, no_hook

N = 4
RUBRICS = {"right": "factual", "tone": "tone", "better": "complete"}


class Runs:
    """Runs about the same items at one provider, whose bill counts them all."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.memory = folder, Rig(folder, n_items=N).memory
        self.heads: dict[str, str] = {}
        self.memory.answer = self._answer

    def _answer(self, custom_id: str, batch: int) -> str:
        kind = next((kind for head, kind in self.heads.items() if custom_id.startswith(head)), None)
        luck = zlib.crc32(custom_id.encode())
        if kind is None:
            return f"succeeded=answer {luck % 5}"
        word = ("first", "second")[luck % 2] if kind == "pairwise" else ("yes", "no")[luck % 2]
        return "succeeded=no form" if luck % 3 == 0 and kind == "yes_no" else f'succeeded={{"reason": "so", "verdict": "{word}"}}'

    def config(self, *judges: str, treatment: str = "treatment", control_from: str | None = None, **more: Any) -> Config:
        rig = Rig(self.folder, n_items=N)
        tree = rig.config(lines_per_part=7).model_dump(mode="json")
        tree["prompt_sets"]["default"]["treatment"]["system"] = text_of(treatment, f"The {treatment} prompt.")
        tree["judges"] = [
            {
                "name": name,
                "kind": "pairwise" if name == "better" else "yes_no",
                "rubric": {"path": RUBRICS[name], "text": ready_rubric(RUBRICS[name])},
                "max_tokens": 64,
                **more,
            }
            for name in judges
        ]
        config = Config.model_validate(tree | {"control_from": control_from})
        self.heads |= {trial.arms[0].id_head: judge.kind for trial, judge in zip(judge_trials(config), config.judges, strict=True)}
        return config

    def run(self, run_id: str, config: Config, hook: Hook = no_hook, to_step: str = "judge_parse") -> int:
        """What the run adds to the bill, in requests."""
        before, nonce = sum(self.memory.paid().values()), f"{zlib.crc32(run_id.encode()):016x}"
        rig = Rig(self.folder, n_items=N, clock=self.memory.clock, nonce=nonce)
        rig.memory, rig.layout = self.memory, self.layout(run_id)
        rig.run(to_step, given=config, hook=hook)
        return sum(self.memory.paid().values()) - before

    def layout(self, run_id: str) -> RunLayout:
        return RunLayout(self.folder / f"run_{run_id}")

    def said(self, run_id: str) -> dict[tuple[str, str, int], tuple[str, float | None]]:
        table = pl.read_parquet(self.layout(run_id).judgements)
        return {row[:3]: row[3:] for row in table.select("judge", "item_hash", "sample", "state", "verdict").iter_rows()}

    def plan(self, config: Config) -> Sequence[JudgePlan]:
        """What `--plan_only` says of the judges of a run that takes the control over."""
        trials, controls = expand(config, ""), [trial.arms[0].name for trial in expand(config, "")]
        items = load_prepared(self.layout("r1"))
        return judge_plans(config, trials, items, taken_over=controls, lost_there=lost_there(config, self.layout("r2")))

    def asked(self, run_id: str) -> list[str]:
        """custom_ids of the judges' requests."""
        lines = (line for path in self.layout(run_id).batch_inputs.glob("*_p*.jsonl") for line in path.read_text().splitlines())
        return [one for line in lines if (one := json.loads(line)["custom_id"]).startswith(tuple(self.heads))]

    def is_paid_once(self) -> bool:
        return set(self.memory.paid().values()) == {1}


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_a_judgement_about_a_control_is_bought_once(runs: Runs) -> None:
    runs.run("r1", runs.config("right", "better"))
    config = runs.config("right", "better", "tone", treatment="other", control_from="r1")
    plan = {one.name: one.judgements for one in runs.plan(config)}
    bought = runs.run("r2", config)
    first, second = runs.said("r1"), runs.said("r2")
    shared = first.keys() & second.keys()
    assert runs.is_paid_once()
    assert {judge for judge, *_ in shared} >= {"right"}
    assert bought == N + len(second) - len(shared)
    assert all(first[one] == second[one] for one in shared)
    assert plan == {"right": N, "better": 2 * N, "tone": 2 * N}, "of the judge that is known, what is about the treatment's answers"


def test_what_is_wholly_there_costs_nothing_and_gives_the_same_table(runs: Runs) -> None:
    runs.run("r1", runs.config("right", "better"))
    assert runs.run("r2", runs.config("right", "better", control_from="r1")) == N, "its treatment alone is asked"
    assert runs.said("r2") == runs.said("r1")
    judges = [trial.arms[0].name for trial in judge_trials(runs.config("right", "better"))]
    events = [one.event for one in read(runs.layout("r2").ledger).entries if (one.part or "").rpartition("_p")[0] in judges]
    assert set(events) == {"imported", "settled"}


def test_killed_anywhere_while_it_takes_over_it_buys_nothing_twice(runs: Runs) -> None:
    """Killed at each point of the step, it has the bill and the table of a run that nothing disturbed."""
    runs.run("r1", runs.config("right"))
    config, points, kept = runs.config("right", treatment="other", control_from="r1"), list[str](), runs.folder / "kept"
    root = runs.layout("r2").root
    runs.run("r2", config, to_step="judge_build")
    shutil.copytree(root, kept)
    runs.run("r2", config, dying(0, points), to_step="judge_submit")
    imports = points.index("phase:judge_submit:before"), points.index("call:submit:before")
    runs.run("r2", config)
    want = runs.said("r2")
    for n in range(imports[0] + 2, imports[1] + 1):
        shutil.rmtree(root)
        shutil.copytree(kept, root)
        with pytest.raises(Killed):
            runs.run("r2", config, dying(n), to_step="judge_submit")
        runs.run("r2", config)
        assert runs.said("r2") == want, points[n - 1]
        about_the_control = runs.said("r1").keys() & want.keys()
        assert about_the_control
        assert all(runs.memory.paid()[one] == 1 for one in runs.asked("r1")), points[n - 1]
