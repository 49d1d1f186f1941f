"""The provider commits, and the answer never arrives, fifty times in a row: nothing is bought twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.crash.lab import Lab, Rule

N_LOST = 50


def every_create_lost(lab: Lab) -> Sequence[Rule]:
    return [{"match": {"op": "create"}, "on": {"first": N_LOST}, "do": {"close_after_commit": True}}]


@pytest.mark.parametrize("provider", ["fireworks", "openai", "anthropic"])
def test_fifty_connections_closed_after_the_commit(tmp_path: Path, provider: str) -> None:
    settings = {"submission": {"lines_per_part": 1, "max_concurrent_jobs": 10}}
    lab = Lab(tmp_path, provider=provider, n_items=N_LOST // 2, settings=settings, faults=every_create_lost)
    bill = lab.want_bill
    assert (bill["n_paid_more_than_once"], bill["answered_requests"], bill["creates"]) == (0, N_LOST, N_LOST)
    assert lab.want_rows == N_LOST
    assert sum(point == "call:find:before" for point in lab.points) >= N_LOST
    assert "ledger:lost:after" not in lab.points
