"""A small dry run by its command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.small_run import config_tree, write_inputs

SUBMISSION = {"lines_per_part": 20, "max_concurrent_jobs": 4, "poll_seconds": 1.0}
BIN = Path(sys.executable).parent


def write(root: Path, n: int = 12, **changes: Any) -> None:
    """Questions, prompts and trial.yaml."""
    write_inputs(root, n)
    (root / "trial.yaml").write_text(json.dumps(config_tree("openai", poll_seconds=1.0, **{"submission": SUBMISSION, **changes})))


def environment(**more: str) -> dict[str, str]:
    """This process's, with the command on its path and nothing that decides about runs."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("BATCHTRIAL_")}
    return {**rest, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1", **more}


def batchtrial(root: Path, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "batchtrial", *words], cwd=root, env=env or environment(), capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
