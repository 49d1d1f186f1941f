"""The analysis plan: what was declared before any result existed, and the most that may be said afterwards.

A plan names one primary endpoint, a confirmatory family and exploratory families. The primary endpoint is tested at alpha as it
is, the confirmatory family with Holm's correction, each exploratory family with Benjamini and Hochberg's; whatever was not
declared forms one more exploratory family. A confirmatory claim stands only when the primary one does (`gated`), so that the
chance of even one false claim in the whole plan stays at alpha.

Verdicts follow the declared goal of an endpoint, never the data: no margin declared, no talk of equivalence; not significant is
inconclusive, not "no difference". Everything here is pure: estimates and tests come in, judgements go out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from batchtrial.errors import ConfigError
from batchtrial.stats.multiplicity import benjamini_hochberg, family_size, holm
from batchtrial.stats.noninferiority import check_one_sided_alpha
from batchtrial.stats.results import Estimate, Test, check_alpha

Goal = Literal["superiority", "noninferiority", "equivalence"]
Standing = Literal["primary", "confirmatory", "exploratory", "undeclared"]
Outcome = Literal["superior", "inferior", "non-inferior", "equivalent", "inconclusive", "undefined"]

UNDECLARED: Final = "undeclared"
PRIMARY: Final = "primary"
CONFIRMATORY: Final = "confirmatory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One declared comparison.

    name: identifies the comparison in results (metric, dataset, temperature). label: how a sentence calls it.
    goal: what the trial sets out to show; noninferiority and equivalence need a margin > 0 in the unit of the difference.
    higher_is_better: False for rates of errors. is_share: differences are shares and print as percentage points.
    """

    name: str
    label: str = ""
    goal: Goal = "superiority"
    margin: float | None = None
    higher_is_better: bool = True
    is_share: bool = True

    def __post_init__(self) -> None:
        """Raises ConfigError for a goal without its margin, a margin without such a goal, and an empty name."""
        if not self.name:
            raise ConfigError("an endpoint of the analysis plan has no name")
        if self.goal not in ("superiority", "noninferiority", "equivalence"):
            raise ConfigError(f"endpoint {self.name}: unknown goal {self.goal!r}", hint="superiority, noninferiority or equivalence")
        if (self.margin is not None) != (self.goal != "superiority"):
            missing = "needs a margin" if self.margin is None else "has a margin, but its goal does not use one"
            raise ConfigError(f"endpoint {self.name}: goal {self.goal} {missing}")
        if self.margin is not None and not (0.0 < self.margin < (1.0 if self.is_share else float("inf"))):
            raise ConfigError(f"endpoint {self.name}: margin {self.margin!r} is not possible", hint="three percentage points are 0.03")

    @property
    def decided_by(self) -> Literal["difference", "margin"]:
        """Which of the two tests decides whether the goal was reached."""
        return "difference" if self.goal == "superiority" else "margin"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisPlan:
    """What is declared before the run.

    exploratory: names of families (subgroups, temperatures) whose members carry that name as `Finding.family`.
    alpha: two-sided level of the difference tests. margin_alpha: one-sided level of the margin tests (its interval has level
    1 - 2 margin_alpha). cluster: the field whose items are dependent (passage, document, template), None when items are not.
    """

    primary: Endpoint | None = None
    confirmatory: tuple[Endpoint, ...] = ()
    exploratory: tuple[str, ...] = ()
    alpha: float = 0.05
    margin_alpha: float = 0.05
    gated: bool = True
    cluster: str | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError for endpoints declared twice, reserved or repeated family names; DataError for bad levels."""
        check_alpha(self.alpha)
        check_one_sided_alpha(self.margin_alpha)
        names = [endpoint.name for endpoint in self.declared]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ConfigError("endpoints declared twice in the analysis plan: " + ", ".join(sorted(doubled)))
        families = self.exploratory
        if len(set(families)) < len(families) or {PRIMARY, CONFIRMATORY, UNDECLARED} & set(families):
            raise ConfigError(
                "exploratory families need names of their own: " + ", ".join(families),
                hint=f"{PRIMARY}, {CONFIRMATORY} and {UNDECLARED} are taken",
            )

    @property
    def declared(self) -> tuple[Endpoint, ...]:
        """The primary endpoint, then the confirmatory ones."""
        return ((self.primary,) if self.primary else ()) + self.confirmatory

    def fingerprint(self) -> str:
        """sha256 of the plan as canonical JSON: what is written into a run before it has results."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One comparison as the statistics found it, before any correction.

    name: the endpoint's name. family: the exploratory family it belongs to; ignored for declared endpoints. estimate and test
    are of the difference treatment minus control. margin_test_p: one-sided p of the declared margin test (the larger of two
    for equivalence), made in the direction in which more is better; None when there is none.
    label, higher_is_better, is_share: used when the endpoint was not declared; a declared endpoint brings its own.
    """

    name: str
    estimate: Estimate
    test: Test
    family: str | None = None
    margin_test_p: float | None = None
    label: str = ""
    higher_is_better: bool = True
    is_share: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A finding with its place in the plan and what may be said about it.

    p_raw, p_adjusted: of the test that decides the goal (the difference, or the margin). m: defined p-values in the family.
    correction: "none", "holm" or "bh". is_claim: a declared goal was reached and the plan lets it be stated as a result.
    """

    finding: Finding
    endpoint: Endpoint
    standing: Standing
    family: str
    m: int
    correction: Literal["none", "holm", "bh"]
    p_raw: float | None
    p_adjusted: float | None
    verdict: Outcome
    is_claim: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCheck:
    """Whether the analysis did what the plan says. missing: declared, not analysed. undeclared: analysed, not declared."""

    missing: tuple[str, ...]
    undeclared: tuple[str, ...]
    cluster_differs: bool

    @property
    def followed(self) -> bool:
        """True when every declared endpoint was analysed, with the declared clusters. Undeclared extras do not break it."""
        return not self.missing and not self.cluster_differs


