"""What an installation without extras brings along."""

from __future__ import annotations

from importlib import metadata

import pytest

pytest.importorskip("packaging")  # pytest itself brings it
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MOST = 25


def brought(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """The distribution and all that it needs on this machine, each by its name."""
    found: set[str] = set()
    waiting = [(name, extras)]
    while waiting:
        one, wanted = waiting.pop()
        if (key := canonicalize_name(one)) in found:
            continue
        found.add(key)
        for text in metadata.requires(one) or ():
            need = Requirement(text)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *wanted)):
                waiting.append((need.name, frozenset(need.extras)))
    return found


def test_the_core_brings_few_distributions() -> None:
    found = brought("batchtrial")
    assert {"httpx", "h11", "polars", "numpy"} <= found, "the walk goes beyond what is asked for directly"
    assert len(found) <= MOST, sorted(found)
