"""Money as exact decimals: a sum of costs is the same in any order, and a cent never comes from rounding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from batchtrial.errors import ConfigError
from batchtrial.records import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """USD per million tokens at batch rate.

    cached and cache write: prompt tokens read from and written to a prompt cache. provenance: which table or override, in words.
    long_from: prompts of more tokens than this cost `long` instead, all of their tokens; None when there is one price for every length.
    """

    input_per_mtok: Decimal
    output_per_mtok: Decimal
    cached_per_mtok: Decimal
    cache_write_per_mtok: Decimal
    provenance: str
    long_from: int | None = None
    long: Price | None = None

    def __post_init__(self) -> None:
        for name in ("input_per_mtok", "output_per_mtok", "cached_per_mtok", "cache_write_per_mtok"):
            value = getattr(self, name)
            if not value.is_finite() or value < 0:
                raise ConfigError(f"{name} is {value}, which is no price", where=self.provenance, hint="give USD per million tokens, 0 or more")

    def for_prompt(self, input_tokens: int) -> Price:
        """The price of one request with a prompt of that length."""
        if self.long is not None and self.long_from is not None and input_tokens > self.long_from:
            return self.long
        return self

    def scaled(self, factor: Decimal) -> Price:
        """All rates times `factor`."""
        return replace(
            self,
            input_per_mtok=self.input_per_mtok * factor,
            output_per_mtok=self.output_per_mtok * factor,
            cached_per_mtok=self.cached_per_mtok * factor,
            cache_write_per_mtok=self.cache_write_per_mtok * factor,
            long=None if self.long is None else self.long.scaled(factor),
        )


def cost_usd(price: Price, usage: Usage) -> Decimal:
    """Exact USD of the tokens at this price, whatever the prompt's length (see `Price.for_prompt`).

    Cached and cache-write tokens are parts of the input, taken out of it before the input rate applies; reasoning is part of the output.
    """
    cached = min(usage.cached_tokens, usage.input_tokens)
    written = min(usage.cache_write_tokens, usage.input_tokens - cached)
    fresh = usage.input_tokens - cached - written
    micro = (
        fresh * price.input_per_mtok
        + cached * price.cached_per_mtok
        + written * price.cache_write_per_mtok
        + usage.output_tokens * price.output_per_mtok
    )
    return micro.scaleb(-6)