def judge_findings(plan: AnalysisPlan, findings: Sequence[Finding]) -> tuple[Judgement, ...]:
    """Adjust the p-values family by family and give each finding its verdict, in the order of the findings.

    Raises ConfigError when two findings carry the name of the same declared endpoint.
    """
    declared = {endpoint.name: endpoint for endpoint in plan.declared}
    names = [finding.name for finding in findings if finding.name in declared]
    if len(set(names)) < len(names):
        raise ConfigError("a declared endpoint was analysed more than once", where=", ".join(sorted(set(names))))
    places: dict[str, list[int]] = {}
    for i, finding in enumerate(findings):
        places.setdefault(_family(plan, finding), []).append(i)
    adjusted: dict[int, tuple[float | None, int]] = {}
    for family, members in places.items():
        raw = [_deciding_p(findings[i], declared.get(findings[i].name)) for i in members]
        steps = tuple(raw) if family == PRIMARY else holm(raw) if family == CONFIRMATORY else benjamini_hochberg(raw)
        adjusted |= {i: (p, family_size(raw)) for i, p in zip(members, steps, strict=True)}
    judged = [_judge_one(plan, finding, declared, *adjusted[i]) for i, finding in enumerate(findings)]
    is_open = not plan.gated or plan.primary is None or any(j.standing == PRIMARY and j.is_claim for j in judged)
    return tuple(j if is_open or j.standing != CONFIRMATORY else _closed(j) for j in judged)


def check_followed(plan: AnalysisPlan, findings: Sequence[Finding], cluster_used: str | None) -> PlanCheck:
    """Compare what was analysed with what was declared; cluster_used is the field the analysis clustered by."""
    analysed = {finding.name for finding in findings}
    return PlanCheck(
        missing=tuple(endpoint.name for endpoint in plan.declared if endpoint.name not in analysed),
        undeclared=tuple(sorted(f.name for f in findings if _family(plan, f) == UNDECLARED)),
        cluster_differs=cluster_used != plan.cluster,
    )


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

    Taken in this order: equivalent (goal equivalence, margin_p <= margin_alpha); superior (difference_p <= alpha, better);
    non-inferior (goal non-inferiority, margin_p <= margin_alpha); inferior (difference_p <= alpha, worse); inconclusive.
    The difference and the margin cannot both be true nulls, so a primary endpoint may be tested for both at full level. In the
    confirmatory family only the declared goal counts; outside the plan only the difference.
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


def _judge_one(plan: AnalysisPlan, finding: Finding, declared: dict[str, Endpoint], p_adjusted: float | None, m: int) -> Judgement:
    family = _family(plan, finding)
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
        difference_p=finding.test.p_value if by_margin else p_adjusted,
        margin_p=p_adjusted if by_margin else None,
        plan=plan,
    )
    reached = outcome not in ("inconclusive", "undefined")
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
        is_claim=reached and standing in (PRIMARY, CONFIRMATORY),
        warnings=_warnings(plan, finding, endpoint, outcome),
    )


def _closed(judgement: Judgement) -> Judgement:
    """A confirmatory judgement when the primary endpoint reached nothing: the finding stays, the claim goes."""
    return replace(judgement, is_claim=False)


def _warnings(plan: AnalysisPlan, finding: Finding, endpoint: Endpoint, outcome: Outcome) -> tuple[str, ...]:
    value, low, high = finding.estimate.value, finding.estimate.ci_low, finding.estimate.ci_high
    p = finding.test.p_value
    found = list(dict.fromkeys((*finding.estimate.warnings, *finding.test.warnings)))
    if value is None or p is None:
        return tuple(found)
    comparable = abs(finding.estimate.level - (1.0 - plan.alpha)) < 1e-9
    if comparable and low is not None and high is not None and (low > 0.0 or high < 0.0) != (p <= plan.alpha):
        found.append("p-value and interval fall on different sides of the line: read the result as borderline")
    worse = value < 0.0 if endpoint.higher_is_better else value > 0.0
    if worse and p <= plan.alpha and outcome not in ("inferior", "undefined") and endpoint.goal != "superiority":
        found.append("the treatment is significantly worse than the control, margin or not")
    return tuple(found)


def _family(plan: AnalysisPlan, finding: Finding) -> str:
    if plan.primary is not None and finding.name == plan.primary.name:
        return PRIMARY
    if any(finding.name == endpoint.name for endpoint in plan.confirmatory):
        return CONFIRMATORY
    return finding.family if finding.family in plan.exploratory else UNDECLARED


def _deciding_p(finding: Finding, endpoint: Endpoint | None) -> float | None:
    by_margin = endpoint is not None and endpoint.decided_by == "margin"
    return finding.margin_test_p if by_margin else finding.test.p_value
