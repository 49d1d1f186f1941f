"""What a run would do and what it would cost, as data: whatever shows a plan shows this. Reads, never writes or sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from batchtrial.config.arm_differences import ArmDifference, arm_differences
from batchtrial.config.arm_labels import labels_of_arms
from batchtrial.config.expand import Arm, Trial, arms_of, expand, users_of
from batchtrial.config.families import DATED, family_of
from batchtrial.config.hosts import hosts_of
from batchtrial.config.lanes import config_of_lane
from batchtrial.config.load import Loaded, drift
from batchtrial.config.metric_entries import named_metrics
from batchtrial.config.model import Config
from batchtrial.config.notes import notes
from batchtrial.errors import ConfigError
from batchtrial.modes import MODES, Mode
from batchtrial.phases.analyse.plan_words import PlanWord, plan_words
from batchtrial.phases.base import View
from batchtrial.phases.batches.coverage import ToBuy, coverage
from batchtrial.phases.batches.import_controls import taken_over
from batchtrial.phases.batches.import_judgements import lost_there
from batchtrial.phases.batches.money import BATCH, price_for, tier_of
from batchtrial.phases.batches.retry_not_understood import asking_again, check_affordable
from batchtrial.phases.build import phase as build
from batchtrial.phases.prepare import items
from batchtrial.phases.prepare import phase as prepare
from batchtrial.phases.prepare.endpoints import check_endpoints
from batchtrial.phases.prepare.metrics import try_metrics
from batchtrial.phases.tables.columns import has_questions
from batchtrial.prices import Price, cost_usd
from batchtrial.providers.base import Provider
from batchtrial.reading.config import recorded_config
from batchtrial.reading.similar import Taken, taken_by
from batchtrial.reading.view import look
from batchtrial.records import CONDITIONS, Item, Usage
from batchtrial.run.changes import check_can_go_on
from batchtrial.run.judge_plan import JudgePlan, judge_plans
from batchtrial.run.options import Options
from batchtrial.run.plan import plan
from batchtrial.run.plan_duration import LaneDuration, lane_durations
from batchtrial.sources.columns import NoteKind, note_kind
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import load_parts, look_lines, money
from batchtrial.state.store import Stamps


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One step: what becomes of it (run, skip, wait, off), and why."""

    name: str
    action: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataNote:
    """Something that was found in a question set. kind: `unread` columns, something `guessed`, or `odd` rows."""

    set: str
    kind: NoteKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusing:
    """Sampling fields that a model refuses by the dated table. accepted: those that the config says it takes all the same."""

    family: str
    fields: tuple[str, ...]
    source: str
    dated: str
    accepted: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPlan:
    """What is bought of an arm, and what it may cost.

    label: what the config calls it; arms that ask the same are one. played: (condition, slugs) of its roles. users: trials that share it.
    taken_over: it comes from the run of `control_from`. tier: at whose price, "batch" for batches. at_most_usd: with the longest answers; None
    without a price. expected_usd: as similar answers were; None without a price or a like.
    """

    name: str
    label: str
    backend: str
    model: str
    parts: int
    requests: int
    played: tuple[tuple[str, tuple[str, ...]], ...]
    users: int
    taken_over: bool
    refuses: Refusing | None
    tier: str = BATCH
    input_tokens: int = 0
    max_output_tokens: int = 0
    at_most_usd: Decimal | None = None
    expected_usd: Decimal | None = None
    like: Taken | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPlan:
    """The budget against the whole plan. refused: why it cannot be kept. to_buy_usd: what is still to be bought, once anything was."""

    usd: float
    covers: bool
    sentence: str = ""
    refused: str = ""
    to_buy_parts: int = 0
    to_buy_usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole plan. over_the_file: (key, where) of settings that another place gave. declared: the analysis plan, in words by label.

    has_questions: else every arm has a task, and no item is a question with or without a passage.
    """

    run: str
    backend: str
    model: str
    mode: Mode
    hosts: str
    proxy: str | None
    over_the_file: tuple[tuple[str, str], ...]
    steps: tuple[StepPlan, ...]
    again: tuple[str, ...]
    again_refused: str
    spent: str
    data: tuple[DataNote, ...]
    declared: tuple[PlanWord, ...]
    notes: tuple[str, ...]
    metrics: tuple[Mapping[str, str], ...]
    items: Mapping[str, int]
    has_questions: bool
    trials: tuple[str, ...]
    differences: tuple[tuple[str, ArmDifference], ...]
    arms: tuple[ArmPlan, ...]
    judges: tuple[JudgePlan, ...]
    parts: int
    requests: int
    input_tokens: int
    max_output_tokens: int
    at_most_usd: Decimal | None
    expected_usd: Decimal | None
    durations: tuple[LaneDuration, ...]
    budget: BudgetPlan | None
    control_from: str | None
    is_new: bool
    written_out: bool = field(default=False)

    @property
    def is_simulated(self) -> bool:
        """No model would answer."""
        return MODES[self.mode].is_simulated

    @property
    def is_live(self) -> bool:
        """A provider would be asked and paid."""
        return MODES[self.mode].is_called and not self.is_simulated

    def as_json(self) -> dict[str, Any]:
        """For programs; dollars are numbers, texts that differ come word by word."""
        told = {
            name: getattr(self, name)
            for name in self.__slots__
            if name not in ("arms", "judges", "differences", "steps", "data", "declared", "durations", "budget")
        }
        told |= {"arms": [_plain(asdict(one)) for one in self.arms], "budget": None if self.budget is None else _plain(asdict(self.budget))}
        told |= {name: [_plain(asdict(one)) for one in getattr(self, name)] for name in ("steps", "data", "judges", "durations")}
        told["declared"] = [{"is": one.label, "text": one.text} for one in self.declared]
        told["differences"] = [{"trial": slug, **one.as_json()} for slug, one in self.differences]
        told |= {"simulated": self.is_simulated}
        told["over_the_file"] = dict(self.over_the_file)
        return dict(_plain(told))


def _plain(value: Any) -> Any:
    """The same with numbers that JSON has."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def planned(got: Loaded, options: Options, layout: RunLayout, codec: Provider, *, proxy: str | None, complain: Callable[[str], None]) -> Plan:
    """The plan of a run. complain: is told of a metric that takes long, at once. Raises ConfigError, DataError."""
    config = got.config
    view = look(layout, config, load_parts(layout.ledger), Stamps(layout.root, layout.stamps), codec.limits, notes=look_lines(layout.ledger))
    steps = tuple(StepPlan(name=one.phase.name, action=one.action, reason=one.verdict.reason) for one in plan(options, view))
    again, again_refused = _again(config, view, codec) if options.retry_not_understood else ((), "")
    chosen = _chosen(config, view)
    _check(view, chosen, codec, complain)
    trials = expand(config, sha256 := prepare.Prepared(items=chosen.items, sources={}).sha256)
    build.check_sampling(arms_of(trials), codec)
    in_order, chosen_lines = build.order(chosen.items, config), view.build.lines_per_part if view.build is not None else None
    slices = build.cut(in_order, arms_of(trials), config, codec.limits, codec, chosen_lines)
    ours = taken_over(config, layout, trials, sha256)
    arms = tuple(_arms(config, view, trials, in_order, slices, ours))
    bought, judges = [one for one in arms if not one.taken_over], _judges(config, layout, trials, in_order, ours)
    return Plan(
        run=layout.root.name,
        backend=config.backend,
        model=config.model_id,
        mode=config.mode,
        hosts=hosts_of(config),
        proxy=proxy,
        over_the_file=tuple((key, where) for key, where in sorted(got.origin.items()) if where != "file"),
        steps=steps,
        again=again,
        again_refused=again_refused,
        spent=money(view.parts.values()).sentence() if view.parts else "",
        data=tuple(_data(chosen.sources)),
        declared=tuple(plan_words(layout.ledger, config)),
        notes=notes(config, trials),
        metrics=tuple({"name": one.column, "kind": one.number_kind, "better": one.direction} for one in named_metrics(config.metrics)),
        items={"all": len(chosen.items), **{kind: sum(item.kind == kind for item in chosen.items) for kind in ("open", "closed")}},
        has_questions=has_questions(arms_of(trials)),
        trials=tuple(trial.slug for trial in trials),
        differences=tuple(_differences(config, trials)),
        arms=arms,
        judges=judges,
        parts=sum(one.parts for one in bought),
        requests=sum(one.requests for one in bought),
        input_tokens=sum(one.input_tokens for one in bought),
        max_output_tokens=sum(one.max_output_tokens for one in bought),
        at_most_usd=_sum([*(one.at_most_usd for one in bought), *(one.at_most_usd for one in judges)]),
        expected_usd=_sum([one.expected_usd for one in bought]) if bought and not judges else None,
        durations=_durations(config, bought, slices, {one.model for one in arms} | {one.model for one in judges}),
        budget=_budget(config, view, trials, in_order, slices, ours, judges),
        control_from=config.control_from,
        is_new=view.prepared is None,
        written_out=bool(config.arms),
    )


