"""A phase that makes one JSON file of each trial from its scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchtrial.config.expand import Trial
from batchtrial.phases.base import View, Work, over_trials
from batchtrial.records import Verdict
from batchtrial.state.layout import TrialLayout
from batchtrial.state.store import encode_json, write_bytes

if TYPE_CHECKING:
    from batchtrial.phases.analyse.trial_by_trial import TrialByTrial


@dataclass(frozen=True, slots=True, kw_only=True)
class OneFile:
    """The phase. Its stage in the trial's manifest has its name.

    digest: of everything that the file is made from; None while the trial is not scored. place: where the file goes.
    records: what the files of some trials say, in their order. before: called with what a file will say before it is there.
    """

    name: str
    digest: Callable[[View, Trial], str | None]
    place: Callable[[TrialLayout], Path]
    records: Callable[[View, Sequence[Trial], TrialByTrial], Iterable[Any]]
    before: Callable[[Work, Trial, Any], None] = lambda work, trial, record: None

    def inputs(self, view: View, trial: Trial) -> str | None:
        """The digest of everything that the file is made from."""
        return self.digest(view, trial)

    def trial_verdict(self, view: View, trial: Trial) -> Verdict:
        """Whether the trial's file has to be made, and why."""
        return view.stage_verdict(trial, self.name, self.inputs(view, trial), needs="score")

    def verdict(self, view: View) -> Verdict:
        """The same for all trials together."""
        return over_trials(self, view)

    def run(self, work: Work) -> None:
        """Make the files that are due. Raises Stopped, PhaseFailed."""
        due = list(work.due(self))
        if not due:
            return
        from batchtrial.phases.analyse.trial_by_trial import TrialByTrial  # here, since a verdict needs no numbers

        with TrialByTrial(work) as others:
            for (trial, inputs), record in zip(due, self.records(work.view, [trial for trial, _ in due], others), strict=True):
                path = self.place(work.view.trial_layout(trial))
                self.before(work, trial, record)
                write_bytes(path, encode_json(record), hook=work.hook)
                work.publish(trial, self.name, inputs, [path])
