"""A disk without room in every phase, one after the other: a message with the fix, and once there is room the run goes on to the same bytes."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.crash.conftest import Labs
from tests.crash.lab import FINISHED, RUN_ID, Hook, World, no_hook

from batchtrial.cli.commands.archive import main as archive
from batchtrial.cli.frame import framed

FAILED = 1
WRITES = (
    "write:open_book.jsonl:before",
    "write:index.csv:before",
    "write:items.parquet:before",
    "write:build_manifest.json:before",
    "ledger:intent:before",
    "write:results.jsonl:before",
    "ledger:saved:before",
    "write:answers.parquet:before",
    "write:account.json:before",
    "write:scores.parquet:before",
    "write:significance.json:before",
    "write:costs.json:before",
    "write:report.md:before",
    "write:report.html:before",
    "write:predictions.csv:before",
    "write:per_item_scores.csv:before",
    "write:aggregate.json:before",
)
"""The largest writes of every phase."""
Fill = Callable[[], None]
Free = Callable[[], None]


def raises() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a file of the run")


def nothing() -> None:
    """Nothing was filled."""


@contextmanager
def small_disk(folder: Path) -> Iterator[tuple[Fill, Free]]:
    """A file system of its own, and how it is filled to the last byte and emptied again. Skips the test where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=False, capture_output=True).returncode
    ):
        pytest.skip("a file system of its own can only be mounted by root, outside of most containers")
    filler = folder / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    try:
        yield fill, lambda: filler.unlink(missing_ok=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def full_at(point: str, fill: Fill) -> tuple[Hook, list[str]]:
    """A hook that fills the disk when it first comes to the point, and whether it did."""
    hit: list[str] = []

    def hook(where: str) -> None:
        if where == point and not hit:
            hit.append(where)
            fill()

    return hook, hit


def walk(world: World, fill: Fill, free: Free, capsys: pytest.CaptureFixture[str]) -> None:
    """The run, ended by a full disk at every write of WRITES."""
    for point in sorted(WRITES, key=world.lab.points.index):
        hook, hit = full_at(point, fill)
        is_begun = world.is_begun()
        code = framed(lambda argv, hook=hook, go=world.resume if is_begun else world.start: go(hook))([])  # type: ignore[misc]
        free()
        said = capsys.readouterr().err
        assert "defect" not in said, f"{point}: {said}"
        assert "Traceback" not in said, f"{point}: {said}"
        assert hit, f"{point} was not met"
        assert code == FAILED, f"{point}: {said}"
        assert "No space left on device" in said, f"{point}: {said}"
        assert "free some space, then run again with --resume" in said, f"{point}: {said}"
    assert world.resume(no_hook) in FINISHED
    assert world.problems() == []


def test_the_disk_is_full_at_the_largest_writes_of_every_phase(near_labs: Labs, capsys: pytest.CaptureFixture[str]) -> None:
    world = near_labs("fireworks").world("full")
    walk(world, raises, nothing, capsys)
    world.close()


def test_a_real_disk_is_full_in_every_phase_and_in_the_archive(near_labs: Labs, capsys: pytest.CaptureFixture[str]) -> None:
    world = near_labs("fireworks").world("small")
    with small_disk(world.experiments) as (fill, free):
        walk(world, fill, free, capsys)
        place = ["--run_id", RUN_ID, "--experiments_dir", str(world.experiments)]
        fill()
        assert archive(place) == FAILED
        said = capsys.readouterr().err
        assert "No space left on device" in said, said
        assert "free some space" in said
        assert "defect" not in said
        assert not list(world.experiments.rglob("*.zip"))
        free()
        assert archive(place) == 0
        assert archive(["--verify", str(world.experiments / "archives" / f"run_{RUN_ID}.zip")]) == 0
    world.close()
