"""An environment of its own for each client, made once for its pinned versions."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.peers.clients import Client, python_of

INSTALL_SECONDS = 900


def prepare(client: Client, environments: Path) -> str | None:
    """None when its environment is there; else why it cannot be had, in a line."""
    if not client.packages:
        return None
    folder = environments / client.name
    mark, pins = folder / "pins", hashlib.sha256("\n".join(client.packages).encode()).hexdigest()
    if mark.exists() and mark.read_text() == pins:
        return None
    shutil.rmtree(folder, ignore_errors=True)
    uv, python = shutil.which("uv"), str(python_of(client, environments))
    make = [uv, "venv", "-q", "--python", sys.executable, str(folder)] if uv else [sys.executable, "-m", "venv", str(folder)]
    fill = [uv, "pip", "install", "-q", "--python", python] if uv else [python, "-m", "pip", "install", "-q"]
    for command in (make, [*fill, *client.packages]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as err:
            return type(err).__name__
        if done.returncode:
            sys.stderr.write(done.stderr[-2000:])
            return "the installation failed"
    mark.write_text(pins)
    return None
