"""`batchtrial demo`: the main job on the bundled questions in one command, ending in a report."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence

from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, set_up_logging
from batchtrial.cli.run import Asked, experiments_dir
from batchtrial.cli.templates import templates
from batchtrial.run.options import Options

EXAMPLES = """examples:
  batchtrial demo
  batchtrial demo --experiments_dir elsewhere

The real pipeline and the real Fireworks SDK, over HTTP, against an emulator on this machine; its answers are simulated and the report says so.
"""


def parser() -> flags.Parser:
    """Flags of `demo`."""
    p = flags.Parser(prog="batchtrial demo", description="The whole pipeline on the bundled questions, to a finished report.", epilog=EXAMPLES)
    flags.add_place(p)
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """The whole pipeline on the bundled questions, to a finished report."""
    given = parser().parse_args(argv)
    set_up_logging(is_verbose=given.verbose)
    from batchtrial.cli import session as live

    ask = Asked(
        run_id=None,
        is_resume=False,
        config=templates() / "eval_config.yaml",
        changes={"mode": "dry_run", "submission.lines_per_part": 50},
        options=Options(),
        experiments=experiments_dir(given.experiments_dir, os.environ),
    )
    return live.run(ask, f"demo-{live.real_now():%Y%m%d%H%M%S}", nonce=secrets.token_hex(8), env=os.environ)


main = framed(_command)
