"""`batchtrial repair`: say what is wrong with a run's files and mend what can be mended, without spending anything."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from batchtrial.amounts import counted
from batchtrial.app.invocation import experiments_dir
from batchtrial.app.wiring import Place, Wiring
from batchtrial.cli import args as flags
from batchtrial.cli.frame import complain, framed, say, say_json, set_up_logging
from batchtrial.clock import real_now
from batchtrial.config.model import Config
from batchtrial.errors import StateError
from batchtrial.keys import check_run_id
from batchtrial.providers.base import Provider
from batchtrial.reading.config import hint_to_begin
from batchtrial.state.form import is_unbegun, refuse_earlier
from batchtrial.state.layout import RunLayout
from batchtrial.state.lock import RunLock, may_be_open
from batchtrial.upkeep.diagnose import Diagnosis, Examiner

EXAMPLES = """examples:
  batchtrial repair --run_id r20261122103000 --check      what is wrong, and what could be done; writes nothing
  batchtrial repair --run_id r20261122103000              do it; damaged originals stay as *.corrupt.<time>
  batchtrial resume --run_id r20261122103000              then go on: lost results are downloaded again, which costs nothing

Trust runs from artifacts over the ledger and the manifests to run_state.json. Nothing is guessed about money: a part of which nothing is known is
looked for at the provider before anything is sent. exit codes: 0 nothing wrong or all mended, 2 bad flag, 3 --check found something, or something
cannot be rebuilt.
"""


def parser() -> flags.Parser:
    """Flags of `repair`."""
    p = flags.Parser(prog="batchtrial repair", description="Diagnose a run's files and rebuild what can be rebuilt.", epilog=EXAMPLES)
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run")
    flags.add_place(p)
    p.add_argument("--check", action="store_true", help="diagnose only; exit 3 when something is wrong")
    p.add_argument("--json", action="store_true", help="with --check: as JSON")
    p.add_argument("--replay_dir", type=flags.local_path, metavar="DIR", help="the recording that the run replays")
    p.add_argument(
        "--assume_unsent",
        action="store_true",
        help="when ledger and run_state.json are both lost: parts without a trace were never sent (you have looked at the provider's console)",
    )
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Diagnose or mend a run."""
    given = parser().parse_args(argv)
    set_up_logging(is_verbose=given.verbose)
    folder = experiments_dir(given.experiments_dir, os.environ)
    layout = RunLayout.of(folder, check_run_id(given.run_id))
    layout.check_there()
    refuse_earlier(layout)
    if is_unbegun(layout):
        say(
            json.dumps({"sound": True, "findings": []}, indent=2) if given.json else f"{layout.root.name}: nothing to repair; {hint_to_begin(layout)}"
        )
        return 0
    is_live = may_be_open(layout.lock_info)
    examiner = examiner_of(layout, replay_dir=given.replay_dir, assume_unsent=given.assume_unsent, is_live=is_live)
    if given.check:
        return check(examiner, is_json=given.json)
    return repair(examiner, clock=real_now)


def examiner_of(layout: RunLayout, *, replay_dir: Path | None = None, assume_unsent: bool = False, is_live: bool = False) -> Examiner:
    """An examiner wired to the run's own adapter, of which only the pure half is used."""

    def wiring(config: Config) -> Wiring:
        return Wiring(config, Place(layout=layout, trials=lambda: (), replay_dir=replay_dir), os.environ)

    def codec_of(config: Config) -> Provider:
        return wiring(config).codecs

    return Examiner(layout=layout, codec_of=codec_of, now=real_now, nonce=secrets.token_hex(8), assume_unsent=assume_unsent, is_live=is_live)


def check(examiner: Examiner, *, is_json: bool) -> int:
    """Print what is wrong."""
    found = examiner.examine()
    if is_json:
        say_json({"sound": found.is_sound, "findings": [asdict(finding) for finding in found.findings]})
    elif found.is_sound:
        say(f"{examiner.layout.root.name}: every file is as it should be")
    else:
        for finding in found.findings:
            say(str(finding))
        say(
            f"{counted(len(found.findings), 'file needs', 'files need')} attention"
            + ("; the run is live, so some may just be being written" if examiner.is_live else "")
        )
    return 0 if found.is_sound else StateError.exit_code


def repair(examiner: Examiner, *, clock: Callable[[], datetime]) -> int:
    """Mend what can be mended, under the run's lock."""
    from batchtrial.upkeep.fix import put_right  # here, since --check needs no phases

    lock = RunLock(examiner.layout.guard, examiner.layout.lock_info)
    lock.acquire(clock)
    try:
        found = examiner.examine()
        done = put_right(found, clock=clock) if not found.is_sound else []
    finally:
        lock.release(clock)
    for line in done:
        say(line)
    return _sum_up(found)


def _sum_up(found: Diagnosis) -> int:
    if found.is_sound:
        say(f"{found.layout.root.name}: every file is as it should be; nothing to repair")
        return 0
    later = [finding for finding in found.findings if finding.cure in ("remake", "refetch")]
    for finding in later:
        say(f"still to do: {finding}")
    for finding in found.hopeless:
        complain(f"error: {finding}")
    if found.hopeless:
        return StateError.exit_code
    say(f"go on with: batchtrial resume {found.layout.flags}")
    return 0


main = framed(_command)
