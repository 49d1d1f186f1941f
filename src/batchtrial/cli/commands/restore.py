"""`batchtrial restore`: put the run of an archive back, from this machine or from an object store."""

from __future__ import annotations

import os
from collections.abc import Sequence

from batchtrial.app.invocation import experiments_dir
from batchtrial.cli import args as flags
from batchtrial.cli.commands.archive import restore
from batchtrial.cli.frame import framed

EXAMPLES = """examples:
  batchtrial restore --from s3://trials/2026/run_autumn.zip
  batchtrial restore --from archives/run_autumn.zip --experiments_dir elsewhere

Everything is checked before the run is there. What came from a store that broke off is kept: the same command fetches the rest.
"""


def parser() -> flags.Parser:
    """Flags of `restore`."""
    p = flags.Parser(prog="batchtrial restore", description="Put the run of an archive back.", epilog=EXAMPLES)
    p.add_argument("--from", dest="archive", required=True, metavar="FILE", help="the archive: a file, or an object in a store")
    flags.add_folder(p)
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Put the run of an archive back."""
    given = parser().parse_args(argv)
    return restore(given.archive, experiments_dir(given.experiments_dir, os.environ), "--from")


main = framed(_command)
