"""What a run that planned looks ended early shows of its answers: those that were bought, and of the others that they were not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.unit.phases.world import text_of
from tests.unit.rig import Rig

from batchtrial.config.expand import expand
from batchtrial.keys import item_hash
from batchtrial.reading.ask import Ask
from batchtrial.reading.in_one_file import blocks_of, unpacked
from batchtrial.reading.looks import BETWEEN
from batchtrial.reading.pages import detail
from batchtrial.reading.run_tables import RunTables
from batchtrial.reading.slices import Slicer, slice_json
from batchtrial.viewer.one_file import answers_page

N_ITEMS = 32
PLAN: dict[str, Any] = {
    "primary": {"metric": "em", "kind": "all", "goal": "superiority"},
    "sequential": {"looks": 4, "min_changed": 2, "futility": 0.01},
    "permutation_samples": 999,
}


def page_of(rig: Rig) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The columns of the run's page, and its items."""
    with RunTables.of(rig.layout) as tables:
        data = {name: unpacked(content) for name, content in blocks_of(answers_page(tables))}
    return data["columns"], [item for name, block in data.items() if name.startswith("texts-") for item in block]


def two_treatments(folder: Path) -> Rig:
    """The one is always right and stops at the second look of four; the other is as often right as the control, and stops at the third."""
    prompts = {name: {"control": {"system": text_of("c", "Answer.")}, "treatment": {"system": text_of(name, name)}} for name in ("all", "few")}
    rig = Rig(folder, n_items=N_ITEMS, changes={"stats": PLAN, "prompt_sets": prompts, "sweep": {"prompt_sets": ["all", "few"]}})
    treatments = {trial.prompt_set: trial.arm("treatment", 0.0) for trial in expand(rig.config(), "")}
    by_mark = {item_hash("reading", f"o{n}"): n for n in range(N_ITEMS)}

    def answer(custom_id: str, batch: int) -> str:
        item = next(n for mark, n in by_mark.items() if mark in custom_id)
        name = next((name for name, arm in treatments.items() if arm is not None and custom_id.startswith(arm.id_head)), "control")
        is_right = name == "all" or item % 8 == {"few": 4, "control": 0}[name]
        return f"succeeded=answer {item}" if is_right else "succeeded=no idea at all"

    rig.memory.answer = answer
    return rig


def test_a_run_that_stopped_shows_what_was_bought_and_that_the_rest_was_not(tmp_path: Path) -> None:
    rig, between = two_treatments(tmp_path), list[str]()

    def hook(point: str) -> None:
        if point.startswith("ledger:look:") and not between:
            between.extend(trial["withheld"] for trial in page_of(rig)[0]["about"]["trials"])

    rig.run("report", hook=hook)
    assert set(between) == {BETWEEN}, "an interval that is seen between two looks is wrong too often"
    together = (rig.layout.root / "aggregate_report.md").read_text()
    assert "each was looked at, at an equal part of it" in together
    assert "p across trials" not in together, "no flip of signs knows of the looks"
    columns, items = page_of(rig)
    assert columns["n"] == len(items) == columns["about"]["n_items"] == 24
    assert columns["part"] is None
    assert {trial["withheld"] for trial in columns["about"]["trials"]} == {""}
    stopped = next(trial for trial in columns["about"]["trials"] if trial["title"] == "all")
    arm = columns["arms"][stopped["treatment"]]
    assert [n is None for n in arm["n_lost"]] == [False] * 16 + [True] * 8
    assert [item["by_arm"][stopped["treatment"]][0]["outcome"] for item in items] == ["succeeded"] * 16 + ["not bought"] * 8
    with RunTables.of(rig.layout) as tables:
        assert len(tables.others()) == 1
        for trial, temp in (*tables.ready(), *tables.others()):
            pairs = tables.pairs(trial.slug, temp)
            slicer = Slicer(tables, pairs, lambda _: np.zeros(tables.items.n, dtype=np.bool_))
            ask = Ask(trial=trial.slug, temp=temp, metric="em", ranges={"length_control": (0.0, None), "length_change": (None, None)}, labelled="no")
            assert int(slicer.without_chips(ask).sum()) == slicer.n == (24 if trial.prompt_set == "few" and trial.against != "all" else 16)
            assert "withheld" not in slice_json(slicer, Ask(trial=trial.slug, temp=temp, metric="em"), slicer.without_chips(ask))
            assert detail(tables, pairs, 23)["key"] == items[23]["key"]
