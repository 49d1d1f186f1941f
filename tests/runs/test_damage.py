"""Every file of a run may be deleted, cut or rot: repaired and resumed, it ends with the twin's bytes at the twin's bill.

A seeded sample here; `python -m tests.runs.damage` does all cases and prints their table.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from tests.crash.lab import FINISHED
from tests.runs.damage import Case, Template, all_cases, place, run_case, templates

from batchtrial.cli.commands.repair import main as repair

CRITICAL = (("killed", "ledger.jsonl"), ("stopped", "ledger.jsonl"), ("killed", "run_state.json"), ("killed", "effective_config.yaml"))
SAMPLE = 6


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Template]:
    return templates(tmp_path_factory.mktemp("damage"))


@pytest.mark.slow
def test_damaged_runs_end_like_their_twin(found: dict[str, Template], tmp_path: Path) -> None:
    chosen = [Case(template, path, damage) for template, path in CRITICAL for damage in ("delete", "cut", "flip")]
    others = [case for case in all_cases(found) if case not in chosen]
    results = []
    for number, case in enumerate([*chosen, *random.Random(4).sample(others, SAMPLE)]):
        results.append(run_case(found[case.template], case, tmp_path / str(number), seed=4))
        result = results[-1]
        sys.stdout.write(f"| {case.template} | {case.path} | {case.damage} | {result.kind} | {result.told} |\n")
    assert [result for result in results if result.kind == "wrong"] == []
    assert all(result.kind == "same" for result in results), "with one file damaged and the provider there, everything can be rebuilt"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ledger.jsonl", "run_state.json"])
def test_a_ledger_cut_at_any_line_is_paid_once(found: dict[str, Template], tmp_path: Path, name: str) -> None:
    """At line ends nothing is torn, so only what stands beside the ledger can tell that lines are lost."""
    template = found["killed"]
    data = (template.run / "ledger.jsonl").read_bytes()
    ends = [place + 1 for place, byte in enumerate(data) if byte == 0x0A]
    for number, end in enumerate(random.Random(8).sample(ends[:-1], 4)):
        world = template.copy(tmp_path / f"{name}{number}")
        (world.layout.root / "ledger.jsonl").write_bytes(data[:end])
        if name == "run_state.json":
            (world.layout.root / name).unlink()  # a second loss: the mark of how long the ledger was
        assert repair(place(world)) == 0
        assert world.resume() in FINISHED
        assert world.problems() == []
        world.close()
