"""The open session of this process: the run's folder, its lock, its log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from batchtrial.app import emulator as dryrun
from batchtrial.app.drill_pauses import pausing
from batchtrial.app.hosts import as_recorded, as_the_host_says, check_same_host, with_host
from batchtrial.app.installed import check_installed
from batchtrial.app.invocation import DEFAULT_CONFIG, Invocation, mode_of
from batchtrial.app.reach import check_reachable
from batchtrial.app.run_log import logged
from batchtrial.app.wiring import Place, Wiring
from batchtrial.clock import real_now
from batchtrial.config.expand import Trial
from batchtrial.config.load import BUDGET_VARIABLE, Loaded, decode, load, load_tree
from batchtrial.config.model import Config
from batchtrial.config.pauses import check_not_paused
from batchtrial.config.tree import decode_tree
from batchtrial.earlier.migration import Migration
from batchtrial.errors import ConfigDrift, ManifestCorrupt, RunnerError, RunStateMissing
from batchtrial.names import is_one_step
from batchtrial.phases.base import Lane, Progress
from batchtrial.providers.base import Provider
from batchtrial.reading.config import config_of_run, config_text_of_run, config_with_origin, first_flags, later_settings
from batchtrial.records import Item
from batchtrial.run.loop import Services
from batchtrial.run.options import window
from batchtrial.run.plan import check_beginning
from batchtrial.run.refused import REFUSALS, no_folder_when_refused
from batchtrial.run.session import Opening, Session, open_run
from batchtrial.run.stop import StopToken
from batchtrial.state.form import is_of_earlier_system
from batchtrial.state.layout import RunLayout
from batchtrial.state.lock import RunLock
from batchtrial.state.store import Hook, no_hook
from batchtrial.steps import PAYING, STEPS


def layout_of(ask: Invocation, run_id: str) -> RunLayout:
    """The run's folder."""
    return RunLayout.of(ask.experiments, run_id)


def loaded(ask: Invocation, layout: RunLayout, env: Mapping[str, str]) -> Loaded:
    """The config of this invocation. On resume the run's own is the base, and a --config is compared with it under the flags of its start."""
    if not ask.is_resume:
        given = (
            load(ask.config or DEFAULT_CONFIG, flags=ask.changes, env=env) if ask.tree is None else load_tree(ask.tree, flags=ask.changes, env=env)
        )
        return _in_form_of_controls(with_host(given, env), ask.experiments)
    if ask.config is not None:
        given = load(ask.config, flags={**first_flags(layout), **ask.changes}, env=env, is_begun=True)
        return as_recorded(with_host(given, env), config_with_origin(layout).config)
    got = config_with_origin(layout)  # without the flags, since what is wrong with the file has another fix than what is wrong with them
    flags, lower = {**later_settings(layout), **ask.changes}, _lower_budget(got.config, env)
    if not (flags or lower):
        return got
    return decode(config_text_of_run(layout), where=str(layout.effective_config), folder=layout.root, flags=flags, env=lower)


def _lower_budget(config: Config, env: Mapping[str, str]) -> dict[str, str]:
    """The environment's budget, where it is less than that of the run that goes on: the only one of its variables that such a run heeds."""
    text = env.get(BUDGET_VARIABLE)
    if not text:
        return {}
    given, known = decode_tree(text, where=BUDGET_VARIABLE), config.submission.budget_usd
    is_no_less = isinstance(given, int | float) and known is not None and given >= known
    return {} if is_no_less else {BUDGET_VARIABLE: text}


