"""Rounds of 20 processes that share a budget and are killed at random. How many is BATCHTRIAL_ROUNDS; a hundred take some minutes."""

from __future__ import annotations

import os

from tests.unattended.budget_rounds import rounds

N_ROUNDS = int(os.environ.get("BATCHTRIAL_ROUNDS", "100"))


def test_the_cap_holds_whoever_is_killed_when_and_nothing_is_stuck() -> None:
    found = rounds(range(1, N_ROUNDS + 1), 20)
    assert sum(one.n_kills for one in found) > 10 * N_ROUNDS
    assert sum(one.n_looks for one in found) > 10 * N_ROUNDS
    assert N_ROUNDS < 10 or any(one.n_refused for one in found)
