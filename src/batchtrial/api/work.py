"""Planning, starting, resuming and stopping runs from Python: what the commands of these names do, without printing or touching the process.

A run is carried out in a thread of its own while the caller waits, so that no signal is taken over: Ctrl-C in a notebook asks the run to stop, and
it leaves in order. Callbacks are called in the caller's thread. Nothing here needs the main thread or an event loop:
`await asyncio.to_thread(start, ...)` is how a coroutine waits.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable
from typing import Final, Unpack

from batchtrial.api.how import Given, How, beginning, going_on
from batchtrial.api.run import Run, layout_at
from batchtrial.api.worker import Update, Worker, carried_out
from batchtrial.app.invocation import Invocation
from batchtrial.app.planning import plan_of
from batchtrial.clock import real_now
from batchtrial.errors import ConfigError
from batchtrial.keys import check_run_id, new_run_id
from batchtrial.reading.inventory import RunReader, RunSummary
from batchtrial.run.planned import Plan
from batchtrial.state.layout import PREFIX, RunLayout
from batchtrial.state.stop_request import request_stop

OnUpdate = Callable[[Update], None]
LOOK_SECONDS: Final = 0.2

logging.getLogger("batchtrial").addHandler(logging.NullHandler())  # what is logged goes where the program wants it, never to its standard error


def plan(config: Given, *, experiments_dir: str | os.PathLike[str] | None = None, **how: Unpack[How]) -> Plan:
    """What a run with this config would do and what it can cost; nothing is written or sent. Raises ConfigError, DataError.

    config, how: as of `start`. `Plan.as_json()` is the same for programs.
    """
    return plan_of(beginning(config, experiments_dir, how), os.environ, lambda line: None)


def start(
    config: Given,
    *,
    run_id: str | None = None,
    experiments_dir: str | os.PathLike[str] | None = None,
    on_update: OnUpdate | None = None,
    **how: Unpack[How],
) -> Run:
    """Begin a run, carry it out, and return it. `budget_usd` bounds what it may cost; `plan` tells it beforehand.

    config: a file, or a mapping that would stand in one. run_id, experiments_dir: as the flags. on_update: is called with an `Update` at each step,
    in this thread. how: see `How`; `workers` is 1 unless given, and a script needs `if __name__ == "__main__"` for more.

    Raises Stopped when it was asked to stop, ConfigError, StateError (RunLocked while another process has it), ProviderError, PhaseFailed; `resume`
    goes on. Requests that never succeeded are no error: `run.status.outcomes` counts them.
    """
    ask = beginning(config, experiments_dir, how)
    return _carried_out(ask, RunLayout.of(ask.experiments, check_run_id(run_id) if run_id is not None else new_run_id(real_now())), on_update)


def resume(
    path: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    on_update: OnUpdate | None = None,
    **how: Unpack[How],
) -> Run:
    """Go on with the run in this folder, and return it. Raises as `start`, and ConfigDrift when `config` is given and differs from the run's."""
    layout = layout_at(path)
    layout.check_there()
    if not layout.root.name.startswith(PREFIX):
        raise ConfigError(f"the folder of a run is called {PREFIX}NAME", where=str(layout.root), hint="rename it")
    return _carried_out(going_on(check_run_id(layout.run_id), layout.root.parent, config, how), layout, on_update)


def stop(path: str | os.PathLike[str], *, now: bool = False, timeout: float = 0.0) -> RunSummary:
    """Ask the run in this folder to stop, wherever its process is, and return how it stands. It finishes the call in hand and sends nothing more.

    now: leave after the durable write in hand. timeout: wait for so many seconds at most until it has left.
    """
    layout = layout_at(path)
    layout.check_there()
    request_stop(layout, real_now(), is_immediate=now)
    reader, until = RunReader(layout), time.monotonic() + timeout
    while (run := reader.look()).standing.is_live and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    return run


def _carried_out(ask: Invocation, layout: RunLayout, on_update: OnUpdate | None) -> Run:
    carried_out(Worker(ask, layout.run_id, secrets.token_hex(8), os.environ), on_update)
    return Run(layout)
