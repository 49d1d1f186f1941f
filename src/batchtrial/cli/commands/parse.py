"""`batchtrial parse` and `batchtrial score`: one step over the answers of a run that is there, whole or in shares for array schedulers."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence

from batchtrial.app.invocation import Invocation, experiments_dir
from batchtrial.app.share import carry_out_share
from batchtrial.cli import args as flags
from batchtrial.cli.commands.execute import run
from batchtrial.cli.frame import Main, complain, framed, say, set_up_logging
from batchtrial.cli.screens.progress import progress
from batchtrial.errors import Stopped
from batchtrial.keys import check_run_id
from batchtrial.phases.base import Share
from batchtrial.phases.tables.shares import share_of
from batchtrial.run.options import Options

EXAMPLES = """examples:
  batchtrial {step} --run_id autumn                      the whole step, as `resume --only_step {step}` would
  batchtrial {step} --run_id autumn --shard 3/64         every 64th part from the third on; 64 of these may run at once, anywhere, in any order
  batchtrial {step} --run_id autumn --merge              when all shares are there: the table; what is missing is named

A share may run again: what is there is kept. The bytes are those of a run that did it at once. docs/scale.md has recipes for Slurm and Kubernetes.
exit codes: 0 done, 1 parts are missing, 2 bad flag, 3 the run refuses, 130 stopped.
"""


def parser(step: str = "parse") -> flags.Parser:
    """Flags of `parse` and `score`."""
    what = {"parse": "Make tables of the result lines of a run.", "score": "Score the answers of a run."}[step]
    p = flags.Parser(prog=f"batchtrial {step}", description=f"{what} Asks nobody and buys nothing.", epilog=EXAMPLES.format(step=step))
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run")
    how = p.add_mutually_exclusive_group()
    how.add_argument("--shard", type=_share, metavar="I/N", help="only every N-th part, from the I-th on; I is 1 to N")
    how.add_argument("--merge", action="store_true", help="make the tables of what all shares have left")
    flags.add_workers(p)
    flags.add_place(p)
    return p


def _share(text: str) -> Share:
    return share_of(text)


def command_of(step: str) -> Main:
    """The command for one of the two steps."""

    def command(argv: Sequence[str] | None = None) -> int:
        given = parser(step).parse_args(argv)
        set_up_logging(is_verbose=given.verbose)
        run_id, experiments = check_run_id(given.run_id), experiments_dir(given.experiments_dir, os.environ)
        options = Options(only_step=step, workers=given.workers, executor=given.executor, merge=given.merge)
        if given.shard is None:
            ask = Invocation(run_id=run_id, is_resume=True, config=None, changes={}, options=options, experiments=experiments, is_offline=True)
            return run(ask, run_id, nonce=secrets.token_hex(8), env=os.environ)
        try:
            made = carry_out_share(experiments, run_id, step, given.shard, options=options, env=os.environ, progress=progress())
        except Stopped as error:
            complain(str(error))
            complain("  the share can be run again: parts that are there are kept")
            return error.exit_code
        say(f"{step} of {run_id} is done already" if made is None else f"share {given.shard} of {step}: {made}")
        return 0

    command.__doc__ = f"{step} a run that is there, or a share of it."
    return framed(command)


main = command_of("parse")
