"""A judgement in one plain sentence, which never says more than the plan allows.

Declared goals that were reached are stated; findings outside the plan, or behind a primary endpoint that reached nothing, point
somewhere at most; "inconclusive" names the range that is still possible and never claims that there is no difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

from batchtrial.stats.plan import CONCLUSIONS, AnalysisPlan, Finding, Judgement, PlanCheck, What
from batchtrial.stats.results import Estimate
from batchtrial.stats.rounding import MOST_DIGITS, NOISE, p_phrase, sided

Origin = Literal["declared", "default", "changed", "relabelled", "unfrozen"]
"""Where an endpoint comes from: written before the run, taken from the defaults, changed after the first result, or by labels after the corrected
difference was shown, or nobody knows."""


LOST: Final[Mapping[What, str]] = {"answers": "lost answers", "numbers": "missing numbers", "verdicts": "missing verdicts"}
DISAGREE: Final = "Interval and test are different approximations, which disagree at this border; the verdict is the test's."


def sentence(judgement: Judgement, *, origin: Origin = "declared", direction: str = "") -> str:
    """The verdict in words, with difference, interval, p-value and how it was corrected. direction: what the treatment has, "fewer false answers"."""
    opening = _opening(judgement, origin)
    if judgement.verdict == "undefined":
        return f"{opening}{_label(judgement)} could not be judged: {_reason(judgement)}."
    return f"{opening}{_statement(judgement, origin, direction)}{_numbers(judgement)}.{_limits(judgement)}"


def followed(check: PlanCheck, plan: AnalysisPlan) -> str:
    """What the analysis did otherwise than its plan says, in words; empty when nothing."""
    if not plan.declared and not plan.exploratory:
        return "No endpoint was declared before the run: every result here is exploratory."
    faults = []
    if check.missing:
        faults.append("declared but not analysed: " + ", ".join(check.missing))
    if check.cluster_differs:
        faults.append(f"the declared clusters ({plan.cluster or 'none'}) were not the ones used")
    words = [f"The analysis did not follow the declared plan: {'; '.join(faults)}."] if faults else []
    if check.undeclared:
        words.append(f"Analysed beyond the plan, as exploratory: {', '.join(check.undeclared)}.")
    return " ".join(words)


def shared_alpha(run: Mapping[str, Any] | None, alpha: float) -> str:
    """What the other trials of a run do to this one's declared p-values, and what they found; empty for one trial alone."""
    if not run:
        return ""
    others = "; ".join(f"{one['trial']}: {one['verdict'] or 'not analysed'}{_adjusted(one, alpha)}" for one in run["others"])
    return (
        f"This run has {run['n_trials']} trials, which share alpha = {alpha:g}: the declared p-values of this one are multiplied by "
        f"{1.0 / run['share']:g} before they are read. The others: {others}."
    )


def _adjusted(other: Mapping[str, Any], alpha: float) -> str:
    p = other["p_adjusted"]
    if other["verdict"] in CONCLUSIONS and not other["is_claim"]:
        return " (exploratory)"
    return "" if p is None else f" (p {p_phrase(p, levels=(alpha,))})"


def few_clusters(n_clusters: int, n_items: int, needed: int) -> str:
    """Why nothing can be decided with so few documents, and how many would be enough."""
    if n_clusters == 1:
        return f"not decidable: all {n_items} items stand on one document, and nothing is shown beyond it; at least {needed} documents are needed"
    return f"not decidable with {n_clusters} documents: even if all of them agreed, chance could explain it; at least {needed} are needed"


