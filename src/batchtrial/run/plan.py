"""From flags and verdicts to a plan: pure. `--plan_only` prints exactly what `--resume` obeys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from batchtrial.config.model import Config
from batchtrial.errors import RunStateMissing
from batchtrial.phases.analyse import costs, optional, stats
from batchtrial.phases.base import Phase, View
from batchtrial.phases.batches import poll, submit
from batchtrial.phases.build import phase as build
from batchtrial.phases.judge import build as judge_build
from batchtrial.phases.judge import parse as judge_parse
from batchtrial.phases.judge.phase import judge_poll, judge_submit
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.prepare import phase as prepare
from batchtrial.phases.report import phase as report
from batchtrial.phases.score import phase as score
from batchtrial.records import Verdict
from batchtrial.run.options import Options, window
from batchtrial.steps import PAYING, STEPS

ANSWERING: tuple[Phase, ...] = (prepare, build, submit, poll, parse.phase, score.phase)
JUDGES: tuple[Phase, ...] = (judge_build, judge_submit, judge_poll, judge_parse)
PHASES: tuple[Phase, ...] = (*ANSWERING, *JUDGES, stats.phase, costs.phase, optional.phase, report.phase)


def phases_of(config: Config) -> tuple[Phase, ...]:
    """The phases of a run: without those of judges where it has none."""
    return PHASES if config.judges else tuple(phase for phase in PHASES if phase not in JUDGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of the plan."""

    phase: Phase
    action: Literal["run", "skip", "wait", "off"]
    verdict: Verdict


def plan(options: Options, view: View) -> tuple[Step, ...]:
    """What would happen, phase by phase. Pure; raises ConfigError for impossible flags."""
    chosen = window(options, STEPS)
    steps, is_running = [], False
    for phase in phases_of(view.config):
        verdict = phase.verdict(view)
        if phase.name not in chosen:
            steps.append(Step(phase=phase, action="off", verdict=Verdict(status="off", reason="outside the steps asked for")))
        elif phase.name in options.skip:
            steps.append(Step(phase=phase, action="off", verdict=Verdict(status="off", reason=f"--skip_{phase.name}")))
        elif verdict.status == "off":
            steps.append(Step(phase=phase, action="off", verdict=verdict))
        elif is_running and verdict.status == "blocked":
            steps.append(
                Step(phase=phase, action="wait", verdict=Verdict(status="blocked", reason=f"runs after {verdict.needs}", needs=verdict.needs))
            )
        elif needs_run(options, phase, verdict):
            steps.append(Step(phase=phase, action="run", verdict=verdict))
            is_running = True
        else:
            steps.append(Step(phase=phase, action="skip", verdict=verdict))
    return tuple(steps)


def needs_run(options: Options, phase: Phase, verdict: Verdict) -> bool:
    """Whether the phase runs now: not when it is done, unless --remake asks for its artifacts to be made again."""
    return not verdict.is_done or (options.remake and phase.name not in PAYING and verdict.status != "off")


def check_beginning(options: Options) -> None:
    """Before a new run has a folder: are the steps those of a run that begins? Raises ConfigError, RunStateMissing."""
    steps = [name for name in window(options, STEPS) if name not in options.skip]
    if steps[:1] != [STEPS[0]]:
        raise RunStateMissing(
            f"a new run begins with {STEPS[0]}, and it is not among the steps asked for",
            where="--only_step, --from_step or --skip_*",
            hint=f"leave the flag out, or go on with a run: --resume --run_id ID; steps are: {', '.join(STEPS)}",
        )


def check_startable(phase: Phase, verdict: Verdict) -> None:
    """Raises RunStateMissing naming the step to run first when the phase's inputs are not there."""
    if verdict.status == "blocked":
        raise RunStateMissing(
            f"{phase.name} cannot start: {verdict.reason}",
            where=f"--from_step/--only_step {phase.name}",
            hint=f"run the step {verdict.needs!r} first, for example with --from_step {verdict.needs}",
        )
