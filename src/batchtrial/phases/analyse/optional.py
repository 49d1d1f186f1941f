"""optional: the analyses beyond the plan that the config switches on, each with a file of its own in the trial's results.

They come after costs, since one of them sets the costs against the effects. Switched off, the phase is not there: nothing waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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
        from batchtrial.phases.analyse.analyses import analysis, material  # here, since a verdict needs no numbers

        for trial, inputs in work.due(self):
            given, paths = material(work.view, trial), list[Path]()
            for name in work.config.optional.switched_on:
                paths.append(work.view.trial_layout(trial).analysis(name))
                write_bytes(paths[-1], encode_json(analysis(name, given)), hook=work.hook)
            work.publish(trial, STAGE, inputs, paths)


phase = Optional()
