"""Build `prices.json` from the package genai-prices; run by hand when a new release of it is out, never at run time."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from batchtrial.errors import MissingExtra
from batchtrial.prices.table import FIREWORKS_MODEL, Table

PROVIDERS = ("anthropic", "fireworks", "openai")
# Fireworks prints no batch table: its guide says half of the serverless price, for input and output, cached input included.
HALF = Decimal("0.5")
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
    prices = model.get_prices(when, {"processing": "batch"})
    found = {name: getattr(prices, field) for name, field in RATES.items() if getattr(prices, field) is not None}
    if "input" not in found or "output" not in found:
        return None
    factor = HALF if is_half else Decimal(1)
    tiers = sorted({tier.start for price in found.values() if hasattr(price, "tiers") for tier in price.tiers})
    ways = [(kind, FIREWORKS_MODEL.sub("", text)) for kind, text in patterns(model.match)]
    names = sorted({text for kind, text in ways if kind == "name" and "/" not in text} - {model.id.lower()})
    made: dict[str, Any] = {
        "names": names,
        "patterns": sorted({text for kind, text in ways if kind == "pattern"}),
        "rates": {name: plain(base(price) * factor) for name, price in found.items()},
        "basis": "half of the serverless price" if is_half else "published batch price",
    }
    if tiers:
        made |= {"long_from": tiers[0], "long": {name: plain(beyond(price, tiers[0]) * factor) for name, price in found.items()}}
    return made


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


def build(day: str) -> bytes:
    """The table's bytes for prices on `day` (YYYY-MM-DD); the same package and day give the same bytes. Raises MissingExtra."""
    try:
        data = importlib.import_module("genai_prices.data")
    except ImportError:
        raise MissingExtra("genai-prices is not installed", hint="pip install genai-prices") from None
    when = datetime.fromisoformat(day).replace(tzinfo=UTC)
    providers: dict[str, dict[str, Any]] = {name: {} for name in PROVIDERS}
    for provider in data.providers:
        if provider.id not in providers:
            continue
        for model in provider.models:
            made = None if is_routed(model) else row(model, provider.id, when)
            if made is not None:
                providers[provider.id][model.id.lower()] = made
    table = {
        "schema_version": 1,
        "source": "genai-prices",
        "source_version": version("genai-prices"),
        "source_url": "https://github.com/pydantic/genai-prices",
        "prices_on": day,
        "newest_entry": newest_entry(data.providers, day),
        "unit": "USD per million tokens at batch rate",
        "providers": {name: dict(sorted(rows.items())) for name, rows in sorted(providers.items())},
    }
    Table.model_validate(table)
    return (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode()


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
    made = build(given.day)
    given.out.write_bytes(made)
    sys.stdout.write(f"{given.out}: {len(made)} bytes\n")
    return 0