def _check(view: View, chosen: prepare.Prepared, codec: Provider, complain: Callable[[str], None]) -> None:
    if (known := recorded_config(view.layout)) is not None and (changed := drift(known, view.config)):
        check_can_go_on(view, changed, codec)
    try_metrics(view.config, chosen, chosen.items, complain)
    if not prepare.was_sent(view):
        check_endpoints(view.config, chosen.whole, chosen.sources)


def _durations(config: Config, bought: Sequence[ArmPlan], slices: Sequence[build.Slice], asked: set[str]) -> tuple[LaneDuration, ...]:
    return tuple(lane_durations(config, [(one.backend, one.model, one.input_tokens) for one in bought], [one.n for one in slices], asked))


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if len(known) == len(amounts) else None


def budget_of_run(view: View, codec: Provider) -> BudgetPlan | None:
    """The budget against the whole plan of a run whose items are prepared, judges included; None without a budget."""
    config, kept = view.config, items.load_prepared(view.layout)
    in_order, chosen_lines = build.order(kept, config), view.build.lines_per_part if view.build is not None else None
    slices = build.cut(in_order, arms_of(view.trials), config, codec.limits, codec, chosen_lines)
    ours = taken_over(config, view.layout, view.trials, prepare.Prepared(items=kept, sources={}).sha256)
    return _budget(config, view, view.trials, in_order, slices, ours, _judges(config, view.layout, view.trials, in_order, ours))


