"""Tables as lines of text."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

WIDER_THAN_ANY = 10_000


def wide_lines(table: Table) -> Iterator[str]:
    """The table as wide as it is, whatever the terminal: no figure is cut."""
    console = Console(file=sys.stdout, width=WIDER_THAN_ANY, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(table)
    yield from (line.rstrip() for line in captured.get().rstrip("\n").splitlines())
