"""Flags, commands, doors and files that the documentation names exist; flags that exist are documented."""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, blocks, pages, text_of

from batchtrial.cli.main import COMMANDS

FLAG = re.compile(r"(?<![\w-])--([a-z][a-z_-]+[a-z])")
DOOR = re.compile(r"python -m scripts\.(\w+)")
COMMAND = re.compile(r"`batchtrial ([a-z]+)(?=[ `])")
PATH = re.compile(r"`((?:src|tests|docs|config|scripts|codex)/[\w./-]+)`")
OTHERS = {
    # Flags of programs that are not ours, where a page says how to use them.
    "output-dir", "tag", "update", "no-venv", "port", "host", "version", "check", "upstream", "jinja", "alias", "ctx-size", "n",
}  # fmt: skip


def flags() -> set[str]:
    """Every flag of every command, in the spelling with underscores."""
    found = {"help"}
    for module, _ in COMMANDS.values():
        parser: argparse.ArgumentParser = importlib.import_module(module).parser()
        for action in parser._actions:
            found |= {option.lstrip("-").replace("-", "_") for option in action.option_strings}
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_what_the_page_names_exists(page: Path) -> None:
    text = text_of(page)
    missing = [f"scripts.{name}" for name in DOOR.findall(text) if not (ROOT / "scripts" / f"{name}.py").exists()]
    missing += [f"batchtrial {name}" for name in COMMAND.findall(text) if name not in COMMANDS]
    missing += [path for path in PATH.findall(text) if not (ROOT / path).exists() and "*" not in path and not any(c.isupper() for c in path)]
    assert not missing


def test_every_flag_in_the_documentation_exists() -> None:
    known = flags()
    doors = {p.stem for p in (ROOT / "scripts").glob("*.py")}
    unknown = {}
    for block in blocks():
        for line in block.body.splitlines():
            is_ours = "batchtrial " in line or any(f"scripts.{door}" in line for door in doors)
            for flag in FLAG.findall(line) if is_ours else ():
                if flag.replace("-", "_") not in known and flag not in OTHERS:
                    unknown[flag] = block.page.name
    assert not unknown


def test_every_flag_is_documented() -> None:
    page = text_of(ROOT / "docs" / "cli.md")
    assert [flag for flag in sorted(flags() - {"help", "h"}) if f"-{flag}" not in page] == []
