"""Prices: exact sums, no price for an unknown model, and a table that says where it comes from."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import ConfigError
from batchtrial.prices import Price, cost_usd, price_of, source
from batchtrial.prices.table import normal_name, table
from batchtrial.prices.update import build
from batchtrial.records import Usage

COUNTS = st.integers(0, 10**7)
USAGES = st.builds(Usage, input_tokens=COUNTS, output_tokens=COUNTS, cached_tokens=COUNTS, cache_write_tokens=COUNTS, reasoning_tokens=COUNTS)


def test_the_cost_of_a_hand_worked_usage() -> None:
    price = price_of("anthropic", "claude-haiku-4-5")
    assert price is not None
    used = Usage(input_tokens=1_000_000, cached_tokens=400_000, cache_write_tokens=100_000, output_tokens=200_000, reasoning_tokens=50_000)
    # 0.5 M fresh at 0.50, 0.4 M cached at 0.05, 0.1 M written at 0.625, 0.2 M out at 2.50
    assert cost_usd(price, used) == Decimal("0.25") + Decimal("0.02") + Decimal("0.0625") + Decimal("0.5")


@pytest.mark.parametrize(
    ("provider", "model", "rates"),
    [
        ("openai", "gpt-5", ("0.625", "5", "0.0625")),
        ("openai", "gpt-6-luna", ("0.05", "0.25", "0.005")),
        ("openai", "gpt-4o-mini-2024-07-18", ("0.075", "0.3", "0.075")),
        ("anthropic", "claude-sonnet-4-6", ("1.5", "7.5", "0.15")),
        ("anthropic", "claude-haiku-4-5-20251001", ("0.5", "2.5", "0.05")),
        ("fireworks", "accounts/fireworks/models/gpt-oss-20b", ("0.035", "0.15", "0.0175")),
        ("fireworks", "kimi-k2p6", ("0.475", "2", "0.08")),
    ],
)
def test_batch_rates_are_those_of_the_published_tables(provider: str, model: str, rates: tuple[str, ...]) -> None:
    price = price_of(provider, model)
    assert price is not None
    assert (price.input_per_mtok, price.output_per_mtok, price.cached_per_mtok) == tuple(map(Decimal, rates))
    assert "genai-prices" in price.provenance


@pytest.mark.parametrize("provider", ["openai", "anthropic", "fireworks", "local"])
def test_an_unknown_model_has_no_price_rather_than_a_price_of_zero(provider: str) -> None:
    assert price_of(provider, "no-such-model") is None


def test_a_model_without_a_batch_price_is_unknown() -> None:
    assert price_of("openai", "whisper-1") is None


def test_no_rate_in_the_table_is_zero() -> None:
    rows = [row for rows in table().providers.values() for row in rows.values()]
    assert len(rows) > 80
    assert all(row.rates.input > 0 and row.rates.output > 0 for row in rows)


def test_every_exact_name_finds_its_own_row() -> None:
    for provider, rows in table().providers.items():
        for name, row in rows.items():
            for alias in (name, *row.names):
                found = price_of(provider, alias)
                assert found is not None
                assert found.provenance.startswith(f"{name},")


def test_the_fireworks_path_and_the_bare_name_are_one_model() -> None:
    assert price_of("fireworks", "accounts/fireworks/models/gpt-oss-120b") == price_of("fireworks", "gpt-oss-120b")
    assert normal_name("accounts/someone/models/gpt-oss-120b") == "accounts/someone/models/gpt-oss-120b"


def test_overrides_win_and_are_read_as_written() -> None:
    rates = {"input_per_mtok": 0.1, "output_per_mtok": "0.3", "cached_per_mtok": 0.05}
    price = price_of("openai", "gpt-5", {"gpt-5": rates})
    assert price is not None
    assert (price.input_per_mtok, price.output_per_mtok) == (Decimal("0.1"), Decimal("0.3"))
    assert (price.cached_per_mtok, price.cache_write_per_mtok) == (Decimal("0.05"), Decimal("0.1"))
    assert price.provenance == "config pricing.overrides.gpt-5"


def test_an_override_gives_a_price_to_a_model_that_nobody_knows() -> None:
    price = price_of("fireworks", "accounts/me/models/mine", {"accounts/me/models/mine": {"input_per_mtok": 1, "output_per_mtok": 2}})
    assert price is not None
    assert cost_usd(price, Usage(input_tokens=3, output_tokens=4)) == Decimal("0.000011")


@pytest.mark.parametrize(
    "rates", [{"input_per_mtok": 1}, {"input_per_mtok": "x", "output_per_mtok": 1}, {"input_per_mtok": -1, "output_per_mtok": 1}]
)
def test_an_unusable_override_is_refused_with_its_place(rates: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        price_of("openai", "gpt-5", {"gpt-5": rates})
    assert "pricing.overrides.gpt-5" in caught.value.where


@given(st.lists(USAGES, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_the_sum_of_costs_is_exact_and_does_not_depend_on_order(usages: list[Usage], rng: random.Random) -> None:
    price = price_of("openai", "gpt-4o-mini")
    assert price is not None
    costs = [cost_usd(price, usage) for usage in usages]
    shuffled = list(costs)
    rng.shuffle(shuffled)
    assert sum(costs, Decimal(0)) == sum(shuffled, Decimal(0))
    rates = (price.input_per_mtok, price.cached_per_mtok, price.cache_write_per_mtok, price.output_per_mtok)
    exact = [int(rate * 10**9) for rate in rates]
    total = 0
    for used in usages:
        cached = min(used.cached_tokens, used.input_tokens)
        written = min(used.cache_write_tokens, used.input_tokens - cached)
        tokens = (used.input_tokens - cached - written, cached, written, used.output_tokens)
        total += sum(n * rate for n, rate in zip(tokens, exact, strict=True))
    assert int(sum(costs, Decimal(0)) * 10**15) == total


def test_a_million_costs_add_up_without_a_rounding_error() -> None:
    price = price_of("openai", "gpt-4o-mini")
    assert price is not None
    rng = random.Random(1)
    ins = [rng.randrange(5000) for _ in range(100_000)]
    whole = cost_usd(price, Usage(input_tokens=sum(ins)))
    assert sum((cost_usd(price, Usage(input_tokens=n)) for n in ins), Decimal(0)) == whole


def test_long_prompts_cost_their_own_rate() -> None:
    price = price_of("anthropic", "claude-haiku-5-5")
    assert price is not None
    assert price.for_prompt(100_000) is price
    assert price.for_prompt(100_001).input_per_mtok == Decimal("0.25")


def test_an_hour_of_cache_costs_more_to_write_than_five_minutes() -> None:
    short, hour = price_of("anthropic", "claude-haiku-4-5"), price_of("anthropic", "claude-haiku-4-5", cache_ttl="1h")
    assert short is not None
    assert hour is not None
    assert (short.cache_write_per_mtok, hour.cache_write_per_mtok) == (Decimal("0.625"), Decimal("1"))


def test_scaling_scales_every_rate() -> None:
    price = price_of("anthropic", "claude-haiku-5-5")
    assert price is not None
    double = price.scaled(Decimal(2))
    assert double.output_per_mtok == 2 * price.output_per_mtok
    assert double.long is not None
    assert price.long is not None
    assert double.long.input_per_mtok == 2 * price.long.input_per_mtok


def test_a_price_that_is_no_number_is_refused() -> None:
    nan = Decimal("NaN")
    with pytest.raises(ConfigError):
        Price(input_per_mtok=nan, output_per_mtok=nan, cached_per_mtok=nan, cache_write_per_mtok=nan, provenance="test")


def test_the_source_names_its_release_and_date() -> None:
    found = source()
    assert (found.name, found.version) == (table().source, table().source_version)
    assert date.fromisoformat(found.newest_entry) <= date.fromisoformat(found.prices_on)
    assert found.newest_entry in str(found)


def test_the_shipped_table_is_what_the_script_builds() -> None:
    data = pytest.importorskip("genai_prices")
    assert data is not None
    from importlib.metadata import version

    if version("genai-prices") != table().source_version:
        pytest.skip(f"genai-prices {version('genai-prices')} is installed, the table was built from {table().source_version}")
    shipped = table().model_dump()
    built = type(table()).model_validate_json(build(table().prices_on)[0]).model_dump()
    assert built == shipped


def test_a_tier_has_the_price_of_that_tier_and_knows_the_others() -> None:
    flex = price_of("openai", "gpt-5-mini", tier="flex")
    standard = price_of("openai", "gpt-5-mini", tier="standard")
    assert flex is not None
    assert standard is not None
    assert flex.input_per_mtok * 2 == standard.input_per_mtok
    assert flex.at("default") == flex.at("standard") == standard
    assert flex.at(None) == flex.at("flex") == flex
    assert flex.at("scale") is None
    assert flex.rate == "flex"
    assert "at flex" in flex.provenance


def test_a_tier_that_nobody_priced_has_no_price_and_batches_know_no_tiers() -> None:
    assert price_of("fireworks", "accounts/fireworks/models/gpt-oss-20b", tier="spot") is None
    spot, standard = (price_of("fireworks", "accounts/fireworks/models/glm-5p3", tier=tier) for tier in ("spot", "standard"))
    assert spot is not None
    assert standard is not None
    assert spot.output_per_mtok * 2 == standard.output_per_mtok
    batch = price_of("openai", "gpt-4.1")
    assert batch is not None
    assert batch.at("default") is batch
    assert price_of("fireworks", "accounts/me/deployments/mine", tier="standard") is None


def test_an_override_is_of_every_tier_or_of_the_one_that_its_key_names() -> None:
    rates = {"input_per_mtok": 1, "output_per_mtok": 2}
    both = {"m@flex": rates, "m": {"input_per_mtok": 3, "output_per_mtok": 4}}
    found = {tier: price_of("openai", "m", both, tier=tier) for tier in ("flex", "standard", None)}
    assert {tier: int(one.input_per_mtok) for tier, one in found.items() if one is not None} == {"flex": 1, "standard": 3, None: 3}
