"""A lost ledger of a run whose unreadable answers were asked for again: nothing is bought a third time, and the answers stay."""

from __future__ import annotations

from pathlib import Path

from tests.crash.lab import RUN_ID, Lab
from tests.crash.test_retry_not_understood import N_UNREAD, TOLD, states, unreadable

from batchtrial.cli.commands.repair import main as repair


def test_it_is_bought_once_also_when_the_ledger_is_lost(tmp_path: Path) -> None:
    lab = Lab(tmp_path, provider="fireworks", n_items=2, faults=unreadable, has_twin=False)
    world = lab.world("lost")
    assert world.start() == 0
    bought = world.bill()["answered_requests"]
    assert world.resume(options=TOLD) == 0
    before = states(world)
    world.layout.ledger.unlink()
    assert repair(["--run_id", RUN_ID, "--experiments_dir", str(world.experiments)]) == 0
    for options in (None, TOLD):
        assert world.resume(options=options) == 0
        assert (world.bill()["answered_requests"], states(world)) == (bought + N_UNREAD, before)
    world.close()
