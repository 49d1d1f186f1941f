"""What a part may cost, what an attempt did cost, and whether the budget covers the next one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from batchtrial.config.expand import Arm
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.phases.base import View
from batchtrial.prices import Price, cost_usd, price_of
from batchtrial.records import Usage
from batchtrial.state.files import Shard
from batchtrial.state.ledger import Ledger


def price_for(config: Config, model: str) -> Price | None:
    """The model's batch price: the config's override, else the dated table; None when neither knows it."""
    overrides = {name: price.model_dump(exclude_none=True) for name, price in config.pricing.overrides.items()}
    return price_of(config.backend, config.provider.pricing_key or model, overrides)


def reserve_usd(price: Price, shard: Shard, n_requests: int) -> Decimal:
    """The most that so many of the part's rows can cost, by estimated prompt and longest answers."""
    whole = cost_usd(price, Usage(input_tokens=shard.input_tokens, output_tokens=shard.max_output_tokens))
    return round(whole * n_requests / shard.lines, 9)


def bill_usd(price: Price, usage: Iterable[Usage]) -> Decimal:
    """What rows of this usage cost, row by row, since the price may depend on a prompt's length."""
    return sum((cost_usd(price.for_prompt(one.input_tokens), one) for one in usage), Decimal(0))


@dataclass(slots=True)
class Purse:
    """The run's money as the ledger has it. refusal: why the last part asked about was not affordable."""

    config: Config
    ledger: Ledger
    refusal: str | None = None
    _prices: dict[str, Price | None] = field(default_factory=dict)

    def price(self, model: str) -> Price | None:
        if model not in self._prices:
            self._prices[model] = price_for(self.config, model)
        return self._prices[model]

    def reserve(self, shard: Shard, model: str, n_requests: int) -> Decimal | None:
        """See `reserve_usd`; None without a price."""
        price = self.price(model)
        return None if price is None else reserve_usd(price, shard, n_requests)

    def bill(self, model: str, usage: Iterable[Usage]) -> Decimal | None:
        """See `bill_usd`; None without a price."""
        price = self.price(model)
        return None if price is None else bill_usd(price, usage)

    def covers(self, part: str, model: str, reserve: Decimal | None) -> bool:
        """Whether the budget covers the reserve beside all that is spent or in flight. Raises ConfigError when the price is unknown."""
        budget = self.config.submission.budget_usd
        if budget is None:
            return True
        if reserve is None:
            raise ConfigError(
                f"a budget is set, but {model!r} has no known price",
                where="submission.budget_usd",
                hint="add the model under pricing.overrides, or leave the budget out",
            )
        committed = self.ledger.money().committed_usd
        if committed + reserve <= Decimal(str(budget)):
            self.refusal = None
            return True
        self.refusal = f"the budget of ${budget:g} does not cover {part}: ${committed:.4f} is spent or in flight, it may cost ${reserve:.4f} more"
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """An arm's saved attempts together, as the ledger has them. usd: None when an attempt has no known price."""

    usage: Usage
    usd: Decimal | None
    reserved_usd: Decimal
    n_attempts: int


def bill(view: View, arm: Arm) -> Bill:
    """Every attempt that brought results, whatever became of its rows."""
    usage, usd, reserved, n = Usage(), Decimal(0), Decimal(0), 0
    is_priced = True
    for shard in view.shards(arm):
        record = view.parts.get(shard.part)
        for attempt in record.attempts if record is not None else ():
            if attempt.is_saved:
                usage += Usage(**attempt.usage)
                reserved += attempt.reserved_usd
                is_priced &= attempt.cost_usd is not None
                usd += attempt.cost_usd or Decimal(0)
                n += 1
    return Bill(usage=usage, usd=usd if is_priced else None, reserved_usd=reserved, n_attempts=n)
