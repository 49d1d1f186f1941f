"""docs/peers.md is about the clients and faults that `nox -s peers` plays; what stands in its cells only that session can say."""

from __future__ import annotations

from tests.docs.pages import ROOT, text_of
from tests.peers.cells import FAULTS
from tests.peers.clients import CLIENTS, OURS

PAGE = text_of(ROOT / "docs" / "peers.md")


def test_every_small_client_and_fault_is_on_the_page() -> None:
    for client in CLIENTS:
        assert client.driver.is_file()
        assert not client.is_small or f"drivers/{client.driver.name})" in PAGE
        for wire in client.wires if client.is_small else ():
            name = f"**{client.name}**" if client.name == OURS else client.name
            assert f"| {name}{'' if client.has_state else ' (no state)'} | {wire} | " in PAGE or "Not run" in PAGE
    assert all(f"| {fault.name} | {fault.words} |" in PAGE for fault in FAULTS)


def test_versions_are_pinned() -> None:
    assert all("==" in package for client in CLIENTS for package in client.packages)
