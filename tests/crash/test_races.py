"""Two copies of a run at work at the same time, each a process of its own: what is paid twice is cancelled, named and priced in both reports."""

from __future__ import annotations

import os
import shutil
import signal
import time
from multiprocessing.process import BaseProcess

import pytest
from tests.crash.children import finish
from tests.crash.conftest import Labs
from tests.crash.lab import FINISHED, Lab
from tests.crash.places import PROVIDERS, Place, Tally, judge

BEFORE_SENDING = ("call:submit:before", 1)
THREE_SENT = ("call:submit:after", 3)


def point(lab: Lab, name: str, nth: int) -> int:
    """The number of the n-th point of that name."""
    return [number for number, one in enumerate(lab.points, 1) if one == name][nth - 1]


def hold(lab: Lab, original: Place, copy: Place, *processes: BaseProcess) -> None:
    """Let both processes come to their end, finish what they left, and judge."""
    for process in processes:
        assert finish(process) in (*FINISHED, 1), original.world.log.read_text()  # 1: the other advanced the clock past a wait
    tally = Tally(lab.provider, "at once")
    for place in (original, copy, original):
        place.finish()
    judge([original, copy], lab.want, "at once", tally)
    assert tally.bad == []
    assert (tally.lost, tally.unequal) == (0, 0)
    original.world.close()


@pytest.mark.parametrize("at", [BEFORE_SENDING, THREE_SENT])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_killed_run_and_its_copy_are_resumed_at_once(remote_labs: Labs, provider: str, at: tuple[str, int]) -> None:
    lab = remote_labs(provider)
    world = lab.world(f"resumed-{at[1]}")
    original = Place(world, world.experiments)
    assert original.kill_at(point(lab, *at)) == at[0]
    copy = original.copy("copied")
    hold(lab, original, copy, original.spawn(world.log), copy.spawn(world.root / "copy.log"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_copy_of_a_living_run_is_resumed_while_it_works(remote_labs: Labs, provider: str) -> None:
    lab = remote_labs(provider)
    world = lab.world("living")
    original = Place(world, world.experiments)
    process = original.spawn(world.log, is_resume=False)
    deadline = time.monotonic() + 60
    while not (original.layout.ledger.exists() and b'"event":"receipt"' in original.layout.ledger.read_bytes()):
        assert process.is_alive(), world.log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)  # no file changes while it is copied
    copy = Place(world, world.root / "copied")
    shutil.copytree(original.experiments, copy.experiments)
    other = copy.spawn(world.root / "copy.log")
    os.kill(process.pid, signal.SIGCONT)
    hold(lab, original, copy, process, other)
