"""A phase that makes one JSON file of each trial from its scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchtrial.config.expand import Trial
from batchtrial.phases.base import View, Work, over_trials
from batchtrial.records import Verdict
from batchtrial.state.layout import TrialLayout
from batchtrial.state.store import encode_json, write_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OneFile:
    """The phase. Its stage in the trial's manifest has its name.

    digest: of everything that the file is made from; None while the trial is not scored. place: where the file goes.
    maker: what makes the files of this view; called once, when the first is due, since a verdict needs no numbers. before: called with what a file
    will say before it is there.
    """

    name: str
    digest: Callable[[View, Trial], str | None]
    place: Callable[[TrialLayout], Path]
    maker: Callable[[View], Callable[[Trial], Any]]
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
        """Make the files that are due."""
        make: Callable[[Trial], Any] | None = None
        for trial, inputs in work.due(self):
            make = make or self.maker(work.view)
            path = self.place(work.view.trial_layout(trial))
            record = make(trial)
            self.before(work, trial, record)
            write_bytes(path, encode_json(record), hook=work.hook)
            work.publish(trial, self.name, inputs, [path])
