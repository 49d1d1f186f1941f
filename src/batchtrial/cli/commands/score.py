"""`batchtrial score`: see `parse`."""

from __future__ import annotations

from batchtrial.cli import args as flags
from batchtrial.cli.commands import parse


def parser() -> flags.Parser:
    """Flags of `score`."""
    return parse.parser("score")


main = parse.command_of("score")
