"""`batchtrial grow`: more items, samples, arms or judges for a run that is there. Shows what it will buy, asks, and buys only that."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from batchtrial.app.codecs import limits_of
from batchtrial.app.invocation import Invocation, experiments_dir
from batchtrial.app.session import layout_of, loaded
from batchtrial.app.wiring import Place, Wiring
from batchtrial.cli import args as flags
from batchtrial.cli.commands import execute as live
from batchtrial.cli.frame import framed, say, set_up_logging
from batchtrial.clock import real_now
from batchtrial.config.additions import with_arms, with_judges
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError, StateError
from batchtrial.keys import check_run_id
from batchtrial.phases.base import View
from batchtrial.reading.view import view_of
from batchtrial.run.earlier_scores import keep_scores
from batchtrial.run.growth import check_growth, grown_settings, honest_words, purchase_lines, purchases
from batchtrial.run.options import Options
from batchtrial.state.form import refuse_earlier
from batchtrial.state.lock import RunLock
from batchtrial.state.store import Hook, no_hook

EXAMPLES = """examples:
  batchtrial grow --run_id r1 --limit_items 400                   400 items in all, the next of the same seeded order
  batchtrial grow --run_id r1 --samples 3                         three answers to each item in all; those that there are count
  batchtrial grow --run_id r1 --add_prompt_set strength_1         a further trial; the control that it shares is not bought again
  batchtrial grow --run_id r1 --add_arm terse.yaml                terse: {system: prompts/terse.txt}, of a run whose config has `arms`
  batchtrial grow --run_id r1 --add_judge tone.yaml               {name: tone, rubric: tone, model: gpt-4o-mini}
  batchtrial grow --run_id r1 --config more.yaml                  the run's config with further prompt sets, arms, contrasts or judges
  batchtrial grow --run_id r1 --limit_items 400 --yes             without asking

