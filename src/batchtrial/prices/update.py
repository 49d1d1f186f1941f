"""Build `prices.json` from the package genai-prices; run by hand when a new release of it is out, never at run time."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from batchtrial.errors import MissingExtra
from batchtrial.prices.table import FIREWORKS_MODEL, Table, TierTable

PROVIDERS = ("anthropic", "fireworks", "openai")
# Fireworks prints no batch table: its guide says half of the serverless price, for input and output, cached input included.
HALF = Decimal("0.5")
SPOT_MODELS = ("glm-5p3",)
"""Models that Fireworks names as having Spot (its guide on large workloads, read on 2026-11-28; undated)."""
RATES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
}


def patterns(clause: Any) -> Iterator[tuple[str, str]]:
    """("name", exact lower-case name) or ("pattern", regular expression) for each way a model is matched."""
    kind = type(clause).__name__
    if kind == "ClauseOr":
        for each in clause.or_:
            yield from patterns(each)
    elif kind == "ClauseEquals":
        yield "name", clause.equals.lower()
    elif kind == "ClauseStartsWith":
        yield "pattern", re.escape(clause.starts_with.lower()) + ".*"
    elif kind == "ClauseEndsWith":
        yield "pattern", ".*" + re.escape(clause.ends_with.lower())
    elif kind == "ClauseContains":
        yield "pattern", ".*" + re.escape(clause.contains.lower()) + ".*"
    elif kind == "ClauseRegex":
        yield "pattern", ("" if clause.regex.startswith("^") else ".*") + clause.regex.strip("^$") + ("" if clause.regex.endswith("$") else ".*")


def is_batch(model: Any, when: datetime) -> bool:
    """Whether a batch price was published for the model by that day."""
    return any(
        variant.when.get("processing") == "batch" and (variant.constraint is None or variant.constraint.active(when))
        for variant in model.price_variants or ()
    )


def row(model: Any, provider: str, when: datetime) -> dict[str, Any] | None:
    """The model's row of the table; None when it has no batch price for both directions."""
    is_half = provider == "fireworks"
    if not is_half and not is_batch(model, when):
        return None
    made = amounts(model.get_prices(when, {"processing": "batch"}), HALF if is_half else Decimal(1))
    basis = "half of the serverless price" if is_half else "published batch price"
    return None if made is None else {**ways(model), "rates": made.pop("rates"), "basis": basis, **made}


def ways(model: Any) -> dict[str, Any]:
    """How the model is called."""
    found = [(kind, FIREWORKS_MODEL.sub("", text)) for kind, text in patterns(model.match)]
    names = sorted({text for kind, text in found if kind == "name" and "/" not in text} - {model.id.lower()})
    return {"names": names, "patterns": sorted({text for kind, text in found if kind == "pattern"})}


def amounts(prices: Any, factor: Decimal) -> dict[str, Any] | None:
    """`rates`, and `long_from` and `long` where long prompts cost more; None when one of both directions has no price."""
    found = {name: getattr(prices, field) for name, field in RATES.items() if getattr(prices, field) is not None}
    if "input" not in found or "output" not in found:
        return None
    made: dict[str, Any] = {"rates": {name: plain(base(price) * factor) for name, price in found.items()}}
    steps = sorted({tier.start for price in found.values() if hasattr(price, "tiers") for tier in price.tiers})
    if steps:
        made |= {"long_from": steps[0], "long": {name: plain(beyond(price, steps[0]) * factor) for name, price in found.items()}}
    return made


def tier_row(model: Any, provider: str, when: datetime) -> dict[str, Any] | None:
    """The model's prices by tier of its synchronous API; None when it has none at all."""
    told = {
        variant.when["service_tier"]
        for variant in model.price_variants or ()
        if "service_tier" in variant.when and (variant.constraint is None or variant.constraint.active(when))
    }
    found = {"standard": (amounts(model.get_prices(when, {}), Decimal(1)), "published price")}
    for tier in sorted(told - {"default"}):
        found[tier] = (amounts(model.get_prices(when, {"service_tier": tier}), Decimal(1)), "published price")
    if provider == "fireworks" and model.id.lower() in SPOT_MODELS:
        found["spot"] = (amounts(model.get_prices(when, {}), HALF), "half of the serverless price")
    tiers = {tier: {**made, "basis": basis} for tier, (made, basis) in found.items() if made is not None}
    return {**ways(model), "tiers": tiers} if tiers else None


