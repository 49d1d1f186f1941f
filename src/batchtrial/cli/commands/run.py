"""`batchtrial run`: the pipeline. The doors `scripts.run_all` and `scripts.alt_run_all` lead here too."""

from __future__ import annotations

import os
import secrets
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from batchtrial.app.invocation import DEFAULT_CONFIG, INCOMPLETE, Invocation, invocation_of
from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, say_json, set_up_logging
from batchtrial.clock import real_now
from batchtrial.errors import ConfigError, DataError
from batchtrial.keys import new_run_id
from batchtrial.providers.registry import names

if TYPE_CHECKING:
    from batchtrial.app.onlooker import Onlooker

EXAMPLES = """examples:
  batchtrial run --config config/eval_config.yaml --plan_only          what would happen, and what it would cost
  batchtrial run --config config/eval_config.yaml --dry_run            the whole pipeline against the emulator: no key, no network
  batchtrial run --config config/eval_config.yaml --budget_usd 20      for real, never past 20 dollars
  batchtrial run --resume --run_id r20261122103000                     go on where it stopped
  batchtrial run --config config/eval_config.yaml --dry_run --prompt_sets operational_only --limit_items 200

exit codes: 0 done, 1 a phase failed, 2 bad flag or config, 3 the run's state refuses, 4 finished but some requests never succeeded,
5 another process has the run (try later), 130 stopped
"""


def parser(prog: str = "batchtrial run", backends: Sequence[str] | None = None, *, needs_backend: bool = False) -> flags.Parser:
    """Flags of a run."""
    p = flags.Parser(prog=prog, description="Run a prompt trial from config to report, or go on with one.", epilog=EXAMPLES)
    p.add_argument(
        "--config", type=flags.local_path, default=None, metavar="FILE", help=f"the config (default: {DEFAULT_CONFIG}; on --resume the run's own)"
    )
    p.add_argument("--run_id", metavar="ID", help="name of the run (default: rYYYYMMDDHHMMSS)")
    p.add_argument("--resume", action="store_true", help="go on with the run --run_id")
    p.add_argument("--backend", choices=backends or names(), required=needs_backend, default=None, help="provider, over the config's")
    p.add_argument("--plan_only", action="store_true", help="print phases with reasons, parts, tokens and dollars; touch neither network nor disk")
    p.add_argument("--json", action="store_true", help="on standard output: how the run ended, as JSON; with --plan_only the plan")
    flags.add_place(p)
    what = p.add_argument_group("what to ask")
    what.add_argument("--models", nargs="+", action=flags.Words, metavar="MODEL", help="only these models")
    what.add_argument("--model", metavar="MODEL", help="this model, over the config's")
    what.add_argument("--prompt_sets", nargs="+", action=flags.Words, metavar="NAME", help="only these prompt sets")
    what.add_argument("--temps", nargs="+", action=flags.Words, metavar="T", help="only these temperatures")
    what.add_argument("--no_sweep", action="store_true", help="ignore the config's sweep and trials: one trial with the default prompt set")
    what.add_argument("--trial_filter", metavar="PATTERN", help="only trials whose slug matches, such as '*-operational_only'")
    what.add_argument("--control_from", metavar="RUN_ID", help="take the control arms over from this finished run; refused when anything differs")
    what.add_argument("--condition", choices=("control", "treatment", "both"), default=None, help="only one of the two arms")
    what.add_argument("--limit_items", type=flags.positive, metavar="N", help="only N items of all question sets together (a seeded sample)")
    what.add_argument("--skip_bad_rows", action="store_true", help="count and report unusable rows instead of failing")
    how = p.add_argument_group("how to send")
    how.add_argument("--parts_per_dataset", type=flags.positive, metavar="N", help="cut each arm into N parts")
    how.add_argument(
        "--lines_per_part", type=flags.positive_or_auto, metavar="N", help="requests per part at most, or auto (beats --parts_per_dataset)"
    )
    how.add_argument("--max_concurrent_jobs", type=flags.positive, metavar="N", help="batches in flight at one time")
    how.add_argument("--budget_usd", type=float, metavar="USD", help="refuse to submit past this sum, counting what is in flight")
    how.add_argument("--account_id", metavar="ID", help="Fireworks account")
    how.add_argument("--base_url", metavar="URL", help="another host that speaks the backend's wire")
    offline = p.add_argument_group("without the provider")
    offline.add_argument(
        "--dry_run", action="store_true", help="against an emulator on this machine, with simulated answers or those of --replay_dir"
    )
    offline.add_argument("--emulator_url", metavar="URL", help="with --dry_run: an emulator that is running already")
    offline.add_argument("--emulator_key", metavar="KEY", help="with --emulator_url: its key, or LANE=KEY; every key has an account of its own")
    offline.add_argument("--replay_dir", type=flags.local_path, metavar="DIR", help="answer from a recording")
    offline.add_argument("--record_dir", type=flags.local_path, metavar="DIR", help="record requests and results into a cassette")
    flags.add_steps(p)
    p.add_argument("--skip_prepare", action="store_true", help="use the prepared items as they are")
    p.add_argument("--skip_build", action="store_true", help="use the built requests as they are")
    p.add_argument("--skip_batch", action="store_true", help="neither submit nor poll")
    p.add_argument("--archive", action="store_true", help="once every step is done, archive the run into archives/ beside the runs")
    flags.add_stopping(p)
    flags.add_unattended(p)
    return p


def carry_out(ask: Invocation, given: Namespace, *, env: Mapping[str, str]) -> int:
    """Plan or run. given: the flags besides. Raises RunnerError."""
    from batchtrial.cli.commands import execute as live
    from batchtrial.cli.commands.unattended import accompanied

    if given.plan_only:
        try:
            return live.show_plan(ask, env, is_json=given.json)
        except (ConfigError, DataError) as error:
            if given.json:
                say_json({"refused": {"what": error.what, "where": error.where, "hint": error.hint}})
            raise
    run_id = ask.run_id or new_run_id(real_now())

    def work(onlooker: Onlooker) -> int:
        code = live.run(ask, run_id, nonce=secrets.token_hex(8), env=env, onlooker=onlooker)
        _archive(ask, run_id, code, env, is_told=not given.json)
        return code

    return accompanied(given, run_id, env, work, is_json=given.json)


def _archive(ask: Invocation, run_id: str, code: int, env: Mapping[str, str], *, is_told: bool) -> None:
    if ask.is_archived and code in (0, INCOMPLETE):
        from batchtrial.app.session import layout_of
        from batchtrial.archive.store import Local
        from batchtrial.archive.whole_run import archive_run, default_target
        from batchtrial.cli.commands.archive import tell

        layout = layout_of(ask, run_id)
        target = default_target(layout)
        made = archive_run(layout, target, env, allow_incomplete=False)
        if is_told:
            tell(Local(target), made)


def _command(prog: str, backends: Sequence[str] | None, *, needs_backend: bool) -> Callable[[Sequence[str] | None], int]:
    def command(argv: Sequence[str] | None = None) -> int:
        given = parser(prog, backends, needs_backend=needs_backend).parse_args(argv)
        set_up_logging(is_verbose=given.verbose)
        return carry_out(invocation_of(given, os.environ), given, env=os.environ)

    command.__doc__ = "Run a prompt trial from config to report, or go on with one."
    return command


main = framed(_command("batchtrial run", None, needs_backend=False))
alt_main = framed(_command("alt_run_all", ("openai", "anthropic"), needs_backend=True))
