"""The last lines of a run: outcomes, verdicts, the declared comparisons as a table, money, where the report is."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from batchtrial.amounts import counted
from batchtrial.cli.screens.terminal import table as table_of
from batchtrial.config.expand import Trial, TrialArm
from batchtrial.modes import MODES
from batchtrial.phases.analyse.cost_words import two_axes
from batchtrial.phases.analyse.numbers import NOT_ANALYSED, adjusted_p, arms_of, difference_of, is_declared, is_share, name_of
from batchtrial.phases.base import View
from batchtrial.phases.batches.reasons import reason_lines
from batchtrial.phases.batches.twice import bought_twice
from batchtrial.phases.report.account_words import answers_by_arm, cautions, reasons_of, states_told
from batchtrial.run.loop import Finished
from batchtrial.state.machine import IN_FLIGHT
from batchtrial.state.money import Money
from batchtrial.state.store import read_json


def lines(view: View, finished: Finished, money: Money) -> Iterator[str]:
    """For standard output."""
    c = finished.counts
    if view.config.is_simulated:
        yield f"SIMULATED ANSWERS: no model was asked ({MODES[view.config.mode].summary})"
    elif not view.config.is_live:
        yield f"RECORDED ANSWERS: {_recorded_from(view)}"
    yield f"requests  {c.succeeded} succeeded, {c.errored} errored, {c.expired} expired, {c.cancelled} cancelled, {c.missing} missing"
    yield f"cost      {_spent(money, is_paid=view.config.is_live)}"
    twice = bought_twice(view)
    if twice is not None:
        yield f"twice     {twice}"
    yield from _left(view)
    if not finished.is_complete:
        yield "not all steps were asked for; `--resume` goes on with the rest"
        return
    yield from answers(view)
    for trial in view.trials:
        layout = view.trial_layout(trial)
        tests = json.loads(layout.significance.read_bytes())
        yield ""
        yield f"{trial.slug}"
        if tests.get("headline"):
            yield from wrapped(tests["headline"]["sentence"])
        elif tests.get("reason"):
            yield from wrapped(tests["reason"])
        elif tests.get("plan"):
            yield from wrapped(f"{NOT_ANALYSED} {tests['plan']['statement']}")
        if both := two_axes(tests, json.loads(layout.costs.read_bytes())):
            yield from wrapped(both)
        yield from table(tests)
        for text in tests.get("rules", ()):
            yield from wrapped(text)
        yield f"report    {layout.report_md}"
        yield f"          {layout.report_html}"


def wrapped(sentence: str) -> Iterator[str]:
    """A sentence in lines of at most 140 characters, further ones deeper than the first; words are never cut."""
    yield from textwrap.wrap(sentence, 140, initial_indent="  ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def answers(view: View) -> Iterator[str]:
    """Answers that are none, by arm, and why requests failed; an arm that trials share is told of once."""
    arms: dict[str, Any] = {}
    seen: set[str] = set()
    for trial in view.trials:
        told = answers_by_arm(read_json(view.trial_layout(trial).account))
        mine = [arm for arm in trial.arms if arm.stem in told and arm.name not in seen]
        arms |= {_label(view, trial, arm): told[arm.stem] for arm in mine}
        seen |= {arm.name for arm in mine}
    states = states_told(arms)
    if states:
        yield f"answers   {states}"
    for place, line in enumerate(reason_lines(reasons_of(arms.values()))):
        yield f"{'' if place else 'why':<9} {line}"
    for text in cautions(arms, view.config.answers.strip_thinking):
        yield f"care      {text}"


def _label(view: View, trial: Trial, arm: TrialArm) -> str:
    return arm.stem if len(view.trials) == 1 else f"{trial.slug}_{arm.stem}"


def _recorded_from(view: View) -> str:
    try:
        told = json.loads(view.layout.provenance.read_bytes())
    except FileNotFoundError:
        return "a real model gave them when the recording was made"
    return f"{told['model']} ({told['quantisation']}) gave them on {told['recorded_on']}; no model was asked now"


def _spent(money: Money, *, is_paid: bool) -> str:
    """What was spent, or would have been: a rehearsal costs nothing, whatever the price table says."""
    in_flight = f", {under_way} in flight" if (under_way := money.in_flight()) else ""
    verb, nothing = ("spent", "") if is_paid else ("by the price table", " (nothing was paid)")
    return f"{money.sentence(verb)}{in_flight}{nothing}"


def _left(view: View) -> Iterator[str]:
    """Batches under way whose requests are no longer among the run's, since its config was changed: nobody fetches them, and they are billed."""
    asked = {part for build in (view.build, view.judge_build) if build is not None for part in build.shards}
    left = {part: one.current.n_requests for part, one in view.parts.items() if part not in asked and one.state in IN_FLIGHT and one.current}
    if view.build is not None and left:
        under_way = f"{counted(sum(left.values()), 'request')} under way ({counted(len(left), 'batch', 'batches')}, {next(iter(left))})"
        yield f"left      {under_way}, billed and not fetched: the changed config does not ask for them; the earlier one does (--accept_drift)"


def table(tests: dict[str, Any]) -> Iterator[str]:
    """The declared comparisons."""
    declared = [one for one in tests["tests"] if is_declared(one)]
    if not declared:
        return
    heads = ("comparison", "control", "treatment", "difference", "interval", "adjusted p", "pairs", "lost")
    rows = []
    for one in declared:
        unit = " pp" if is_share(one) else ""
        difference, interval = (text if text == "-" else f"{text}{unit}" for text in difference_of(one))
        rows.append((name_of(one), *arms_of(one), difference, interval, adjusted_p(one), str(one["pairs"]["n"]), str(one["pairs"]["dropped"])))
    # As wide as it is, whatever the terminal: no figure is cut.
    yield from (line.plain.rstrip() for line in table_of(heads, rows, left={"comparison"}, gap=4))
