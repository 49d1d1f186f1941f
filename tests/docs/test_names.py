"""Flags, commands, doors and files that the documentation names exist; flags that exist are documented."""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path

import pytest
from tests.docs.pages import CODE, ROOT, blocks, pages, prose, text_of
from tests.docs.test_ci import all_sessions

from batchtrial.cli.main import COMMANDS

FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9_-]*[a-z0-9])")
DOOR = re.compile(r"python -m scripts\.(\w+)")
COMMAND = re.compile(r"`batchtrial ([a-z]+)(?=[ `])")
PROGRAMS = {"firectl", "nox", "git", "llama-server", "pip", "pytest", "ruff", "make", "sbatch"}
PATH = re.compile(r"`((?:src|tests|docs|config|scripts|codex)/[\w./-]+)`")
OTHERS = {"update", "output_dir", "ctx_size", "jinja", "alias", "share", "sentences"}
"""Flags of programs that are not ours, and of the package of docs/plugins, where a page says how to use them."""

SESSION = re.compile(r"\b(?:make|nox -s) ([a-z][a-z_-]*)")
"""What make and nox are asked for."""

OURS = re.compile(r"\bbatchtrial |\bscripts\.\w+ ")
TOOLS = {"alt_smoke": "batchtrial.selftest.alt_smoke", "smoke_orchestration": "batchtrial.selftest.smoke"}
"""Doors with flags that no command has."""


def flags() -> set[str]:
    """Every flag of every command, in the spelling with underscores."""
    found = {"help", "version"}
    for module in [*(module for module, _ in COMMANDS.values()), *TOOLS.values()]:
        parser: argparse.ArgumentParser = importlib.import_module(module).parser()
        for action in parser._actions:
            found |= {option[2:].replace("-", "_") for option in action.option_strings if option.startswith("--")}
    return found | update_flags()


def update_flags() -> set[str]:
    """Flags of the door that rebuilds the price table, which takes them where it runs."""
    text = (ROOT / "src" / "batchtrial" / "prices" / "update.py").read_text(encoding="utf-8")
    return set(re.findall(r"\"--([a-z_]+)\"", text))


@pytest.mark.parametrize("page", pages(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_what_the_page_names_exists(page: Path) -> None:
    text = text_of(page)
    missing = [f"scripts.{name}" for name in DOOR.findall(text) if not (ROOT / "scripts" / f"{name}.py").exists()]
    missing += [f"batchtrial {name}" for name in COMMAND.findall(text) if name not in COMMANDS]
    missing += [path for path in PATH.findall(text) if not (ROOT / path).exists() and "*" not in path and not any(c.isupper() for c in path)]
    assert not missing


@pytest.mark.parametrize("page", pages(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_what_make_and_nox_are_asked_for_exists(page: Path) -> None:
    makefile = text_of(ROOT / "Makefile")
    targets = set(re.findall(r"^([a-z_-]+):", makefile, re.M)) | set(re.findall(r"SESSIONS := (.*)", makefile)[0].split())
    shown = [*CODE.findall(prose(page)), *(block.body for block in blocks() if block.page == page and block.info.startswith("bash"))]
    asked = {name for text in shown for name in SESSION.findall(text)}
    assert asked - targets - all_sessions() == set()


def test_every_flag_in_the_documentation_exists() -> None:
    """In fenced commands of ours, and wherever a page's prose shows a flag as code."""
    known = flags()
    unknown = []
    for page in pages():
        for block in (block for block in blocks() if block.page == page):
            ours = [line for line in block.body.replace("\\\n", " ").splitlines() if OURS.search(line)]
            unknown += [(page.name, flag) for line in ours for flag in FLAG.findall(line) if flag.replace("-", "_") not in known]
        for code in CODE.findall(prose(page)):
            is_other = code.strip("`").split(" ")[0] in PROGRAMS or code.startswith("`python -m tests.") or page.name == "emulator.md"
            unknown += [(page.name, flag) for flag in FLAG.findall(code) if not is_other and flag.replace("-", "_") not in known | OTHERS]
    assert not unknown


def test_every_flag_is_documented() -> None:
    page = text_of(ROOT / "docs" / "cli.md")
    unsaid = {"help", "version", "force"}  # --force only says that it is gone, and what took its place
    assert [flag for flag in sorted(flags() - unsaid - update_flags()) if f"--{flag}" not in page] == []


def test_every_door_is_documented() -> None:
    page = text_of(ROOT / "docs" / "cli.md")
    doors = sorted(path.stem for path in (ROOT / "scripts").glob("*.py") if path.stem != "__init__")
    assert [door for door in doors if f"scripts.{door}" not in page] == []


def test_every_command_is_documented() -> None:
    page = text_of(ROOT / "docs" / "cli.md")
    assert [name for name in COMMANDS if f"## batchtrial {name}\n" not in page] == []
