"""`batchtrial export_batch`: the rows that a run still owes as request files, for an engine that has no batch API."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from batchtrial.amounts import counted
from batchtrial.app.at_work import on_parts
from batchtrial.app.invocation import Invocation, experiments_dir
from batchtrial.app.session import opened
from batchtrial.cli import args as flags
from batchtrial.cli.commands import execute as live
from batchtrial.cli.frame import framed, say, set_up_logging
from batchtrial.errors import ConfigError
from batchtrial.keys import check_run_id
from batchtrial.phases.base import Work
from batchtrial.phases.batches.by_hand import HandedOut, hand_out
from batchtrial.run.options import Options

EXAMPLES = """examples:
  batchtrial run --config config/local_eval_config.yaml --run_id own --to_step build
  batchtrial export_batch --run_id own --to requests
  cat requests/*.jsonl > all.jsonl
  vllm run-batch -i all.jsonl -o answers.jsonl --model MODEL
  batchtrial import_batch --run_id own answers.jsonl

Each part becomes a file of lines in the form of OpenAI's batch input. From then on the run waits for the answers to these rows; exporting again
writes those that have not come, and those that have failed and may be tried again.
"""


def parser() -> flags.Parser:
    """Flags of `export_batch`."""
    p = flags.Parser(prog="batchtrial export_batch", description="Write the rows that a run still owes as batch request files.", epilog=EXAMPLES)
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run; its requests have been built")
    p.add_argument("--to", type=flags.written_folder, required=True, metavar="DIR", help="new or empty folder for the files")
    p.add_argument("--format", choices=("openai",), default="openai", help="form of the lines (default: openai, which vLLM's run-batch reads)")
    p.add_argument("--budget_usd", type=float, metavar="USD", help="refuse to export past this sum, counting what was spent")
    flags.add_place(p)
    return p


def invocation_by_hand(run_id: str, experiments: Path | None, changes: dict[str, float] | None = None) -> Invocation:
    """A run that is there, worked on without a provider."""
    return Invocation(
        run_id=check_run_id(run_id),
        is_resume=True,
        config=None,
        changes=changes or {},
        options=Options(),
        experiments=experiments_dir(experiments, os.environ),
        is_by_hand=True,
    )


def _command(argv: Sequence[str] | None = None) -> int:
    """Write the rows that a run still owes as batch request files."""
    given = parser().parse_args(argv)
    set_up_logging(is_verbose=given.verbose)
    ask = invocation_by_hand(
        given.run_id, given.experiments_dir, {"submission.budget_usd": given.budget_usd} if given.budget_usd is not None else None
    )
    person = live.person_of(ask)
    with opened(ask, given.run_id, person, nonce=secrets.token_hex(8), env=os.environ) as at:
        config, layout = at.session.config, at.session.layout
        if at.services.codec.name != "openai":
            raise ConfigError(
                f"requests of the backend {config.backend} are not in OpenAI's form", where="backend", hint="start the run with --backend local"
            )
        if not config.is_live:
            raise ConfigError(f"this run is a {config.mode.replace('_', ' ')}: its answers come from elsewhere", where="mode")
        layout.arrivals.mkdir(exist_ok=True)

        def move(work: Work) -> HandedOut:
            return hand_out(work, given.to)

        out = on_parts(at, person, move)
    if not out.files:
        say("nothing is owed: every part is settled, or is under way at its provider")
        return 0
    say(f"wrote {counted(out.n_rows, 'row')} into {counted(len(out.files), 'file')} in {given.to}")
    say(f"bring their answers with: batchtrial import_batch --run_id {given.run_id} PATH")
    return 0


main = framed(_command)
