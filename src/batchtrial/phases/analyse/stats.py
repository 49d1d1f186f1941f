"""stats: per-item scores in, significance.json out. What is tested, and how, is in `significance`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from batchtrial.config.expand import Trial
from batchtrial.phases.base import View, Work, digest_of, over_trials
from batchtrial.phases.batches.frozen_plan import frozen_plan
from batchtrial.records import Verdict
from batchtrial.state.store import encode_json, write_bytes

FORM: Final = 5
STAGE: Final = "stats"


@dataclass(frozen=True, slots=True)
class Stats:
    """The phase."""

    name: str = "stats"

    def inputs(self, view: View, trial: Trial) -> str | None:
        """Digest of the scores and the declared analysis; None while a trial of the run is not scored: they share alpha."""
        scored = [view.stage_artifacts_digest(one, "scored") for one in (trial, *view.trials)]
        if None in scored:
            return None
        samples = [view.config.samples_for(temp) for temp in trial.temps]
        plan = asdict(frozen_plan(view.layout.ledger, view.config))
        return digest_of([FORM, scored, view.config.stats.model_dump(mode="json"), plan, samples, view.config.mode])

    def trial_verdict(self, view: View, trial: Trial) -> Verdict:
        return view.stage_verdict(trial, STAGE, self.inputs(view, trial), needs="score")

    def verdict(self, view: View) -> Verdict:
        return over_trials(self, view)

    def run(self, work: Work) -> None:
        from batchtrial.phases.analyse.shared_alpha import SharedAlpha, shared_alpha  # these two here, since a verdict needs no numbers
        from batchtrial.phases.analyse.significance import significance

        shared: dict[str, SharedAlpha] | None = None
        for trial, inputs in work.due(self):
            if shared is None:
                shared = shared_alpha(work.view) if len(work.view.trials) > 1 else {}
            path = work.view.trial_layout(trial).significance
            write_bytes(path, encode_json(significance(work.view, trial, shared.get(trial.slug))), hook=work.hook)
            work.publish(trial, STAGE, inputs, [path])


phase = Stats()
