"""The contract that a plugin's author imports, held by our own adapters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import pytest
from tests.contract.wires import OF_CI, PLAIN
from tests.emulator_process import Emulator

from batchtrial.providers.base import Provider, Setup
from batchtrial.providers.registry import adapter_of, row_of
from batchtrial.testing import HOURS_APART, ProviderContract, Server

MODELS = {wire.provider: wire.model for wire in (*OF_CI.values(), *PLAIN.values())}
SHARED: dict[str, Server] = {}
"""One emulator for all of these tests; each moves its clock on, so that what came before is over."""


@pytest.fixture(autouse=True)
def server_of(emulator: Emulator) -> None:
    SHARED["emulator"] = Server(emulator.url)


class _Ours(ProviderContract):
    name: ClassVar[str]

    def adapter(self, url: str, key: str) -> Provider:
        return adapter_of(
            self.name, Setup(host={"base_url": url + row_of(self.name).emulated_at}, key=key, account="imported", now=SHARED["emulator"].now)
        )

    @contextmanager
    def server(self) -> Iterator[Server]:
        server = SHARED["emulator"]
        server.clear()
        server.advance(HOURS_APART)
        self._n_before = len(Server.batches(server, self.wire))
        yield _Fresh(server.url, self._n_before)
        server.clear()


class _Fresh(Server):
    """The shared emulator as if it had no past."""

    def __init__(self, url: str, n_before: int) -> None:
        super().__init__(url)
        self._n_before = n_before

    def batches(self, wire: str) -> list[dict[str, object]]:
        return super().batches(wire)[self._n_before :]


@pytest.mark.parametrize("check", sorted(name for name in dir(ProviderContract) if name.startswith("test_")))
@pytest.mark.parametrize("provider", sorted(MODELS))
def test_our_adapters_hold_it(provider: str, check: str) -> None:
    case = type("Case", (_Ours,), {"wire": provider, "name": provider, "model": MODELS[provider]})()
    getattr(case, check)()
