"""The analysis plan: what was declared before any result existed, and the most that may be said afterwards.

A plan names one primary endpoint, a confirmatory family and exploratory families. The primary endpoint's declared goal is tested
first: a difference at two-sided alpha, a margin at one-sided alpha / 2, so that the interval of level 1 - alpha and the claim say
the same. The confirmatory family is tested behind it with Holm's correction (`gated`); the difference of a primary endpoint whose
goal is a margin is a member of that family. Only the declared goal opens the gate: a treatment that turned out inferior opens
nothing. So the chance of even one false claim in the whole plan stays at alpha. Trials of one run share alpha between them
(`shared_alpha`). Exploratory families are corrected by Benjamini and Hochberg; whatever was not declared is one more of them.

A conclusion that lost answers could explain is "not decided"; one that rests on too few clusters is "not decidable".

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
from batchtrial.stats.results import Estimate, Test, check_alpha

Goal = Literal["superiority", "noninferiority", "equivalence"]
Standing = Literal["primary", "confirmatory", "exploratory", "undeclared"]
What = Literal["answers", "numbers", "verdicts"]
"""What was lost: answers; or of answers that are there the numbers of a metric, or the verdicts of a judge."""
Outcome = Literal["superior", "inferior", "non-inferior", "equivalent", "inconclusive", "not decided", "not decidable", "undefined"]

UNDECLARED: Final = "undeclared"
PRIMARY: Final = "primary"
CONFIRMATORY: Final = "confirmatory"
REACHED: Final[dict[Goal, tuple[Outcome, ...]]] = {
    "superiority": ("superior",),
    "noninferiority": ("non-inferior", "superior"),
    "equivalence": ("equivalent",),
}
"""Goal -> verdicts that reach it."""
CONCLUSIONS: Final[tuple[Outcome, ...]] = ("superior", "inferior", "non-inferior", "equivalent")


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
    alpha: two-sided level of the difference tests; margins are tested at half of it, one-sided. cluster: the field whose items
    are dependent (passage, document, template), None when items are not. lost_share: part of the lost answers that may plausibly
    be at their worst together.
    """

    primary: Endpoint | None = None
    confirmatory: tuple[Endpoint, ...] = ()
    exploratory: tuple[str, ...] = ()
    alpha: float = 0.05
    gated: bool = True
    cluster: str | None = None
    lost_share: float = 1.0

    def __post_init__(self) -> None:
        """Raises ConfigError for endpoints declared twice, reserved or repeated family names; DataError for bad levels."""
        check_alpha(self.alpha)
        names = [endpoint.name for endpoint in self.declared]
        if doubled := {name for name in names if names.count(name) > 1}:
            what = "endpoints declared twice in the analysis plan: " + ", ".join(sorted(doubled))
            raise ConfigError(what, where="stats.confirmatory", hint="leave one out")
        families = self.exploratory
        if len(set(families)) < len(families) or {PRIMARY, CONFIRMATORY, UNDECLARED} & set(families):
            raise ConfigError(
                "exploratory families need names of their own: " + ", ".join(families),
                hint=f"{PRIMARY}, {CONFIRMATORY} and {UNDECLARED} are taken",
            )

    @property
    def margin_alpha(self) -> float:
        """One-sided level of the margin tests, whose interval has level 1 - alpha."""
        return self.alpha / 2.0

    @property
    def declared(self) -> tuple[Endpoint, ...]:
        """The primary endpoint, then the confirmatory ones."""
        return ((self.primary,) if self.primary else ()) + self.confirmatory

    def fingerprint(self) -> str:
        """sha256 of the plan as canonical JSON: what is written into a run before it has results."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class LostAnswers:
    """What a comparison says when its lost answers were as bad for the conclusion as the plan holds plausible.

    low, high: range of the difference; None when the metric has no known range. difference_p: two-sided p at the edge that speaks
    against the observed difference, 1 where the sign turns. margin_p: of the margin test at its worst edge. None: undefined.
    n_lost: items with lost answers. share: part of the lost answers that the plan holds plausible to be at their worst.
    what: was lost to them.
    """

    low: float | None
    high: float | None
    difference_p: float | None
    margin_p: float | None
    n_lost: int
    share: float = 1.0
    what: What = "answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One comparison as the statistics found it, before any correction.

    name: the endpoint's name. family: the exploratory family it belongs to; ignored for declared endpoints. estimate and test
    are of the difference treatment minus control. margin_test_p: one-sided p of the declared margin test (the larger of two
    for equivalence), made in the direction in which more is better; None when there is none. lost: given when enough answers
    were lost to doubt the result. not_decidable: why nothing can be decided: clusters are too few, or no label says how far a judge is right.
    is_another: its endpoint is not the one that was declared before results were known.
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
    lost: LostAnswers | None = None
    not_decidable: str | None = None
    is_another: bool = False

    @property
    def can_be_claimed(self) -> bool:
        """Whether any p could make a claim of it."""
        return self.not_decidable is None and not self.is_another

    @property
    def at_worst(self) -> Finding:
        """The same finding, decided by its lost answers at their worst."""
        if self.lost is None:
            return self
        return replace(self, test=replace(self.test, p_value=self.lost.difference_p, reason="lost answers"), margin_test_p=self.lost.margin_p)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A finding with its place in the plan and what may be said about it.

    p_raw, p_adjusted: of the test that decides the goal (the difference, or the margin: one-sided, read at alpha / 2). m: defined
    p-values in the family. correction: "none", "holm" or "bh". difference_p: of a primary endpoint with a margin, the p of its
    difference adjusted in the confirmatory family, None elsewhere. share: part of alpha that this trial has of its run's; declared
    p-values are already divided by it. is_claim: a conclusion that the plan lets be stated as a result.
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
    difference_p: float | None = None
    share: float = 1.0

    @property
    def reaches_goal(self) -> bool:
        """Whether the declared goal itself was reached and may be claimed."""
        return self.is_claim and self.verdict in REACHED[self.endpoint.goal]


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


def check_followed(plan: AnalysisPlan, findings: Sequence[Finding], cluster_used: str | None) -> PlanCheck:
    """Compare what was analysed with what was declared; cluster_used is the field the analysis clustered by."""
    analysed = {finding.name for finding in findings}
    return PlanCheck(
        missing=tuple(endpoint.name for endpoint in plan.declared if endpoint.name not in analysed),
        undeclared=tuple(sorted(f.name for f in findings if family_of(plan, f) == UNDECLARED)),
        cluster_differs=cluster_used != plan.cluster,
    )


def family_of(plan: AnalysisPlan, finding: Finding) -> str:
    """The family in which a finding is corrected: primary, confirmatory, undeclared, or an exploratory one by its name."""
    if plan.primary is not None and finding.name == plan.primary.name:
        return PRIMARY
    if any(finding.name == endpoint.name for endpoint in plan.confirmatory):
        return CONFIRMATORY
    return finding.family if finding.family in plan.exploratory else UNDECLARED
