"""What a copy of the run sent beside this one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.phases.world import Quiet
from tests.unit.rig import Rig, once

from batchtrial.phases.base import Work
from batchtrial.phases.batches.by_hand import hand_out, take_in
from batchtrial.providers.base import Intent
from batchtrial.providers.by_hand import Carried, arrival
from batchtrial.run.loop import Services, carry
from batchtrial.run.options import Options


class Killed(BaseException):
    """The process dies here."""


def die() -> None:
    raise Killed


def by_hand(rig: Rig, move: Callable[[Work], object]) -> None:
    """What export_batch and import_batch do: the run worked on without its provider."""
    session = rig.open()
    carried = Carried(rig.memory, None, rig.layout.arrivals, was_asked=lambda: False)
    services = Services(codec=rig.memory, provider=lambda: carried, now=rig.clock.now, stop=rig.stop_token(), progress=Quiet(rig.notes))
    try:
        carry(session, Options(), services, move)
    finally:
        session.close()


def test_what_a_copy_sent_of_an_exported_part_is_named(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.run("build")
    rig.layout.arrivals.mkdir()
    by_hand(rig, lambda work: hand_out(work, tmp_path / "requests"))
    part = rig.names()[0]
    attempt = rig.parts()[part].attempts[0]
    intent = Intent(
        part=part,
        attempt=1,
        token=attempt.token,
        payload_sha256=attempt.payload_sha256,
        n_requests=attempt.n_requests,
        created_at=rig.clock.now(),
        model="",
    )
    theirs = rig.memory.accept(intent, rig.layout.part_input(part))
    by_hand(
        rig, lambda work: take_in(work, [], allow_incomplete=False, take_back=True, arrival=lambda one, end: arrival(rig.layout.arrivals, one, end))
    )
    rig.run()
    assert [one.batch_id for one in rig.parts()[part].duplicates] == [theirs.id]
    assert not any(record.duplicates for name, record in rig.parts().items() if name != part)
    assert rig.counts()["succeeded"] == rig.n_requests


def test_batches_without_labels_that_end_at_once_are_all_taken_over(tmp_path: Path) -> None:
    """A backup from before anything was sent, put back while four batches of one size run: nobody can tell yet which is which part's."""
    rig = Rig(tmp_path, settings={"max_concurrent_jobs": 8})
    rig.memory.is_unlabelled = True
    rig.run("build")
    shutil.copytree(rig.layout.root, tmp_path / "backup")
    with pytest.raises(Killed):
        rig.run(hook=once("call:check:before", die))
    assert len(rig.memory.batches) == len(rig.names()) == 4
    shutil.rmtree(rig.layout.root)
    shutil.copytree(tmp_path / "backup", rig.layout.root)
    rig.run()
    assert rig.is_paid_once()
    assert len(rig.memory.batches) == 4
    assert rig.counts()["succeeded"] == rig.n_requests
