"""`batchtrial try`: see what each arm would be asked about an item, and ask a few at once."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchtrial.app.invocation import DEFAULT_CONFIG, INCOMPLETE, Invocation, experiments_dir, mode_of
from batchtrial.app.session import layout_of, loaded
from batchtrial.app.tryout import at_once, budget_of, chosen_items, send
from batchtrial.app.wiring import Place, Wiring
from batchtrial.cli import args as flags
from batchtrial.cli.commands.execute import person_of, resume_command
from batchtrial.cli.frame import INTERRUPTED, complain, framed, say, say_json, set_up_logging
from batchtrial.cli.screens import tryout as screen
from batchtrial.clock import real_now
from batchtrial.config.expand import expand
from batchtrial.config.notes import notes
from batchtrial.errors import StateError, Stopped
from batchtrial.keys import check_run_id
from batchtrial.reading.similar import TRIES
from batchtrial.run.options import Options
from batchtrial.run.preview import previews

EXAMPLES = """examples:
  batchtrial try --config trial.yaml                           a request of each arm, with what differs marked; nothing is sent
  batchtrial try --config trial.yaml --item t17                about this item
  batchtrial try --config trial.yaml --send 5 --dry_run        five items asked of every arm at the emulator, scored, side by side
  batchtrial try --config trial.yaml --send 5 --budget_usd 0.2 for real, in a ledger of its own under experiments/tries

Requests go one by one to the provider's synchronous API (docs/direct.md), at its price. A try is a small run of its own: its requests, answers and
dollars are never those of the trial.

exit codes: 0 done, 1 nobody could be asked, 2 bad flag or config, 3 a try of that name refuses, 4 some requests were refused, 130 stopped
"""


def parser() -> flags.Parser:
    """Flags of `try`."""
    p = flags.Parser(prog="batchtrial try", description="Show a request of each arm before anything is paid, and ask a few at once.", epilog=EXAMPLES)
    p.add_argument("--config", type=flags.local_path, default=None, metavar="FILE", help=f"the config (default: {DEFAULT_CONFIG})")
    p.add_argument("--item", action="append", default=None, metavar="ID", help="about this item; may be repeated (default: the first in order)")
    p.add_argument("--seed", type=int, metavar="N", help="the first of another order of the items")
    p.add_argument("--send", type=flags.positive, metavar="N", help="ask N items of each arm now, and score them")
    p.add_argument("--budget_usd", type=float, metavar="USD", help="refuse to send past this sum (default: 1 where all models have prices)")
    p.add_argument("--as_batch", action="store_true", help="with --send: where a provider answers batches alone, send one and wait for it")
    p.add_argument("--run_id", metavar="ID", help="name of the try (default: tYYYYMMDDHHMMSS)")
    p.add_argument("--dry_run", action="store_true", help="against an emulator on this machine")
    p.add_argument("--emulator_url", metavar="URL", help="with --dry_run: an emulator that is running already")
    p.add_argument("--replay_dir", type=flags.local_path, metavar="DIR", help="with --dry_run: answers from a recording")
    p.add_argument("--skip_bad_rows", action="store_true", help="count and report unusable rows instead of failing")
    p.add_argument("--json", action="store_true", help="as JSON")
    flags.add_place(p)
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Show what would be asked, and ask a little of it."""
    given = parser().parse_args(argv)
    set_up_logging(is_verbose=given.verbose)
    run_id = check_run_id(given.run_id) if given.run_id is not None else f"t{real_now():%Y%m%d%H%M%S}"
    ask = _invocation(given.config, given, run_id)
    got = loaded(ask, layout_of(ask, run_id), os.environ)
    lanes = at_once(got.config) if given.send is not None and not given.as_batch else {}
    chosen = chosen_items(got.config, named=given.item or (), seed=given.seed, n=given.send or 1, complain=complain)
    trials = expand(got.config, "")
    wiring = Wiring(got.config, Place(layout=layout_of(ask, run_id), trials=lambda: ()), os.environ)
    shown = previews(got.config, trials, chosen.items[0], wiring.codecs)
    told: dict[str, Any] = {"item": chosen.items[0].key, "arms": [one.as_json() for one in shown], "notes": list(notes(got.config, trials))}
    if not given.json:
        for line in screen.requests(chosen.items[0], shown, told["notes"], is_sent=given.send is not None):
            say(line)
    code = 0
    if given.send is not None:
        if (there := layout_of(ask, run_id)).effective_config.exists():
            raise StateError(f"the try {run_id} exists already", where=str(there.root), hint=f"go on with: {resume_command(ask, run_id)}")
        limits = {"limit_items": len(chosen.items), "submission.budget_usd": budget_of(got.config, given.budget_usd)}
        ask = replace(ask, changes={**ask.changes, **lanes, **limits})
        try:
            tried = send(ask, run_id, chosen, person_of(ask), nonce=secrets.token_hex(8), env=os.environ)
        except Stopped as error:
            complain(str(error))
            complain(f"  go on with: {resume_command(ask, run_id)}")
            return INTERRUPTED
        code = INCOMPLETE if tried.refused else 0
        told |= screen.as_json(tried)
        for line in screen.answers(tried) if not given.json else ():
            say(line)
    if given.json:
        say_json(told)
    return code


def _invocation(config: Path | None, given: Any, run_id: str) -> Invocation:
    changes: dict[str, Any] = {"skip_bad_rows": True} if given.skip_bad_rows else {}
    if given.dry_run:
        changes["mode"] = mode_of(is_dry=True, recording=given.replay_dir)
    return Invocation(
        run_id=run_id,
        is_resume=False,
        config=config,
        changes=changes,
        options=Options(),
        experiments=experiments_dir(given.experiments_dir, os.environ) / TRIES,
        emulator_url=given.emulator_url,
        replay_dir=given.replay_dir,
    )


main = framed(_command)
