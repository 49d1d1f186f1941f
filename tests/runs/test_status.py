"""Runs are listed as they are, also while they are written, damaged or deleted; nothing is locked or written."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.runs.earlier_runs import Shape, make
from tests.runs.rundir import SLUG, START, make_run, ticking, tree

from batchtrial.cli.commands.status import main, watch
from batchtrial.cli.screens import runs as statusview
from batchtrial.cli.screens.terminal import Terminal
from batchtrial.reading.inventory import Inventory, RunReader, RunSummary, Standing
from batchtrial.state.entries import Counts, encode, read
from batchtrial.state.files import BuildManifest, PhaseRecord, RunState, load, save
from batchtrial.state.ledger import Ledger, Money
from batchtrial.state.lock import LockInfo, RunLock, is_alive
from batchtrial.state.machine import PartState

LATER = START + timedelta(hours=3)


def looked(experiments: Path, run_id: str = "r1") -> RunSummary:
    return next(run for run in Inventory(experiments).look() if run.run_id == run_id)


def terminal(out: io.StringIO, width: int, height: int = 24, *, is_terminal: bool = False) -> Terminal:
    return Terminal(out, is_terminal, size=lambda: (width, height))


def drawn(runs: tuple[RunSummary, ...], width: int) -> str:
    out = io.StringIO()
    terminal(out, width).write(statusview.picture(runs, LATER, width))
    return out.getvalue()


def test_a_half_finished_run_is_told_in_parts_requests_and_dollars(tmp_path: Path) -> None:
    make_run(tmp_path, n_parts=4, n_settled=2)
    run = looked(tmp_path)
    assert run.standing is Standing.PARTIAL
    assert run.phase == "submit"
    assert {state: n for state, n in run.parts.items() if n} == {PartState.SETTLED: 2, PartState.SUBMITTED: 1, PartState.PENDING: 1}
    assert (run.n_requests, run.outcomes.succeeded, run.outcomes.expired, run.in_flight_requests) == (8, 2, 2, 2)
    assert (str(run.money.spent_usd), str(run.money.in_flight_usd)) == ("0.50", "0.5")
    assert run.has_money_in_flight
    assert run.trials == (SLUG,)
    assert run.model == "accounts/x/models/model"


def test_nothing_is_written_by_looking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_run(tmp_path)
    before = tree(made.layout.root)
    assert main(["--experiments_dir", str(tmp_path)]) == 0
    assert main(["--experiments_dir", str(tmp_path), "-v"]) == 0
    assert main(["--experiments_dir", str(tmp_path), "--json"]) == 0
    assert tree(made.layout.root) == before
    assert "r1" in capsys.readouterr().out


def test_standing_tells_live_stopping_killed_failed_stopped_and_elsewhere_apart(tmp_path: Path) -> None:
    made = make_run(tmp_path, n_settled=1)
    layout = made.layout
    lock = RunLock(layout.guard, layout.lock_info)
    lock.acquire(lambda: datetime.now(UTC))
    assert looked(tmp_path).standing is Standing.RUNNING
    layout.stop_requested.touch()
    assert looked(tmp_path).standing is Standing.STOPPING
    lock.release(lambda: datetime.now(UTC))
    run = looked(tmp_path)
    assert run.standing is Standing.PARTIAL
    assert any("stop request" in problem for problem in run.problems)
    layout.stop_requested.unlink()
    state = load(RunState, layout.run_state)
    assert state is not None
    save(layout.run_state, state.model_copy(update={"stop_requested": True}))
    assert looked(tmp_path).standing is Standing.STOPPED
    phases = {**state.phases, "submit": PhaseRecord(status="failed", updated_at=START, last_error="the budget is used up")}
    save(layout.run_state, state.model_copy(update={"phases": phases}))
    assert looked(tmp_path).standing is Standing.FAILED
    assert "submit failed: the budget is used up" in drawn((looked(tmp_path),), 200)
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    owner = LockInfo(pid=int(dead.stdout), host=socket.gethostname(), started_at=datetime.now(UTC))
    layout.lock_info.write_text(owner.model_dump_json())
    assert looked(tmp_path).standing is Standing.KILLED
    assert f"`batchtrial resume --run_id r1 --experiments_dir {tmp_path}` goes on" in drawn((looked(tmp_path),), 500)
    layout.lock_info.write_text(owner.model_copy(update={"host": "another.example"}).model_dump_json())
    assert looked(tmp_path).standing is Standing.ELSEWHERE


def test_a_process_that_inherited_the_number_is_not_the_owner() -> None:
    now = datetime.now(UTC)
    mine = LockInfo(pid=os.getpid(), host=socket.gethostname(), started_at=now)
    assert is_alive(mine) is True
    assert is_alive(mine.model_copy(update={"started_at": now - timedelta(days=400)})) is False
    assert is_alive(mine.model_copy(update={"released_at": now})) is False
    assert is_alive(None) is False


@pytest.mark.parametrize("name", ["run_state.json", "ledger.jsonl", "batch_inputs/build_manifest.json", "multi_trial_manifest.json", "run.lock"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "noise", "a folder"])
def test_a_damaged_run_is_listed_with_what_is_wrong(tmp_path: Path, name: str, damage: str) -> None:
    made = make_run(tmp_path, n_settled=1)
    path = made.layout.root / name
    data = path.read_bytes() if path.exists() else b"{}"
    path.unlink(missing_ok=True)
    if damage == "a folder":
        path.mkdir()
    elif damage != "gone":
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "noise": b"\xff\x00{" * 50}[damage])
    run = looked(tmp_path)
    assert run.run_id == "r1"
    if name == "ledger.jsonl" and damage in ("gone", "noise", "a folder"):
        assert any("repair" in problem for problem in run.problems)
    if name == "run_state.json" and damage != "gone":
        assert run.standing is Standing.DAMAGED
    assert "r1" in drawn((run,), 80)


def test_a_run_that_grows_and_vanishes_while_it_is_watched(tmp_path: Path) -> None:
    made = make_run(tmp_path, n_parts=200, n_settled=0)
    stop = threading.Event()

    def work() -> None:
        """What a live run does to its files, as fast as it can."""
        try:
            ledger = Ledger(made.layout.ledger, clock=ticking())
            state = load(RunState, made.layout.run_state)
            assert state is not None
            for number, part in enumerate(made.parts[1:]):
                ledger.append("intent", part, attempt=1, token="0" * 16, payload="p", payload_sha256="s", n_requests=2, reserved_usd="0.5")
                save(made.layout.run_state, state.model_copy(update={"ledger_lines": number}))
            ledger.close()
        finally:
            stop.set()

    inventory = Inventory(tmp_path)
    writer = threading.Thread(target=work)
    writer.start()
    seen = []
    while not stop.is_set():
        (run,) = inventory.look()
        assert run.problems == ()
        seen.append(run.parts[PartState.SUBMITTING])
    writer.join()
    assert seen == sorted(seen)
    assert looked(tmp_path).parts[PartState.SUBMITTING] == 199
    made.layout.root.rename(tmp_path / "gone")
    assert inventory.look() == ()


def large(run: RunSummary, run_id: str) -> RunSummary:
    """The run with figures as wide as they come."""
    money = Money(spent_usd=Decimal("1234.5"), in_flight_usd=Decimal("0.5"))
    return replace(run, run_id=run_id, parts={PartState.SETTLED: 4000}, n_requests=40_000, outcomes=Counts(succeeded=39_999, expired=1), money=money)


@pytest.mark.parametrize("width", [80, 100, 120, 140])
def test_only_names_are_cut_to_fit_the_terminal(tmp_path: Path, width: int) -> None:
    make_run(tmp_path, "r20261122103000", n_parts=4, n_settled=2, mode="dry_run")
    make_run(tmp_path, "r20261122103000-with-a-rather-long-name-of-its-own", n_settled=None)
    some, many = Inventory(tmp_path).look()
    text = drawn((some, large(many, many.run_id)), width)
    assert max(len(line) for line in text.splitlines()) <= width
    first, second = (line.split() for line in text.splitlines()[1:3])
    assert first[0] == "r20261122103000"
    assert second[0][:10] == "r202611221"
    assert {"S", "partial", "submit", "2/4", "2/8", "$0.5000", "3h"} <= set(first)
    assert {"finished", "4,000/4,000", "39,999/40,000", "$1,234.50", "3h"} <= set(second)
    assert ("RESERVED" in text) is (width >= 120)
    assert "S simulated answers" in text


@pytest.mark.parametrize("height", [10, 24, 100])
def test_a_screen_holds_the_newest_runs_and_what_is_wrong_with_them(tmp_path: Path, height: int) -> None:
    make_run(tmp_path)
    one = looked(tmp_path)
    runs = tuple(replace(one, run_id=f"r{k:02d}", problems=("something that takes more than one line to be said " * 3,)) for k in range(20))
    out = io.StringIO()
    terminal(out, 80).write(statusview.screen(runs, LATER, 80, height, is_full=False))
    lines = out.getvalue().splitlines()
    assert len(lines) <= height
    assert any(line.startswith("r19") for line in lines)
    assert sum(line.startswith("r") and "finished" in line for line in lines) >= min(20, (height - 3) // 2)
    assert any("more remarks" in line for line in lines) is (height < 100)


def test_json_carries_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path, n_parts=4, n_settled=2, mode="dry_run")
    assert main(["--experiments_dir", str(tmp_path), "--json", "--run_id", "r1"]) == 0
    (run,) = json.loads(capsys.readouterr().out)
    assert run["parts"] == {
        "total": 4, "pending": 1, "submitting": 0, "submitted": 1, "completed": 0, "downloaded": 0, "failed": 0, "settled": 2,
    }  # fmt: skip
    outcomes = {"succeeded": 2, "errored": 0, "expired": 2, "cancelled": 0, "missing": 0}
    assert run["requests"] == {"total": 8, "in_flight": 2, "answered_rows": 0, **outcomes}
    assert run["money"] == {"spent_usd": 0.5, "in_flight_usd": 0.5, "unpriced_attempts": 0, "unknown_usd": 0.0, "cost": "$0.5000"}
    assert (run["simulated"], run["standing"], run["phase"]) == (True, "partial", "submit")


def test_an_unknown_run_names_those_that_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path)
    assert main(["--experiments_dir", str(tmp_path), "--run_id", "r9"]) == 3
    assert "runs here: r1" in capsys.readouterr().err
    assert main(["--experiments_dir", str(tmp_path / "none")]) == 0
    assert "no runs here yet" in capsys.readouterr().out
    assert main(["--run_id", "../x"]) == 2


def test_a_run_of_the_earlier_system_is_listed_with_the_way_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, Shape())
    assert main(["--experiments_dir", str(tmp_path / "experiments")]) == 0
    out = capsys.readouterr().out
    assert "earlier" in out
    assert "batchtrial resume" in out.replace("\n", " ")


def watched(experiments: Path, act: Callable[[int], None], *, is_terminal: bool) -> str:
    """What `--watch` draws while `act` is called between the pictures; it ends with Ctrl-C after four."""
    out = io.StringIO()
    console = terminal(out, 80, is_terminal=is_terminal)
    n = 0

    def sleep(seconds: float) -> None:
        nonlocal n
        n += 1
        if n == 4:
            raise KeyboardInterrupt
        act(n)

    assert watch(Inventory(experiments), console, now=lambda: LATER, sleep=sleep, interval=2) == 0
    return out.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_watching_survives_a_run_that_ends_and_one_that_vanishes(tmp_path: Path, is_terminal: bool) -> None:
    one, two = make_run(tmp_path, "one", n_settled=1), make_run(tmp_path, "two")

    def act(n: int) -> None:
        if n == 1:
            two.layout.root.rename(tmp_path / "away")
        if n == 2:
            one.layout.run_state.unlink()
        if n == 3:
            make_run(tmp_path, "three")

    text = watched(tmp_path, act, is_terminal=is_terminal)
    assert "two" in text
    assert "three" in text


def test_details_do_not_let_a_name_write_markup(tmp_path: Path) -> None:
    make_run(tmp_path)
    run = looked(tmp_path)
    hostile = PhaseRecord(status="failed", last_error="[bold red]not markup[/]\x1b[2Jgone")
    changed = RunReader(make_run(tmp_path, "r2").layout)
    assert changed.look().run_id == "r2"
    assert not any("[bold red]" in line.plain for line in statusview.details(run, LATER))
    state = load(RunState, make_run(tmp_path, "r3").layout.run_state)
    assert state is not None
    save(tmp_path / "run_r3" / "run_state.json", state.model_copy(update={"phases": {**state.phases, "report": hostile}}))
    out = io.StringIO()
    terminal(out, 100, is_terminal=True).write(statusview.details(looked(tmp_path, "r3"), LATER))
    assert "[bold red]not markup[/]" in out.getvalue()
    assert "<U+001B>[2Jgone" in out.getvalue(), "what an error says moves no cursor"


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0s"), (119, "119s"), (120, "2m"), (3599, "59m"), (7200, "2h"), (90_000, "1d"), (200_000, "2d")])
def test_spans(seconds: int, shown: str) -> None:
    assert statusview.span(timedelta(seconds=seconds)) == shown


def quickest(calls: Sequence[Callable[[], Any]]) -> tuple[float, Any]:
    """CPU seconds of the quickest call, and what the last gave: one may have to clear up after other tests."""
    took, given = [], None
    for call in calls:
        begun = time.process_time()
        given = call()
        took.append(time.process_time() - begun)
    return min(took), given


def test_four_thousand_parts_are_told_in_a_few_times_what_it_takes_to_parse_them(tmp_path: Path) -> None:
    """Held against bare `json.loads` over the same lines, since machines differ."""
    made = make_run(tmp_path, n_parts=2, n_settled=1)
    lines = read(made.layout.ledger).entries
    one = [entry for entry in lines if entry.part == made.parts[0]]
    build = load(BuildManifest, made.layout.build_manifest)
    assert build is not None
    names = [f"{SLUG}_t0_treatment_p{k:02d}" for k in range(1, 4001)]
    entries = [lines[0], *(entry.but(part=name) for name in names for entry in one)]
    numbered = (entry.but(seq=number) for number, entry in enumerate(entries, 1))
    made.layout.ledger.write_bytes(b"".join(encode(entry) for entry in numbered))
    shard = build.shards[made.parts[0]]
    save(made.layout.build_manifest, build.model_copy(update={"shards": {name: shard.model_copy(update={"part": name}) for name in names}}))
    lines_of_ledger = made.layout.ledger.read_bytes().splitlines()
    seen = [Inventory(tmp_path) for _ in range(3)]
    first, looks = quickest([inventory.look for inventory in seen])
    again, _ = quickest([seen[0].look] * 3)
    yardstick, _ = quickest([lambda: [json.loads(line) for line in lines_of_ledger]] * 3)
    (run,) = looks
    assert (run.parts[PartState.SETTLED], run.n_requests, len(entries)) == (4000, 8000, 20_001)
    assert first < 10 * yardstick
    assert again < yardstick
