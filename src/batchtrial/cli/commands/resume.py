"""`batchtrial resume`: go on with a run from what its folder says, without repeating the flags of its start."""

from __future__ import annotations

import os
from collections.abc import Sequence

from batchtrial.app.invocation import Invocation, experiments_dir, options_of
from batchtrial.cli import args as flags
from batchtrial.cli.commands.run import carry_out
from batchtrial.cli.frame import framed, set_up_logging
from batchtrial.keys import check_run_id

EXAMPLES = """examples:
  batchtrial resume --run_id r20261122103000
  batchtrial resume --run_id r20261122103000 --from_step score --to_step report
  batchtrial resume --run_id r20261122103000 --plan_only            what would be done; nothing is written or sent
  batchtrial resume --run_id r20261122103000 --budget_usd 40        what may still be bought, counting what was
  batchtrial resume --run_id r20261122103000 --config new.yaml --accept_drift       the config has changed on purpose: record it
  batchtrial resume --run_id r20261122103000 --from_step stats --remake             statistics and what follows, made anew
  batchtrial resume --run_id r20261122103000 --give_up_unknown_batches              batches deleted at the provider: asks before they count as lost
"""


def parser() -> flags.Parser:
    """Flags of `resume`."""
    p = flags.Parser(prog="batchtrial resume", description="Go on with a run that stopped.", epilog=EXAMPLES)
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run")
    p.add_argument(
        "--config", type=flags.local_path, default=None, metavar="FILE", help="compare this config with the run's, and refuse when they differ"
    )
    flags.add_place(p)
    p.add_argument("--budget_usd", type=float, metavar="USD", help="refuse to submit past this sum, counting what was spent")
    p.add_argument("--max_concurrent_jobs", type=flags.positive, metavar="N", help="batches in flight at one time")
    p.add_argument("--emulator_url", metavar="URL", help="where the emulator is that a dry run was started at, when it has moved")
    p.add_argument("--emulator_key", metavar="KEY", help="with --emulator_url: its key, or LANE=KEY; every key has an account of its own")
    p.add_argument("--replay_dir", type=flags.local_path, metavar="DIR", help="the recording that the run replays")
    p.add_argument("--prepared_dir", type=flags.local_path, metavar="DIR", help="a run of the earlier system: where its prepared questions are")
    p.add_argument("--plan_only", action="store_true", help="print what would be done, with reasons; touch neither network nor disk")
    p.add_argument("--json", action="store_true", help="on standard output: how the run ended, as JSON; with --plan_only the plan")
    flags.add_steps(p)
    flags.add_stopping(p)
    flags.add_unattended(p)
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Go on with a run that stopped."""
    given = parser().parse_args(argv)
    set_up_logging(is_verbose=given.verbose)
    changes = {"submission.budget_usd": given.budget_usd, "submission.max_concurrent_jobs": given.max_concurrent_jobs}
    ask = Invocation(
        run_id=check_run_id(given.run_id),
        is_resume=True,
        config=given.config,
        changes={key: value for key, value in changes.items() if value is not None},
        options=options_of(given, is_resume=True),
        experiments=experiments_dir(given.experiments_dir, os.environ),
        emulator_url=given.emulator_url,
        emulator_key=given.emulator_key,
        replay_dir=given.replay_dir,
        prepared_dir=given.prepared_dir,
    )
    return carry_out(ask, given, env=os.environ)


main = framed(_command)
