"""What is built and sent together: answers first, then what judges are asked about them. The second wave as a view of its own."""

from __future__ import annotations

from dataclasses import replace

from batchtrial.config.expand import Arm, arms_of
from batchtrial.config.judge_arms import judge_trials
from batchtrial.phases.base import View, Work
from batchtrial.state.files import Shard
from batchtrial.state.machine import PartState


def judging(view: View) -> View:
    """The same run as its second wave has it: judges for arms, with their own items, index and parts, and the same ledger."""
    trials = judge_trials(view.config) if view.trials else ()
    return replace(view, layout=view.layout.judging, trials=trials, build=view.judge_build, beside=view.trials, stages={}, open_items=None, looks={})


def is_judging(view: View) -> bool:
    """Whether it is the view of the second wave."""
    return view.build is not None and view.build is view.judge_build


def judging_work(work: Work) -> Work:
    """The work on the second wave."""
    return replace(work, view=judging(work.view))


def all_shards(view: View) -> dict[str, Shard]:
    """Parts of both waves by name, of lanes that have not failed."""
    second = judging(view).asked_shards() if view.judge_build is not None else {}
    return {**view.asked_shards(), **second}


def arms_with_verdicts(view: View) -> tuple[Arm, ...]:
    """Judges, as arms, that were asked to the end. view: of the second wave."""

    def is_open(arm: Arm) -> bool:
        return any((record := view.parts.get(shard.part)) is None or record.state is not PartState.SETTLED for shard in view.shards(arm))

    return tuple(arm for arm in arms_of(view.trials) if view.shards(arm) and not (arm.backend in view.failed and is_open(arm)))
