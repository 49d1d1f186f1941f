"""`repair` says what is wrong, keeps what was damaged, guesses nothing about money, and leaves a live run alone."""

from __future__ import annotations

import json
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.crash.lab import FINISHED, World
from tests.runs.damage import Template, place
from tests.runs.rundir import tree

from batchtrial.cli.commands.repair import examiner_of, main
from batchtrial.cli.commands.resume import main as resume
from batchtrial.cli.frame import INTERRUPTED
from batchtrial.errors import RunnerError
from batchtrial.reading.inventory import RunReader, Standing
from batchtrial.state.entries import Entry, encode, read
from batchtrial.state.files import RunState, load
from batchtrial.state.ledger import fold
from batchtrial.state.lock import RunLock
from batchtrial.state.machine import PartState
from batchtrial.upkeep.fix import put_right

SEED = b"\n  random_seed: "


def repaired(world: World, *flags: str) -> int:
    return main([*place(world), *flags])


def test_a_sound_run_needs_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(world.layout.root)
    assert repaired(world, "--check") == 0
    assert tree(world.layout.root) == before
    assert repaired(world) == 0
    assert "nothing to repair" in capsys.readouterr().out
    assert main(["--run_id", "nobody", "--experiments_dir", str(world.experiments)]) == 3


def test_check_names_every_file_and_writes_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    layout = world.layout
    layout.control_registry.write_text("{")
    layout.multi_trial_manifest.unlink()
    results = min(layout.arms.glob("*/p01/results.jsonl"))
    results.write_bytes(results.read_bytes()[:-9])
    before = tree(layout.root)
    assert repaired(world, "--check", "--json") == 3
    got = json.loads(capsys.readouterr().out)
    assert {finding["path"]: finding["cure"] for finding in got["findings"]} == {
        "control_registry.json": "rebuild",
        "multi_trial_manifest.json": "rebuild",
        results.relative_to(layout.root).as_posix(): "refetch",
    }
    assert repaired(world, "--check") == 3
    assert "downloads it again, which costs nothing" in capsys.readouterr().out
    assert tree(layout.root) == before


