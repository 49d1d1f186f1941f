"""judge_submit and judge_poll: the judges' parts through the queue, as the answers' were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from batchtrial.phases.base import View, Work
from batchtrial.phases.batches import poll, submit
from batchtrial.phases.batches.coverage import check_budget
from batchtrial.phases.batches.import_judgements import import_judgements
from batchtrial.phases.batches.lanes import Lanes
from batchtrial.phases.batches.queue import Queue
from batchtrial.phases.judge.build import NO_JUDGES, inputs
from batchtrial.phases.waves import judging, judging_work
from batchtrial.records import Verdict

LESS = "raise --budget_usd: the answers are bought, and the judges have not been asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfSecondWave:
    """A phase that does with the judges' parts what another does with the answers'."""

    name: str
    look: Callable[[View], Verdict]
    carry_out: Callable[[Work], None]

    def verdict(self, view: View) -> Verdict:
        """As the first wave's, of the second."""
        if not view.config.judges:
            return NO_JUDGES
        if view.judge_build is None or view.judge_build.inputs != inputs(view):
            return Verdict(status="blocked", reason="waits for judge_build", needs="judge_build")
        if not view.judge_build.shards:
            return Verdict(status="done", reason="there is nothing to judge")
        found = self.look(judging(view))
        return replace(found, needs=f"judge_{found.needs}", reason=found.reason.replace("for ", "for judge_")) if found.needs else found

    def run(self, work: Work) -> None:
        """Raises Stopped, ProviderError, PhaseFailed, ConfigError."""
        if work.view.judge_build is not None and work.view.judge_build.shards:
            self.carry_out(judging_work(work))


def _submit(inner: Work) -> None:
    import_judgements(inner)
    lanes = Lanes(inner)
    check_budget(inner, lanes.purse, LESS)
    lanes.run("judge_submit", Queue.is_submitted, lambda queue: queue.n_sent)


judge_submit = OfSecondWave(name="judge_submit", look=submit.verdict, carry_out=_submit)
judge_poll = OfSecondWave(name="judge_poll", look=poll.verdict, carry_out=lambda inner: poll.run(inner, "judge_poll"))
