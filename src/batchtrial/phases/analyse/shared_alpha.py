"""What the number of trials in a run does to their declared verdicts: they share alpha, and each names the others.

The rule is in `batchtrial.stats.shared_alpha`; here the trials' declared comparisons are made and judged at their shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from batchtrial.config.expand import Trial
from batchtrial.phases.analyse.declared import analysis_plan, declared_cells, declared_plan
from batchtrial.phases.analyse.plan_words import as_declared, held_against
from batchtrial.phases.analyse.significance import endpoint_origins, findings_of
from batchtrial.phases.analyse.stopping import as_stopped, is_between_looks
from batchtrial.phases.analyse.tables import load_tables
from batchtrial.phases.analyse.trial_by_trial import TrialByTrial
from batchtrial.phases.base import View
from batchtrial.phases.batches.frozen_plan import FrozenPlan, frozen_plan
from batchtrial.phases.batches.gates import compares
from batchtrial.stats import AnalysisPlan, Finding, Judgement, judge_findings, shares_of_alpha
from batchtrial.stats.wording import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedAlpha:
    """A trial among those of its run. share: part of alpha for its plan. others: verdict of each other trial, as JSON."""

    n_trials: int
    share: float
    others: tuple[dict[str, Any], ...]

    def record(self, alpha: float) -> dict[str, Any]:
        """As significance.json has it."""
        return {"n_trials": self.n_trials, "share": self.share, "alpha": alpha * self.share, "others": list(self.others)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a trial found of its declared endpoints, as they may be spoken of."""

    plan: AnalysisPlan
    origins: Mapping[str, Origin]
    findings: Sequence[Finding]


def shared_alpha(view: View, others: TrialByTrial) -> dict[str, SharedAlpha]:
    """Slug -> its part, for every trial that compares two arms; empty when there is only one.

    A trial without results, whose provider failed or which is between its looks, keeps its part: it may claim something yet.
    """
    frozen = frozen_plan(view.layout.ledger, view.config)
    declared = others.each("stats: declared comparisons", [partial(_declared, view, trial, frozen) for trial in view.trials])
    made = {trial.slug: one for trial, one in zip(view.trials, declared, strict=True) if one is not None}
    waiting = {trial.slug: (analysis_plan(view.config, trial.temps[0]), ()) for trial in view.trials if trial.slug not in made and compares(trial)}
    every: dict[str, tuple[AnalysisPlan, Sequence[Finding]]] = {**{slug: (one.plan, one.findings) for slug, one in made.items()}, **waiting}
    if len(every) < 2:
        return {}
    # Looks were taken at an equal part for each trial, and a part that is handed on afterwards would come too late for them.
    shares = dict.fromkeys(every, 1.0 / len(every)) if view.looks else dict(zip(every, shares_of_alpha(list(every.values())), strict=True))
    verdicts = {slug: _verdict(slug, ()) for slug in waiting}
    for slug, own in made.items():
        judged = [as_declared(one, own.origins.get(one.finding.name)) for one in judge_findings(own.plan, own.findings, share=shares[slug])]
        verdicts[slug] = _verdict(slug, judged)
    return {
        slug: SharedAlpha(n_trials=len(every), share=shares[slug], others=tuple(one for other, one in verdicts.items() if other != slug))
        for slug in made
    }


def _declared(view: View, trial: Trial, frozen: FrozenPlan) -> Declared | None:
    tables = {} if is_between_looks(view, trial) else load_tables(view, trial)
    if not tables:
        return None
    plan = declared_plan(view.config, trial, tables)
    origins = endpoint_origins(view, trial, frozen, plan)
    cells = [(cell, None) for cell in declared_cells(view.config, trial)]
    findings = as_stopped(view, trial, tables, plan, *findings_of(view.config, tables, plan, cells))[1]
    return Declared(plan=plan, origins=origins, findings=tuple(held_against(origins, findings)))


def _verdict(slug: str, judged: Sequence[Judgement]) -> dict[str, Any]:
    head = next((one for one in judged if one.family == "primary"), None)
    if head is None:
        return {"trial": slug, "verdict": None, "is_claim": False, "p_adjusted": None}
    return {"trial": slug, "verdict": head.verdict, "is_claim": head.is_claim, "p_adjusted": head.p_adjusted}
