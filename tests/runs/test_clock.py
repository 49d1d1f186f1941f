"""Waits are measured evenly: a wall clock that is set anew, by an hour or a day, makes none of them longer or shorter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.phases.world import Quiet
from tests.unit.rig import Rig

from batchtrial.clock import SteadyClock, elapsed_seconds, real_now
from batchtrial.run.loop import Services, execute
from batchtrial.run.options import Options
from batchtrial.run.session import Opening, open_run
from batchtrial.state.store import no_hook

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


class Machine:
    """A machine whose wall clock can be set. wait: time passes on both."""

    def __init__(self) -> None:
        self.wall, self.counter = NOON, 100.0

    def wait(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.counter += seconds


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(days=1), timedelta(hours=-1), timedelta(days=-365)])
def test_setting_the_wall_clock_moves_no_wait(jump: timedelta) -> None:
    machine = Machine()
    clock = SteadyClock(lambda: machine.wall, lambda: machine.counter)
    assert clock() == NOON
    due = clock() + timedelta(seconds=30)
    machine.wall += jump
    machine.wait(29)
    assert clock() < due
    machine.wait(1)
    assert clock() == due


def test_the_machine_s_own_counter_only_grows() -> None:
    seen = [elapsed_seconds() for _ in range(100)]
    assert seen == sorted(seen)
    assert abs(SteadyClock()() - real_now()) < timedelta(minutes=1)


def test_a_queue_looks_again_after_a_poll_although_the_wall_clock_was_set_back(tmp_path: Path) -> None:
    """The ledger is written by the wall clock, which goes back a day at every wait; the run waits as long as one whose clocks agree."""
    plain, other = Rig(tmp_path / "plain"), Rig(tmp_path / "other")
    plain.run()
    session = open_run(other.layout, opening(other), other.memory, clock=real_now, ledger_clock=lambda: _earlier(other), hook=no_hook)
    services = Services(codec=other.memory, provider=lambda: other.memory, now=other.clock.now, stop=other.stop_token(), progress=Quiet(other.notes))
    try:
        execute(session, Options(to_step="poll"), services)
    finally:
        session.close()
    assert other.clock.waited == plain.clock.waited
    assert other.is_paid_once()


def _earlier(rig: Rig) -> datetime:
    return rig.clock.now() - timedelta(days=len(rig.clock.waited))


def opening(rig: Rig) -> Opening:
    return Opening(run_id="r1", config=rig.config(), is_resume=False, accept_drift=False, overrides={}, nonce="00ff00ff00ff00ff")
