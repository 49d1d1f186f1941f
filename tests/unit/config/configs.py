"""A small config with its prompt files, for tests that change one thing in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batchtrial.config.load import Loaded, load
from batchtrial.config.tree import decode_tree
from batchtrial.errors import ConfigError

TEXT = """\
backend: fireworks
model_id: some/model
temps: [0.0]
datasets: [{name: bundled_open, source: bundled}]
task_instructions: {open_book: open.txt, closed_book: closed.txt}
prompt_sets:
  default: {control: control.txt, treatment: treatment.txt}
"""


def write(folder: Path, text: str | bytes = TEXT, name: str = "config.yaml") -> Path:
    """The config file, with its four text files beside it."""
    for stem in ("open", "closed", "control", "treatment"):
        if not (folder / f"{stem}.txt").exists():
            (folder / f"{stem}.txt").write_text(f"The {stem} text.\n")
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def tree() -> dict[str, Any]:
    """The config as plain values."""
    return dict(decode_tree(TEXT, where="TEXT"))


def loaded(folder: Path, text: str | bytes = TEXT, name: str = "config.yaml", **how: Any) -> Loaded:
    return load(write(folder, text, name), **how)


def refused(folder: Path, text: str | bytes, name: str = "config.yaml", **how: Any) -> ConfigError:
    """The refusal, which every user sees with exit code 2."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, name, **how)
    assert caught.value.exit_code == 2
    return caught.value
