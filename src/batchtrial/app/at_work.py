"""An open run carried out, whoever asked for it: what is told first, a stop that lies there, what is given up or asked again, then the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from batchtrial.app.hosts import proxy_for
from batchtrial.app.session import Opened, Person
from batchtrial.clock import real_now
from batchtrial.config.expand import expand
from batchtrial.config.hosts import host_of
from batchtrial.config.notes import notes
from batchtrial.errors import ConfigError, RunnerError, Stopped
from batchtrial.modes import MODES
from batchtrial.phases.base import Work
from batchtrial.phases.batches.giving_up import give_up_unknown
from batchtrial.phases.batches.never_sent import settle_unsent
from batchtrial.phases.batches.retry_not_understood import ask_again
from batchtrial.run.loop import Finished, carry, execute
from batchtrial.run.options import window
from batchtrial.steps import STEPS

log = logging.getLogger(__name__)
T = TypeVar("T")


def carry_out(at: Opened, person: Person) -> Finished:
    """Run what needs running, and tell the person. Raises Stopped, RunnerError, OSError; the run can go on from what is on disk then."""
    session, ask, services = at.session, at.ask, at.services
    run_id = session.snapshots.state.run_id
    how = MODES[session.config.mode].start
    person.progress.note(f"run {run_id} in {session.layout.root}" + (f" ({how})" if how else ""))
    if (proxy := proxy_for(session.config)) is not None:
        person.progress.note(f"note: calls to {host_of(session.config)} go through the proxy {proxy} of the environment")
    for line in (*notes(session.config, expand(session.config, "")), *session.healed):
        person.progress.note(f"note: {line}")
    try:
        note = at.stop.accept_files(real_now(), stale_minutes=ask.options.stop_stale_minutes, ignore=ask.options.ignore_stop)
        if note:
            person.complain(f"note: {note}")
        try:
            if ask.options.give_up_unknown:
                _give_up(at, person)
            if ask.options.retry_not_understood:
                _ask_again(at)
            if ask.options.without_unsent:
                _settle_unsent(at)
            return execute(session, ask.options, services)
        finally:
            at.stop.acknowledge()
    except Stopped:
        raise
    except (RunnerError, OSError) as error:
        log.error("%s", error)
        raise


def on_parts(at: Opened, person: Person, move: Callable[[Work], T]) -> T:
    """What `move` returns, for a command about the run's parts that was typed just now: a stop that was asked for before is taken back."""
    note = at.stop.accept_files(real_now(), stale_minutes=0, ignore=True)
    if note:
        person.complain(f"note: {note}")
    try:
        return carry(at.session, at.ask.options, at.services, move)
    finally:
        at.stop.acknowledge()


def _give_up(at: Opened, person: Person) -> None:
    options = at.ask.options
    if "poll" not in window(options, STEPS) or "poll" in options.skip:
        raise ConfigError("batches are given up when they are polled, and poll is not among the steps asked for", where="--give_up_unknown_batches")
    carry(at.session, options, at.services, lambda work: give_up_unknown(work, lambda lost: person.agree(lost.sentence)))


def _settle_unsent(at: Opened) -> None:
    options = at.ask.options
    if "poll" not in window(options, STEPS) or "poll" in options.skip:
        raise ConfigError("parts are settled when the run polls, and poll is not among the steps asked for", where="--without_unsent")
    carry(at.session, options, at.services, settle_unsent)


def _ask_again(at: Opened) -> None:
    options = at.ask.options
    if "poll" not in window(options, STEPS) or "poll" in options.skip:
        raise ConfigError("rows are asked again when the run polls, and poll is not among the steps asked for", where="--retry_not_understood")
    carry(at.session, options, at.services, ask_again)
