"""The command that grows a run: what it would buy is shown, and nothing is bought unasked."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from tests.crash.lab import RUN_ID, World
from tests.small_run import questions

from batchtrial.cli.commands.grow import main


def grown(world: World, *flags: str) -> int:
    return main(["--run_id", RUN_ID, "--experiments_dir", str(world.experiments), *flags])


def test_a_further_prompt_set_is_shown_and_not_bought_unasked(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    bill = world.bill()
    config = json.loads((world.lab.root / "config.yaml").read_text())
    sets = {**config["prompt_sets"], "third": {"control": "control.txt", "treatment": "open.txt"}}
    other = world.lab.root / "more.yaml"
    other.write_text(json.dumps({**config, "prompt_sets": sets, "sweep": {"prompt_sets": ["default", "third"]}}))
    assert grown(world, "--config", str(other)) == 3
    out, err = capsys.readouterr()
    assert "new arm" in out
    assert "4 requests to buy" in out
    assert "optional stopping" in out
    assert "nobody is there to be asked, and nothing was bought" in err
    assert world.bill() == bill


def test_a_judge_from_a_file_is_told_with_what_it_will_be_asked(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bill, tone = world.bill(), tmp_path / "tone.yaml"
    tone.write_text("name: tone\nrubric: tone\n")
    answers = pl.concat([pl.read_parquet(path, columns=["place", "text"]) for path in world.layout.arms.glob("*/answers.parquet")])
    assert grown(world, "--add_judge", str(tone)) == 3
    out = capsys.readouterr().out
    assert f"new judge tone: {answers.n_unique()} requests" in out
    assert f"in all: {answers.n_unique()} requests to buy" in out
    assert "makes no claim; all else stays as it is" in out
    assert grown(world, "--add_arm", str(tone)) == 2
    assert "the run compares prompt sets, and has no arms" in capsys.readouterr().err
    assert world.bill() == bill


def test_what_is_no_growth_is_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert grown(world) == 2
    assert grown(world, "--limit_items", "4") == 2
    assert "has 4 items already" in capsys.readouterr().err
    assert grown(world, "--parts", "2") == 2
    assert grown(world, "--samples", "1") == 2
    assert "has 1 sample of each item already" in capsys.readouterr().err
    (world.lab.root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions(40)[20:]))
    assert grown(world, "--limit_items", "8", "--yes") == 3
    assert "do not hold the items that requests were sent about" in capsys.readouterr().err
