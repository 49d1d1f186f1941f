"""What the declared plan allows to be said: p-values adjusted family by family, verdicts, and which of them are claims.

Everything here is pure: findings come in, judgements go out. The order is: adjust, decide, hold the decisions against lost answers
and against too few clusters, and close what stands behind the gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from batchtrial.errors import ConfigError
from batchtrial.stats.looks import AT_THE_LOOK
from batchtrial.stats.multiplicity import benjamini_hochberg, family_size, holm
from batchtrial.stats.plan import (
    CONCLUSIONS,
    CONFIRMATORY,
    PRIMARY,
    UNDECLARED,
    AnalysisPlan,
    Endpoint,
    Finding,
    Judgement,
    Outcome,
    Standing,
    family_of,
)
from batchtrial.stats.results import Estimate


def judge_findings(plan: AnalysisPlan, findings: Sequence[Finding], *, share: float = 1.0) -> tuple[Judgement, ...]:
    """Adjust the p-values family by family and give each finding its verdict, in the order of the findings.

    share: part of alpha that this trial has, when trials of one run share it. Raises ConfigError when two findings carry the name
    of the same declared endpoint.
    """
    names = [finding.name for finding in findings if family_of(plan, finding) in (PRIMARY, CONFIRMATORY)]
    if len(set(names)) < len(names):
        raise ConfigError("a declared endpoint was analysed more than once", where=", ".join(sorted(set(names))))
    judged = _each(plan, findings, share)
    if any(finding.lost is not None for finding in findings):
        at_worst = _each(plan, [finding.at_worst for finding in findings], share)
        judged = [_held(one, worst) for one, worst in zip(judged, at_worst, strict=True)]
    judged = [_with_enough_clusters(one) for one in judged]
    is_open = not plan.gated or plan.primary is None or any(j.standing == PRIMARY and j.reaches_goal for j in judged)
    return tuple(j if is_open or not _is_behind_gate(j) else replace(j, is_claim=False) for j in judged)


def _each(plan: AnalysisPlan, findings: Sequence[Finding], share: float) -> list[Judgement]:
    """Every finding judged by its adjusted p-values, before lost answers, clusters and the gate."""
    declared = {endpoint.name: endpoint for endpoint in plan.declared}
    places: dict[str, list[int]] = {}
    for i, finding in enumerate(findings):
        places.setdefault(family_of(plan, finding), []).append(i)
    adjusted: dict[int, tuple[float | None, int]] = {}
    difference_p: dict[int, float | None] = {}
    for family, members in places.items():
        raw = [_deciding_p(findings[i], declared.get(findings[i].name)) for i in members]
        if family not in (PRIMARY, CONFIRMATORY):
            adjusted |= {i: (p, family_size(raw)) for i, p in zip(members, benjamini_hochberg(raw), strict=True)}
        elif family == PRIMARY:
            adjusted |= {i: (_divided(p, share), family_size(raw)) for i, p in zip(members, raw, strict=True)}
    behind = [*places.get(CONFIRMATORY, ())]
    behind += [i for i in places.get(PRIMARY, ()) if _is_by_margin(declared.get(findings[i].name))]
    raw = [findings[i].test.p_value if family_of(plan, findings[i]) == PRIMARY else _two_sided(findings[i], declared) for i in behind]
    for i, p in zip(behind, _by_holm(raw, [findings[i].can_be_claimed for i in behind]), strict=True):
        if family_of(plan, findings[i]) == PRIMARY:
            difference_p[i] = _divided(p, share)
        else:
            adjusted[i] = (_divided(_in_its_scale(p, findings[i], declared), share), family_size(raw))
    return [_judge_one(plan, finding, declared, *adjusted[i], difference_p.get(i), share) for i, finding in enumerate(findings)]


def _by_holm(raw: Sequence[float | None], can_be_claimed: Sequence[bool]) -> list[float | None]:
    """Holm's p of each. One that cannot be claimed is never rejected, whatever its p: it keeps its part of alpha and hands none on to the others."""
    held = holm([p if can or p is None else 1.0 for p, can in zip(raw, can_be_claimed, strict=True)])
    return [strict if can else own for strict, own, can in zip(held, holm(raw), can_be_claimed, strict=True)]


def _held(judgement: Judgement, at_worst: Judgement) -> Judgement:
    """The judgement when its conclusion holds with the lost answers at their worst, what is left of it, or "not decided"."""
    if judgement.finding.lost is None or judgement.verdict not in CONCLUSIONS:
        return judgement
    if judgement.verdict == at_worst.verdict:
        return replace(judgement, is_claim=judgement.is_claim and at_worst.is_claim)
    if judgement.verdict == "superior" and at_worst.verdict == "non-inferior":
        return replace(judgement, verdict="non-inferior")
    return replace(judgement, verdict="not decided", is_claim=False)


def _with_enough_clusters(judgement: Judgement) -> Judgement:
    if judgement.finding.not_decidable is None or judgement.finding.estimate.value is None:
        return judgement
    return replace(judgement, verdict="not decidable", is_claim=False)


def _is_behind_gate(judgement: Judgement) -> bool:
    """The confirmatory family, and what the primary endpoint says beyond its declared goal when that is a margin."""
    by_margin = judgement.standing == PRIMARY and judgement.endpoint.decided_by == "margin"
    return judgement.standing == CONFIRMATORY or (by_margin and not judgement.reaches_goal)


