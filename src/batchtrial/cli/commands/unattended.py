"""What `run` and `resume` do for whoever is not there: events, a result for programs, a command and a webhook at the end."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace

from batchtrial.app.ending import Ending, code_of_error, outcome_of_code, outcome_of_error
from batchtrial.app.hooks import Hooks, hooks_of
from batchtrial.app.onlooker import EventFile, Onlooker
from batchtrial.cli.commands.execute import onlooker_of
from batchtrial.cli.frame import complain, say_json


def accompanied(given: argparse.Namespace, run_id: str, env: Mapping[str, str], work: Callable[[Onlooker], int], *, is_json: bool) -> int:
    """The work's exit code. However the work ends, it is told to those who asked, and what goes wrong with that changes nothing."""
    hooks = hooks_of(given.on_end, given.webhook, env)
    events = EventFile(given.events, complain) if given.events is not None else None
    onlooker = replace(onlooker_of(run_id), events=events, is_json=is_json)
    try:
        code = work(onlooker)
    except BaseException as error:
        _tell(onlooker, hooks, env, onlooker.ending(outcome_of_error(error), code_of_error(error), type(error).__name__))
        raise
    _tell(onlooker, hooks, env, onlooker.ending(outcome_of_code(code, is_complete=onlooker.is_complete), code))
    return code


def _tell(onlooker: Onlooker, hooks: Hooks, env: Mapping[str, str], ending: Ending) -> None:
    onlooker.ended(ending)
    try:
        if onlooker.is_json:
            say_json(ending.as_json())
    finally:  # a result that cannot be printed is one more reason to tell somebody
        _call(onlooker, hooks, env, ending)


def _call(onlooker: Onlooker, hooks: Hooks, env: Mapping[str, str], ending: Ending) -> None:
    if ending.outcome == "locked" or onlooker.is_idle:  # the process that does the work tells how it ends, and has told it
        return
    try:
        problems = hooks.call(ending, env)
    except KeyboardInterrupt:  # the run is over; only the telling is cut short
        problems = ["interrupted before all hooks were told"]
    for line in problems:
        complain(f"note: {line}")
