"""`batchtrial fetch`: take in the results of batches that have ended and still lie at the provider; send nothing, wait for nothing."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence

from batchtrial.amounts import counted
from batchtrial.app.at_work import on_parts
from batchtrial.app.invocation import INCOMPLETE, Invocation, experiments_dir
from batchtrial.app.session import opened
from batchtrial.cli import args as flags
from batchtrial.cli.commands import execute as live
from batchtrial.cli.frame import framed, say, set_up_logging
from batchtrial.keys import check_run_id
from batchtrial.phases.batches.fetch_ended import FetchedParts, fetch_ended
from batchtrial.run.options import Options

EXAMPLES = """examples:
  batchtrial fetch --run_id autumn        what has ended is on this disk afterwards, whatever becomes of the provider's copy

Where a download keeps failing, the provider's own command line and `batchtrial import_batch` do the same by hand: docs/troubleshooting.md.

exit codes: 0 nothing lies there any more, 2 bad flag, 3 the run's state refuses, 4 some batches have not ended
"""


def parser() -> flags.Parser:
    """Flags of `fetch`."""
    p = flags.Parser(prog="batchtrial fetch", description="Fetch results that still lie at the provider; send nothing.", epilog=EXAMPLES)
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run")
    flags.add_place(p)
    p.add_argument("--emulator_url", metavar="URL", help="where the emulator is that a dry run was started at, when it has moved")
    p.add_argument("--emulator_key", metavar="KEY", help="with --emulator_url: its key, or LANE=KEY; every key has an account of its own")
    return p


def lines(done: FetchedParts) -> Iterator[str]:
    """What was done, for standard output."""
    yield f"fetched   {counted(len(done.fetched), 'part')}"
    for part in done.waiting:
        yield f"waits     {part}: its batch has not ended, or could not be asked"
    if done.n_unsent:
        yield f"unsent    {counted(done.n_unsent, 'part waits', 'parts wait')} to be sent; `batchtrial resume` does"


def _command(argv: Sequence[str] | None = None) -> int:
    """Fetch what has ended."""
    given = parser().parse_args(argv)
    set_up_logging(is_verbose=given.verbose)
    ask = Invocation(
        run_id=check_run_id(given.run_id),
        is_resume=True,
        config=None,
        changes={},
        options=Options(),
        experiments=experiments_dir(given.experiments_dir, os.environ),
        emulator_url=given.emulator_url,
        emulator_key=given.emulator_key,
    )
    person = live.person_of(ask)
    with opened(ask, given.run_id, person, nonce=secrets.token_hex(8), env=os.environ) as at:
        done = on_parts(at, person, fetch_ended)
    for line in lines(done):
        say(line)
    return INCOMPLETE if done.waiting else 0


main = framed(_command)
