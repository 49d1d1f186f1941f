"""Disks that fill up, fail or refuse: a clear message, the right exit code, and a run that goes on once there is room."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.crash.children import finish, spawn
from tests.crash.conftest import Labs
from tests.crash.lab import FINISHED, RUN_ID, Lab, World, killed_at
from tests.crash.test_sweeps import spread

from batchtrial.cli.commands.repair import main as repair
from batchtrial.run.options import Options

FAILED, REFUSED = 1, 3


@pytest.fixture
def lab(labs: Labs) -> Lab:
    return labs("fireworks")


@pytest.fixture
def near_lab(near_labs: Labs) -> Lab:
    return near_labs("fireworks")


def failing(n: int, number: int, *, for_good: bool) -> Callable[[str], None]:
    """A hook by which the n-th durable write of the run fails, and every later one when the disk stays as it is."""
    seen = 0

    def hook(point: str) -> None:
        nonlocal seen
        if point.startswith(("ledger:", "write:")) and not point.endswith(":after"):
            seen += 1
            if seen == n or (for_good and seen > n):
                raise OSError(number, os.strerror(number), "a file of the run")

    return hook


def n_writes(lab: Lab) -> int:
    return sum(point.startswith(("ledger:", "write:")) and not point.endswith(":after") for point in lab.points)


@pytest.mark.parametrize(("number", "for_good", "share"), [(errno.ENOSPC, True, 8), (errno.EIO, False, 6)])
def test_a_write_that_fails_stops_the_run_and_loses_nothing(near_lab: Lab, number: int, for_good: bool, share: int) -> None:
    last = n_writes(near_lab)
    for n in sorted({1 + (last - 1) * place // (share - 1) for place in range(share)}):
        world = near_lab.world(f"disk{number}-{n}")
        with pytest.raises(OSError, match=os.strerror(number)):
            world.start(failing(n, number, for_good=for_good))
        world.resume()
        assert world.problems() == [], f"write #{n}"
        world.close()


@pytest.mark.parametrize("most_bytes", [300, 4_000, 9_000])
def test_a_file_system_without_room_is_told_and_survived(lab: Lab, most_bytes: int) -> None:
    """The kernel itself refuses: no file of the process may grow past so many bytes."""
    world = lab.world(f"room{most_bytes}")
    assert finish(spawn(world.argv(is_resume=False), world.log, most_bytes=most_bytes)) == FAILED
    said = world.log.read_text()
    assert "File too large" in said
    assert "Traceback" not in said
    for _ in range(3):
        if finish(spawn(world.argv(is_resume=world.is_begun()), world.log)) in FINISHED:
            break
    assert world.problems() == []
    world.close()


def test_a_folder_that_may_not_be_written_is_told_with_the_fix(lab: Lab) -> None:
    world = lab.world("readonly")
    stop_half_way(world)
    before = world.ledger().entries
    folders = [world.layout.root, *(path for path in world.layout.root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        code = finish(spawn(world.argv(is_resume=True), world.log, is_mere_mortal=True))
    finally:
        for folder in folders:
            folder.chmod(0o755)
    said = world.log.read_text()
    assert code in (FAILED, REFUSED)
    assert "ermission denied" in said or "not writable" in said or "cannot write" in said
    assert "hint" in said
    assert "Traceback" not in said
    assert world.ledger().entries == before
    assert world.resume() in FINISHED
    assert world.problems() == []
    world.close()


def test_a_run_cannot_lie_below_a_file(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    world = lab.world("below")
    world.experiments = tmp_path / "file" / "experiments"
    assert finish(spawn(world.argv(is_resume=False), world.log)) == REFUSED
    said = world.log.read_text()
    assert "cannot make the run's folder" in said
    assert "--experiments_dir" in said
    assert world.bill()["creates"] == 0
    world.close()


def stop_half_way(world: World) -> None:
    """Interrupt after the third result file."""

    def hook(point: str) -> None:
        if point == "ledger:saved:after":
            hook_seen.append(point)
            if len(hook_seen) == 3:
                world.layout.stop_requested.touch()

    hook_seen: list[str] = []
    assert world.start(hook) == 130


# Files that were damaged while the run lay still

CACHES = (".stamps.json", "run.lock")
HEALED = (
    "run_state.json",
    "build_manifest.json",
    "prepared_manifest.json",
    "trial_manifest.json",
    "multi_trial_manifest.json",
    "control_registry.json",
    *CACHES,
)
"""Snapshots and caches: everything in them is in the ledger, the artifacts or the config."""
DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "half": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "gone": lambda data: None,
    "another": lambda data: b'{"schema_version": 1, "hello": "world"}\n',
}


def find(world: World, name: str) -> Path:
    found = [path for path in world.layout.root.rglob(name) if path.is_file() and ".corrupt." not in path.name]
    assert found, name
    return found[0]


def damage(path: Path, how: str) -> None:
    after = DAMAGES[how](path.read_bytes())
    if after is None:
        path.unlink()
    else:
        path.write_bytes(after)


@pytest.mark.parametrize("name", HEALED)
def test_a_damaged_snapshot_heals_and_the_original_is_kept_aside(near_labs: Labs, name: str) -> None:
    lab = near_labs("fireworks")
    world = lab.world(f"snapshot-{name}")
    stop_half_way(world)
    how = list(DAMAGES)[HEALED.index(name) % len(DAMAGES)]
    path = find(world, name)
    damage(path, how)
    assert world.resume() in FINISHED
    assert world.problems() == []
    kept = list(path.parent.glob(f"{name}.corrupt.*"))
    assert len(kept) == (0 if how == "gone" or name in CACHES else 1), f"{how} {name}"
    world.close()


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_result_file_is_fetched_again_before_anything_is_made_of_it(near_lab: Lab, how: str) -> None:
    world = near_lab.world(f"result-{how}")
    stop_half_way(world)
    damage(find(world, "results.jsonl"), how)
    n_creates = world.bill()["creates"]
    assert world.resume() in FINISHED
    problems = [one for one in world.problems() if "corrupt" not in one]
    assert problems == []
    assert world.bill()["creates"] >= n_creates
    world.close()


@pytest.mark.parametrize("how", ["middle", "emptied", "gone", "older"])
def test_a_ledger_that_lost_lines_is_refused_and_nothing_is_sent(lab: Lab, how: str) -> None:
    world = lab.world(f"ledger-{how}")
    stop_half_way(world)
    path = world.layout.ledger
    lines = path.read_bytes().splitlines(keepends=True)
    kept = {"middle": [*lines[:4], *lines[6:]], "emptied": [], "gone": [], "older": lines[:-6]}[how]
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"".join(kept))
    n_creates = world.bill()["creates"]
    code = finish(spawn(world.argv(is_resume=True), world.log))
    said = world.log.read_text()
    assert code == REFUSED, said
    assert "ledger" in said
    assert "batchtrial repair" in said
    assert world.bill()["creates"] == n_creates
    if how != "gone":
        assert path.read_bytes() == b"".join(kept)
    path.write_bytes(b"".join(lines))
    assert world.resume() in FINISHED, "with the file put back the run goes on"
    assert world.problems() == []
    world.close()


@pytest.mark.parametrize("provider", ["fireworks", "openai", "anthropic"])
def test_a_ledger_that_lost_its_end_after_a_kill_is_refused_mended_and_pays_once(labs: Labs, provider: str) -> None:
    """Cut at the end of a line, no snapshot newer than the cut: three batches are at the provider, and no line of the ledger knows them."""
    lab = labs(provider)
    world = lab.world("forgetful")
    creates = [number for number, point in enumerate(lab.points, 1) if point == "call:submit:after"]
    killed_at(world, creates[2], first=True)
    path = world.layout.ledger
    n_lines = json.loads(world.layout.run_state.read_bytes())["ledger_lines"]
    lines = path.read_bytes().splitlines(keepends=True)
    assert not any(b'"event":"intent"' in line for line in lines[:n_lines]), "the run was opened and its plan frozen, and nothing was sent"
    path.write_bytes(b"".join(lines[:n_lines]))  # the snapshot has nothing against the ledger
    n_creates = world.bill()["creates"]
    for flags in (["--plan_only"], []):
        assert finish(spawn([*world.argv(is_resume=True), *flags], world.log)) == REFUSED
    assert f"line {n_lines + 1} of the ledger is gone" in world.log.read_text()
    assert world.bill()["creates"] == n_creates
    assert repair(["--run_id", RUN_ID, "--experiments_dir", str(world.experiments)]) == 0
    assert world.resume() in FINISHED
    assert world.problems() == []
    world.close()


@pytest.mark.parametrize("provider", ["fireworks", "openai", "anthropic"])
@pytest.mark.parametrize("n_left", [1, 30])
def test_an_intent_torn_after_its_call_is_asked_about_before_it_is_sent(near_labs: Labs, provider: str, n_left: int) -> None:
    """A torn last line is never an error. That this one had been whole, and allowed a call, makes the provider be asked first."""
    lab = near_labs(provider)
    world = lab.world(f"torn{n_left}")
    creates = [number for number, point in enumerate(lab.points, 1) if point == "call:submit:after"]
    killed_at(world, creates[0], first=True)
    path = world.layout.ledger
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if b'"event":"intent"' in line)
    path.write_bytes(b"".join([*lines[:at], lines[at][:n_left]]))
    assert world.bill()["creates"] == 1
    world.emulator.call("POST", "/_emulator/clock", {"advance_seconds": 2 * 86_400})
    assert world.resume(options=Options(to_step="submit")) == 0
    assert world.resume() in FINISHED
    assert world.problems() == []
    world.close()


def test_points_are_spread_over_the_whole_run(near_lab: Lab) -> None:
    assert spread(near_lab, 3)[-1] == len(near_lab.points)
