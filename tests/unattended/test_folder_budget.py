"""Rounds of 20 processes that share a budget and are killed at random. How many is BATCHTRIAL_ROUNDS; a hundred take some minutes."""

from __future__ import annotations

import os

import pytest
from tests.unattended.budget_rounds import rounds

N_ROUNDS = int(os.environ.get("BATCHTRIAL_ROUNDS", "100"))
AT_ONCE = 10
"""In one test, so that a machine with more to do than this is not out of time."""


@pytest.mark.parametrize("first", range(1, N_ROUNDS + 1, AT_ONCE))
def test_the_cap_holds_whoever_is_killed_when_and_nothing_is_stuck(first: int) -> None:
    found = rounds(range(first, min(first + AT_ONCE, N_ROUNDS + 1)), 20)
    assert sum(one.n_kills for one in found) > 10 * len(found)
    assert sum(one.n_looks for one in found) > 10 * len(found)
    assert len(found) < AT_ONCE or any(one.n_refused for one in found)
