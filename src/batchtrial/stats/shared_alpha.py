"""How the trials of one run share its alpha, so that the chance of even one false claim in the whole run stays at alpha.

Each of T trials starts with alpha / T for its whole plan, gate and Holm family included. A trial that could claim everything it
declared hands its part to the others, which share alpha anew. This is a sequentially rejective graphical procedure; with a primary
endpoint each and nothing behind it, it is Holm's over the trials. Nothing is assumed about how the trials depend on each other.
Source: Bretz, Maurer, Brannath & Posch 2009, Statistics in Medicine 28:586.
"""

from __future__ import annotations

from collections.abc import Sequence

from batchtrial.stats.judging import judge_findings
from batchtrial.stats.plan import CONFIRMATORY, PRIMARY, AnalysisPlan, Finding, family_of


def shares_of_alpha(trials: Sequence[tuple[AnalysisPlan, Sequence[Finding]]]) -> tuple[float, ...]:
    """The part of alpha at which each trial is judged, in their order: `judge_findings(..., share=...)`.

    trials: plan and findings of each; findings outside the declared endpoints do not matter.
    """
    shares = [1.0] * len(trials)
    waiting = set(range(len(trials)))
    while waiting:
        share = 1.0 / len(waiting)
        for trial in waiting:
            shares[trial] = share
        done = {trial for trial in waiting if _claims_everything(*trials[trial], share)}
        if not done:
            break
        waiting -= done
    return tuple(shares)


def _claims_everything(plan: AnalysisPlan, findings: Sequence[Finding], share: float) -> bool:
    """Whether every declared hypothesis is rejected at this share of alpha: only then is none of it needed any more."""
    declared = [finding for finding in findings if family_of(plan, finding) in (PRIMARY, CONFIRMATORY)]
    if {finding.name for finding in declared} != {endpoint.name for endpoint in plan.declared}:
        return False
    for one in judge_findings(plan, declared, share=share):
        is_difference_open = one.standing == PRIMARY and one.endpoint.goal == "noninferiority" and one.verdict != "superior"
        if not one.is_claim or is_difference_open:
            return False
    return True
