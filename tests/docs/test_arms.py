"""The worked configs of docs/arms.md, each from its file to its reports as a dry run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, blocks

from batchtrial.cli.main import main

CONFIGS = {block.info.split("file=")[1]: block.body for block in blocks() if block.page == ROOT / "docs" / "arms.md" and "file=" in block.info}
TRIALS = {
    "cheaper.yaml": ["cheaper-vs-control"],
    "two_providers.yaml": ["other_house-vs-control"],
    "three_prompts.yaml": ["operational-vs-inviting", "plain-vs-inviting", "plain-vs-operational"],
}


@pytest.mark.parametrize("name", sorted(TRIALS))
def test_a_worked_config_goes_to_its_reports(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / name).write_text(CONFIGS[name], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--config", name, "--dry_run", "--limit_items", "12", "--run_id", "r"]) == 0
    run = tmp_path / "experiments" / "run_r"
    assert sorted(path.parent.name for path in run.glob("*/reports")) == TRIALS[name]
    for trial in TRIALS[name]:
        found = json.loads((run / trial / "results" / "significance.json").read_bytes())
        assert found["headline"] is not None
        assert found["contrast"]["differences"]
        assert "## What differs" in (run / trial / "reports" / "report.md").read_text(encoding="utf-8")


def test_every_worked_config_is_run() -> None:
    assert CONFIGS.keys() == TRIALS.keys()