def base(price: Any) -> Decimal:
    """The rate of short prompts."""
    value: Decimal = price.base if hasattr(price, "tiers") else price
    return value


def beyond(price: Any, start: int) -> Decimal:
    """The rate of prompts longer than `start` tokens."""
    if not hasattr(price, "tiers"):
        return base(price)
    value: Decimal = next((tier.price for tier in price.tiers if tier.start == start), price.base)
    return value


def plain(value: Decimal) -> str:
    """The number without exponent or trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def build(day: str) -> tuple[bytes, bytes]:
    """The bytes of both tables for prices on `day` (YYYY-MM-DD); the same package and day give the same bytes. Raises MissingExtra."""
    try:
        data = importlib.import_module("genai_prices.data")
    except ImportError:
        raise MissingExtra("genai-prices is not installed", hint="pip install genai-prices") from None
    when = datetime.fromisoformat(day).replace(tzinfo=UTC)
    head = {"schema_version": 1, "source": "genai-prices", "source_version": version("genai-prices")}
    table = {
        **head,
        "source_url": "https://github.com/pydantic/genai-prices",
        "prices_on": day,
        "newest_entry": newest_entry(data.providers, day),
        "unit": "USD per million tokens at batch rate",
        "providers": rows_of(data.providers, row, when),
    }
    tiers = {**head, "prices_on": day, "unit": "USD per million tokens", "providers": rows_of(data.providers, tier_row, when)}
    Table.model_validate(table)
    TierTable.model_validate(tiers)
    return (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode(), (json.dumps(tiers, indent=1, ensure_ascii=False) + "\n").encode()


def rows_of(sources: Any, make: Callable[[Any, str, datetime], dict[str, Any] | None], when: datetime) -> dict[str, Any]:
    """What is made of each model of our providers, those without anything left out."""
    providers: dict[str, dict[str, Any]] = {name: {} for name in PROVIDERS}
    for provider in sources:
        for model in provider.models if provider.id in providers else ():
            made = None if is_routed(model) else make(model, provider.id, when)
            if made is not None:
                providers[provider.id][model.id.lower()] = made
    return {name: dict(sorted(rows.items())) for name, rows in sorted(providers.items())}


def newest_entry(providers: Any, day: str) -> str:
    """The last day up to `day` on which the source dates a change for one of our providers."""
    models = (model for provider in providers if provider.id in PROVIDERS for model in provider.models)
    dated = (each for model in models for each in (*(model.prices if isinstance(model.prices, list) else ()), *(model.price_variants or ())))
    starts = (getattr(each.constraint, "start_date", None) for each in dated)
    days: list[str] = [start.isoformat() for start in starts if start is not None]
    return max(each for each in days if each <= day)


def is_routed(model: Any) -> bool:
    """A router of Fireworks' is no model that a batch can name."""
    return any("/routers/" in text for _, text in patterns(model.match))


def main(argv: Sequence[str] | None = None) -> int:
    """Write the table; exit code 0."""
    parser = argparse.ArgumentParser(prog="update_prices", description=__doc__)
    parser.add_argument("--day", required=True, help="the day whose prices are wanted, YYYY-MM-DD")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("prices.json"), help="the file to write")
    given = parser.parse_args(argv)
    made, tiers = build(given.day)
    given.out.write_bytes(made)
    given.out.with_name("tiers.json").write_bytes(tiers)
    sys.stdout.write(f"{given.out}: {len(made)} bytes, tiers.json: {len(tiers)} bytes\n")
    return 0
