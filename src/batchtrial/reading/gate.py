"""Whether a run reached what its plan declared: reached, refuted, or not settled, for programs that have to decide.

Nothing is tested here that the report does not test. A goal is reached where the report makes that claim; it is refuted where the same test says the
opposite at the same level; all else, missing answers and changed plans among it, is not settled. A run that is not finished is never judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from batchtrial.amounts import counted
from batchtrial.config.expand import Trial
from batchtrial.phases.analyse import costs, stats
from batchtrial.phases.analyse.cost_words import cost_words, left_out, primary_and_cost, two_axes
from batchtrial.phases.analyse.numbers import difference_of, is_declared, is_share
from batchtrial.phases.analyse.planned_power import POWER, pairs_for_goal
from batchtrial.phases.analyse.tables import Cell, load_tables
from batchtrial.phases.base import View
from batchtrial.phases.batches import poll
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.score import phase as score
from batchtrial.stats.claim_power import level_of_trial
from batchtrial.stats.plan import REACHED, Goal

Answer = Literal["reached", "refuted", "not settled", "unfinished"]
ORDER: Final[tuple[Answer, ...]] = ("unfinished", "refuted", "not settled", "reached")
"""What the whole is when its parts differ: the first of these that any of them is."""
SIMULATED: Final = "the answers are simulated, and show nothing about any model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of a run, besides its primary endpoints.

    max_cost_change: per cent that the treatment's answers may cost more than the control's, below 0 for less; None when costs are not asked about.
    """

    is_with_confirmatory: bool = False
    max_cost_change: float | None = None
    is_simulated_allowed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One goal of a trial. what: its name. n_pairs, n_lost, n_needed: None where they mean nothing, or are not known."""

    what: str
    answer: Answer
    sentence: str
    n_pairs: int | None = None
    n_lost: int | None = None
    n_needed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTrial:
    """A trial with its goals. summary: quality and cost in one sentence, where both are known. plan: whether the analysis kept to the plan."""

    slug: str
    goals: tuple[Judged, ...]
    summary: str = ""
    plan: str = ""

    @property
    def answer(self) -> Answer:
        return worst([goal.answer for goal in self.goals])


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRun:
    """The whole run. why: what keeps it from being judged, empty when nothing does."""

    run_id: str
    answer: Answer
    trials: tuple[JudgedTrial, ...]
    why: str = ""
    is_simulated: bool = False


def worst(answers: Sequence[Answer]) -> Answer:
    """The answer for all of them together; nothing judged is nothing settled."""
    return next((one for one in ORDER if one in answers), "not settled")


def judged(view: View, trials: Sequence[Trial], asked: Asked) -> JudgedRun:
    """The answer for these trials of the run. Reads what the run has published and changes nothing."""
    run_id, is_simulated = view.layout.run_id, view.config.is_simulated
    if (open_step := unfinished(view)) is not None:
        return JudgedRun(run_id=run_id, answer="unfinished", trials=(), why=f"the run is not finished: {open_step}", is_simulated=is_simulated)
    found = tuple(_judged_trial(view, trial, asked) for trial in trials)
    if is_simulated and not asked.is_simulated_allowed:
        return JudgedRun(run_id=run_id, answer="not settled", trials=found, why=SIMULATED, is_simulated=True)
    return JudgedRun(run_id=run_id, answer=worst([one.answer for one in found]), trials=found, is_simulated=is_simulated)


def unfinished(view: View) -> str | None:
    """Which step the numbers still wait for, and why; None when they are those of the answers that are there."""
    for phase in (poll, parse.phase, score.phase, stats.phase, costs.phase):
        verdict = phase.verdict(view)
        if not verdict.is_done:
            return f"{phase.name}: {verdict.reason}"
    return None


def _judged_trial(view: View, trial: Trial, asked: Asked) -> JudgedTrial:
    layout = view.trial_layout(trial)
    tests, bills = (json.loads(path.read_bytes()) for path in (layout.significance, layout.costs))
    declared = [one for one in tests["tests"] if is_declared(one) and (asked.is_with_confirmatory or one["family"] == "primary")]
    goals = [judged_endpoint(one, tests, _needed(view, trial, one, tests)) for one in declared]
    if not any(one["family"] == "primary" for one in declared):
        why = tests.get("reason") or "the primary endpoint was not analysed"
        goals.insert(0, Judged(what="primary endpoint", answer="not settled", sentence=f"Nothing can be said of the primary endpoint: {why}."))
    if asked.is_with_confirmatory:
        missing = [name for name in (tests.get("plan") or {}).get("missing", ()) if name not in {one["name"] for one in declared}]
        goals += [Judged(what=name, answer="not settled", sentence=f"{name} was declared and not analysed.") for name in missing]
    if asked.max_cost_change is not None:
        goals.append(judged_cost(tests, bills, asked.max_cost_change))
    plan = str((tests.get("plan") or {}).get("statement", ""))
    return JudgedTrial(slug=trial.slug, goals=tuple(goals), summary=two_axes(tests, bills) or "", plan=plan)


def goal_of(one: Mapping[str, Any]) -> Goal:
    """What a declared comparison of significance.json set out to show."""
    if one.get("decided_by") != "margin":
        return "superiority"
    return "noninferiority" if (one.get("margin") or {}).get("high") is None else "equivalence"


def is_reached(one: Mapping[str, Any]) -> bool:
    """Whether the report claims the declared goal."""
    return bool(one["is_claim"]) and one["standing"] in ("primary", "confirmatory") and one["verdict"] in REACHED[goal_of(one)]


def is_refuted(one: Mapping[str, Any], tests: Mapping[str, Any]) -> bool:
    """Whether the opposite of the declared goal is shown at the goal's own level, shared between trials as its p-value is.

    Superiority: the report claims that the treatment is inferior. A margin: the same test rejects that the difference keeps it, and the printed
    interval lies beyond it. Not where answers were lost to a degree that could explain it, nor where the endpoint is no longer the declared one.
    """
    if one["standing"] not in ("primary", "confirmatory"):
        return False
    if goal_of(one) == "superiority":
        return bool(one["is_claim"]) and one["verdict"] == "inferior"
    margin, estimate = one.get("margin"), one["estimate"]
    if one["verdict"] not in ("inconclusive", "inferior", "superior") or one["lost_at_worst"] is not None or margin is None:
        return False
    if margin["p_value"] is None or estimate["ci_low"] is None or estimate["ci_high"] is None:
        return False
    n_tests = one["m"] * ((tests.get("run") or {}).get("n_trials") or 1)
    low, high = (estimate["ci_low"], estimate["ci_high"]) if one["higher_is_better"] else (-estimate["ci_high"], -estimate["ci_low"])
    is_beyond = high < margin["low"] or (margin["high"] is not None and low > margin["high"])
    return bool(is_beyond and (1.0 - margin["p_value"]) * n_tests <= margin["alpha"])


def judged_endpoint(one: Mapping[str, Any], tests: Mapping[str, Any], n_needed: int | None = None) -> Judged:
    """The answer about a declared comparison of significance.json. n_needed: pairs that would be enough, where more of them would help."""
    is_primary = one["family"] == "primary"
    what = f"{'primary' if is_primary else 'confirmatory'} endpoint: {one['label']}"
    is_open = is_primary or any(is_reached(other) for other in tests["tests"] if other["family"] == "primary")
    answer: Answer = "reached" if is_reached(one) else "refuted" if is_open and is_refuted(one, tests) else "not settled"
    pairs = one["pairs"]
    sentence = _beyond(one) if answer == "refuted" and goal_of(one) != "superiority" else str(one["sentence"])
    if answer == "not settled":
        sentence = " ".join((sentence, *_why_not(one, n_needed)))
    return Judged(what=what, answer=answer, sentence=sentence, n_pairs=pairs["n"], n_lost=pairs["dropped"], n_needed=n_needed)


def _beyond(one: Mapping[str, Any]) -> str:
    """That a margin is not kept, in words; the report says only that it was not shown to be."""
    difference, interval = difference_of(one)
    unit, margin = (" pp", f"{100 * abs(one['margin']['low']):g} pp") if is_share(one) else ("", f"{abs(one['margin']['low']):g}")
    level = f"{100 * one['estimate']['level']:g} % CI"
    opening = "treatment and control differ by more than" if goal_of(one) == "equivalence" else "the treatment is worse than the control by more than"
    return f"On {one['label']} {opening} the margin of {margin} (difference {difference}{unit}, {level} {interval}{unit})."


def _why_not(one: Mapping[str, Any], n_needed: int | None) -> Iterator[str]:
    goal = goal_of(one)
    if goal == "noninferiority" and one["verdict"] == "inferior":
        yield "The treatment is worse; whether by more than the margin is not settled."
    if n_needed is not None:
        given = "the difference is what was seen here" if goal == "superiority" else "nothing differs"
        yield f"About {counted(n_needed, 'pair')} would show it with {100 * POWER:g} % chance if {given}; there {_are(one['pairs']['n'])}."


def _are(n: int) -> str:
    return f"is {n:,}" if n == 1 else f"are {n:,}"


def _needed(view: View, trial: Trial, one: Mapping[str, Any], tests: Mapping[str, Any]) -> int | None:
    """Pairs with which the primary goal would probably be shown; None where more pairs are not what is missing."""
    if one["family"] != "primary" or one["standing"] != "primary" or one["verdict"] != "inconclusive":
        return None
    goal, value = goal_of(one), one["estimate"]["value"]
    if goal == "superiority" and (not value or (value > 0.0) != one["higher_is_better"]):
        return None
    table = load_tables(view, trial)[one["temp"]]
    if one["metric"] in table.judges:  # labels decide the width of a judge's difference, not pairs alone
        return None
    paired = table.pick(Cell(metric=one["metric"], kind=one["kind"], temp=one["temp"], dataset=one["dataset"]))
    alpha = level_of_trial(view.config.stats.alpha, (tests.get("run") or {}).get("n_trials") or 1)
    return None if paired is None else pairs_for_goal(paired.kept(), alpha, goal, abs((one.get("margin") or {}).get("low") or 0.0) or None)


def judged_cost(tests: Mapping[str, Any], bills: Mapping[str, Any], most: float) -> Judged:
    """The answer about what the treatment's answers cost beside the control's. most: per cent more, below 0 for less.

    Decided by the whole interval, and only when what every pair of answers cost is known, and not so many are lost that it means nothing.
    """
    wanted = f"at most {most:g} % more" if most > 0 else "no more" if most == 0 else f"at least {-most:g} % less"
    head, found = primary_and_cost(tests, bills)
    ratio, without = found.get("cost_ratio"), left_out(found)

    def told(answer: Answer, text: str) -> Judged:
        n = None if ratio is None else ratio["n"]
        return Judged(what=f"costs: {wanted}", answer=answer, sentence=text, n_pairs=n, n_lost=sum(without.values()))

    if head is None or ratio is None:
        return told("not settled", f"Nothing can be said of the costs, which were to be {wanted}: no comparison has a known price.")
    words = cost_words(ratio)
    if found.get("items_without_cost") or (without and found["is_loss_doubtful"]):
        missing = ", ".join(f"{counted(n, 'item')} {'has' if n == 1 else 'have'} {why}" for why, n in without.items())
        return told("not settled", f"The costs were to be {wanted}: {words}, but {missing}.")
    (low, high), limit = ratio["ci"], 1.0 + most / 100.0
    if low is None or high is None or ratio["value"] is None:
        return told("not settled", f"The costs were to be {wanted}: {words}.")
    answer: Answer = "reached" if high <= limit else "refuted" if low > limit else "not settled"
    return told(answer, f"The costs were to be {wanted}: {words}.")
