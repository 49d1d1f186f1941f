"""What a part may cost, what an attempt did cost, and whether the budget covers the next one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import msgspec

from batchtrial.amounts import counted
from batchtrial.config.expand import Arm
from batchtrial.config.lanes import config_of_lane, is_direct
from batchtrial.config.model import Config
from batchtrial.errors import BudgetReached
from batchtrial.phases.base import FolderCap, View
from batchtrial.phases.batches.tally import Tally
from batchtrial.prices import Price, cost_usd, price_of
from batchtrial.providers.registry import row_of
from batchtrial.records import Usage
from batchtrial.state.files import Shard
from batchtrial.state.ledger import Ledger, Money, PartRecord, money

BUDGET: Final = "submission.budget_usd"
AS_IT_IS: Final = "resume with --without_unsent reports on what was bought"
"""Instead of a larger budget."""
USUAL: Final = "openai"
"""`provider.quirks` of whoever is no other host."""


BATCH: Final = "batch"
"""What the plan calls the price of batches, as others are called by their tier."""


def price_for(config: Config, arm: Arm) -> Price | None:
    """The price of the arm's model in its lane: the config's override, else the dated table; None when neither knows it."""
    return price_named(config, arm.backend, arm.pricing_key, tier_of(config, arm))


def tier_of(config: Config, arm: Arm) -> str | None:
    """The tier that the arm's requests ask for in the direct lane; None for batches."""
    lane = config_of_lane(config, arm.backend)
    if not is_direct(lane):
        return None
    return str(json.loads(arm.extra).get("service_tier") or lane.provider.service_tier or "standard")


def price_named(config: Config, backend: str, key: str, tier: str | None = None) -> Price | None:
    """The same of a model by its name in the table of prices. A host that `quirks` calls another one's has none of the backend's prices."""
    overrides = {name: price.model_dump(exclude_none=True) for name, price in config.pricing.overrides.items()}
    other = config_of_lane(config, backend).provider.quirks
    return price_of(row_of(backend).prices if other == USUAL else other, key, overrides, tier=tier)


def reserve_usd(price: Price, shard: Shard, n_requests: int) -> Decimal:
    """The most that so many of the part's rows can cost, by estimated prompt and longest answers."""
    whole = cost_usd(price, Usage(input_tokens=shard.input_tokens, output_tokens=shard.max_output_tokens))
    return round(whole * n_requests / shard.lines, 9)


def row_usd(price: Price, usage: Usage, tier: str | None) -> Decimal | None:
    """What a row cost by its prompt's length and the tier that it was served at; None when that tier has no known price."""
    served = price.at(tier)
    return None if served is None else cost_usd(served.for_prompt(usage.input_tokens), usage)