def _judges(config: Config, layout: RunLayout, trials: Sequence[Trial], in_order: Sequence[Item], ours: frozenset[str]) -> tuple[JudgePlan, ...]:
    return judge_plans(config, trials, in_order, taken_over=ours, lost_there=lost_there(config, layout))


def _chosen(config: Config, view: View) -> prepare.Prepared:
    """The prepared items where they are as they would be made, else those that would be chosen."""
    if view.prepared is None or not prepare.verdict(view).is_done:
        return prepare.choose(config)
    kept = items.load_prepared(view.layout)
    return prepare.Prepared(items=kept, sources=view.prepared.sources, whole=kept if config.limit_items is None else None)


def _again(config: Config, view: View, codec: Provider) -> tuple[tuple[str, ...], str]:
    """What --retry_not_understood would ask again, and why a budget refuses it."""
    again = asking_again(view, codec)
    try:
        check_affordable(config, money(view.parts.values()).committed_usd, again)
    except ConfigError as error:
        return again.sentences, f"{error.what}; {error.hint}"
    return again.sentences, ""


def _data(sources: Mapping[str, Mapping[str, Any]]) -> list[DataNote]:
    return [DataNote(set=name, kind=note_kind(text), text=text) for name, record in sources.items() for text in record.get("notes", ())]


def _differences(config: Config, trials: Sequence[Trial]) -> list[tuple[str, ArmDifference]]:
    """What differs between the arms of each contrast."""
    found = []
    for trial in trials:
        control, treatment = (trial.arm(condition, trial.temps[0]) for condition in CONDITIONS)
        if control is not None and treatment is not None:
            found += [(trial.slug, one) for one in arm_differences(control, treatment)]
    return found


