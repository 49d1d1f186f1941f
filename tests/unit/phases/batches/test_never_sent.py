"""What was never sent is settled when somebody says so: the run comes to its report with what came back, and asks nothing more."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest
from tests.unit.phases.world import Quiet
from tests.unit.rig import Rig, once

from batchtrial.errors import PhaseFailed, StateError, Stopped
from batchtrial.phases.batches import poll, submit
from batchtrial.phases.batches.never_sent import settle_unsent
from batchtrial.reading.view import look
from batchtrial.run.loop import Services, carry
from batchtrial.run.options import Options
from batchtrial.state.machine import PartState
from batchtrial.state.store import Stamps


def settle(rig: Rig) -> int:
    session = rig.open()
    services = Services(codec=rig.memory, provider=lambda: rig.memory, now=rig.clock.now, stop=rig.stop_token(), progress=Quiet(rig.notes))
    try:
        return carry(session, Options(), services, settle_unsent)
    finally:
        session.close()


def states(rig: Rig) -> list[PartState]:
    record = rig.parts()
    return [record[name].state if name in record else PartState.PENDING for name in rig.names()]


def test_parts_that_a_budget_left_over_are_missing_and_never_asked(tmp_path: Path) -> None:
    rig = Rig(tmp_path, n_items=8)
    with pytest.raises(PhaseFailed, match="does not cover"):
        rig.run(given=rig.config(budget_usd=0.0009), options=Options(to_step="poll", is_partial=True, accept_drift=True))
    n_sent = len(rig.memory.batches)
    assert 0 < n_sent < len(rig.names())
    assert settle(rig) == len(rig.names()) - n_sent
    rig.run()
    assert len(rig.memory.batches) == n_sent
    assert rig.counts() == {"succeeded": 2 * n_sent, "missing": rig.n_requests - 2 * n_sent}
    view = look(rig.layout, rig.config(), dict(rig.parts()), Stamps(rig.layout.root, rig.layout.stamps), rig.memory.limits)
    assert submit.verdict(view).reason == f"{n_sent} of {len(rig.names())} parts were sent, and no further ones are"
    assert poll.verdict(view).is_done
    with pytest.raises(StateError, match="no part waits"):
        settle(rig)


def test_what_is_under_way_or_in_doubt_is_waited_for(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.memory.on_submit = deque([None, "lost after"])
    with pytest.raises(Stopped):
        rig.run(hook=once("call:submit:after", lambda: rig.layout.stop_requested.touch()))
    rig.layout.stop_requested.unlink()
    before = states(rig)
    settle(rig)
    assert [now if now is not PartState.SETTLED else PartState.PENDING for now in states(rig)] == before
    rig.run()
    assert set(states(rig)) == {PartState.SETTLED}
    assert len(rig.memory.batches) == sum(state is not PartState.PENDING for state in before)


def test_rows_that_wait_for_another_attempt_keep_what_the_first_one_said(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.memory.answer = lambda custom_id, batch: "errored"
    with pytest.raises(Stopped):
        rig.run(hook=once("ledger:retry:after", lambda: rig.layout.stop_requested.touch()))
    rig.layout.stop_requested.unlink()
    assert settle(rig) > 0
    rig.memory.answer = lambda custom_id, batch: "succeeded"
    rig.run()
    assert rig.counts()["errored"] == 2  # of the part that waited; those under way then are asked again as ever
