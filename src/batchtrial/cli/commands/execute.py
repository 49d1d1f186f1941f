"""What `run` and `resume` do once their flags are read: plan, open, execute, sum up."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace

from batchtrial.app.at_work import carry_out
from batchtrial.app.invocation import INCOMPLETE, Invocation
from batchtrial.app.onlooker import Onlooker
from batchtrial.app.planning import plan_of
from batchtrial.app.session import Person, chained, layout_of, opened
from batchtrial.app.tables import tables_of
from batchtrial.cli.frame import INTERRUPTED, complain, say, say_json
from batchtrial.cli.screens import plan as planview
from batchtrial.cli.screens import summary
from batchtrial.cli.screens.giving_up import agreed
from batchtrial.cli.screens.progress import progress
from batchtrial.clock import real_now
from batchtrial.errors import Stopped
from batchtrial.run.loop import Finished
from batchtrial.run.session import Session
from batchtrial.state.store import Hook, no_hook


def show_plan(ask: Invocation, env: Mapping[str, str], *, is_json: bool = False) -> int:
    """Print the plan; nothing is written or sent."""
    found = plan_of(ask, env, complain)
    if is_json:
        say_json(found.as_json())
        return 0
    for line in planview.lines(found):
        say(line)
    return 0


def person_of(ask: Invocation) -> Person:
    """Whoever started this process: on standard error, and asked there."""
    return Person(complain=complain, progress=progress(), agree=agreed(is_confirmed=ask.options.is_confirmed))


def run(ask: Invocation, run_id: str, *, nonce: str, env: Mapping[str, str], hook: Hook = no_hook, onlooker: Onlooker | None = None) -> int:
    """Open the run and carry it out; returns the exit code. hook: called at every durable write and provider call. onlooker: is told of it all."""
    onlooker, person = onlooker or onlooker_of(run_id), person_of(ask)
    person = replace(person, progress=onlooker.progress(person.progress))
    with opened(ask, run_id, person, nonce=nonce, env=env, hook=chained(hook, onlooker.hook)) as at:
        onlooker.watch(at.session)
        try:
            finished = carry_out(at, person)
        except Stopped as error:
            complain(str(error))
            complain(f"  go on with: {resume_command(ask, run_id)}")
            return INTERRUPTED
    onlooker.finished(finished)
    return _sum_up(at.session, finished, is_json=onlooker.is_json)


def resume_command(ask: Invocation, run_id: str) -> str:
    """What to type to go on."""
    extra = f" --emulator_url {ask.emulator_url}" if ask.emulator_url else ""
    extra += f" --replay_dir {shlex.quote(str(ask.replay_dir))}" if ask.replay_dir else ""
    return f"batchtrial run --resume {layout_of(ask, run_id).flags}{extra}"


def onlooker_of(run_id: str) -> Onlooker:
    """Says a line a part where no bars are drawn."""
    return Onlooker(run_id=run_id, now=real_now, say=None if sys.stderr.isatty() else complain)


def _sum_up(session: Session, finished: Finished, *, is_json: bool = False) -> int:
    from batchtrial.viewer.one_file import write_answers_page

    view, counts = session.look(), finished.counts
    for line in summary.lines(view, finished, session.ledger.money()) if not is_json else ():
        say(line)
    if finished.is_complete and (problem := write_answers_page(view, tables_of)):
        complain(f"note: {problem}")
    return INCOMPLETE if finished.is_complete and (counts.total > counts.succeeded or view.failed) else 0
