"""What answers cost, as a column of their table: `cost_usd` for many rows at once, in binary fractions."""

from __future__ import annotations

from typing import Any

import polars as pl

from batchtrial.prices.cost import SAME_TIER, Price
from batchtrial.records import Outcome


def usd_of_answers(price: Price | None) -> pl.Expr:
    """What a row of a table of answers costs.

    Null where nobody knows: an answer that does not say what it used, a request without a line, a model without a price.
    """
    if price is None:
        return pl.lit(None, dtype=pl.Float64)
    by_tokens = _by_length(price)
    if price.by_tier:
        by_tier: Any = pl.when(False).then(None)
        for word, served in (*SAME_TIER.items(), *zip(price.by_tier, price.by_tier, strict=True)):
            if served in price.by_tier:
                by_tier = by_tier.when(pl.col("service_tier") == word).then(_by_length(price.by_tier[served]))
        by_tokens = by_tier.when(pl.col("service_tier").is_null()).then(by_tokens)
    is_free = ~pl.col("outcome").is_in([Outcome.SUCCEEDED.value, Outcome.MISSING.value])
    return pl.when(pl.col("input_tokens").is_not_null()).then(by_tokens).when(is_free).then(0.0)


def _by_length(price: Price) -> pl.Expr:
    if price.long is None or price.long_from is None:
        return _at(price)
    return pl.when(pl.col("input_tokens") > price.long_from).then(_at(price.long)).otherwise(_at(price))


def _at(price: Price) -> pl.Expr:
    """As `cost_usd` has it, with more cached tokens than there are tokens cut down likewise."""
    cached = pl.min_horizontal("cached_tokens", "input_tokens")
    written = pl.min_horizontal(pl.col("cache_write_tokens"), pl.col("input_tokens") - cached)
    fresh = pl.col("input_tokens") - cached - written
    rates = (price.input_per_mtok, price.cached_per_mtok, price.cache_write_per_mtok, price.output_per_mtok)
    amounts = (fresh, cached, written, pl.col("output_tokens"))
    return pl.sum_horizontal(amount * (float(rate) / 1e6) for amount, rate in zip(amounts, rates, strict=True))