What the run has keeps its parts, its answers and its place in the one ledger. Growing after a look at the results is optional stopping: the enlarged
analysis is exploratory then, unless the plan declared it (`stats.sequential.n_max`), and the first one is kept under earlier_scores/.
"""


def parser() -> flags.Parser:
    """Flags of `grow`."""
    p = flags.Parser(prog="batchtrial grow", description="More items, samples, arms or judges for a run that is there.", epilog=EXAMPLES)
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run")
    p.add_argument("--limit_items", type=flags.positive, metavar="N", help="items that it is to have in all")
    p.add_argument("--samples", type=flags.positive, metavar="K", help="answers to each item that it is to have in all")
    p.add_argument("--add_prompt_set", nargs="+", action=flags.Words, metavar="NAME", help="prompt sets of the run's config to compare too")
    p.add_argument("--add_arm", type=flags.local_path, metavar="FILE", help="further arms, as they stand under `arms` in a config")
    p.add_argument("--add_judge", type=flags.local_path, metavar="FILE", help="further judges, as they stand under `judges` in a config")
    p.add_argument("--config", type=flags.local_path, metavar="FILE", help="the run's config with further prompt sets, arms, contrasts or judges")
    p.add_argument("--lines_per_part", type=flags.positive, metavar="N", help="requests per further part at most")
    p.add_argument("--parts", type=flags.positive, metavar="N", help="cut the further items or samples into N parts")
    p.add_argument("--budget_usd", type=float, metavar="USD", help="refuse to submit past this sum, counting what was spent")
    p.add_argument("--emulator_url", metavar="URL", help="where the emulator is that a dry run was started at, when it has moved")
    p.add_argument("--yes", action="store_true", help="do not ask")
    flags.add_place(p)
    return p


def _changes(view: View, given: Any) -> dict[str, Any]:
    """What the flags change, as dotted keys. Raises ConfigError."""
    changes: dict[str, Any] = {}
    if given.limit_items is not None or given.samples is not None:
        changes |= grown_settings(view, items=given.limit_items, samples=given.samples, lines_per_part=given.lines_per_part, parts=given.parts)
    elif given.lines_per_part is not None or given.parts is not None:
        what = "parts that there are stay as they are, and a further arm is asked in the same ones"
        raise ConfigError(what, where="--parts, --lines_per_part", hint="give --limit_items or --samples too")
    if given.config is not None and (given.add_arm or given.add_judge):
        raise ConfigError("--config says all of it", where="--add_arm, --add_judge", hint="give one or the others")
    changes |= {} if given.add_arm is None else with_arms(view.config, given.add_arm)
    changes |= {} if given.add_judge is None else with_judges(view.config, given.add_judge)
    if given.add_prompt_set:
        used = list(dict.fromkeys(trial.prompt_set for trial in view.trials))
        changes["sweep.prompt_sets"] = list(dict.fromkeys([*used, *given.add_prompt_set]))
    if given.budget_usd is not None:
        changes["submission.budget_usd"] = given.budget_usd
    return changes


def agreed(*, is_confirmed: bool) -> Callable[[str], None]:
    """Shows the purchase, and returns once a person has agreed to it: by typing yes on a terminal, or by --yes. Else StateError."""

    def agree(purchase: str) -> None:
        say(purchase)
        if is_confirmed:
            return
        if not sys.stdin.isatty():
            raise StateError(
                "nobody is there to be asked, and nothing was bought",
                where="--yes",
                hint="run it on a terminal; `batchtrial grow --help` says how a script agrees",
            )
        sys.stderr.write("buy it? type yes to do so: ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() != "yes":
            raise StateError("nothing was bought", where="batchtrial grow")

    return agree


def grow(ask: Invocation, run_id: str, agree: Callable[[str], None], *, nonce: str, env: Mapping[str, str], hook: Hook = no_hook) -> int:
    """Show, ask, buy; returns the exit code. hook: called at every durable write and provider call."""
    layout = layout_of(ask, run_id)
    refuse_earlier(layout)
    view, after = view_of(ask.experiments, run_id, limits_of), loaded(ask, layout, env).config
    check_growth(view.config, after)
    bought = purchases(view, after, _codec(ask, after))
    if any(one.requests for one in bought):
        agree("\n".join([f"run {run_id} grows:", *purchase_lines(bought), f"  note: {honest_words(view, after)}"]))
    lock = RunLock(layout.guard, layout.lock_info)
    lock.acquire(real_now)
    try:
        keep_scores(view, after, hook=hook)
    finally:
        lock.release(real_now)
    return live.run(ask, run_id, nonce=nonce, env=env, hook=hook)


def _codec(ask: Invocation, config: Config) -> Any:
    layout = layout_of(ask, ask.run_id or "")
    return Wiring(config, Place(layout=layout, trials=lambda: (), is_offline=True), {}).codecs


def _command(argv: Sequence[str] | None = None) -> int:
    """Grow a run."""
    given = parser().parse_args(argv)
    set_up_logging(is_verbose=given.verbose)
    run_id, experiments = check_run_id(given.run_id), experiments_dir(given.experiments_dir, os.environ)
    if not any((given.limit_items, given.samples, given.add_prompt_set, given.add_arm, given.add_judge, given.config)):
        raise ConfigError("nothing to grow by", hint="give --limit_items, --samples, --add_arm or one of the others; --help has examples")
    options = Options(accept_drift=True)
    ask = Invocation(
        run_id=run_id,
        is_resume=True,
        config=given.config,
        changes={},
        options=options,
        experiments=experiments,
        emulator_url=given.emulator_url,
    )
    layout_of(ask, run_id).check_there()
    ask = replace(ask, changes=_changes(view_of(experiments, run_id, limits_of), given))
    return grow(ask, run_id, agreed(is_confirmed=given.yes), nonce=secrets.token_hex(8), env=os.environ)


main = framed(_command)
