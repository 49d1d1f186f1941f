"""Money as exact decimals: a sum of costs is the same in any order, and a cent never comes from rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from batchtrial.errors import ConfigError
from batchtrial.records import Usage

SAME_TIER: Final[Mapping[str, str]] = {"default": "standard", "auto": "standard", "standard_only": "standard", "on_demand": "standard"}
"""Providers' own words for what is not discounted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """USD per million tokens.

    cached and cache write: prompt tokens read from and written to a prompt cache. provenance: which table or override, in words.
    long_from: prompts of more tokens than this cost `long` instead, all of their tokens; None when there is one price for every length.
    rate: what it is the price of: batches, or a tier of a synchronous API. by_tier: prices of what may have been served instead; none for batches.
    """

    input_per_mtok: Decimal
    output_per_mtok: Decimal
    cached_per_mtok: Decimal
    cache_write_per_mtok: Decimal
    provenance: str
    long_from: int | None = None
    long: Price | None = None
    rate: str = field(default="batch", repr=False)
    by_tier: Mapping[str, Price] = field(default_factory=dict, repr=False, hash=False, compare=False)

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

    def at(self, tier: str | None) -> Price | None:
        """The price of an answer that says which tier it was served at; None when that tier has no known price."""
        if not tier or not self.by_tier:
            return self
        return self.by_tier.get(SAME_TIER.get(tier, tier))

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
