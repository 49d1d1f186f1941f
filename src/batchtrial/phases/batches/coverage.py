"""What a budget buys of a plan, in money and in pairs. Pure.

A slice of the items is bought in every arm or in none: half of one would be answers that nothing can be compared with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from batchtrial.config.expand import arms_of
from batchtrial.errors import BudgetTooSmall, ConfigError
from batchtrial.phases.base import View, Work
from batchtrial.phases.batches.gates import has_stopped
from batchtrial.phases.batches.money import BUDGET, Purse
from batchtrial.state.money import dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class ToBuy:
    """A part that has not been sent. slice_index: which items it asks about, the same in every arm; n_items: of those, the ones that no
    earlier part asks about. usd: None without a known price."""

    slice_index: int
    n_items: int
    model: str
    usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How far a budget goes. pairs_bought: of each comparison, those that are sent already among them. short: it does not cover the whole plan."""

    budget_usd: Decimal
    whole_usd: Decimal
    pairs_bought: int
    n_pairs: int

    @property
    def is_short(self) -> bool:
        return self.whole_usd > self.budget_usd

    @property
    def sentence(self) -> str:
        """In money and in pairs."""
        return (
            f"the whole plan may cost up to {dollars(self.whole_usd)} and the budget is {dollars(max(self.budget_usd, Decimal(0)))}: "
            f"it buys {self.pairs_bought:,} of {self.n_pairs:,} pairs in each comparison"
        )


def coverage(budget_usd: float | Decimal, committed_usd: Decimal, parts: Iterable[ToBuy], *, n_pairs: int) -> Coverage:
    """How many pairs the budget buys, slice after slice in the order of sending. committed_usd: spent, unknown or in flight. n_pairs: of the plan.

    Raises ConfigError naming the model when a part has no known price.
    """
    budget = Decimal(str(budget_usd))
    slices: dict[int, tuple[int, Decimal]] = {}
    for part in parts:
        if part.usd is None:
            raise unpriced(part.model)
        _, before = slices.get(part.slice_index, (0, Decimal(0)))
        slices[part.slice_index] = part.n_items, before + part.usd
    bought = n_pairs - sum(n for n, _ in slices.values())
    total, is_open = committed_usd, True
    for _, (n, usd) in sorted(slices.items()):
        total += usd
        is_open = is_open and total <= budget
        bought += n if is_open else 0
    return Coverage(budget_usd=budget, whole_usd=total, pairs_bought=bought, n_pairs=n_pairs)


def unpriced(model: str) -> ConfigError:
    """A budget cannot be kept for what has no price."""
    return ConfigError(
        f"a budget is set, but {model!r} has no known price",
        where="submission.budget_usd",
        hint=f'say what it costs: pricing: {{overrides: {{"{model}": {{input_per_mtok: USD, output_per_mtok: USD}}}}}}, or leave the budget out',
    )


def parts_to_buy(view: View, purse: Purse) -> tuple[ToBuy, ...]:
    """Built parts that have never been sent and may have to be, with what each may cost."""
    going_on = {arm.name for trial in view.trials if not has_stopped(view.looks.get(trial.slug, ())) for arm in trial.arms}
    return tuple(
        ToBuy(
            slice_index=shard.part_index,
            n_items=0 if shard.first_sample else shard.n_items,
            model=arm.model,
            usd=purse.reserve(shard, arm, shard.lines),
        )
        for arm in arms_of(view.trials)
        for shard in (view.every_shard(arm) if arm.name in going_on else view.shards(arm))
        if not any(not attempt.is_lost for attempt in purse.ledger.part(shard.part).attempts)
    )


LESS: Final = "raise --budget_usd, ask fewer --limit_items, or add --partial to buy what it covers"
LESS_OF_FOLDER: Final = "raise the sum in that file, ask fewer --limit_items, or add --partial to buy what it covers"


def check_budget(work: Work, purse: Purse, hint: str = LESS) -> None:
    """Before anything is sent: a budget below the whole plan is said, and refused unless a part of it was asked for. Raises ConfigError."""
    bound = purse.left()
    waiting: Sequence[ToBuy] = parts_to_buy(work.view, purse)
    if bound is None or not waiting or work.view.build is None:
        return
    budget, where = bound
    n_pairs = sum({shard.part_index: shard.n_items for shard in work.view.build.shards.values() if not shard.first_sample}.values())
    found = coverage(budget, work.ledger.money().committed_usd, waiting, n_pairs=n_pairs)
    if not found.is_short:
        return
    # A run that has begun may have lost its place to runs beside it: what it has in flight is fetched all the same.
    is_begun = where != BUDGET and bool(work.ledger.parts)
    if not work.is_partial and not is_begun:
        raise BudgetTooSmall(found.sentence, where=where, hint=hint if where == BUDGET else LESS_OF_FOLDER)
    work.progress.note(f"a part of the plan: {found.sentence}")
