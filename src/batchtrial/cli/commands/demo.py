"""`batchtrial demo`: the main job on the bundled questions in one command, ending in a report."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from batchtrial.app.invocation import INCOMPLETE, Invocation, experiments_dir
from batchtrial.app.templates import templates
from batchtrial.cli import args as flags
from batchtrial.cli.frame import complain, framed, say, set_up_logging
from batchtrial.clock import real_now
from batchtrial.run.options import Options

EXAMPLES = """examples:
  batchtrial demo
  batchtrial demo --experiments_dir elsewhere
  batchtrial demo --judge

The real pipeline and the real Fireworks SDK, over HTTP, against an emulator on this machine that answers with what a small open model said to the
same requests when the recording was made. The report says which model, and when. Dollars are at a price that this command assumes.
Where that SDK is not installed, the same requests go by Mistral's wire, which needs none: the figures are the same.

With --judge the same model judges pairs of its own answers, also recorded: first what its word alone comes to, and how far it can be believed; then
the difference corrected by labels. There are no people here, so the labels are made of the accepted answers.
"""

RECORDINGS = Path(__file__).resolve().parents[2] / "recordings"
RECORDING = RECORDINGS / "qwen2.5-coder-1.5b.zip"
JUDGED = RECORDINGS / "qwen2.5-coder-1.5b-judge.zip"
N_LABELS = 100
"""Items that --judge labels."""
MODEL = "qwen2.5-coder-1.5b-instruct-q4_k_m"
WITHOUT_SDK = "mistral"
"""The backend whose batches have the form of the recording's and need no SDK."""
PRICE = {"input_per_mtok": 0.05, "output_per_mtok": 0.05}
"""Nobody sells this model by the batch: a sum of the size that small models cost, so that costs can be shown."""


def parser() -> flags.Parser:
    """Flags of `demo`."""
    p = flags.Parser(prog="batchtrial demo", description="The whole pipeline on the bundled questions, to a finished report.", epilog=EXAMPLES)
    flags.add_place(p)
    p.add_argument("--judge", action="store_true", help="a weak judge, held against accepted answers: how far it errs, and what labels make of it")
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """The whole pipeline on the bundled questions, to a finished report."""
    given = parser().parse_args(argv)
    set_up_logging(is_verbose=given.verbose)
    from batchtrial.app.installed import is_installed  # here, since --help needs none of what it loads
    from batchtrial.cli.commands import execute as live

    backend = "fireworks" if is_installed("fireworks") else WITHOUT_SDK
    if backend == WITHOUT_SDK:
        complain("the Fireworks SDK is not installed: batches go by Mistral's wire over plain HTTP, to the same figures")
    ask = Invocation(
        run_id=None,
        is_resume=False,
        config=templates() / ("judged_eval_config.yaml" if given.judge else "local_eval_config.yaml"),
        changes={"mode": "recorded_dry_run", "backend": backend, "model_id": MODEL, "pricing.overrides": {MODEL: PRICE}},
        options=Options(),
        experiments=experiments_dir(given.experiments_dir, os.environ),
        replay_dir=JUDGED if given.judge else RECORDING,
    )
    run_id = f"demo-{real_now():%Y%m%d%H%M%S}"
    code = live.run(ask, run_id, nonce=secrets.token_hex(8), env=os.environ)
    if not given.judge or code not in (0, INCOMPLETE):
        return code
    from batchtrial.app.accepted_labels import label_by_accepted_answers

    n = label_by_accepted_answers(ask.experiments / f"run_{run_id}", N_LABELS)
    say(f"\n{n} items labelled by their accepted answers; the same run, with what the labels correct (nothing is bought):\n")
    again = replace(ask, is_resume=True, config=None, changes={})
    return live.run(again, run_id, nonce=secrets.token_hex(8), env=os.environ)


main = framed(_command)
