"""`--plan_only`: what would happen and what it would cost, as lines; reads, never writes or sends."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from batchtrial.config.expand import arms_of, expand
from batchtrial.config.load import Loaded
from batchtrial.config.model import Config
from batchtrial.config.notes import notes
from batchtrial.phases import build, items, prepare
from batchtrial.phases.base import View
from batchtrial.phases.money import price_for
from batchtrial.prices import cost_usd
from batchtrial.providers.base import Provider
from batchtrial.records import Item, Usage
from batchtrial.run.look import look
from batchtrial.run.options import Options
from batchtrial.run.plan import plan
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import load_parts, money
from batchtrial.state.store import Stamps

MARKS = {"run": "run ", "skip": "skip", "wait": "run ", "off": "-   "}


def lines(got: Loaded, options: Options, layout: RunLayout, codec: Provider) -> Iterator[str]:
    """The plan. Raises ConfigError, DataError."""
    config = got.config
    stamps = Stamps(layout.root, layout.stamps)
    view = look(layout, config, load_parts(layout.ledger), stamps, codec.limits)
    steps = plan(options, view)
    yield f"plan for {layout.root.name}: {config.backend}, {config.model_id}, mode {config.mode}"
    given = [f"{key} ({where})" for key, where in sorted(got.origin.items()) if where != "file"]
    if given:
        yield f"  over the file: {', '.join(given)}"
    for step in steps:
        yield f"  {MARKS[step.action]} {step.phase.name:<8} {step.verdict.reason}"
    if view.parts:
        yield f"  spent    {money(view.parts.values()).sentence()}" + _paid(config)
    if view.prepared is not None and prepare.verdict(view).is_done:
        chosen = prepare.Prepared(items=items.load_prepared(layout), sources=view.prepared.sources)
    else:
        chosen = prepare.choose(config)
    for note in prepare.notes(chosen.sources):
        yield f"  data     {note}"
    yield from _requests(config, view, codec, chosen.items)


def _requests(config: Config, view: View, codec: Provider, chosen: tuple[Item, ...]) -> Iterator[str]:
    prepared = prepare.Prepared(items=chosen, sources={})
    trials = expand(config, prepared.sha256)
    arms = arms_of(trials)
    build.check_sampling(arms, codec)
    for note in notes(config, trials):
        yield f"  note     {note}"
    slices = build.cut(build.order(chosen, config.seed), arms, config, codec.limits, codec)
    kinds = {kind: sum(item.kind == kind for item in chosen) for kind in ("open", "closed")}
    yield f"  items    {len(chosen)} ({kinds['open']} open book, {kinds['closed']} closed book)"
    yield f"  trials   {len(trials)}: {', '.join(trial.slug for trial in trials)}"
    total, is_priced = Decimal(0), True
    n_requests = n_in = n_out = 0
    for arm in arms:
        tokens_in = arm.samples * sum(build.input_tokens(arm, item) for item in chosen)
        tokens_out = arm.samples * sum(build.output_tokens(arm, item) for item in chosen)
        n = arm.samples * len(chosen)
        price = price_for(config, arm.model)
        cost = None if price is None else cost_usd(price, Usage(input_tokens=tokens_in, output_tokens=tokens_out))
        is_priced &= cost is not None
        total += cost or Decimal(0)
        n_requests, n_in, n_out = n_requests + n, n_in + tokens_in, n_out + tokens_out
        users = [trial.slug for trial in trials if arm in trial.arms]
        shared = f", shared by {len(users)} trials" if len(users) > 1 else ""
        yield f"  arm      {arm.name}: {len(slices)} part{'s' * (len(slices) != 1)}, {n} requests{shared}"
    yield f"  total    {len(arms) * len(slices)} parts, {n_requests} requests"
    yield f"  tokens   about {n_in:,} in, at most {n_out:,} out"
    most = f"at most ${total:,.4f} at batch price" if is_priced else "unknown: a model has no price; add it under pricing.overrides"
    yield f"  cost     {most}" + _paid(config)
    if config.submission.budget_usd is not None and is_priced:
        fits = "covers it" if total <= Decimal(str(config.submission.budget_usd)) else "does NOT cover it: submission stops at the budget"
        yield f"  budget   ${config.submission.budget_usd:g} {fits}"
    if view.prepared is None:
        yield "  nothing was written or sent"


def _paid(config: Config) -> str:
    if config.mode == "live":
        return ""
    return " (simulated: nothing is paid)" if config.is_simulated else " (nothing is paid)"
