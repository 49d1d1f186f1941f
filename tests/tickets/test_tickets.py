"""Every command by which a ticket shows an acceptance line, run as it stands; `nox -s tickets` is the way to start them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import ROOT
from tests.docs.test_tickets import commands

LONGEST_SECONDS = 1200


@pytest.mark.timeout(LONGEST_SECONDS + 60)
@pytest.mark.parametrize("command", commands())
def test_the_command_passes(command: str, tmp_path: Path) -> None:
    words = shlex.split(command.replace("{tmp}", str(tmp_path)))
    if words[0] == "python":
        words[0] = sys.executable
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    environment |= {"BATCHTRIAL_EXPERIMENTS_DIR": str(tmp_path), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)
    sys.stdout.write(done.stdout[-4000:])
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
