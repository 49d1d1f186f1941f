"""What the contract tests need of each wire: an adapter at an emulator, requests, intents, and the few things that really differ."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.emulator_process import Emulator

from batchtrial.errors import Unsure
from batchtrial.keys import custom_id, id_head, item_hash
from batchtrial.providers.anthropic.adapter import AnthropicProvider, AnthropicSettings
from batchtrial.providers.base import Intent, Provider, Setup
from batchtrial.providers.fireworks.adapter import FireworksProvider, FireworksSettings
from batchtrial.providers.openai.adapter import OpenAIProvider, OpenAISettings
from batchtrial.providers.openai.quirks import Quirks, quirks_of
from batchtrial.providers.registry import ROWS, adapter_of, row_of
from batchtrial.providers.sdk.edge import Timeouts
from batchtrial.records import Request

KEY = "fw-contract-key-0123456789"
BATCH_LIFE_SECONDS = 40.0
TIMEOUTS = Timeouts(connect=2.0, read=5.0, answer=20.0, slow=5.0)

Make = Callable[[Emulator, str, Mapping[str, Any]], Provider]


def clock_of(emu: Emulator) -> Callable[[], datetime]:
    """The emulator's clock, which is the time that everything in these tests happens at."""
    return lambda: datetime.fromtimestamp(emu.call("GET", "/_emulator/clock")["now"], UTC)


def _fireworks(emu: Emulator, key: str, settings: Mapping[str, Any]) -> Provider:
    given: dict[str, Any] = {"account_id": "acct", "base_url": emu.fireworks_base_url, "timeouts": TIMEOUTS} | dict(settings)
    return FireworksProvider(FireworksSettings(**given), key, sleep=lambda seconds: None)


def _openai(endpoint: str) -> Make:
    def make(emu: Emulator, key: str, settings: Mapping[str, Any]) -> Provider:
        given: dict[str, Any] = {"base_url": emu.openai_base_url, "endpoint": endpoint, "timeouts": TIMEOUTS} | dict(settings)
        return OpenAIProvider(OpenAISettings(**given), key, now=clock_of(emu))

    return make


def _anthropic(emu: Emulator, key: str, settings: Mapping[str, Any]) -> Provider:
    given: dict[str, Any] = {"base_url": emu.anthropic_base_url, "timeouts": TIMEOUTS} | dict(settings)
    return AnthropicProvider(AnthropicSettings(**given), key, now=clock_of(emu))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One adapter in one setting. model: a name the price table and the wire know."""

    name: str
    provider: str
    model: str
    make: Make
    host: str = ""  # a host of its own that speaks OpenAI's wire
    is_listed_at_once: bool = False  # one page holds all batches, or the list is filtered by the token
    has_counts: bool = True  # a batch tells how many of its rows are done
    small_pages: Mapping[str, Any] = field(default_factory=dict)  # settings that ask for five batches a page

    @property
    def speaks(self) -> str:
        """Whose wire it is."""
        return row_of(self.provider).speaks

    @property
    def key_variable(self) -> str:
        """Where a person puts the key."""
        return row_of(self.provider).key_variable

    download_ops: tuple[str, ...] = ("download", "results")
    expired_is_told: bool = True  # rows that ran out of time have lines of their own
    keeps_expired: bool = True  # what had finished of a batch that ran out of time can be had
    refuses_twins: bool = False  # a second create of one attempt is answered 409


def _plain(name: str, model: str, **how: Any) -> Wire:
    """A wire over plain HTTP, below a path of its own."""

    def make(emu: Emulator, key: str, settings: Mapping[str, Any]) -> Provider:
        host = {"base_url": emu.url + row_of(name).emulated_at, "timeouts": TIMEOUTS} | dict(settings)
        return adapter_of(name, Setup(host=host, key=key, now=clock_of(emu)))

    return Wire(name=name, provider=name, model=model, make=make, small_pages={"page_size": 5}, **how)


def _host(name: str) -> Wire:
    quirks, row = quirks_of(name), row_of(name)

    def make(emu: Emulator, key: str, settings: Mapping[str, Any]) -> Provider:
        given: dict[str, Any] = {"base_url": emu.url + row.emulated_at, "endpoint": "/v1/chat/completions", "quirks": quirks}
        given |= {"title": row.title, "key_variable": row.key_variable}
        return OpenAIProvider(OpenAISettings(**given | {"timeouts": TIMEOUTS} | dict(settings)), key, now=clock_of(emu))

    small = {"quirks": replace(quirks, page_size=5)}
    return Wire(
        name=name,
        provider=name,
        model="gpt-4.1",
        make=make,
        host=name,
        small_pages=small,
        has_counts=name != "together",
        is_listed_at_once=name == "together",
    )


HOSTS: Mapping[str, Wire] = {name: _host(name) for name in sorted(ROWS) if ROWS[name].host not in ("", "openai")}
"""Hosts that speak OpenAI's batch API."""
PLAIN: Mapping[str, Wire] = {
    wire.name: wire
    for wire in (
        _plain("gemini", "gemini-3.5-flash", expired_is_told=False, keeps_expired=False),
        _plain("xai", "grok-4.3", expired_is_told=False),
        _plain("mistral", "mistral-small-latest", expired_is_told=False, is_listed_at_once=True),
    )
}
"""Wires of their own, over plain HTTP."""

