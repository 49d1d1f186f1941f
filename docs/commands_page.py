"""docs/cli.md: every command with its flags, read from the parsers, and the doors of a checkout."""

from __future__ import annotations

import argparse
import ast
import importlib
import textwrap
import types
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from model_tables import cell

from batchtrial.cli.main import COMMANDS, HELP

HERE = Path(__file__).resolve().parent


def page(notice: str) -> list[str]:
    """The page's lines."""
    commands = "\n".join(f"  {name:<9} {text}" for name, (_, text) in COMMANDS.items())
    lines = [
        "# Commands",
        "",
        notice,
        "Flags are read in both spellings, `--dry_run` and `--dry-run`.",
        "",
        "```text",
        HELP.format(commands=commands).rstrip(),
        "```",
        "",
    ]
    parsers = {f"batchtrial {name}": parser_of(importlib.import_module(module)) for name, (module, _) in COMMANDS.items()}
    counts = Counter(row for parser in parsers.values() for row in flag_rows(parser).values())
    shared = {row for row, n in counts.items() if n >= SHARED}
    for title, parser in parsers.items():
        lines += list(command_section(title, parser, shared))
    lines += ["## Flags of several commands", "", "| flag | meaning |", "| --- | --- |", *sorted(shared), ""]
    lines += [
        "## Doors",
        "",
        "From a checkout, each of these is called with `python -m` and does what a command does:",
        "",
        "| door | is |",
        "| --- | --- |",
    ]
    lines += [f"| `scripts.{door}` | {cell(said)} |" for door, said in doors()]
    lines.append("")
    for name, module in ONLY_DOORS.items():
        lines += list(command_section(name, parser_of(importlib.import_module(module))))
    return lines


def doors() -> Iterator[tuple[str, str]]:
    """Every door with the first sentence that its file says of itself."""
    for path in sorted((HERE.parent / "scripts").glob("*.py")):
        if path.stem != "__init__":
            said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            yield path.stem, said.split("\n")[0]


ONLY_DOORS: Mapping[str, str] = {"scripts.smoke_orchestration": "batchtrial.selftest.smoke", "scripts.alt_smoke": "batchtrial.selftest.alt_smoke"}
"""Doors with flags of their own."""


def parser_of(module: types.ModuleType) -> argparse.ArgumentParser:
    """The command's own parser."""
    made: argparse.ArgumentParser = module.parser()
    return made


SHARED = 2
"""A flag that so many commands have in the same words is told once."""


def command_section(title: str, parser: argparse.ArgumentParser, shared: Set[str] = frozenset()) -> Iterator[str]:
    """Heading, purpose, flags and examples, read from the parser; argparse's own layout differs between versions of Python."""
    yield from (f"## {title}", "", parser.description or "", "")
    rows = flag_rows(parser)
    if own := [row for row in rows.values() if row not in shared]:
        yield from ("| flag | meaning |", "| --- | --- |", *own, "")
    if others := [name for name, row in rows.items() if row in shared]:
        yield from (*textwrap.wrap(f"{'Also' if own else 'Takes'} {', '.join(others)} ([told below](#flags-of-several-commands)).", 150), "")
    yield from ("```text", (parser.epilog or "").strip(), "```", "")


def flag_rows(parser: argparse.ArgumentParser) -> dict[str, str]:
    """The table's row of each flag, by its name as code."""
    shown = [one for one in parser._actions if not isinstance(one, argparse._HelpAction) and one.help is not argparse.SUPPRESS]
    return {
        f"`{(one.option_strings or [one.dest])[-1]}`": f"| {flag_of(one)} | {cell((one.help or '').replace('%(default)s', str(one.default)))} |"
        for one in shown
    }


def flag_of(action: argparse.Action) -> str:
    """`--flag VALUE`."""
    names = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{action.dest}`"
    if action.choices is not None:
        return f"{names} {' or '.join(f'`{one}`' for one in action.choices)}"
    takes_value = action.nargs != 0
    return f"{names} {action.metavar}" if takes_value and isinstance(action.metavar, str) and action.option_strings else names
