"""Commands of the README and of the tours, run in order in an empty folder, with the files that the page shows."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, blocks

from batchtrial.cli.main import main

TOURS = sorted((ROOT / "docs" / "tours").glob("*.md"))


def followed(page: Path, folder: Path, *, in_process: bool = False) -> None:
    """Write the files of the page, then run its blocks `bash own`. in_process: without an interpreter for each command."""
    here = [block for block in blocks() if block.page == page]
    for block in here:
        if "file=" in block.info:
            (folder / block.info.split("file=")[1]).write_text(block.body, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    environment.pop("BATCHTRIAL_EXPERIMENTS_DIR", None)
    lines = [line for block in here if block.info == "bash own" for line in block.body.strip().splitlines()]
    assert len(lines) > 2
    for line in lines:
        program, *others = shlex.split(line, comments=True)
        if in_process and program == "batchtrial":
            assert main(others) == 0, line
            continue
        words = [sys.executable, *(("-m", program) if program == "batchtrial" else ()), *others]
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr[-2000:]}"


@pytest.mark.parametrize("page", TOURS, ids=lambda p: p.stem)
def test_a_tour_works_as_it_stands(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fireworks")
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.endswith("_API_KEY") or name == "BATCHTRIAL_EXPERIMENTS_DIR"]:
        monkeypatch.delenv(name)
    followed(page, tmp_path, in_process=True)


def test_own_questions_lead_to_a_report(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    followed(ROOT / "README.md", tmp_path)
    report = (tmp_path / "experiments" / "run_first" / "gpt-oss-20b-mine" / "reports" / "report.md").read_text(encoding="utf-8")
    assert "SIMULATED" in report
    assert "| exact match (all questions) |" in report
