"""`batchtrial status`: where every run stands and what it has cost. The door `scripts.list_runs` leads here."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from batchtrial.app.invocation import experiments_dir
from batchtrial.cli import args as flags
from batchtrial.cli.frame import complain, framed, nobody_reads, say, say_json
from batchtrial.cli.screens import prometheus
from batchtrial.cli.screens import runs as statusview
from batchtrial.cli.screens.terminal import Terminal
from batchtrial.clock import real_now
from batchtrial.errors import BudgetReached, RunStateMissing
from batchtrial.keys import check_run_id
from batchtrial.reading.folder_budget import cap_of, committed_usd
from batchtrial.reading.inventory import Inventory, RunSummary
from batchtrial.state.money import dollars
from batchtrial.state.store import write_bytes

EXAMPLES = """examples:
  batchtrial status                                 every run of ./experiments, oldest first
  batchtrial status --run_id r20261122103000        one run in full; -v shows every run so
  batchtrial status --watch                         redrawn every two seconds until Ctrl-C
  batchtrial status --json                          for a program
  batchtrial status --prometheus /var/lib/node_exporter/batchtrial.prom

Runs may be live: nothing is locked and nothing is written. PARTS: settled of all. REQUESTS: succeeded of all. Wide terminals also show STEPS, a
character per step from prepare to report (# done, > under way, ! failed, . to do), FAILED (requests that never succeeded), RESERVED (dollars that
what is in flight may cost) and QUIET (time since the last sign of life).
"""


def parser() -> flags.Parser:
    """Flags of `status`."""
    p = flags.Parser(prog="batchtrial status", description="Show where runs stand and what they have cost.", epilog=EXAMPLES)
    p.add_argument("--run_id", action="append", default=None, metavar="ID", help="only this run, in full; may be repeated")
    flags.add_folder(p)
    p.add_argument("-v", "--verbose", action="store_true", help="every run in full")
    p.add_argument("--json", action="store_true", help="as JSON")
    p.add_argument("--prometheus", type=flags.written_file, metavar="FILE", help="write metrics for the node exporter, and show nothing")
    p.add_argument("--watch", action="store_true", help="redraw until Ctrl-C")
    p.add_argument("--interval", type=flags.positive_seconds, default=2.0, metavar="SECONDS", help="between two looks with --watch (default: 2)")
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Show where runs stand."""
    given = parser().parse_args(argv)
    only = tuple(check_run_id(run_id) for run_id in given.run_id or ())
    folder = experiments_dir(given.experiments_dir, os.environ)
    inventory = Inventory(folder, only=only)
    is_full = bool(given.verbose or only)
    terminal = Terminal.of(sys.stdout)
    if given.watch and not given.json:
        return watch(inventory, terminal, now=real_now, sleep=time.sleep, interval=given.interval, is_full=is_full)
    runs = inventory.look()
    missing = sorted(set(only) - {run.run_id for run in runs})
    if missing:
        raise RunStateMissing(f"there is no run {missing[0]}", where=str(folder), hint=_known(folder))
    if given.prometheus is not None:
        cap = cap_of(folder)
        try:
            committed = None if cap is None else committed_usd(folder)
        except BudgetReached as error:
            committed = None
            complain(f"note: {error.what}")
        write_bytes(given.prometheus, prometheus.text(runs, cap, committed).encode())
        given.prometheus.chmod(0o644)  # the exporter is another user; names of runs and sums are all that it sees
        return 0
    if given.json:
        say_json([statusview.as_json(run, real_now()) for run in runs])
        return 0
    try:
        show(terminal, runs, real_now(), is_full=is_full)
    except BrokenPipeError:
        nobody_reads()
    if (cap := cap_of(folder)) is not None and not only:
        try:
            told = f"live runs have spent or hold {dollars(committed_usd(folder))}"
        except BudgetReached as error:
            told = error.what
        say(f"budget of this folder {dollars(cap)}: {told}")
    return 0


def _known(experiments: Path) -> str:
    known = [run.run_id for run in Inventory(experiments).look()]
    return f"runs here: {', '.join(known[-8:])}" if known else "there are no runs here; --experiments_dir names another folder"


def show(terminal: Terminal, runs: Sequence[RunSummary], now: datetime, *, is_full: bool) -> None:
    """Print once."""
    if is_full and runs:
        for run in runs:
            terminal.write(statusview.details(run, now), folds=False)
        return
    terminal.write(statusview.picture(runs, now, terminal.size()[0]))


def watch(
    inventory: Inventory, terminal: Terminal, *, now: Callable[[], datetime], sleep: Callable[[float], None], interval: float, is_full: bool = False
) -> int:
    """Draw again and again until Ctrl-C; the last picture stays. Runs may end, appear and vanish meanwhile. interval: seconds."""
    runs = inventory.look()
    try:
        if not terminal.is_terminal:
            while True:
                show(terminal, runs, now(), is_full=is_full)
                sleep(interval)
                runs = inventory.look()
        with terminal.screen() as draw:
            while True:
                draw(statusview.screen(runs, now(), *terminal.size(), is_full=is_full))
                sleep(interval)
                runs = inventory.look()
    except KeyboardInterrupt:
        if terminal.is_terminal:
            show(terminal, runs, now(), is_full=is_full)
        return 0
    except BrokenPipeError:
        nobody_reads()
        return 0


main = framed(_command)