@dataclass(slots=True)
class Purse:
    """The run's money as the ledger has it. folder: what caps it together with the runs beside it.

    refusal: why the last part asked about was not affordable; refused_by: the setting or file that says so.
    """

    config: Config
    ledger: Ledger
    folder: FolderCap | None = None
    refusal: str | None = None
    refused_by: str = BUDGET
    _prices: dict[str, Price | None] = field(default_factory=dict)

    def price(self, arm: Arm) -> Price | None:
        if arm.name not in self._prices:
            self._prices[arm.name] = price_for(self.config, arm)
        return self._prices[arm.name]

    def reserve(self, shard: Shard, arm: Arm, n_requests: int) -> Decimal | None:
        """See `reserve_usd`; None without a price."""
        price = self.price(arm)
        return None if price is None else reserve_usd(price, shard, n_requests)

    @property
    def is_bounded(self) -> bool:
        """Whether anything says how much may be spent."""
        return self.config.submission.budget_usd is not None or (self.folder is not None and self.folder.cap() is not None)

    def held(self) -> AbstractContextManager[bool]:
        """From the question whether a part is covered until its reserve is in the ledger: no other run of the folder reserves meanwhile."""
        return self.folder.held() if self.folder is not None else nullcontext(True)

    def left(self) -> tuple[Decimal, str] | None:
        """The least that a budget leaves to this run, all that it has committed included, and which says so; None when none does."""
        own, folder = self.config.submission.budget_usd, self.folder.left() if self.folder is not None else None
        sums = [(Decimal(str(own)), BUDGET)] if own is not None else []
        sums += [(folder, self.folder.where)] if folder is not None and self.folder is not None else []
        return min(sums, default=None)

    def reached(self, part: str = "the next part") -> BudgetReached:
        """The error for what was refused last."""
        more = "raise --budget_usd" if self.refused_by == BUDGET else "raise the sum in that file"
        return BudgetReached(self.refusal or f"{part} cannot be sent", where=self.refused_by, hint=f"{more} and run again with --resume; {AS_IT_IS}")

    def covers(self, part: str, reserve: Decimal | None, besides: Decimal = Decimal(0)) -> bool:
        """Whether the budget covers the reserve, and what must be bought with it, beside all that is spent, unknown or in flight.

        besides: reserves of the same items in other arms, which are bought with this part or not at all. A reserve of None is never covered.
        """
        if not self.is_bounded:
            self.refusal = None
            return True
        if reserve is None:
            return False
        budget, so_far = self.config.submission.budget_usd, self.ledger.money()
        committed = so_far.committed_usd
        if n_unpriced := so_far.unpriced + so_far.in_flight_unpriced:
            self.refusal = f"{part} is not sent: {counted(n_unpriced, 'attempt')} of this run had no known price, so that nobody knows what is left"
            self.refused_by = BUDGET if budget is not None or self.folder is None else self.folder.where
            return False
        if budget is None or committed + reserve + besides <= Decimal(str(budget)):
            self.refusal = self.folder.refusal(part, committed, reserve, besides) if self.folder is not None else None
            self.refused_by = self.folder.where if self.folder is not None else BUDGET
            return self.refusal is None
        self.refused_by = BUDGET
        with_it = f" with the same items in other arms (${besides:.4f})" if besides else ""
        self.refusal = (
            f"the budget of ${budget:g} does not cover {part}{with_it}: ${committed:.4f} is spent or in flight, it may cost ${reserve:.4f} more"
        )
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """An arm's attempts together, as the ledger has them. usage, reserved_usd, n_attempts: of those that brought results."""

    usage: Usage
    money: Money
    reserved_usd: Decimal
    n_attempts: int


def bill(view: View, arm: Arm) -> Bill:
    """Every attempt, whatever became of its rows."""
    return bill_of([record for shard in view.shards(arm) if (record := view.parts.get(shard.part)) is not None])


def bill_of(records: Sequence[PartRecord]) -> Bill:
    """Of these parts every attempt, whatever became of its rows."""
    saved = [attempt for record in records for attempt in record.attempts if attempt.is_saved]
    # A line that was written by hand may name tokens that nobody knows; what they cost stands beside them.
    usage = sum((Usage(**{name: one.usage.get(name, 0) for name in Usage.__struct_fields__}) for one in saved), Usage())
    return Bill(usage=usage, money=money(records), reserved_usd=sum((one.reserved_usd for one in saved), Decimal(0)), n_attempts=len(saved))


def billed(price: Price | None, shard: Shard | None, counted: Tally) -> dict[str, Any]:
    """The fields of a `saved` or `imported` line that say what an attempt cost. price, shard: None when not known."""
    usage, n_unbilled = counted.total_usage, counted.n_unbilled
    costs = [] if price is None else [row_usd(price, one, tier) for one, tier in counted.served]
    n_unpriced = costs.count(None)
    n_unbilled += n_unpriced
    return {
        "usage": msgspec.structs.asdict(usage),
        "cost_usd": None if price is None else sum((one for one in costs if one is not None), Decimal(0)),
        "n_without_usage": counted.n_without_usage + n_unpriced or None,
        "unknown_usd": None if price is None or not n_unbilled else reserve_usd(price, shard, n_unbilled) if shard is not None else Decimal(0),
    }
