"""`batchtrial smoke`: interrupts real runs in real processes, resumes them, and holds them against a run that was never stopped.

Each drill is a dry run in a folder of its own, stopped at one point by one kind of interruption; `drills.py` carries them out and judges them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from batchtrial.app.templates import templates
from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, say, set_up_logging
from batchtrial.errors import ConfigError
from batchtrial.selftest.drills import CONCURRENCY, DRILLS, INTERRUPTIONS, Drill, Interruption, Outcome, Plan, judged, twin

CONFIGS: Mapping[str, str] = {"fireworks": "eval_config.yaml", "openai": "alt_eval_config.yaml", "anthropic": "alt_eval_config.yaml"}
EXAMPLES = """examples:
  batchtrial smoke --n 3 --prompt_set operational_only --dry_run
  batchtrial smoke --dry_run --stop_point mid_submission --signal SIGKILL --provider openai --keep

exit code 0 only if every drill was stopped where it should be, resumed, paid once, and ended with the bytes of the uninterrupted run.
"""


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """The drills, one a line."""
    head = ("stop point", "interruption", "stopped", "resumed", "creates", "paid twice", "lost", "artifacts", "differing", "seconds", "")
    rows: list[tuple[str, ...]] = [head]
    for one in outcomes:
        numbers = (one.n_creates, one.n_paid_twice, one.n_lost, one.n_artifacts, one.n_different)
        verdict = "FAILED" if one.problems else "ok"
        rows.append((one.name, one.interruption, one.stopped, one.resumed, *map(str, numbers), f"{one.seconds:.1f}", verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def parser() -> flags.Parser:
    """Flags of `smoke`."""
    p = flags.Parser(prog="batchtrial smoke", description="Interrupt dry runs, resume them, compare with one never stopped.", epilog=EXAMPLES)
    p.add_argument("--n", type=flags.positive, default=3, metavar="N", help="items, from 2; twice as many requests, one a part (default: 3)")
    p.add_argument("--prompt_set", default="operational_only", metavar="NAME", help="prompt set of the config (default: operational_only)")
    p.add_argument("--config", type=flags.local_path, default=None, metavar="FILE", help="the config (default: the shipped one of the provider)")
    p.add_argument("--dry_run", action="store_true", help="required: drills kill processes on purpose, and never at a real provider")
    names = tuple(drill.name for drill in DRILLS)
    p.add_argument("--stop_point", choices=names, action="append", default=None, help="only this one; may be repeated (default: all)")
    p.add_argument("--signal", choices=INTERRUPTIONS, default=None, help="how to interrupt (default: each stop point by another kind)")
    p.add_argument("--provider", choices=tuple(CONFIGS), default="fireworks", help="whose wire is spoken (default: fireworks)")
    p.add_argument("--keep", action="store_true", help="keep the runs and say where they are")
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Interrupt dry runs, resume them, compare."""
    given = parser().parse_args(argv)
    set_up_logging(is_verbose=False)
    if not given.dry_run:
        raise ConfigError("the drills kill runs on purpose and work with dry runs only", where="--dry_run", hint="add --dry_run")
    if given.n < 2:
        raise ConfigError("a run of one item has no middle to stop in", where="--n", hint="use at least 2")
    config = given.config or templates() / CONFIGS[given.provider]
    chosen = [drill for drill in DRILLS if given.stop_point is None or drill.name in given.stop_point]
    root = Path(tempfile.mkdtemp(prefix="batchtrial-smoke-"))
    plan = Plan(config=config.resolve(), provider=given.provider, n=given.n, prompt_set=given.prompt_set, root=root)
    is_good = False
    try:
        is_good = _run(plan, chosen, given.signal)
    finally:
        if given.keep or not is_good:
            say(f"kept in {root}")
        else:
            shutil.rmtree(root)
    return 0 if is_good else 1


def _run(plan: Plan, chosen: Sequence[Drill], how: Interruption | None) -> bool:
    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=min(CONCURRENCY, os.cpu_count() or 1)) as pool:
        whole = pool.submit(twin, plan)
        going = [pool.submit(judged, plan, drill, how or drill.usual, whole.result) for drill in chosen]
        whole.result()
        outcomes = [one.result() for one in going]
    for line in table(outcomes):
        say(line)
    for one in outcomes:
        for problem in one.problems:
            say(f"  {one.name}: {problem}")
    is_good = not any(one.problems for one in outcomes)
    verdict = "all drills held" if is_good else "SOME DRILLS FAILED"
    say(f"{verdict}: {plan.provider}, {plan.n} items, {2 * plan.n} parts, {time.monotonic() - began:.1f} seconds")
    return is_good


main = framed(_command)
