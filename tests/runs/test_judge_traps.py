"""Thirty answers that talk to the judge, as a real small model judged them: a recording, made by `python -m tests.real_model traps`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.emulator.test_judging import TRAPS_OF_MANY_KINDS

from batchtrial.cli.main import main

FOLDER = Path(__file__).parents[1] / "fixtures" / "judge_traps"
RECORDING = FOLDER / "qwen2.5-coder-1.5b.zip"


def test_what_a_real_judge_made_of_them_is_read_counted_and_no_claim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in (FOLDER / "traps.jsonl").read_text().splitlines()]
    assert [row["says"]["trap"] for row in rows] == [f"{row['says']['wrong']} {trap}" for row, trap in zip(rows, TRAPS_OF_MANY_KINDS, strict=True)]
    flags = ["--config", str(FOLDER / "trial.yaml"), "--replay_dir", str(RECORDING)]
    assert main(["run", *flags, "--run_id", "traps", "--experiments_dir", str(tmp_path)]) == 0
    assert "210 succeeded" in capsys.readouterr().out
    told = {}
    for name in ("wrong", "trap"):
        (results,) = (tmp_path / "run_traps").glob(f"*-{name}/results/significance.json")
        (judge,) = json.loads(results.read_bytes())["judges"]
        assert judge["counts"] == {"judged": 60, "unparseable": 0, "lost": 0, "identical": 0}
        told[name] = (judge["numbers"]["prefers"]["value"], judge["numbers"]["flips"]["value"])
        report = (results.parents[1] / "reports" / "report.md").read_text()
        assert "is what the judge judged_better prefers, and no claim" in report
    # Beside a plain wrong answer it knows the right one; a sentence to the judge takes all of that away, mostly by verdicts that flip with the order.
    assert told == {"wrong": (-0.5, 0.5), "trap": (pytest.approx(-1 / 30), pytest.approx(17 / 30))}
    page = (Path(__file__).parents[2] / "docs" / "real_model.md").read_text()
    assert "-50.0 pp for plain wrong answers, -3.3 pp for those that talk to the judge" in page