SMALL = {"quirks": Quirks(page_size=5)}
OF_CI: Mapping[str, Wire] = {
    wire.name: wire
    for wire in (
        Wire(
            name="fireworks",
            provider="fireworks",
            model="accounts/fireworks/models/gpt-oss-20b",
            make=_fireworks,
            expired_is_told=False,
            refuses_twins=True,
        ),
        Wire(name="openai-responses", provider="openai", model="gpt-4.1", make=_openai("/v1/responses"), small_pages=SMALL),
        Wire(name="openai-chat", provider="openai", model="gpt-4.1", make=_openai("/v1/chat/completions"), small_pages=SMALL),
        Wire(name="anthropic", provider="anthropic", model="claude-haiku-4-5", make=_anthropic, small_pages={"page_size": 5}),
    )
}

WIRES: Mapping[str, Wire] = {**OF_CI, **({**PLAIN, **HOSTS} if os.environ.get("BATCHTRIAL_EVERY_WIRE") else {})}
"""Where BATCHTRIAL_EVERY_WIRE is set (`nox -s hosts`) the whole suite runs for every wire and host; else test_importable.py has a sample."""


def only(*providers: str) -> pytest.MarkDecorator:
    """The test is about these providers alone; the reason stands in its docstring."""
    names = sorted(wire.name for wire in WIRES.values() if wire.speaks in providers)
    assert names
    return pytest.mark.parametrize("world", names, indirect=True)


@dataclass(slots=True)
class World:
    """An adapter at a running emulator, and the attempts made through it."""

    wire: Wire
    emu: Emulator
    provider: Provider
    folder: Path
    tokens: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    n_before: int = 0  # batches of earlier tests

    def __post_init__(self) -> None:
        # Far enough on that whatever earlier tests left has ended, and is too old to be taken for a batch of this one.
        self.emu.advance(6 * 3600.0)
        self.n_before = len(self.batches())

    def now(self) -> datetime:
        """The emulator's clock."""
        return clock_of(self.emu)()

    def requests(self, n: int, **changed: Any) -> list[Request]:
        """Requests with the ids that the pipeline gives them."""
        return [
            replace(
                Request(
                    custom_id=custom_id(id_head("0123456789abcdef"), item_hash("sample", f"q{number}"), 0),
                    model=self.wire.model,
                    system="Answer in one word.",
                    user=f"What is number {number}?",
                    max_tokens=64,
                    temperature=0.7,
                ),
                **changed,
            )
            for number in range(n)
        ]

    def payload(self, requests: Sequence[Request], name: str = "part.jsonl") -> Path:
        """The part file of the requests."""
        path = self.folder / name
        path.write_bytes(b"".join(map(self.provider.encode, requests)))
        return path

    def intent(self, payload: Path, *, part: str = "t07_control_p01", attempt: int = 1) -> Intent:
        """A new attempt, recorded at the emulator's time."""
        body = payload.read_bytes()
        return Intent(
            part=part,
            attempt=attempt,
            token=f"{hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]}{next(self.tokens):04x}",
            payload_sha256=hashlib.sha256(body).hexdigest(),
            n_requests=body.count(b"\n"),
            created_at=self.now(),
            model=self.wire.model,
            label="run r1, part 1",
        )

    def submit(self, n: int = 5, **changed: Any) -> str:
        """A new batch of n requests; its id."""
        payload = self.payload(self.requests(n, **changed))
        return self.provider.submit(self.intent(payload), payload, lambda file_id: None)

    def finish(self) -> None:
        """Let every batch run its course."""
        self.emu.advance(BATCH_LIFE_SECONDS)

    def batches(self) -> list[dict[str, Any]]:
        """What the emulator accepted on this wire in this test, oldest first."""
        return [batch for batch in self.emu.batches() if batch["provider"] == self.wire.provider][self.n_before :]

    def n_calls(self, op: str | None = None) -> int:
        """How often an operation, or any, was asked for on this wire."""
        found = self.emu.calls().get(self.wire.provider, {})
        return sum(counts["received"] for name, counts in found.items() if op in (None, name))

    def fault(self, op: str, do: Mapping[str, Any], on: Any = "every") -> None:
        """A fault rule for this wire."""
        self.emu.add_faults([{"match": {"provider": self.wire.provider, "op": op}, "on": on, "do": dict(do)}])

    def fault_downloads(self, do: Mapping[str, Any], on: Any = "every") -> None:
        """The same fault for whatever operation brings this wire's results."""
        for op in self.wire.download_ops:
            self.fault(op, do, on)

    def settle(self, intent: Intent, owned: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """What `find` says once it can say something: while it is Unsure, time goes by."""
        try:
            return self.provider.find(intent, owned)
        except Unsure:
            self.finish()
            return self.provider.find(intent, owned)