def difference(value: float, *, is_share: bool, margin: float | None = None) -> str:
    """A signed difference: +5.5 pp for shares, +0.055 for scores; with more digits where it is next to zero or the margin, or a score's is small."""
    unit = 100.0 if is_share else 1.0
    lines = (0.0,) if margin is None else (0.0, unit * margin, -unit * margin)
    # Dollars per answer are small: two digits that count, where three after the point are none.
    is_small = not is_share and NOISE < abs(value) < 0.001
    digits = min(MOST_DIGITS, 1 - math.floor(math.log10(abs(value)))) if is_small else 1 if is_share else 3
    digits -= is_small and round(value, digits) == round(value, digits - 1)  # no zero at the end
    return sided(unit * value, digits, lines=lines, is_signed=True) + (" pp" if is_share else "")


def levels_of(estimate: Estimate) -> tuple[float, float]:
    """The levels that decide beside the estimate's interval: two-sided, and of a margin."""
    alpha = round(1.0 - estimate.level, 12)
    return alpha, alpha / 2


def _opening(judgement: Judgement, origin: Origin) -> str:
    if origin == "changed":
        return "Exploratory, changed after the first result had arrived: "
    if origin == "relabelled":
        return "Exploratory, labels came or changed after its corrected difference had been shown: "
    if origin == "unfrozen":
        return "Exploratory, no plan was frozen before the run: "
    return {
        "primary": "Primary endpoint: ",
        "confirmatory": "Confirmatory: ",
        "exploratory": "Exploratory: ",
        "undeclared": "Exploratory, not declared before the run: ",
    }[judgement.standing]


def _statement(judgement: Judgement, origin: Origin, direction: str) -> str:
    label, goal = _label(judgement), judgement.endpoint.goal
    margin = _margin(judgement)
    if judgement.verdict == "not decided":
        lost = judgement.finding.lost
        return f"{label} is not decided: {LOST[lost.what] if lost is not None else LOST['answers']} could explain it"
    if judgement.verdict == "not decidable":
        return f"{label} is {judgement.finding.not_decidable}"
    if judgement.verdict == "inconclusive":
        wanted = {
            "superiority": "whether the arms differ",
            "noninferiority": f"whether the treatment is non-inferior at the margin of {margin}",
            "equivalence": f"whether the arms are equivalent at the margin of {margin}",
        }[goal]
        return f"the data do not settle {wanted} on {label}"
    towards = f": {direction}" if direction else ""
    if not judgement.is_claim:
        side = {
            "superior": f"points to the treatment being better{towards}",
            "inferior": f"points to the treatment being worse{towards}",
            "non-inferior": f"points to non-inferiority at the margin of {margin}",
            "equivalent": f"points to equivalence at the margin of {margin}",
        }[judgement.verdict]
        return f"{label} {side}"
    return {
        "superior": f"the treatment is superior to the control on {label}{towards}",
        "inferior": f"the treatment is inferior to the control on {label}{towards}",
        "non-inferior": f"the treatment is non-inferior to the control on {label} at the {origin} margin of {margin}",
        "equivalent": f"treatment and control are equivalent on {label} within the {origin} margin of {margin}",
    }[judgement.verdict]


def _numbers(judgement: Judgement) -> str:
    estimate, is_share, margin = judgement.finding.estimate, judgement.endpoint.is_share, judgement.endpoint.margin
    if estimate.value is None:
        return ""
    parts = [f"difference {difference(estimate.value, is_share=is_share, margin=margin)}"]
    parts.append(_interval(estimate, is_share=is_share, margin=margin))
    if judgement.verdict != "not decidable":
        parts.append(_tested(judgement))
    return f" ({', '.join(part for part in parts if part)})"


def _interval(estimate: Estimate, *, is_share: bool, margin: float | None) -> str:
    if estimate.ci_low is None or estimate.ci_high is None:
        return "no interval"
    low, high = (difference(end, is_share=is_share, margin=margin) for end in (estimate.ci_low, estimate.ci_high))
    return f"{100.0 * estimate.level:g} % CI {low.removesuffix(' pp')} to {high}"


