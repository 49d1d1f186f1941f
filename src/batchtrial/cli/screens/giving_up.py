"""Asks a person before anything that may have been paid for is declared lost."""

from __future__ import annotations

import sys
from collections.abc import Callable

from batchtrial.cli.frame import complain
from batchtrial.errors import StateError

FLAG = "--give_up_unknown_batches"


def agreed(*, is_confirmed: bool) -> Callable[[str], None]:
    """Tells what would be lost, and returns once a person has agreed: by typing yes on a terminal, or by --yes. Else StateError."""

    def agree(loss: str) -> None:
        complain(loss)
        complain("given up, these requests count as missing for ever, are never bought again, and whatever they cost is lost")
        if is_confirmed:
            return
        if not sys.stdin.isatty():
            raise StateError(
                "nobody is there to be asked, and nothing was given up", where=FLAG, hint="run it on a terminal, where it asks; `--help` has the rest"
            )
        sys.stderr.write("give them up? type yes to do so: ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() != "yes":
            raise StateError("nothing was given up", where=FLAG)

    return agree
