"""What `--plan_only` says of the second wave: what the judges may cost, before there is an answer to judge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from batchtrial.amounts import counted
from batchtrial.config.expand import Trial, arms_of
from batchtrial.config.judge_arms import ANSWER, FIRST, MARK, PASSAGE, QUESTION, REFERENCE, SECOND, arm_of, rubric_reads
from batchtrial.config.judges import JudgeSpec
from batchtrial.config.model import Config
from batchtrial.phases.batches.money import BATCH, price_for, tier_of
from batchtrial.phases.build import phase as build
from batchtrial.phases.build.questions import ANSWERS_BETWEEN
from batchtrial.phases.build.sizes import CHARS_PER_TOKEN
from batchtrial.phases.judge.questions import columns_asked, question_of
from batchtrial.prices import cost_usd
from batchtrial.records import Item, Usage

LONGEST: Final = 4_000
"""Characters of an answer, at most, that the estimate goes by: half a thousand words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgePlan:
    """How much a judge may be asked at most, and what that may cost. tier: as of an arm. at_most_usd: None without a price."""

    name: str
    kind: str
    backend: str
    model: str
    judgements: int
    tier: str
    at_most_usd: Decimal | None

    @property
    def sentence(self) -> str:
        """In words."""
        cost = "unknown: its model has no price" if self.at_most_usd is None else f"at most ${self.at_most_usd:,.4f}"
        return f"{self.name}: {self.backend}, {self.model}, {self.kind}, at most {counted(self.judgements, 'judgement')}, {cost}"


def judge_plans(
    config: Config,
    trials: Sequence[Trial],
    items: Sequence[Item],
    *,
    taken_over: Collection[str] = (),
    lost_there: Mapping[str, int] = MappingProxyType({}),
) -> tuple[JudgePlan, ...]:
    """Each judge with the most that it may be asked about these items; equal answers, and answers that are lost, make it less.

    taken_over: arms that `control_from` brings. lost_there: judges that it brings too, with how many of their judgements it lacks.
    """
    return tuple(_plan(config, judge, trials, items, frozenset(taken_over), lost_there) for judge in config.judges)


def _plan(
    config: Config, judge: JudgeSpec, trials: Sequence[Trial], items: Sequence[Item], taken_over: frozenset[str], lost_there: Mapping[str, int]
) -> JudgePlan:
    arm, answers = arm_of(config, judge), arms_of(tuple(trials))
    if judge.is_pairwise:
        orders = 2 if judge.orders == "both" else 1
        per_item = orders * sum(config.samples_for(temp) for trial in trials for temp in trial.temps)
    else:
        brings = taken_over if arm.name in lost_there else frozenset()
        per_item = sum(one.samples for one in answers if one.name not in brings)
    n = per_item * len(items) * judge.repeats + (0 if judge.is_pairwise else lost_there.get(arm.name, 0))
    price = price_for(config, arm)
    longest = max((one.max_tokens.open_book for one in answers), default=0) * CHARS_PER_TOKEN
    text = "x" * min(longest, judge.max_chars, LONGEST)
    told = columns_asked(answers)
    asked = (_as_asked(config, item, question_of(item, told) or text, text, judge) for item in items)
    tokens = -(-sum(build.input_tokens(arm, one) for one in asked) * n // max(1, len(items)))
    usd = None if price is None else cost_usd(price, Usage(input_tokens=tokens, output_tokens=n * judge.max_tokens))
    tier = tier_of(config, arm) or BATCH
    return JudgePlan(name=judge.name, kind=judge.kind, backend=arm.backend, model=arm.model, judgements=n, tier=tier, at_most_usd=usd)


def _as_asked(config: Config, item: Item, question: str, text: str, judge: JudgeSpec) -> Item:
    columns = {QUESTION: question, MARK: "0" * 8} | ({FIRST: text, SECOND: text} if judge.is_pairwise else {ANSWER: text})
    columns |= {PASSAGE: item.context} if item.context else {}
    columns |= {REFERENCE: ANSWERS_BETWEEN.join(item.answers)} if item.answers else {}
    further = {name: item.columns[name] for name in rubric_reads(config) if item.columns.get(name) is not None}
    return Item(dataset="", item_id=item.item_id, kind="closed", question="", answers=(), columns={**columns, **further})
