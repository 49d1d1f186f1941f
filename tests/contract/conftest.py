"""One emulator for all contract tests of a wire; each test gets an adapter of its own and a world without faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.wires import KEY, WIRES, World
from tests.emulator_process import Emulator, running


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A server with a clock that only tests move."""
    with running(tmp_path_factory.mktemp("emulator"), seed=5) as emu:
        yield emu


@pytest.fixture(params=sorted(WIRES))
def world(request: pytest.FixtureRequest, emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    """Every adapter in turn."""
    wire = WIRES[request.param]
    provider = wire.make(emulator, KEY, {})
    emulator.remove_faults()
    yield World(wire, emulator, provider, tmp_path)
    emulator.remove_faults()
    provider.close()
