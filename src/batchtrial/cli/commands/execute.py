"""What `run` and `resume` do once their flags are read: plan, open, execute, sum up."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from batchtrial.app.hosts import check_same_host, proxy_for
from batchtrial.app.invocation import INCOMPLETE, Invocation
from batchtrial.app.session import Person, layout_of, loaded, opened
from batchtrial.app.tables import tables_of
from batchtrial.app.wiring import Place, Wiring
from batchtrial.cli.frame import INTERRUPTED, complain, say
from batchtrial.cli.screens import plan as planview
from batchtrial.cli.screens import summary
from batchtrial.cli.screens.giving_up import agreed
from batchtrial.cli.screens.progress import progress
from batchtrial.clock import real_now
from batchtrial.config.expand import expand
from batchtrial.config.hosts import host_of
from batchtrial.config.notes import notes
from batchtrial.config.report import has_answers_page
from batchtrial.errors import ConfigError, RunnerError, Stopped
from batchtrial.modes import MODES
from batchtrial.phases.base import View, digest_of
from batchtrial.phases.batches.giving_up import give_up_unknown
from batchtrial.phases.batches.retry_not_understood import ask_again
from batchtrial.run.loop import Finished, Services, carry, execute
from batchtrial.run.options import window
from batchtrial.run.planned import planned
from batchtrial.run.session import Session
from batchtrial.run.stop import StopToken
from batchtrial.state.form import refuse_earlier
from batchtrial.state.store import Hook, no_hook, write_bytes
from batchtrial.steps import STEPS

log = logging.getLogger(__name__)


def show_plan(ask: Invocation, env: Mapping[str, str], *, is_json: bool = False) -> int:
    """Print the plan; nothing is written or sent."""
    run_id = ask.run_id or "NEW"
    layout = layout_of(ask, run_id)
    if ask.is_resume:
        layout.check_there()
        refuse_earlier(layout)
    got = loaded(ask, layout, env)
    if ask.is_resume:
        check_same_host(got.config, env)
    wiring = Wiring(got.config, Place(layout=layout, trials=lambda: (), replay_dir=ask.replay_dir), env)
    found = planned(got, ask.options, layout, wiring.codecs, proxy=proxy_for(got.config), complain=complain)
    if is_json:
        say(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
        return 0
    for line in planview.lines(found):
        say(line)
    return 0


def person_of(ask: Invocation) -> Person:
    """Whoever started this process: on standard error, and asked there."""
    return Person(complain=complain, progress=progress(), agree=agreed(is_confirmed=ask.options.is_confirmed))


def run(ask: Invocation, run_id: str, *, nonce: str, env: Mapping[str, str], hook: Hook = no_hook) -> int:
    """Open the run and carry it out; returns the exit code. hook: called at every durable write and provider call."""
    with opened(ask, run_id, person_of(ask), nonce=nonce, env=env, hook=hook) as at:
        try:
            finished = _execute(at.session, at.ask, at.services, at.stop)
        except Stopped as error:
            complain(str(error))
            complain(f"  go on with: {resume_command(ask, run_id)}")
            return INTERRUPTED
        except (RunnerError, OSError) as error:
            log.error("%s", error)
            raise
    return _sum_up(at.session, finished)


def _execute(session: Session, ask: Invocation, services: Services, stop: StopToken) -> Finished:
    run_id = session.snapshots.state.run_id
    how = MODES[session.config.mode].start
    services.progress.note(f"run {run_id} in {session.layout.root}" + (f" ({how})" if how else ""))
    if (proxy := proxy_for(session.config)) is not None:
        services.progress.note(f"note: calls to {host_of(session.config)} go through the proxy {proxy} of the environment")
    for line in (*notes(session.config, expand(session.config, "")), *session.healed):
        services.progress.note(f"note: {line}")
    note = stop.accept_files(real_now(), stale_minutes=ask.options.stop_stale_minutes, ignore=ask.options.ignore_stop)
    if note:
        complain(f"note: {note}")
    try:
        if ask.options.give_up_unknown:
            _give_up(session, ask, services)
        if ask.options.retry_not_understood:
            _ask_again(session, ask, services)
        return execute(session, ask.options, services)
    finally:
        stop.acknowledge()


def _give_up(session: Session, ask: Invocation, services: Services) -> None:
    if "poll" not in window(ask.options, STEPS) or "poll" in ask.options.skip:
        raise ConfigError("batches are given up when they are polled, and poll is not among the steps asked for", where="--give_up_unknown_batches")
    agree = agreed(is_confirmed=ask.options.is_confirmed)
    carry(session, ask.options, services, lambda work: give_up_unknown(work, lambda lost: agree(lost.sentence)))


def _ask_again(session: Session, ask: Invocation, services: Services) -> None:
    if "poll" not in window(ask.options, STEPS) or "poll" in ask.options.skip:
        raise ConfigError("rows are asked again when the run polls, and poll is not among the steps asked for", where="--retry_not_understood")
    carry(session, ask.options, services, ask_again)


def resume_command(ask: Invocation, run_id: str) -> str:
    """What to type to go on."""
    extra = f" --emulator_url {ask.emulator_url}" if ask.emulator_url else ""
    extra += f" --replay_dir {ask.replay_dir}" if ask.replay_dir else ""
    return f"batchtrial run --resume {layout_of(ask, run_id).flags}{extra}"


def _sum_up(session: Session, finished: Finished) -> int:
    view, counts = session.look(), finished.counts
    for line in summary.lines(view, finished, session.ledger.money()):
        say(line)
    if finished.is_complete and has_answers_page(view.config.report):
        _write_answers_page(view)
    return INCOMPLETE if finished.is_complete and (counts.total > counts.succeeded or view.failed) else 0


def _write_answers_page(view: View) -> None:
    """Every answer in one page beside the reports. The run is finished without it: what keeps it from being written is told, and no failure."""
    from batchtrial.viewer.one_file import page_beside

    path = view.layout.answers_page
    try:
        with tables_of(view.layout) as tables:
            page = page_beside(tables, path, digest_of([view.stage_artifacts_digest(trial, "report") for trial in view.trials]))
        if page is not None:
            write_bytes(path, page)
    except (RunnerError, OSError) as error:
        complain(f"note: answers.html is not written: {error}")
