"""Labs are costly to set up: one per provider and kind of day, shared by all tests of a session."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.crash.lab import Lab, rough

Labs = Callable[[str], Lab]


@pytest.fixture(scope="session")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Labs:
    """The lab of a provider on its bad day."""
    made: dict[str, Lab] = {}

    def lab(provider: str) -> Lab:
        if provider not in made:
            made[provider] = Lab(tmp_path_factory.mktemp(provider), provider=provider, n_items=6, faults=rough)
        return made[provider]

    return lab
