"""Every command by which a ticket shows an acceptance line, run as it stands; `nox -s tickets` is the way to start them."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
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
    # In a session of its own: `make` and `nox` start processes that would outlive them.
    done = subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True
    )
    try:
        out, complaint = done.communicate(timeout=LONGEST_SECONDS)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(done.pid, signal.SIGKILL)
        done.communicate()
        raise
    sys.stdout.write(out[-4000:])
    assert done.returncode == 0, f"{out[-3000:]}\n{complaint[-3000:]}"