def _tested(judgement: Judgement) -> str:
    """The p-value that the verdict rests on, by its name: a margin's p says nothing about the difference and vice versa."""
    by_margin, levels = judgement.endpoint.decided_by == "margin", levels_of(judgement.finding.estimate)
    shared = f", multiplied by {1.0 / judgement.share:g} for the trials of this run" if judgement.share < 1.0 else ""
    if by_margin and judgement.verdict in ("superior", "inferior"):
        p = judgement.difference_p
        return "" if p is None else f"p {p_phrase(p, levels=levels)} of the difference, as one of the confirmatory tests{shared}"
    if judgement.p_adjusted is None:
        return ""
    name = {"none": "p", "holm": "Holm-adjusted p", "bh": "q"}[judgement.correction]
    name = f"{name} of the margin test" if by_margin else name
    family = f" among {judgement.m} tests" if judgement.correction != "none" and judgement.m > 1 else ""
    one_sided = ", one-sided" if by_margin else ""
    return f"{name} {p_phrase(judgement.p_adjusted, levels=levels)}{family}{one_sided}{shared}"


def _limits(judgement: Judgement) -> str:
    if judgement.verdict == "not decided":
        return _lost(judgement)
    if judgement.verdict == "not decidable":
        return ""
    if judgement.verdict == "inconclusive":
        return _still_possible(judgement.finding)
    return _disagreement(judgement) + _standing(judgement)


def _disagreement(judgement: Judgement) -> str:
    """What is to be said of a difference that its test shows and its interval does not, as happens with few clusters of unequal size."""
    estimate = judgement.finding.estimate
    if judgement.verdict not in ("superior", "inferior") or estimate.ci_low is None or estimate.ci_high is None:
        return ""
    return f" {DISAGREE}" if estimate.ci_low <= 0.0 <= estimate.ci_high else ""


def _standing(judgement: Judgement) -> str:
    """What a conclusion's place in the plan leaves of it."""
    if judgement.standing in ("exploratory", "undeclared"):
        return " A new run would have to confirm this."
    if not judgement.is_claim:
        return " The primary endpoint did not reach its declared goal, so this supports no claim by itself."
    if judgement.verdict == "non-inferior":
        return " This does not show that it is better."
    return ""


def _still_possible(finding: Finding) -> str:
    estimate, p = finding.estimate, finding.test.p_value
    if estimate.ci_low is None or estimate.ci_high is None:
        return ""
    if estimate.ci_low > 0.0 or estimate.ci_high < 0.0:
        if p is not None and p > levels_of(estimate)[0]:
            return f" {DISAGREE}"
        return " The interval is of this comparison alone; corrected for the tests beside it, it shows nothing."
    return " Every difference inside the interval remains possible."


def _lost(judgement: Judgement) -> str:
    """What the lost answers could have made of the difference."""
    lost, is_share = judgement.finding.lost, judgement.endpoint.is_share
    if lost is None:
        return ""
    if lost.low is None or lost.high is None:
        begin = f"Answers to {lost.n_lost} items were lost" if lost.what == "answers" else f"{lost.n_lost} items lack {lost.what} of the metric"
        return f" {begin}, and the metric has no known range to bound what they would have changed."
    low, high = (difference(end, is_share=is_share) for end in (lost.low, lost.high))
    which = f"the {LOST[lost.what]}" if lost.share == 1.0 else f"{100.0 * lost.share:g} % of the {LOST[lost.what]}"
    which += f" {'to' if lost.what == 'answers' else 'of'} {lost.n_lost} items"
    return f" With {which} at their worst or best the difference lies anywhere from {low} to {high}."


def _label(judgement: Judgement) -> str:
    return judgement.endpoint.label or judgement.endpoint.name


def _margin(judgement: Judgement) -> str:
    margin = judgement.endpoint.margin
    if margin is None:
        return "none"
    return f"{100.0 * margin:g} pp" if judgement.endpoint.is_share else f"{margin:g}"


def _reason(judgement: Judgement) -> str:
    finding = judgement.finding
    return finding.estimate.reason or finding.test.reason or "the declared test was not made"
