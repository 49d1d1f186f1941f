"""Every provider has one row, and whoever lists providers reads it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from batchtrial.errors import ConfigError
from batchtrial.prices.table import table
from batchtrial.providers.base import Setup
from batchtrial.providers.registry import OWN_KEY, ROWS, Row, adapter_of, key_variables, names, of_recording, row_of
from batchtrial.records import Request

SRC = Path(__file__).resolve().parents[3] / "src" / "batchtrial"
REQUEST = Request(custom_id="a-1", model="m", system="Be short.", user="Who?", max_tokens=90, temperature=0.0)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_each_row_gives_an_adapter_that_encodes_without_key_or_package(name: str) -> None:
    adapter = adapter_of(name, Setup(account="a"))
    assert adapter.name == row_of(name).speaks
    assert adapter.encode(REQUEST).endswith(b"\n")
    assert adapter.limits.max_requests > 0


@pytest.mark.parametrize("name", sorted({row.speaks for row in ROWS.values()}))
def test_each_wire_can_be_read_from_a_recording(name: str) -> None:
    found = of_recording(name, {})
    assert found is not None
    assert found.name == name


def test_what_no_row_speaks_is_no_recording_of_ours() -> None:
    assert of_recording("nobody", {}) is None


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        row_of("opnai")
    assert caught.value.hint == "did you mean openai?"


def test_an_adapter_of_another_package_that_cannot_be_made_is_told_as_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Row(name="fresh", title="Fresh", adapter="no.such.module", speaks="fresh")
    monkeypatch.setattr("batchtrial.providers.registry.added", lambda group: [(None, fresh)])
    uses: tuple[Callable[[], object], ...] = (lambda: adapter_of("fresh", Setup()), lambda: of_recording("fresh", {}))
    for use in uses:
        with pytest.raises(ConfigError, match="the provider 'fresh' cannot be used: ModuleNotFoundError") as caught:
            use()
        assert caught.value.hint == "its package says why"


def test_no_two_providers_share_a_key_or_a_name_in_the_price_table() -> None:
    keyed = [row for row in ROWS.values() if row.key_variable]
    assert sorted(key_variables()) == sorted({row.key_variable for row in keyed} | {OWN_KEY})
    assert len({row.key_variable for row in keyed}) == len(keyed)
    assert len({row.prices for row in ROWS.values()}) == len(ROWS)
    assert set(table().providers) <= {row.prices for row in ROWS.values()}


@pytest.mark.parametrize("name", names())
def test_a_row_says_how_far_it_was_tried(name: str) -> None:
    assert re.fullmatch(r"recorded|emulated|live-tested by .+ on \d{4}-\d\d-\d\d", row_of(name).maturity)


def test_keys_are_named_in_the_registry_alone() -> None:
    # The emulator, which imports nothing of the rest, reads the key of a server of one's own too.
    named = [f'"{variable}"' for variable in key_variables() if variable != OWN_KEY]
    elsewhere = {path.relative_to(SRC).as_posix() for path in SRC.rglob("*.py") if any(one in path.read_text() for one in named)}
    assert elsewhere == {"providers/registry.py"}
