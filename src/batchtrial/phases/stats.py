"""stats: per-item scores in, significance.json out. What is tested, and how, is in `significance`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from batchtrial.config.expand import Trial
from batchtrial.phases.base import View, Work, digest_of, over_trials
from batchtrial.records import Verdict
from batchtrial.state.store import encode_json, write_bytes

FORM: Final = 2
STAGE: Final = "stats"


@dataclass(frozen=True, slots=True)
class Stats:
    """The phase."""

    name: str = "stats"

    def inputs(self, view: View, trial: Trial) -> str | None:
        """Digest of the scores and the declared analysis; None while the trial is not scored."""
        scored = view.stage_artifacts_digest(trial, "scored")
        if scored is None:
            return None
        samples = [view.config.samples_for(temp) for temp in trial.temps]
        return digest_of([FORM, scored, view.config.stats.model_dump(mode="json"), samples, view.config.mode])

    def trial_verdict(self, view: View, trial: Trial) -> Verdict:
        return view.stage_verdict(trial, STAGE, self.inputs(view, trial), needs="score")

    def verdict(self, view: View) -> Verdict:
        return over_trials(self, view)

    def run(self, work: Work) -> None:
        from batchtrial.phases.significance import significance  # here, since a verdict needs no numbers

        for trial, inputs in work.due(self):
            path = work.view.trial_layout(trial).significance
            write_bytes(path, encode_json(significance(work.view, trial)), hook=work.hook)
            work.publish(trial, STAGE, inputs, [path])


phase = Stats()
