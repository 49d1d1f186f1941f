"""`batchtrial stop`: ask a run to stop, and show what its process does about it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from batchtrial.app.invocation import experiments_dir
from batchtrial.cli import args as flags
from batchtrial.cli.frame import complain, framed, say
from batchtrial.cli.screens.runs import outcomes, parts, span, spent_in_words
from batchtrial.clock import real_now
from batchtrial.keys import check_run_id
from batchtrial.reading.inventory import RunReader, RunSummary, Standing
from batchtrial.state.layout import RunLayout
from batchtrial.state.stop_request import request_stop

EXAMPLES = """examples:
  batchtrial stop --run_id r20261122103000              finish the call in hand, send nothing more, leave
  batchtrial stop --run_id r20261122103000 --wait       and stay here until it has left
  batchtrial stop --run_id r20261122103000 --now        leave after the durable write in hand
  batchtrial stop --run_id r20261122103000 --cancel     take the request back

Batches that run at the provider go on there, and are paid for; `batchtrial resume` fetches them. exit codes: 0 done, 1 still running after
--timeout, 3 there is no such run.
"""
LOOK_SECONDS = 0.5


def parser() -> flags.Parser:
    """Flags of `stop`."""
    p = flags.Parser(prog="batchtrial stop", description="Ask a run to stop; it can be resumed.", epilog=EXAMPLES)
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run")
    flags.add_folder(p)
    p.add_argument("--now", action="store_true", help="leave after the durable write in hand, without waiting for anything")
    p.add_argument("--wait", action="store_true", help="stay until the run's process has left")
    p.add_argument("--timeout", type=flags.positive_seconds, default=None, metavar="SECONDS", help="with --wait: give up after so long")
    p.add_argument("--cancel", action="store_true", help="take a request back that has not been obeyed yet")
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Ask a run to stop."""
    given = parser().parse_args(argv)
    layout = RunLayout.of(experiments_dir(given.experiments_dir, os.environ), check_run_id(given.run_id))
    layout.check_there()
    if given.cancel:
        return _cancel(layout)
    reader = RunReader(layout)
    before = reader.look()
    request_stop(layout, real_now(), is_immediate=given.now)
    say(_answer(before, is_immediate=given.now))
    if not given.wait or not before.standing.is_live:
        return 0
    return wait(reader, now=real_now, sleep=time.sleep, timeout=given.timeout)


def _cancel(layout: RunLayout) -> int:
    found = [path for path in (layout.stop_requested, layout.stop_now) if path.exists()]
    for path in found:
        path.unlink(missing_ok=True)
    say(f"took back {' and '.join(path.name for path in found)}" if found else "there is no stop request to take back")
    return 0


def _answer(run: RunSummary, *, is_immediate: bool) -> str:
    if run.standing is Standing.ELSEWHERE and run.owner is not None:
        return f"asked; process {run.owner.pid} on {run.owner.host} has the run, or had it when it died"
    if not run.standing.is_live:
        return f"asked, but no process has run {run.run_id} open (it is {run.standing}): the next start obeys, unless --cancel takes the request back"
    pid = run.owner.pid if run.owner is not None else "?"
    how = "leaves after the write in hand" if is_immediate else "finishes the call in hand, sends nothing more, and leaves"
    return f"asked; process {pid} {how}"


def wait(reader: RunReader, *, now: Callable[[], datetime], sleep: Callable[[float], None], timeout: float | None) -> int:
    """Show what the process does until it has left; 1 when it has not after `timeout` seconds."""
    begun, told = now(), ""
    while True:
        run = reader.look()
        if not run.standing.is_live or not run.root.is_dir():
            say(f"{run.run_id} is {run.standing}: {_where_it_stands(run)}")
            if run.standing is Standing.FINISHED:
                _cancel(reader.layout)
                return 0
            say(f"go on with: batchtrial resume {reader.layout.flags}")
            return 0
        waited = now() - begun
        if timeout is not None and waited.total_seconds() >= timeout:
            complain(f"still running after {span(waited)}: {_where_it_stands(run)}")
            complain("  hint --now leaves without waiting for the call in hand; the process can also be sent SIGTERM twice")
            return 1
        line = f"waiting, in {run.phase or 'no phase'}: {_where_it_stands(run)}"
        if line != told:
            complain(line)
            told = line
        sleep(LOOK_SECONDS)


def _where_it_stands(run: RunSummary) -> str:
    most = run.money.in_flight() or "at no price"
    flight = f", {run.in_flight_requests:,} requests in flight at the provider ({most})" if run.in_flight_requests else ""
    return f"{parts(run)} parts settled, {outcomes(run)}, {spent_in_words(run)}{flight}"


main = framed(_command)