def test_damaged_originals_are_kept_byte_for_byte(world: World) -> None:
    names = ("ledger.jsonl", "run_state.json", "control_registry.json", "batch_inputs/build_manifest.json", "effective_config.yaml")
    dice = random.Random(1)
    damaged = {}
    for name in names:
        path = world.layout.root / name
        flipped = bytearray(path.read_bytes())
        # Of the config a setting that decides the answers: where its files lie, and how it is sent, may be edited.
        place = flipped.find(SEED)
        flipped[place + len(SEED) if place >= 0 else dice.randrange(len(flipped) // 2, len(flipped) - 2)] ^= 1
        path.write_bytes(flipped)
        damaged[name] = bytes(flipped)
    assert repaired(world) == 0
    after = tree(world.layout.root)
    for name, data in damaged.items():
        kept = [after[one] for one in after if one.startswith(f"{name}.corrupt.")]
        assert kept == [data], name
    assert world.resume() in FINISHED
    assert world.problems() == []


def test_a_live_run_is_not_touched(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.layout.control_registry.write_text("{")
    lock = RunLock(world.layout.guard, world.layout.lock_info)
    lock.acquire(lambda: datetime.now(UTC))
    before = tree(world.layout.root)
    assert repaired(world) == 5  # try later
    assert "being written by process" in capsys.readouterr().err
    assert repaired(world, "--check") == 3
    assert "the run is live" in capsys.readouterr().out
    assert tree(world.layout.root) == before
    lock.release(lambda: datetime.now(UTC))


def test_with_ledger_and_state_both_lost_unsent_parts_are_not_guessed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for path in world.layout.root.glob("*/results/trial_manifest.json"):
        path.unlink()
    (world.layout.arms / world.lab.parts[0].removesuffix("_p01") / "p02" / "results.jsonl").unlink()
    world.layout.ledger.unlink()
    world.layout.run_state.unlink()
    with pytest.raises(RunnerError, match="no ledger says what was paid for"):
        world.resume()
    assert repaired(world) == 3
    err = capsys.readouterr().err
    assert "cannot be rebuilt" in err
    assert "--assume_unsent" in err
    with pytest.raises(RunnerError, match="no ledger says what was paid for"):
        world.resume()
    assert repaired(world, "--assume_unsent") == 0
    parts = fold(read(world.layout.ledger).entries)
    assert parts[world.lab.parts[1]].state is PartState.DOWNLOADED


def test_a_run_whose_power_was_cut_in_its_first_line_has_nothing_to_repair_and_is_begun_anew(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(world.layout.root)
    world.layout.root.mkdir()
    world.layout.ledger.write_bytes(b'{"seq":1,"at":"2026-01-01T00:')
    for flags in ((), ("--check",)):
        assert repaired(world, *flags) == 0
        assert "nothing to repair; begin it with `batchtrial run" in capsys.readouterr().out
    assert resume(place(world)) == 3
    assert "was never begun" in capsys.readouterr().err
    assert RunReader(world.layout).look().standing is Standing.NEW
    assert world.start() in FINISHED


@pytest.mark.parametrize("kept", ["effective_config.yaml", "batch_inputs"])
def test_what_was_begun_and_lost_is_not_begun_anew(world: World, kept: str, capsys: pytest.CaptureFixture[str]) -> None:
    for path in world.layout.root.iterdir():
        if path.name != kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(RunnerError, match="no ledger says what was paid for" if kept != "effective_config.yaml" else "exists already"):
        world.start()
    assert repaired(world) == 3
    told = capsys.readouterr()
    assert "nothing to repair" not in told.out
    assert ("--assume_unsent" if kept == "effective_config.yaml" else "put effective_config.yaml back") in told.err


def test_a_ledger_lost_alone_is_rebuilt_from_manifests_and_files_at_the_same_cost(world: World) -> None:
    want = fold(read(world.layout.ledger).entries)
    world.layout.ledger.unlink()
    assert repaired(world) == 0
    got = fold(read(world.layout.ledger).entries)
    for name, part in want.items():
        for before, after in zip(part.attempts, got[name].attempts, strict=True):
            for key in ("number", "token", "batch_id", "payload_sha256", "n_requests", "reserved_usd", "sha256", "counts", "usage", "cost_usd"):
                assert getattr(after, key) == getattr(before, key), key
    state = load(RunState, world.layout.run_state)
    assert state is not None
    assert any("ledger was rebuilt" in note for note in state.notes)
    calls = world.emulator.calls()
    assert world.resume() in FINISHED
    assert world.problems() == []
    assert world.emulator.calls()["fireworks"].get("create") == calls["fireworks"].get("create")


def test_foreign_lines_are_set_aside_and_the_rest_stays(world: World) -> None:
    data = world.layout.ledger.read_bytes()
    lines = data.splitlines(keepends=True)
    world.layout.ledger.write_bytes(b"".join([*lines[:5], b"a note by hand\n", *lines[5:]]))
    with pytest.raises(RunnerError, match="line 6 of the ledger"):
        world.resume()
    assert repaired(world) == 0
    got = read(world.layout.ledger)
    assert got.is_sound
    assert fold(got.entries) == fold(read_bytes(data, world.root / "copy"))
    assert world.resume() in FINISHED
    assert world.problems() == []


def test_lines_that_contradict_each_other_are_a_symptom(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    data = world.layout.ledger.read_bytes()
    settled = next(entry for entry in read(world.layout.ledger).entries if entry.event == "settled")
    world.layout.ledger.write_bytes(data + encode(settled.but(seq=data.count(b"\n") + 1)))
    assert repaired(world, "--check") == 3
    assert "ledger.jsonl: line" in (said := capsys.readouterr().out)
    assert "contradicts those before it" in said
    assert repaired(world) == 0
    assert fold(read(world.layout.ledger).entries) == fold(read_bytes(data, world.root / "copy"))


def read_bytes(data: bytes, path: Path) -> tuple[Entry, ...]:
    path.write_bytes(data)
    return read(path).entries


def test_items_whose_source_is_gone_cannot_be_rebuilt_and_that_is_said(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    source = world.lab.root / "questions.jsonl"
    data = source.read_bytes()
    try:
        source.write_bytes(data + data.splitlines(keepends=True)[0].replace(b'"q0"', b'"q99"'))
        (world.layout.prepared / "open_book.jsonl").write_text("")
        assert repaired(world, "--check") == 3
        assert "holds other items now than those that the requests were made from" in capsys.readouterr().out
        source.unlink()
        assert repaired(world) == 3
        assert "source cannot be read" in capsys.readouterr().err
    finally:
        source.write_bytes(data)
    assert repaired(world) == 0
    assert world.resume() in FINISHED
    assert world.problems() == []


def test_results_that_nobody_has_any_more_are_not_bought_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.emulator.kill()
    lost = min(world.layout.arms.glob("*/p01/results.jsonl"))
    lost.unlink()
    world.emulator.start()
    world.emulator.add_faults({"match": {"op": "get_download_endpoint"}, "on": "every", "do": {"status": 404}})
    assert repaired(world) == 0
    assert "still to do" in capsys.readouterr().out
    assert resume([*place(world), "--emulator_url", world.emulator.url]) == 3
    assert "are gone here and at the provider" in capsys.readouterr().err
    assert world.bill()["n_paid_more_than_once"] == 0


def test_a_lost_run_state_is_put_together_again_and_says_what_it_does_not_know(world: World) -> None:
    world.layout.run_state.unlink()
    assert repaired(world) == 0
    state = load(RunState, world.layout.run_state)
    assert state is not None
    assert state.migrated
    assert any("is not known" in note for note in state.notes)
    assert state.phases["poll"].status == "completed"
    assert state.overrides == {"mode": "dry_run"}


def test_a_half_finished_run_can_be_moved_and_goes_on_at_the_same_bill(finished: Template, tmp_path: Path) -> None:
    world = World(finished.lab, tmp_path / "w")

    def stop_half_way(point: str) -> None:
        if point == "ledger:saved:after":
            world.layout.stop_requested.touch()

    assert world.start(stop_half_way) == INTERRUPTED
    elsewhere = tmp_path / "another place" / "deep"
    elsewhere.mkdir(parents=True)
    world.layout.root.rename(elsewhere / world.layout.root.name)
    moved = world
    moved.experiments, moved.layout = elsewhere, type(world.layout)(elsewhere / world.layout.root.name)
    assert moved.resume() in FINISHED
    assert moved.problems() == []
    moved.emulator.kill()


class Died(BaseException):
    """The process died."""


def test_a_repair_can_be_killed_anywhere_and_run_again(finished: Template, tmp_path: Path) -> None:
    n_kills = 0
    for n in range(1, 30):
        world = finished.copy(tmp_path / str(n))
        layout = world.layout
        layout.run_state.unlink()
        layout.control_registry.write_text("{")
        lines = layout.ledger.read_bytes().splitlines(keepends=True)
        layout.ledger.write_bytes(b"".join([*lines[:3], *lines[4:]]))
        left = n

        def clock() -> datetime:
            nonlocal left
            left -= 1
            if left == 0:
                raise Died
            return datetime(2026, 1, 1, 0, 0, left % 60, tzinfo=UTC)

        examiner = examiner_of(layout)
        is_done = False
        try:
            put_right(examiner.examine(), clock=clock)
            is_done = True
        except Died:
            n_kills += 1
        assert repaired(world) == 0
        assert world.resume() in FINISHED
        assert world.problems() == []
        world.close()
        if is_done:
            break
    assert n_kills >= 4
