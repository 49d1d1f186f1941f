"""The README's run with questions and a prompt of one's own, from its files to its report."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT, blocks


def test_own_questions_lead_to_a_report(tmp_path: Path) -> None:
    readme = [block for block in blocks() if block.page == ROOT / "README.md"]
    files = {block.info.split("file=")[1]: block.body for block in readme if "file=" in block.info}
    assert sorted(files) == ["capitals.csv", "mine.txt", "trial.yaml"]
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    shutil.copytree(ROOT / "config", tmp_path / "config")
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    environment.pop("BATCHTRIAL_EXPERIMENTS_DIR", None)
    (own,) = (block for block in readme if block.info == "bash own")
    for line in own.body.strip().splitlines():
        words = [sys.executable, "-m", *shlex.split(line)]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr[-2000:]}"
    report = (tmp_path / "experiments" / "run_first" / "gpt-oss-20b-mine" / "reports" / "report.md").read_text(encoding="utf-8")
    assert "SIMULATED" in report
    assert "| exact match (all questions) |" in report
