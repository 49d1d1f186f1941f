"""What the number of trials in a run does to their declared verdicts: they share alpha, and each names the others.

The rule is in `batchtrial.stats.shared_alpha`; here the trials' declared comparisons are made and judged at their shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from batchtrial.phases.base import View
from batchtrial.phases.significance import declared_cells, declared_plan, findings_of
from batchtrial.phases.tables import load_tables
from batchtrial.stats import Judgement, judge_findings, shares_of_alpha


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedAlpha:
    """A trial among those of its run. share: part of alpha for its plan. others: verdict of each other trial, as JSON."""

    n_trials: int
    share: float
    others: tuple[dict[str, Any], ...]

    def record(self, alpha: float) -> dict[str, Any]:
        """As significance.json has it."""
        return {"n_trials": self.n_trials, "share": self.share, "alpha": alpha * self.share, "others": list(self.others)}


def shared_alpha(view: View) -> dict[str, SharedAlpha]:
    """Slug -> its part, for every trial that compares two arms; empty when there is only one."""
    made = {}
    for trial in view.trials:
        tables = load_tables(view, trial)
        if tables:
            plan = declared_plan(view.config, trial, tables)
            cells = [(cell, None) for cell in declared_cells(view.config, trial)]
            made[trial.slug] = (plan, findings_of(view.config, tables, plan, cells)[1])
    if len(made) < 2:
        return {}
    shares = dict(zip(made, shares_of_alpha(list(made.values())), strict=True))
    verdicts = {slug: _verdict(slug, judge_findings(*found, share=shares[slug])) for slug, found in made.items()}
    return {
        slug: SharedAlpha(n_trials=len(made), share=shares[slug], others=tuple(one for other, one in verdicts.items() if other != slug))
        for slug in made
    }


def _verdict(slug: str, judged: tuple[Judgement, ...]) -> dict[str, Any]:
    head = next((one for one in judged if one.standing == "primary"), None)
    if head is None:
        return {"trial": slug, "verdict": None, "is_claim": False, "p_adjusted": None}
    return {"trial": slug, "verdict": head.verdict, "is_claim": head.is_claim, "p_adjusted": head.p_adjusted}
