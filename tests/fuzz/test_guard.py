"""The fuzz session's own check: what it looks for is found when it is there."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.fuzz import guard
from tests.fuzz.bases import config_trees
from tests.fuzz.mutations import json_lines, raw, tree

WATCH = guard.Watch()
HOARD_MEGABYTES = 64
Command = Callable[[Sequence[str]], int]


def told(text: str, code: int) -> Command:
    def command(argv: Sequence[str]) -> int:
        sys.stderr.write(text)
        return code

    return command


def raising(argv: Sequence[str]) -> int:
    raise ValueError("nobody caught this")


def hanging(argv: Sequence[str]) -> int:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass
    return 0


def hoarding(argv: Sequence[str]) -> int:
    return bytearray(HOARD_MEGABYTES << 20).count(1)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (told("error: no such key\n", 2), "refused"),
        (told("", 0), "accepted"),
        (told("error: unexpected KeyError: 'a'\n  hint this is a defect", 1), "crash"),
        (told("", 2), "silent"),
        (told("odd", 77), "crash"),
        (raising, "crash"),
        (hanging, "hang"),
        (hoarding, "memory"),
    ],
)
def test_a_finding_of_each_kind_is_found(command: Command, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guard.forget_peak()
    monkeypatch.setattr(guard, "HANG_SECONDS", 0.2 if kind == "hang" else 60.0)
    monkeypatch.setattr(guard, "MOST_MEGABYTES", guard.peak_megabytes() + HOARD_MEGABYTES / 2)
    assert guard.watched(command, [], tmp_path, WATCH).kind == kind


def test_the_bounds_are_the_ones_that_are_promised() -> None:
    assert (guard.HANG_SECONDS, guard.MOST_MEGABYTES) == (5.0, 1024.0)


def test_a_write_outside_the_box_is_found_and_one_inside_is_not(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.mkdir()

    def outside(argv: Sequence[str]) -> int:
        (box / "inside.txt").write_text("x")
        (box / ".." / "outside.txt").write_text("x")
        return 0

    done = guard.watched(outside, [], box, WATCH)
    assert done.kind == "escape"
    assert [Path(path).name for path in done.escapes] == ["outside.txt"]


def test_the_same_seed_gives_the_same_damage() -> None:
    sound = config_trees()[0]
    assert repr(tree(random.Random(5), sound)) == repr(tree(random.Random(5), sound))
    assert raw(random.Random(6), b"a,b\n1,2\n") == raw(random.Random(6), b"a,b\n1,2\n")
    assert json_lines(random.Random(7), b'{"a": 1}\n') == json_lines(random.Random(7), b'{"a": 1}\n')


def test_damage_changes_most_files() -> None:
    sound = b'{"id": "1", "question": "Where?", "answers": ["Here"]}\n' * 3
    assert sum(raw(random.Random(seed), sound) != sound for seed in range(200)) > 180
