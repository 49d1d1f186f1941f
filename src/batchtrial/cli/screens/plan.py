"""`--plan_only`: a plan in lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from batchtrial.amounts import counted
from batchtrial.run.judge_plan import JudgePlan
from batchtrial.run.planned import ArmPlan, BudgetPlan, Plan
from batchtrial.state.money import dollars

MARKS = {"run": "run ", "skip": "skip", "wait": "run ", "off": "-   "}


def lines(plan: Plan) -> Iterator[str]:
    """The plan."""
    yield f"plan for {plan.run}: {plan.backend}, {plan.model}, mode {plan.mode}"
    yield f"  host     {plan.hosts}" + (f", through the proxy {plan.proxy}" if plan.proxy is not None else "")
    if plan.over_the_file:
        yield f"  over the file: {', '.join(f'{key} ({where})' for key, where in plan.over_the_file)}"
    for step in plan.steps:
        yield f"  {MARKS[step.action]} {step.name:<8} {step.reason}"
    yield from (f"  again    {line}" for line in plan.again)
    if plan.again_refused:
        yield f"  budget   is refused: {plan.again_refused}"
    if plan.spent:
        yield f"  spent    {plan.spent}" + _paid(plan)
    yield from (f"  data     {note.set}: {note.text}" for note in plan.data)
    yield from (f"  {word.label:<8} {word.text}" for word in plan.declared)
    yield from (f"  note     {note}" for note in plan.notes)
    kinds = f" ({plan.items['open']} open book, {plan.items['closed']} closed book)" if plan.has_questions else ""
    yield f"  items    {plan.items['all']}{kinds}"
    yield f"  trials   {len(plan.trials)}: {', '.join(plan.trials)}"
    if plan.written_out:
        yield from (f"  differs  {slug}: {one.sentence}" for slug, one in plan.differences)
    for arm in plan.arms:
        yield from _arm(plan, arm)
    yield from (f"  judge    {one.sentence}" for one in plan.judges)
    asked = sum(one.judgements for one in plan.judges)
    more = f", then at most {counted(asked, 'judgement')}" if asked else ""
    yield f"  total    {counted(plan.parts, 'part')}, {counted(plan.requests, 'request')}{more}"
    yield f"  tokens   about {plan.input_tokens:,} in, at most {plan.max_output_tokens:,} out"
    yield f"  cost     {_at_most(plan.at_most_usd, [*(one for one in plan.arms if not one.taken_over), *plan.judges])}" + _paid(plan)
    yield from _expected(plan)
    if not plan.is_simulated:
        yield from (f"  takes    {one.sentence}" for one in plan.durations)
    yield from (f"  queue    {doubt}" for one in plan.durations for doubt in one.doubts)
    if plan.budget is not None:
        yield from _budget(plan, plan.budget)
    if plan.is_new:
        yield "  nothing was written or sent"


def _arm(plan: Plan, arm: ArmPlan) -> Iterator[str]:
    told = [f"{condition} of {slugs[0] if len(slugs) == 1 else f'{len(slugs)} trials'}" for condition, slugs in arm.played]
    roles = ", ".join(told) + (f", shared by {arm.users} trials" if arm.users > 1 else "")
    source = f", taken over from run {plan.control_from}: not bought" if arm.taken_over else ""
    yield f"  arm      {arm.name}: {counted(arm.parts, 'part')}, {counted(arm.requests, 'request')}, {roles}{source}"
    if plan.written_out and not arm.taken_over:
        yield f"           {arm.label}: {arm.backend}, {arm.model}, {_at_most(arm.at_most_usd, [arm])}"


def _expected(plan: Plan) -> Iterator[str]:
    """What it should cost, where answers of the same arms are known; else nothing."""
    alike = [arm.like for arm in plan.arms if arm.like is not None and not arm.taken_over]
    if plan.expected_usd is None or not alike:
        return
    least, runs = min(one.n for one in alike), ", ".join(dict.fromkeys(one.run for one in alike))
    yield f"  expected ${plan.expected_usd:,.4f}, as the {counted(least, 'answer')} or more of each arm were that are in {runs}" + _paid(plan)


def _at_most(usd: Decimal | None, bought: Sequence[ArmPlan | JudgePlan]) -> str:
    if usd is None:
        models = ", ".join(dict.fromkeys(one.model for one in bought if one.at_most_usd is None))
        return f"unknown: no price of {models} is known; add it under pricing.overrides"
    tiers = {one.tier for one in bought}
    return f"at most ${usd:,.4f}" + (f" at {tiers.pop()} price" if len(tiers) == 1 else "")


def _budget(plan: Plan, budget: BudgetPlan) -> Iterator[str]:
    if plan.spent and budget.to_buy_usd is not None:
        yield f"  to buy   {counted(budget.to_buy_parts, 'part')}, at most {dollars(budget.to_buy_usd)} more"
    if budget.refused:
        yield f"  budget   ${budget.usd:g} is refused: {budget.refused}"
    elif budget.covers:
        yield f"  budget   ${budget.usd:g} covers it"
    else:
        yield f"  budget   ${budget.usd:g} does NOT cover it: {budget.sentence}; a run asks for --partial"


def _paid(plan: Plan) -> str:
    if plan.is_live:
        return ""
    return " (simulated: nothing is paid)" if plan.is_simulated else " (nothing is paid)"
