"""costs: the ledger's bill and the scores in, costs.json of each trial out. What stands in it is in `spent`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from batchtrial.config.expand import Trial
from batchtrial.phases.base import View, Work, digest_of, over_trials
from batchtrial.phases.batches.money import bill, price_for
from batchtrial.phases.parse.predictions import arms_in_order
from batchtrial.records import Verdict
from batchtrial.state.store import encode_json, write_bytes

FORM: Final = 3
STAGE: Final = "costs"


@dataclass(frozen=True, slots=True)
class Costs:
    """The phase."""

    name: str = "costs"

    def inputs(self, view: View, trial: Trial) -> str | None:
        """Digest of predictions, scores, bills and prices; None while the trial is not scored."""
        parsed, scored = (view.stage_artifacts_digest(trial, stage) for stage in ("parsed", "scored"))
        if parsed is None or scored is None:
            return None
        price = price_for(view.config, trial.model)
        bills = [bill(view, arm) for arm in arms_in_order(trial)]
        return digest_of(
            [FORM, parsed, scored, repr(price), [repr(one) for one in bills], view.config.stats.alpha, view.config.stats.clusters, view.config.mode]
        )

    def trial_verdict(self, view: View, trial: Trial) -> Verdict:
        return view.stage_verdict(trial, STAGE, self.inputs(view, trial), needs="score")

    def verdict(self, view: View) -> Verdict:
        return over_trials(self, view)

    def run(self, work: Work) -> None:
        from batchtrial.phases.analyse.costs_file import costs_file  # here, since a verdict needs no numbers

        for trial, inputs in work.due(self):
            path = work.view.trial_layout(trial).costs
            write_bytes(path, encode_json(costs_file(work.view, trial)), hook=work.hook)
            work.publish(trial, STAGE, inputs, [path])


phase = Costs()