def _arms(
    config: Config, view: View, trials: tuple[Trial, ...], in_order: Sequence[Item], slices: Sequence[build.Slice], ours: frozenset[str]
) -> list[ArmPlan]:
    arms, labels = arms_of(trials), labels_of_arms(config, trials)
    like = taken_by(view.layout.root.parent, config, [arm.name for arm in arms])
    found = []
    for arm in arms:
        is_ours = arm.name in ours
        n_in, n_out = (0, 0) if is_ours else _tokens(arm, in_order, arm.samples)
        price, n = None if is_ours else price_for(config, arm), arm.samples * len(in_order)
        taken = like.get(arm.name)
        played = tuple((one, tuple(t.slug for t in trials if any(a.name == arm.name and a.condition == one for a in t.arms))) for one in CONDITIONS)
        found.append(
            ArmPlan(
                name=arm.name,
                label=labels[arm.name],
                backend=arm.backend,
                model=arm.model,
                parts=len(slices),
                requests=n,
                played=tuple((condition, slugs) for condition, slugs in played if slugs),
                users=len(users_of(arm, trials)),
                taken_over=is_ours,
                refuses=_refusing(config, arm),
                tier=tier_of(config, arm) or BATCH,
                input_tokens=n_in,
                max_output_tokens=n_out,
                at_most_usd=_usd(price, n_in, n_out),
                expected_usd=None if taken is None else _usd(price, round(n * taken.input_tokens), round(n * taken.output_tokens)),
                like=taken,
            )
        )
    return found


def _tokens(arm: Arm, mine: Sequence[Item], samples: int) -> tuple[int, int]:
    """(about how many go in, how many come out at most)."""
    return samples * sum(build.input_tokens(arm, item) for item in mine), samples * sum(build.output_tokens(arm, item) for item in mine)


def _usd(price: Price | None, n_in: int, n_out: int) -> Decimal | None:
    return None if price is None else cost_usd(price, Usage(input_tokens=n_in, output_tokens=n_out))


def _refusing(config: Config, arm: Arm) -> Refusing | None:
    family = family_of(arm.model)
    if family is None:
        return None
    accepted = config_of_lane(config, arm.backend).provider.accepts
    return Refusing(family=family.name, fields=tuple(sorted(family.refuses)), source=family.source, dated=DATED, accepted=tuple(accepted))


def _budget(
    config: Config,
    view: View,
    trials: tuple[Trial, ...],
    in_order: Sequence[Item],
    slices: Sequence[build.Slice],
    ours: frozenset[str],
    judges: Sequence[JudgePlan],
) -> BudgetPlan | None:
    budget = config.submission.budget_usd
    if budget is None:
        return None
    waiting: list[ToBuy] = []
    for arm in (arm for arm in arms_of(trials) if arm.name not in ours):
        price = price_for(config, arm)
        for index, part in enumerate(slices, 1):
            if arm.part(index) not in view.parts:
                usd = _usd(price, *_tokens(arm, in_order[part.first : part.first + part.n], len(part.samples(arm))))
                waiting.append(ToBuy(slice_index=index, n_items=0 if part.first_sample else part.n, model=arm.model, usd=usd))
    if view.judge_build is None:  # each slice with what may be asked about it
        for one in judges:
            each = None if one.at_most_usd is None else one.at_most_usd / len(in_order)
            whole = [(k, part.n) for k, part in enumerate(slices, 1) if not part.first_sample]
            waiting += [ToBuy(slice_index=k, n_items=n, model=one.model, usd=None if each is None else each * n) for k, n in whole]
    to_buy = _sum([part.usd for part in waiting]) if view.parts else None
    try:
        found = coverage(budget, money(view.parts.values()).committed_usd, waiting, n_pairs=len(in_order))
    except ConfigError as error:
        return BudgetPlan(usd=budget, covers=False, refused=f"{error.what}; {error.hint}", to_buy_parts=len(waiting), to_buy_usd=to_buy)
    return BudgetPlan(usd=budget, covers=not found.is_short, sentence=found.sentence, to_buy_parts=len(waiting), to_buy_usd=to_buy)
