"""Once requests about its items were sent, a run keeps them: whatever becomes of the question files, and whatever is forced."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.crash.lab import FINISHED, World
from tests.runs.damage import place

from batchtrial.cli.commands.resume import main as resume


def resumed(world: World, *flags: str) -> int:
    return resume([*place(world), "--emulator_url", world.emulator.url, *flags])


@pytest.mark.parametrize("flags", [(), ("--accept_drift", "--remake"), ("--from_step", "prepare", "--remake")])
@pytest.mark.parametrize("is_gone", [False, True])
def test_question_files_that_change_or_go_change_nothing(world: World, flags: tuple[str, ...], is_gone: bool) -> None:
    source = world.lab.root / "questions.jsonl"
    if is_gone:
        source.unlink()
    else:
        source.write_text(source.read_text().replace("boats", "ships"))
    assert resumed(world, *flags) in FINISHED
    assert world.problems() == []


def test_damaged_items_are_not_replaced_by_others(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    source = world.lab.root / "questions.jsonl"
    source.write_text(source.read_text().replace("boats", "ships"))
    prepared = world.layout.prepared / "open_book.jsonl"
    prepared.write_bytes(prepared.read_bytes()[:-1])
    assert resumed(world) == 3
    assert "hold other items now" in capsys.readouterr().err
    world.layout.prepared_manifest.unlink()
    assert resumed(world) == 3
    assert "hold other items now" in capsys.readouterr().err
    source.write_text(source.read_text().replace("ships", "boats"))
    assert resumed(world) in FINISHED
    assert world.problems() == []


def test_not_even_accepted_drift_asks_other_questions_half_way(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    path = world.lab.root / "config.yaml"
    tree = json.loads(path.read_text())
    other = world.root / "config.yaml"
    for name in ("open.txt", "closed.txt", "control.txt", "treatment.txt", "questions.jsonl"):
        (world.root / name).write_bytes((world.lab.root / name).read_bytes())
    other.write_text(json.dumps({**tree, "limit_items": 2}))
    assert resumed(world, "--config", str(other), "--accept_drift") == 3
    assert "other questions than those" in capsys.readouterr().err
    other.write_text(json.dumps({**tree, "stats": {**tree["stats"], "alpha": 0.1}}))
    assert resumed(world, "--config", str(other), "--accept_drift") in FINISHED


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 9}, "would hold other requests"),
        ({"samples_per_item": 2}, "would hold other requests"),
        ({"submission": {"lines_per_part": 1}}, "would hold other requests"),
        ({"stats": {"primary": {"metric": "exact_match", "kind": "all"}}}, "has a metric 'exact_match'"),
        ({"stats": {"primary": {"metric": "em", "kind": "all"}, "confirmatory": [{"metric": "em", "kind": "all"}]}}, "are the same endpoint"),
    ],
)
def test_a_change_that_the_run_cannot_go_on_with_is_refused_before_it_is_written_down(
    world: World, change: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = json.loads((world.lab.root / "config.yaml").read_text())
    other = world.lab.root / "other.yaml"
    other.write_text(json.dumps({**tree, **{key: {**tree[key], **one} if isinstance(one, dict) else one for key, one in change.items()}}))
    before = world.layout.ledger.read_bytes()
    for flags in (("--accept_drift",), ("--plan_only",), ("--plan_only", "--accept_drift")):
        assert resumed(world, "--config", str(other), *flags) in (2, 3)
        assert said in capsys.readouterr().err
    assert world.layout.ledger.read_bytes() == before
    assert resumed(world) in FINISHED
    assert world.problems() == []
