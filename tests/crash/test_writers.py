"""One writer, whatever the others try: starts and resumes at once, stopped and continued processes, impatient signals."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess

import pytest
from tests.crash.children import finish, spawn
from tests.crash.conftest import Labs
from tests.crash.lab import FINISHED, Lab, World

from batchtrial.app.drill_pauses import SAID, VARIABLE

N_STARTS = 20
REFUSED, LOCKED, STOPPED = 3, 5, 130


def paused(world: World, point: str, *, is_resume: bool = False) -> BaseProcess:
    """A run that waits at a point, in a process of its own."""
    child = spawn(world.argv(is_resume=is_resume), world.log, variables={VARIABLE: point})
    until(lambda: world.log.exists() and SAID in world.log.read_text(), child)
    return child


def until(is_true: Callable[[], bool], child: BaseProcess, seconds: float = 60.0) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert child.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def lab(labs: Labs) -> Lab:
    return labs("fireworks")


def test_twenty_starts_at_once_have_one_winner(lab: Lab) -> None:
    world = lab.world("twenty")
    logs = [world.root / f"start{number}.log" for number in range(N_STARTS)]
    children = [spawn(world.argv(is_resume=False), log) for log in logs]
    codes = [finish(child) for child in children]
    losers = [(code, log.read_text()) for log, code in zip(logs, codes, strict=True) if code not in FINISHED]
    assert len(losers) == N_STARTS - 1
    winner = children[next(number for number, code in enumerate(codes) if code in FINISHED)].pid
    for code, said in losers:
        assert f"is being written by process {winner} on " in said if code == LOCKED else code == REFUSED and "exists already" in said, said
    assert world.problems() == []
    world.close()


def test_of_two_resumes_at_once_one_works_and_one_names_the_other(lab: Lab) -> None:
    world = lab.world("two")
    first = paused(world, "ledger:receipt:after:2")
    second_log = world.root / "second.log"
    assert finish(spawn(world.argv(is_resume=True), second_log)) == LOCKED
    assert f"process {first.pid} on " in second_log.read_text()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGTERM)
    assert finish(first) == STOPPED
    assert finish(spawn(world.argv(is_resume=True), world.log)) in FINISHED
    assert world.problems() == []
    world.close()


def test_a_stopped_process_keeps_its_lock_and_goes_on_when_continued(lab: Lab) -> None:
    world = lab.world("sigstop")
    first = paused(world, "call:submit:after:2")
    assert first.pid is not None
    os.kill(first.pid, signal.SIGSTOP)
    second_log = world.root / "second.log"
    for _ in range(2):
        assert finish(spawn(world.argv(is_resume=True), second_log)) == LOCKED
    assert f"process {first.pid} on " in second_log.read_text()
    os.kill(first.pid, signal.SIGCONT)
    world.layout.stop_requested.touch()
    assert finish(first) == STOPPED
    assert finish(spawn(world.argv(is_resume=True), world.log)) in FINISHED
    assert world.problems() == []
    world.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_run_in_order_and_says_how_to_go_on(lab: Lab, number: signal.Signals) -> None:
    world = lab.world(number.name)
    child = paused(world, "phase:poll:before,call:check:before")
    assert child.pid is not None
    os.kill(child.pid, number)
    assert finish(child) == STOPPED
    said = world.log.read_text()
    assert f"stopped by {number.name}" in said
    assert "go on with: batchtrial run --resume --run_id r1" in said
    assert finish(spawn(world.argv(is_resume=True), world.log)) in FINISHED
    assert world.problems() == []
    world.close()


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_leaves_a_call_that_hangs(lab: Lab, second: signal.Signals) -> None:
    world = lab.world(f"second-{second.name}")
    world.emulator.add_faults({"match": {"op": "get"}, "on": "every", "do": {"hang": 60}})
    child = spawn(world.argv(is_resume=False), world.log)
    until(lambda: world.emulator.calls().get("fireworks", {}).get("get", {}).get("received", 0) > 0, child)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGINT)
    began = time.monotonic()
    # The kernel keeps one pending signal of a kind: an impatient person presses again until it has been noticed.
    for _ in range(60):
        os.kill(child.pid, second)
        child.join(0.5)
        if child.exitcode is not None:
            break
    assert finish(child, 1.0) == STOPPED
    assert time.monotonic() - began < 20.0, "long before the call would have ended"
    world.emulator.call("DELETE", "/_emulator/faults")
    world.close()


def test_sigterm_is_noticed_before_the_run_is_even_open(lab: Lab) -> None:
    """From its first write to its last a run answers a signal with a stop, not with death."""
    world = lab.world("early")
    child = paused(world, "ledger:opened:after")
    assert child.pid is not None
    os.kill(child.pid, signal.SIGTERM)
    assert finish(child) == STOPPED
    assert finish(spawn(world.argv(is_resume=True), world.log)) in FINISHED
    assert world.problems() == []
    world.close()


def test_a_request_that_comes_when_all_is_done_is_not_left_lying(lab: Lab) -> None:
    world = lab.world("late")
    met: list[str] = []

    def hook(point: str) -> None:
        met.append(point)
        if len(met) == len(lab.points):
            world.layout.stop_requested.touch()

    assert world.start(hook) in FINISHED
    assert met == lab.points, "the request came at the last write"
    assert not world.layout.stop_requested.exists()
    assert world.resume() in FINISHED
    world.close()
