"""optional: the analyses beyond the plan that the config switches on, each with a file of its own in the trial's results.

They come after costs, since one of them sets the costs against the effects. Switched off, the phase is not there: nothing waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from batchtrial.config.expand import Trial
from batchtrial.phases.base import View, Work, digest_of, over_trials
from batchtrial.records import Verdict
from batchtrial.state.store import encode_json, write_bytes

FORM: Final = 3
STAGE: Final = "optional"
OFF: Final = Verdict(status="off", reason="no analysis is switched on under `optional` in the config")


@dataclass(frozen=True, slots=True)
class Optional:
    """The phase."""

    name: str = "optional"

    def inputs(self, view: View, trial: Trial) -> str | None:
        """Digest of scores, statistics, costs and what is switched on; None while a step before is not done."""
        parts = [view.stage_artifacts_digest(trial, stage) for stage in ("scored", "stats", "costs")]
        if None in parts:
            return None
        config = view.config
        samples = [config.samples_for(temp) for temp in trial.temps]
        settings = [config.stats.model_dump(mode="json"), config.unsupported.model_dump(), samples, config.mode]
        return digest_of([FORM, parts, config.optional.switched_on, settings])

    def trial_verdict(self, view: View, trial: Trial) -> Verdict:
        return view.stage_verdict(trial, STAGE, self.inputs(view, trial), needs="costs")

    def verdict(self, view: View) -> Verdict:
        return over_trials(self, view) if view.config.optional.switched_on else OFF

    def run(self, work: Work) -> None:
        if not work.config.optional.switched_on:
            return
        due = list(work.due(self))
        if not due:
            return
        from batchtrial.phases.analyse.analyses import analyses_of  # these here, since a verdict needs no numbers
        from batchtrial.phases.analyse.trial_by_trial import TrialByTrial

        seen = replace(work.view, parts={}, stages={}, build=None)
        with TrialByTrial(work) as others:
            made = others.each("optional", [partial(analyses_of, seen, trial) for trial, _ in due])
            for (trial, inputs), records in zip(due, made, strict=True):
                paths = [work.view.trial_layout(trial).analysis(name) for name in records]
                for path, record in zip(paths, records.values(), strict=True):
                    write_bytes(path, encode_json(record), hook=work.hook)
                work.publish(trial, STAGE, inputs, paths)


phase = Optional()
