"""`--plan_only`: what would happen and what it would cost, as lines; reads, never writes or sends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from batchtrial.amounts import counted
from batchtrial.app.hosts import proxy_for
from batchtrial.cli.frame import complain
from batchtrial.config.arm_differences import arm_differences
from batchtrial.config.expand import Arm, Trial, arms_of, expand, users_of
from batchtrial.config.hosts import hosts_of
from batchtrial.config.load import Loaded
from batchtrial.config.model import Config
from batchtrial.config.notes import notes
from batchtrial.errors import ConfigError
from batchtrial.phases.analyse.plan_words import plan_lines
from batchtrial.phases.base import View
from batchtrial.phases.batches.coverage import ToBuy, coverage
from batchtrial.phases.batches.import_controls import taken_over
from batchtrial.phases.batches.money import price_for
from batchtrial.phases.batches.retry_not_understood import asking_again, check_affordable
from batchtrial.phases.build import phase as build
from batchtrial.phases.prepare import items
from batchtrial.phases.prepare import phase as prepare
from batchtrial.phases.prepare.endpoints import check_endpoints
from batchtrial.phases.prepare.metrics import try_metrics
from batchtrial.prices import cost_usd
from batchtrial.providers.base import Provider
from batchtrial.reading.view import look
from batchtrial.records import CONDITIONS, Item, Usage
from batchtrial.run.options import Options
from batchtrial.run.plan import plan
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import load_parts, look_lines, money
from batchtrial.state.money import dollars
from batchtrial.state.store import Stamps

MARKS = {"run": "run ", "skip": "skip", "wait": "run ", "off": "-   "}


def lines(got: Loaded, options: Options, layout: RunLayout, codec: Provider) -> Iterator[str]:
    """The plan. Raises ConfigError, DataError."""
    config = got.config
    stamps = Stamps(layout.root, layout.stamps)
    notes = look_lines(layout.ledger)
    view = look(layout, config, load_parts(layout.ledger), stamps, codec.limits, notes=notes)
    steps = plan(options, view)
    yield f"plan for {layout.root.name}: {config.backend}, {config.model_id}, mode {config.mode}"
    yield f"  host     {hosts_of(config)}" + (f", through the proxy {proxy}" if (proxy := proxy_for(config)) is not None else "")
    given = [f"{key} ({where})" for key, where in sorted(got.origin.items()) if where != "file"]
    if given:
        yield f"  over the file: {', '.join(given)}"
    for step in steps:
        yield f"  {MARKS[step.action]} {step.phase.name:<8} {step.verdict.reason}"
    if options.retry_not_understood:
        yield from _again(config, view, codec)
    if view.parts:
        yield f"  spent    {money(view.parts.values()).sentence()}" + _paid(config)
    if view.prepared is not None and prepare.verdict(view).is_done:
        kept = items.load_prepared(layout)
        chosen = prepare.Prepared(items=kept, sources=view.prepared.sources, whole=kept if config.limit_items is None else None)
    else:
        chosen = prepare.choose(config)
    try_metrics(config, chosen, chosen.items, complain)  # at once: it is told while the plan is made
    for note in prepare.notes(chosen.sources):
        yield f"  data     {note}"
    check_endpoints(config, chosen.whole, chosen.sources)
    yield from plan_lines(layout.ledger, config)
    yield from _requests(config, view, codec, chosen.items)


def _again(config: Config, view: View, codec: Provider) -> Iterator[str]:
    """What --retry_not_understood would ask again."""
    again = asking_again(view, codec)
    yield from (f"  again    {line}" for line in again.sentences)
    try:
        check_affordable(config, money(view.parts.values()).committed_usd, again)
    except ConfigError as error:
        yield f"  budget   is refused: {error.what}; {error.hint}"


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
    yield from _differences(config, trials)
    yield from _purchases(config, view, trials, prepared, slices)
    if view.prepared is None:
        yield "  nothing was written or sent"


def _differences(config: Config, trials: Sequence[Trial]) -> Iterator[str]:
    """What differs between the arms of each contrast, where whole recipes are compared."""
    for trial in trials if config.arms else ():
        control, treatment = (trial.arm(condition, trial.temps[0]) for condition in CONDITIONS)
        if control is not None and treatment is not None:
            yield from (f"  differs  {trial.slug}: {one.sentence}" for one in arm_differences(control, treatment))


def _purchases(config: Config, view: View, trials: Sequence[Trial], prepared: prepare.Prepared, slices: Sequence[build.Slice]) -> Iterator[str]:
    """What is bought, arm by arm, and what it may cost."""
    arms, in_order = arms_of(tuple(trials)), build.order(prepared.items, config.seed)
    ours = taken_over(config, view.layout, trials, prepared.sha256)
    waiting: list[ToBuy] = []
    total, is_priced = Decimal(0), True
    n_requests = n_in = n_out = n_parts = 0
    for arm in arms:
        n = arm.samples * len(in_order)
        source = f", taken over from run {config.control_from}: not bought" if arm.name in ours else ""
        yield f"  arm      {arm.name}: {counted(len(slices), 'part')}, {counted(n, 'request')}, {_roles(arm, trials)}{source}"
        if arm.name in ours:
            continue
        price, before = price_for(config, arm), total
        is_priced &= price is not None
        for index, part in enumerate(slices, 1):
            mine = in_order[part.first : part.first + part.n]
            tokens_in = arm.samples * sum(build.input_tokens(arm, item) for item in mine)
            tokens_out = arm.samples * sum(build.output_tokens(arm, item) for item in mine)
            cost = None if price is None else cost_usd(price, Usage(input_tokens=tokens_in, output_tokens=tokens_out))
            total += cost or Decimal(0)
            n_in, n_out = n_in + tokens_in, n_out + tokens_out
            if arm.part(index) not in view.parts:
                waiting.append(ToBuy(slice_index=index, n_items=part.n, model=arm.model, usd=cost))
        n_requests, n_parts = n_requests + n, n_parts + len(slices)
        if config.arms:
            yield f"           {_named(arm, trials)}: {arm.backend}, {arm.model}, " + _at_most(None if price is None else total - before)
    yield f"  total    {counted(n_parts, 'part')}, {counted(n_requests, 'request')}"
    yield f"  tokens   about {n_in:,} in, at most {n_out:,} out"
    yield f"  cost     {_at_most(total if is_priced else None)}" + _paid(config)
    yield from _budget(config, view, waiting, n_pairs=len(in_order))


def _at_most(usd: Decimal | None) -> str:
    return "unknown: a model has no price; add it under pricing.overrides" if usd is None else f"at most ${usd:,.4f} at batch price"


def _named(arm: Arm, trials: Sequence[Trial]) -> str:
    """What the config calls the arm; several names when it has it more than once."""
    names = [trial.prompt_set if one.condition == "treatment" else trial.against for trial in trials for one in trial.arms if one.name == arm.name]
    return " and ".join(dict.fromkeys(names))


def _roles(arm: Arm, trials: Sequence[Trial]) -> str:
    """What the arm is in which trials; a role that it plays in several, by their number."""
    played = {c: [trial.slug for trial in trials if any(a.name == arm.name and a.condition == c for a in trial.arms)] for c in CONDITIONS}
    told = [f"{c} of {slugs[0] if len(slugs) == 1 else f'{len(slugs)} trials'}" for c, slugs in played.items() if slugs]
    n = len(users_of(arm, trials))
    return ", ".join(told) + (f", shared by {n} trials" if n > 1 else "")


def _budget(config: Config, view: View, waiting: list[ToBuy], *, n_pairs: int) -> Iterator[str]:
    budget = config.submission.budget_usd
    if budget is None:
        return
    committed = money(view.parts.values()).committed_usd
    if view.parts and all(part.usd is not None for part in waiting):
        yield f"  to buy   {counted(len(waiting), 'part')}, at most {dollars(sum((part.usd or Decimal(0) for part in waiting), Decimal(0)))} more"
    try:
        found = coverage(budget, committed, waiting, n_pairs=n_pairs)
    except ConfigError as error:
        yield f"  budget   ${budget:g} is refused: {error.what}; {error.hint}"
        return
    if found.is_short:
        yield f"  budget   ${budget:g} does NOT cover it: {found.sentence}; a run asks for --partial"
    else:
        yield f"  budget   ${budget:g} covers it"


def _paid(config: Config) -> str:
    if config.is_live:
        return ""
    return " (simulated: nothing is paid)" if config.is_simulated else " (nothing is paid)"
