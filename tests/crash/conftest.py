"""Labs are costly to set up: one per provider and kind of day, shared by all tests of a session."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.crash.inprocess import InProcess
from tests.crash.lab import IN_MEMORY, Lab, rough
from tests.crash.places import calm

Labs = Callable[[str], Lab]


def shelf(**how: Any) -> Iterator[Labs]:
    """Labs made at their first use, in memory where there is room."""
    with tempfile.TemporaryDirectory(prefix="batchtrial-labs-", dir=IN_MEMORY, ignore_cleanup_errors=True) as root:
        yield functools.cache(lambda provider: Lab(Path(root) / provider, provider=provider, n_items=6, **how))


@pytest.fixture(scope="session")
def labs() -> Iterator[Labs]:
    """The lab of a provider on its bad day, whose emulators are processes of their own."""
    yield from shelf(faults=rough)


@pytest.fixture(scope="session")
def near_labs() -> Iterator[Labs]:
    """The same, with emulators in the test's own process."""
    yield from shelf(faults=rough, provider_of=InProcess)


@pytest.fixture(scope="session")
def calm_labs() -> Iterator[Labs]:
    """The lab of a provider on a good day, with emulators in the test's own process."""
    yield from shelf(faults=calm, provider_of=InProcess)


@pytest.fixture(scope="session")
def remote_labs() -> Iterator[Labs]:
    """The same, with emulators in processes of their own."""
    yield from shelf(faults=calm)
