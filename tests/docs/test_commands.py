"""Fenced commands marked `runnable` are run, exactly as they stand."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, Block, blocks

RUNNABLE = [block for block in blocks() if "runnable" in block.info.split()]


@pytest.mark.parametrize("block", RUNNABLE, ids=lambda b: f"{b.page.name}-{b.body.split(chr(10))[0][:50]}")
def test_the_command_does_what_the_page_says(block: Block, tmp_path: Path) -> None:
    for line in block.body.replace("\\\n", " ").strip().splitlines():
        words = shlex.split(line.replace("{tmp}", str(tmp_path)), comments=True)
        if words[0] == "python":
            words[0] = sys.executable
        elif words[0] == "batchtrial":
            words[:1] = [sys.executable, "-m", "batchtrial"]
        environment = {**os.environ, "BATCHTRIAL_EXPERIMENTS_DIR": str(tmp_path)}
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr[-2000:]


def test_some_commands_are_run() -> None:
    assert len(RUNNABLE) >= 2