def verdict(
    endpoint: Endpoint,
    standing: Standing,
    estimate: Estimate,
    *,
    difference_p: float | None,
    margin_p: float | None,
    plan: AnalysisPlan,
) -> Outcome:
    """The verdict rule. difference_p, margin_p: p-values adjusted for the endpoint's family; None when undefined.

    Goal superiority: superior or inferior when difference_p <= alpha. Goal non-inferiority or equivalence: margin_p <= alpha / 2
    decides; a primary endpoint that is non-inferior is superior when its difference also says so, and one whose difference
    speaks without the margin is superior or inferior by that difference, which then is no claim. In the confirmatory family only
    the declared goal counts; outside the plan only the difference.
    """
    if estimate.value is None:
        return "undefined"
    better = estimate.value > 0.0 if endpoint.higher_is_better else estimate.value < 0.0
    may_use_margin = standing in (PRIMARY, CONFIRMATORY)
    may_use_difference = endpoint.goal == "superiority" or standing == PRIMARY
    met = may_use_margin and margin_p is not None and margin_p <= plan.margin_alpha
    differs = may_use_difference and difference_p is not None and difference_p <= plan.alpha and estimate.value != 0.0
    if endpoint.goal == "equivalence" and met:
        return "equivalent"
    if differs and better:
        return "superior"
    if endpoint.goal == "noninferiority" and met:
        return "non-inferior"
    if differs:
        return "inferior"
    deciding = difference_p if endpoint.goal == "superiority" else margin_p
    return "undefined" if deciding is None else "inconclusive"


def _judge_one(
    plan: AnalysisPlan,
    finding: Finding,
    declared: dict[str, Endpoint],
    p_adjusted: float | None,
    m: int,
    difference_p: float | None,
    share: float,
) -> Judgement:
    family = family_of(plan, finding)
    standing: Standing = (
        "primary" if family == PRIMARY else "confirmatory" if family == CONFIRMATORY else "undeclared" if family == UNDECLARED else "exploratory"
    )
    endpoint = declared.get(finding.name) or Endpoint(
        name=finding.name, label=finding.label, higher_is_better=finding.higher_is_better, is_share=finding.is_share
    )
    by_margin = endpoint.decided_by == "margin"
    outcome = verdict(
        endpoint,
        standing,
        finding.estimate,
        difference_p=difference_p if by_margin else p_adjusted,
        margin_p=p_adjusted if by_margin else None,
        plan=plan,
    )
    is_declared = standing in (PRIMARY, CONFIRMATORY)
    is_beside_goal = endpoint.goal == "noninferiority" and (p_adjusted is None or p_adjusted > plan.margin_alpha)
    return Judgement(
        finding=finding,
        endpoint=endpoint,
        standing=standing,
        family=family,
        m=m,
        correction="none" if family == PRIMARY else "holm" if family == CONFIRMATORY else "bh",
        p_raw=_deciding_p(finding, declared.get(finding.name)),
        p_adjusted=p_adjusted,
        verdict=outcome,
        is_claim=outcome in CONCLUSIONS and is_declared and not finding.is_another and not (is_beside_goal and outcome == "superior"),
        warnings=_warnings(plan, finding, endpoint, outcome),
        difference_p=difference_p,
        share=share if is_declared else 1.0,
    )


def _warnings(plan: AnalysisPlan, finding: Finding, endpoint: Endpoint, outcome: Outcome) -> tuple[str, ...]:
    value, low, high = finding.estimate.value, finding.estimate.ci_low, finding.estimate.ci_high
    p = finding.test.p_value
    found = list(dict.fromkeys((*finding.estimate.warnings, *finding.test.warnings)))
    if value is None or p is None:
        return tuple(found)
    comparable = AT_THE_LOOK not in found and abs(finding.estimate.level - (1.0 - plan.alpha)) < 1e-9
    if comparable and low is not None and high is not None and (low > 0.0 or high < 0.0) != (p <= plan.alpha):
        found.append("p-value and interval fall on different sides of the line: read the result as borderline")
    worse = value < 0.0 if endpoint.higher_is_better else value > 0.0
    if worse and p <= plan.alpha and outcome not in ("inferior", "undefined") and endpoint.goal != "superiority":
        found.append("the treatment is significantly worse than the control, margin or not")
    return tuple(found)


def _deciding_p(finding: Finding, endpoint: Endpoint | None) -> float | None:
    return finding.margin_test_p if _is_by_margin(endpoint) else finding.test.p_value


def _is_by_margin(endpoint: Endpoint | None) -> bool:
    return endpoint is not None and endpoint.decided_by == "margin"


def _two_sided(finding: Finding, declared: dict[str, Endpoint]) -> float | None:
    """The deciding p on the scale of alpha: that of a margin test, read at alpha / 2, doubled."""
    endpoint = declared.get(finding.name)
    p = _deciding_p(finding, endpoint)
    return min(1.0, 2.0 * p) if p is not None and _is_by_margin(endpoint) else p


def _in_its_scale(p: float | None, finding: Finding, declared: dict[str, Endpoint]) -> float | None:
    """An adjusted p back on the scale on which its own test is read."""
    endpoint = declared.get(finding.name)
    if p is None or not _is_by_margin(endpoint):
        return p
    return max(p / 2.0, finding.margin_test_p or 0.0)


def _divided(p: float | None, share: float) -> float | None:
    return None if p is None else min(1.0, p / share)