def _in_form_of_controls(got: Loaded, experiments: Path) -> Loaded:
    """The config of a run that begins, with arms of the form that they have in the run which its controls are taken over from."""
    if got.config.control_from is None or not is_one_step(got.config.control_from):
        return got
    with suppress(RunStateMissing, ManifestCorrupt):  # taking over says what is wrong with that run
        theirs = config_of_run(RunLayout.of(experiments, got.config.control_from))
        return replace(got, config=got.config.model_copy(update={"arm_form": theirs.arm_form}))
    return got


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whoever this process works for.

    complain: takes a line for them. progress: shows how far it is. agree: tells a loss, and raises StateError unless they agree to it.
    """

    complain: Callable[[str], None]
    progress: Progress
    agree: Callable[[str], None]


def take_over(layout: RunLayout, ask: Invocation, env: Mapping[str, str], person: Person, *, nonce: str) -> None:
    """Bring a run of the earlier system into today's form, under its lock, and say what became of it. Raises RunLocked, StateError, ConfigError."""

    def codec_of(config: Config) -> Provider:
        return Wiring(config, Place(layout=layout, trials=lambda: ()), env).codec

    lock = RunLock(layout.guard, layout.lock_info)
    lock.acquire(real_now)
    try:
        give_up = person.agree if ask.options.give_up_unknown else None
        report = Migration(layout, codec_of, real_now, nonce, ask.prepared_dir, give_up).carry_out()
    finally:
        lock.release(real_now)
    c = report.counts
    trials = f"{report.n_trials} trial{'s' * (report.n_trials != 1)}"
    person.complain(f"taken over from the earlier system: {trials}, {c.succeeded} answers, {c.total - c.succeeded} requests without one")
    for note in report.notes:
        person.complain(f"  {note}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A run that this process owns, with all that is needed to work on it. ask: as it stands once a run of the earlier system was taken over."""

    ask: Invocation
    session: Session
    services: Services
    stop: StopToken


def _checked(ask: Invocation, layout: RunLayout, env: Mapping[str, str], person: Person, *, nonce: str) -> Invocation:
    """What is asked for once it fits the folder; a run of the earlier system is taken over."""
    if not ask.is_resume:
        check_beginning(ask.options)
        return ask
    layout.check_there()
    window(ask.options, STEPS)
    if not is_of_earlier_system(layout):
        return ask
    take_over(layout, ask, env, person, nonce=nonce)
    return replace(ask, options=replace(ask.options, give_up_unknown=False))  # it was about taking over


def _config(ask: Invocation, layout: RunLayout, env: Mapping[str, str]) -> Config:
    """The run's config, its host and its recording looked at. Raises ConfigDrift."""
    got = loaded(ask, layout, env)
    if ask.is_resume:
        check_same_host(got.config, env)
    config = got.config if ask.is_offline else as_the_host_says(got.config, is_begun=ask.is_resume)
    if not (ask.is_resume or ask.is_by_hand or ask.is_offline):
        check_not_paused(config)
        if set(PAYING) & set(window(ask.options, STEPS)):
            check_reachable(config, env, one_will_do=True)
            if not config.is_replay:
                check_installed(config)
    if ask.replay_dir is not None and (mode := mode_of(is_dry=config.is_dry, recording=ask.replay_dir)) != config.mode:
        raise ConfigDrift(
            "the run does not take its answers from such a recording", where=f"mode: {config.mode} -> {mode}", hint="start a new run with it"
        )
    return config


def _place(ask: Invocation, layout: RunLayout, trials: Callable[[], tuple[Trial, ...]], around: Sequence[Item]) -> Place:
    return Place(
        layout=layout,
        trials=trials,
        emulator_url=ask.emulator_url or dryrun.remembered(layout),
        emulator_key=ask.emulator_key,
        replay_dir=ask.replay_dir,
        record_dir=ask.record_dir,
        is_by_hand=ask.is_by_hand,
        is_offline=ask.is_offline,
        around=tuple(around),
    )


def _opening(ask: Invocation, run_id: str, config: Config, nonce: str) -> Opening:
    return Opening(
        run_id=run_id,
        config=config,
        is_resume=ask.is_resume,
        accept_drift=ask.options.accept_drift,
        overrides=ask.changes,
        nonce=nonce,
        folder_mode=ask.folder_mode,
    )


@contextmanager
def opened(
    ask: Invocation,
    run_id: str,
    person: Person,
    *,
    nonce: str,
    env: Mapping[str, str],
    hook: Hook = no_hook,
    around: Sequence[Item] = (),
    refusals: tuple[type[RunnerError], ...] = REFUSALS,
) -> Iterator[Opened]:
    """Take the run, and let it go at the end of the block. around: see `Place`. refusals: ends of a new run that leave no folder of it.

    Raises RunLocked, ConfigDrift, StateError, RunStateMissing, ConfigError.
    """
    layout = layout_of(ask, run_id)
    ask = _checked(ask, layout, env, person, nonce=nonce)
    config = _config(ask, layout, env)
    holder: list[Session] = []
    place = _place(ask, layout, lambda: holder[0].look().trials, around)
    wiring = Wiring(config, place, env)
    stop = StopToken(layout.stop_requested, layout.stop_now, wiring.wait, wiring.slice_seconds)
    opening = _opening(ask, run_id, config, nonce)
    pause = pausing(env, is_let_go=stop.is_requested, say=person.complain, wait=time.sleep)
    hooks = chained(stop.shield, hook, pause or no_hook)
    with ExitStack() as closing:
        closing.enter_context(no_folder_when_refused(layout, nonce, refusals))
        stop.listen()
        closing.callback(stop.unlisten)
        session = open_run(layout, opening, wiring.codecs, clock=real_now, ledger_clock=wiring.now, hook=hooks)
        closing.callback(session.close)
        if config.is_dry and place.emulator_url is not None:
            dryrun.remember(layout, place.emulator_url)
        closing.enter_context(logged(layout.log))
        closing.callback(wiring.close)
        holder.append(session)

        def ready(lane: Wiring) -> Callable[[], Provider]:
            @cache
            def provider() -> Provider:
                made = lane.provider()
                closing.callback(made.close)
                return made

            return provider

        others = {name: Lane(config=lane.config, codec=lane.codec, provider=ready(lane)) for name, lane in wiring.others.items()}
        now, tell = wiring.waiting_now, person.progress
        services = Services(codec=wiring.codecs, provider=ready(wiring), others=others, now=now, stop=stop, progress=tell, hook=hooks)
        yield Opened(ask=ask, session=session, services=services, stop=stop)


def chained(*hooks: Hook) -> Hook:
    """All hooks, one after the other."""

    def call(point: str) -> None:
        for hook in hooks:
            hook(point)

    return call
