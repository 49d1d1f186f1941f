"""Going on with a run that has nothing left to do: no call, no artifact touched, no artifact read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.crash.conftest import Labs
from tests.crash.lab import FINISHED, Lab, World

from batchtrial.state import store

WRITTEN_ANEW = {"run.lock", "run.log"}
"""Who had the run and what was decided; everything else stays as it was."""


@pytest.fixture
def lab(near_labs: Labs) -> Lab:
    return near_labs("fireworks")


def tree(world: World) -> dict[str, tuple[str, int]]:
    found = (path for path in sorted(world.layout.root.rglob("*")) if path.is_file() and path.name not in WRITTEN_ANEW)
    return {path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in found}


def test_a_second_resume_of_a_finished_run_touches_nothing_and_calls_nobody(lab: Lab) -> None:
    world = lab.world("again")
    assert world.start() in FINISHED
    before, calls = tree(world), world.emulator.calls()
    points: list[str] = []
    for _ in range(2):
        assert world.resume(points.append) in FINISHED
    assert tree(world) == before
    assert world.emulator.calls() == calls
    assert points == [], "nothing was written under a hook either"
    world.close()


def test_it_does_not_even_read_what_it_made(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of a million requests is recognised by sizes and times: a gigabyte read anew would take longer than a second."""
    world = lab.world("unread")
    assert world.start() in FINISHED

    def read_it(path: Path) -> store.Fingerprint:
        raise AssertionError(f"{path.name} was read")

    with monkeypatch.context() as patched:
        patched.setattr(store, "fingerprint", read_it)
        assert world.resume() in FINISHED
    world.close()


def test_a_provider_that_is_gone_does_not_matter_to_a_finished_run(lab: Lab) -> None:
    world = lab.world("deserted")
    assert world.start() in FINISHED
    world.emulator.kill()
    assert world.resume() in FINISHED
    world.close()


def test_an_artifact_that_was_lost_is_made_again_from_what_is_there(lab: Lab) -> None:
    world = lab.world("lost")
    assert world.start() in FINISHED
    calls = world.emulator.calls()
    lost = [path for name in ("predictions.csv", "significance.json", "report.md") for path in world.layout.root.rglob(name)]
    assert len(lost) == 3
    for path in lost:
        path.unlink()
    assert world.resume() in FINISHED
    assert world.problems() == []
    assert world.emulator.calls() == calls
    world.close()
