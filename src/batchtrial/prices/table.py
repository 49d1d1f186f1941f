"""The dated price table and how a model is looked up in it; an unknown model has no price, never a price of zero."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from batchtrial.errors import ConfigError
from batchtrial.prices.cost import SAME_TIER, Price

FIREWORKS_MODEL = re.compile(r"^accounts/fireworks/models/")


class Rates(BaseModel):
    """USD per million tokens at batch rate. Unset: cached and cache writes cost what input costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None


class Row(BaseModel):
    """One model: the names it goes by, its rates, and those of prompts longer than `long_from` tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = Field((), description="Regular expressions that match a whole lower-case model name.")
    rates: Rates
    long_from: int | None = None
    long: Rates | None = None
    basis: Literal["published batch price", "half of the serverless price", "published price"]


class AtTier(BaseModel):
    """Rates of one tier of a synchronous API, and those of prompts longer than `long_from` tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rates: Rates
    long_from: int | None = None
    long: Rates | None = None
    basis: Literal["published price", "half of the serverless price"]


class TierRow(BaseModel):
    """One model: the names it goes by, and its rates by tier; `standard` is what costs no less and no more."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    tiers: dict[str, AtTier]


class TierTable(BaseModel):
    """The file `tiers.json`: what synchronous requests cost, from the same source and day as `prices.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: Literal[1]
    source: str
    source_version: str
    prices_on: str
    unit: Literal["USD per million tokens"]
    providers: dict[str, dict[str, TierRow]]


class Table(BaseModel):
    """The file `prices.json`. prices_on: the day looked up in the source's history; newest_entry: its last change before that day."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: Literal[1]
    source: str
    source_version: str
    source_url: str
    prices_on: str
    newest_entry: str
    unit: Literal["USD per million tokens at batch rate"]
    providers: dict[str, dict[str, Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the table comes from."""

    name: str
    version: str
    prices_on: str
    newest_entry: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} of {self.newest_entry}"


@cache
def table() -> Table:
    """The table of this release, read once."""
    return Table.model_validate_json(files("batchtrial.prices").joinpath("prices.json").read_bytes())


@cache
def tiers() -> TierTable:
    """Prices of synchronous requests, read once."""
    return TierTable.model_validate_json(files("batchtrial.prices").joinpath("tiers.json").read_bytes())


def source() -> Source:
    """Source and date, for every file that states a cost."""
    found = table()
    return Source(name=found.source, version=found.source_version, prices_on=found.prices_on, newest_entry=found.newest_entry)


def normal_name(model: str) -> str:
    """A model's name as the table has it: lower case, without the resource path of Fireworks' own models."""
    return FIREWORKS_MODEL.sub("", model.strip().lower())


def price_of(
    provider: str,
    model: str,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    cache_ttl: Literal["5m", "1h"] = "5m",
    tier: str | None = None,
) -> Price | None:
    """The batch price of a model, or that of a tier of its synchronous API; None when nobody told it.

    overrides: model (or pricing key) to `{input_per_mtok, output_per_mtok, cached_per_mtok?, cache_write_per_mtok?}`, numbers or decimal text, at the
    rate that is asked for; they win over the table. A key `MODEL@TIER` is of that tier alone. cache_ttl: which cache-write rate applies where there
    are two. tier: None for batches. Raises ConfigError for an unusable override.
    """
    wanted = normal_name(model)
    given = overrides or {}
    for key, rates in sorted(given.items(), key=lambda one: "@" not in one[0]):
        model_name, _, of_tier = key.partition("@")
        if key == model or (normal_name(model_name) == wanted and of_tier in ("", tier or "batch")):
            return _override(key, rates)
    if tier is not None:
        return _at_tier(provider, wanted, SAME_TIER.get(tier, tier), cache_ttl)
    rows = table().providers.get(provider, {})
    name = _found(rows, wanted)
    return None if name is None else _price(name, rows[name], cache_ttl)


def _found(rows: Mapping[str, Row] | Mapping[str, TierRow], wanted: str) -> str | None:
    """The row that a model goes by: a name of its own before a family's prefix, for both may match."""
    named = (name for name, row in rows.items() if wanted == name or wanted in row.names)
    alike = (name for name, row in rows.items() if any(re.fullmatch(pattern, wanted) for pattern in row.patterns))
    return next(named, None) or next(alike, None)


def _at_tier(provider: str, wanted: str, tier: str, cache_ttl: str) -> Price | None:
    """The price of one tier, with those of all that may be served instead."""
    rows = tiers().providers.get(provider, {})
    name = _found(rows, wanted)
    if name is None or tier not in rows[name].tiers:
        return None
    made = {
        each: replace(
            _price(f"{name} at {each}", Row(rates=one.rates, long_from=one.long_from, long=one.long, basis=one.basis), cache_ttl), rate=each
        )
        for each, one in rows[name].tiers.items()
    }
    return replace(made[tier], by_tier=made)


def _override(key: str, rates: Mapping[str, Any]) -> Price:
    where = f"pricing.overrides.{key}"

    def rate(name: str, default: Decimal | None) -> Decimal:
        value = rates.get(name)
        if value is None and default is not None:
            return default
        try:
            # Through text: the float 0.1 means the price 0.1, not its 55 binary digits.
            return Decimal(str(value))
        except InvalidOperation:
            raise ConfigError(f"{name} is {value!r}, which is no price", where=where, hint="give USD per million tokens") from None

    given = rate("input_per_mtok", None)
    return Price(
        input_per_mtok=given,
        output_per_mtok=rate("output_per_mtok", None),
        cached_per_mtok=rate("cached_per_mtok", given),
        cache_write_per_mtok=rate("cache_write_per_mtok", given),
        provenance=f"config {where}",
    )


def _price(name: str, row: Row, cache_ttl: str) -> Price:
    provenance = f"{name}, {row.basis} ({source()})"

    def made(rates: Rates, *, long_from: int | None, long: Price | None) -> Price:
        one_hour = rates.cache_write_1h if cache_ttl == "1h" else None
        return Price(
            input_per_mtok=rates.input,
            output_per_mtok=rates.output,
            cached_per_mtok=rates.input if rates.cached is None else rates.cached,
            cache_write_per_mtok=next((r for r in (one_hour, rates.cache_write) if r is not None), rates.input),
            provenance=provenance,
            long_from=long_from,
            long=long,
        )

    long = None if row.long is None else made(row.long, long_from=None, long=None)
    return made(row.rates, long_from=row.long_from, long=long)
