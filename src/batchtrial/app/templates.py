"""The shipped config and prompt files: the checkout's config/ folder, or its copy inside an installed package."""

from __future__ import annotations

from pathlib import Path

from batchtrial.errors import StateError


def templates() -> Path:
    """The folder with eval_config.yaml, prompts/ and task_instructions/. Raises StateError when the package was installed without it."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "templates", package.parent.parent / "config"):
        if (folder / "eval_config.yaml").is_file():
            return folder
    raise StateError("the shipped config files are not there", where=str(package), hint="install batchtrial again")
