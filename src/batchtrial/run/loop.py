"""The one loop: ask each phase for its verdict, run those that need it, record what happened."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from batchtrial.errors import PhaseFailed, RunnerError, Stopped
from batchtrial.phases.analyse.looks import look_detail, look_plan, open_trials, sentence
from batchtrial.phases.base import Lane, Phase, Progress, Standing, StopSignal, View, Work
from batchtrial.phases.batches import poll, submit
from batchtrial.phases.batches.lanes import Lanes, try_again
from batchtrial.phases.batches.reopening import has_gone, reopen
from batchtrial.phases.build.sent import fits_what_was_sent, parts_of_answers
from batchtrial.phases.judge import build as judge_build
from batchtrial.phases.judge.phase import judge_poll, judge_submit
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.prepare import phase as prepare
from batchtrial.phases.prepare.endpoints import check_endpoints
from batchtrial.phases.prepare.items import load_prepared
from batchtrial.phases.score import phase as score
from batchtrial.phases.waves import judging_work
from batchtrial.providers.base import Provider
from batchtrial.reading.folder_budget import FolderBudget
from batchtrial.records import Verdict
from batchtrial.run.cores import cores
from batchtrial.run.judge_budget import check_judges_budget
from batchtrial.run.options import Options, window
from batchtrial.run.plan import JUDGES, check_startable, needs_run, phases_of
from batchtrial.run.session import Session
from batchtrial.state.ledger import Counts
from batchtrial.state.looks import LOOK
from batchtrial.state.store import Hook, no_hook
from batchtrial.steps import PAYING, STEPS

log = logging.getLogger(__name__)
Moved = TypeVar("Moved")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the outside gives a run. now: the time that batches live in (the emulator's in a dry run), UTC."""

    codec: Provider
    provider: Callable[[], Provider]
    now: Callable[[], datetime]
    stop: StopSignal
    progress: Progress
    hook: Hook = no_hook
    standing: Standing = field(default_factory=Standing)
    others: Mapping[str, Lane] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How the run stands when the loop ends. is_complete: every phase is done."""

    is_complete: bool
    ran: tuple[str, ...]
    counts: Counts


def execute(session: Session, options: Options, services: Services) -> Finished:
    """Run what needs running. Raises Stopped, RunnerError; the run can go on from what is on disk then."""
    chosen = window(options, STEPS)
    ran: list[str] = []
    still: dict[str, Verdict] = {}  # verdicts since which nothing has run
    session.snapshots.save_state(stop_requested=False)
    if set(PAYING) & set(chosen) and session.look().failed:
        try_again(session.ledger)
    if poll.name in chosen and has_gone(session.ledger):
        reopen(_work(session, session.look(), options, services))
    while not _all_phases(session, options, services, chosen, ran, still):
        log.info("the look is taken; the run goes on to the next")
    view = session.look()
    if view.trials:
        session.snapshots.write_trials(view)
    session.snapshots.refresh(view, is_final=True)
    is_complete = all((still.get(phase.name) or phase.verdict(view)).is_done for phase in phases_of(session.config))
    return Finished(is_complete=is_complete, ran=tuple(ran), counts=outcome_counts(view))


def _all_phases(session: Session, options: Options, services: Services, chosen: Sequence[str], ran: list[str], still: dict[str, Verdict]) -> bool:
    """Every phase in order. False when a planned look said that the next stretch of items is to be bought: then they are gone through again."""
    for phase in phases_of(session.config):
        if phase.name not in chosen or phase.name in options.skip:
            log.info("skip %s reason=not asked for", phase.name)
            continue
        view = session.look()
        if phase is judge_submit and view.failed and view.judge_build is not None:
            # A lane that failed while the answers were bought: now it is wanted.
            try_again(session.ledger, but=view.asked_lanes)
            view = session.look()
        still[phase.name] = verdict = phase.verdict(view)
        if not needs_run(options, phase, verdict):
            log.info("skip %s reason=%s", phase.name, verdict.reason)
            _note_done(session, phase)
        else:
            check_startable(phase, verdict)
            if phase is submit:
                check_plan(view)
                check_judges_budget(view, services.codec, is_partial=options.is_partial)
            log.info("run %s reason=%s", phase.name, verdict.reason)
            _run_phase(session, phase, view, options, services)
            ran.append(phase.name)
            still.clear()
        if phase is score.phase and {submit.name, poll.name} <= set(chosen) - options.skip and take_look(session, services):
            return False
    return True


def take_look(session: Session, services: Services) -> bool:
    """Take the planned look that is due, if one is. True when more items are to be bought for it, or after it.

    The look is in the ledger, on the disk, before anything else happens: a process that is killed here finds it there, or takes it again from the
    same answers.
    """
    view = session.look()
    if not open_trials(view) or view.failed or not all(phase.verdict(view).is_done for phase in (poll, parse.phase, score.phase)):
        return False
    services.stop.check()
    detail = look_detail(view)
    if detail is None:
        return False
    session.ledger.append(LOOK, detail=detail)
    for slug in detail["trials"]:
        services.progress.note(sentence(slug, detail, look_plan(view)))
    after = session.look()
    return len(after.asked_shards()) > len(view.asked_shards())


def carry(session: Session, options: Options, services: Services, move: Callable[[Work], Moved]) -> Moved:
    """Hand parts out or take results in: what submit and poll do at a provider, done with files. Raises Stopped, RunnerError."""
    view = session.look()
    check_startable(submit, submit.verdict(view))
    check_plan(view)
    session.snapshots.write_trials(view)
    work = _work(session, view, options, services)
    is_second = judge_build.verdict(view).status == "done" and poll.verdict(view).is_done
    try:
        return move(judging_work(work) if is_second else work)
    finally:
        after = session.look()
        session.snapshots.refresh(after, is_final=True)
        for phase in (judge_submit, judge_poll) if is_second else (submit, poll):
            if phase.verdict(after).is_done:
                _note_done(session, phase)


def check_plan(view: View) -> None:
    """Before the first request of a run is bought: can its endpoints exist? Raises ConfigError. A config may have changed since `prepare` asked."""
    if view.prepared is not None and not prepare.was_sent(view):
        is_whole = view.config.limit_items is None
        check_endpoints(view.config, load_prepared(view.layout) if is_whole else None, view.prepared.sources)


def _run_phase(session: Session, phase: Phase, view: View, options: Options, services: Services) -> None:
    session.snapshots.phase(phase.name, "in_progress")
    if view.trials:
        session.snapshots.write_trials(view)
    work = _work(session, view, options, services)
    services.hook(f"phase:{phase.name}:before")
    try:
        services.stop.check()
        phase.run(work)
    except Stopped as error:
        _leave(session, phase, work, error)
        raise
    except (RunnerError, OSError) as error:
        session.snapshots.refresh(view, is_final=True)
        session.snapshots.phase(phase.name, "failed", error=error.what if isinstance(error, RunnerError) else str(error))
        raise
    after = session.look()
    if after.trials:
        session.snapshots.write_trials(after)
    session.snapshots.refresh(after, is_final=True)
    verdict = phase.verdict(after)
    if not verdict.is_done:
        session.snapshots.phase(phase.name, "failed", error=verdict.reason)
        raise PhaseFailed(
            f"{phase.name} ran, but is not done: {verdict.reason}", hint="run again with --resume; if it stays so, `batchtrial repair --check`"
        )
    session.snapshots.phase(phase.name, "completed")


def _work(session: Session, view: View, options: Options, services: Services) -> Work:
    asked = parts_of_answers(view.build, view.parts)
    return Work(
        view=view,
        ledger=session.ledger,
        codec=services.codec,
        provider=services.provider,
        now=services.now,
        stop=services.stop,
        progress=services.progress,
        publish=lambda trial, stage, inputs, paths: session.snapshots.publish(view, trial, stage, inputs, paths),
        refresh=lambda: session.snapshots.refresh(view),
        fits_what_was_sent=lambda items, sha256: fits_what_was_sent(view.config, services.codec, items, sha256, asked),
        is_remaking=options.remake,
        is_partial=options.is_partial,
        workers=options.workers or cores(),
        executor=options.executor,
        is_merging=options.merge,
        hook=services.hook,
        standing=services.standing,
        others=services.others,
        folder=FolderBudget(view.layout, view.config.mode),
    )


def _leave(session: Session, phase: Phase, work: Work, error: Stopped) -> None:
    """A stop: drain if the config says so, then write down where everything stands."""
    is_drained = session.config.submission.stop_policy == "drain" and phase.name in PAYING
    if is_drained and not work.stop.is_immediate() and work.view.build is not None:
        try:
            Lanes(judging_work(work) if phase in JUDGES else work).drain()
        except Stopped as second:
            log.warning("%s", second.what)
    session.snapshots.refresh(work.view, is_final=True)
    session.snapshots.phase(phase.name, "in_progress", error=error.what)
    session.snapshots.save_state(stop_requested=True)


def _note_done(session: Session, phase: Phase) -> None:
    """A phase that is done but not on record (its record was lost, or it was done elsewhere) is put on record."""
    record = session.snapshots.state.phases.get(phase.name)
    if record is None or record.status != "completed":
        session.snapshots.phase(phase.name, "completed")


def outcome_counts(view: View) -> Counts:
    """Final outcomes of every settled request of the run."""
    first = view.asked_shards() if not view.failed else view.build.shards if view.build is not None else {}
    shards = [*first, *(view.judge_build.shards if view.judge_build is not None else ())]
    return Counts.of_all(view.parts[part].counts for part in shards if part in view.parts)
