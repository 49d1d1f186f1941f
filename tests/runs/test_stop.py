"""A stop is asked for in files, and `--wait` tells what the run's process makes of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.runs.rundir import make_run, ticking

from batchtrial.cli.commands.stop import main, wait
from batchtrial.reading.inventory import RunReader, Standing
from batchtrial.run.stop import StopToken
from batchtrial.state.files import RunState, load, save
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import Ledger
from batchtrial.state.lock import RunLock


def asked(tmp_path: Path, *flags: str) -> int:
    return main(["--run_id", "r1", "--experiments_dir", str(tmp_path), *flags])


def token(layout: RunLayout) -> StopToken:
    return StopToken(layout.stop_requested, layout.stop_now, lambda seconds: None)


def locked(layout: RunLayout) -> RunLock:
    lock = RunLock(layout.guard, layout.lock_info)
    lock.acquire(lambda: datetime.now(UTC))
    return lock


def test_a_request_is_what_the_runner_obeys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = make_run(tmp_path, n_settled=1).layout
    lock = locked(layout)
    assert not token(layout).is_requested()
    assert asked(tmp_path) == 0
    assert token(layout).is_requested()
    assert not token(layout).is_immediate()
    assert "finishes the call in hand" in capsys.readouterr().out
    assert asked(tmp_path, "--now") == 0
    assert token(layout).is_immediate()
    assert asked(tmp_path, "--cancel") == 0
    assert not token(layout).is_requested()
    lock.release(lambda: datetime.now(UTC))


def test_without_a_process_the_request_waits_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path, n_settled=1)
    assert asked(tmp_path, "--wait") == 0
    assert "no process has run r1 open" in capsys.readouterr().out
    assert asked(tmp_path, "--cancel") == 0
    assert asked(tmp_path, "--cancel") == 0
    assert "no stop request to take back" in capsys.readouterr().out


def test_an_unknown_run_gets_no_files(tmp_path: Path) -> None:
    assert asked(tmp_path) == 3
    assert main(["--run_id", "../r1", "--experiments_dir", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []


def waited(layout: RunLayout, act: Callable[[int], None], *, timeout: float | None = None) -> int:
    """`--wait` with a clock that a sleep moves, and `act` called at each."""
    n, clock = 0, ticking(timedelta(seconds=1))

    def sleep(seconds: float) -> None:
        nonlocal n
        n += 1
        act(n)

    return wait(RunReader(layout), now=clock, sleep=sleep, timeout=timeout)


def test_waiting_shows_what_goes_on_until_the_process_has_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_run(tmp_path, n_settled=1)
    layout, lock = made.layout, locked(made.layout)
    layout.stop_requested.touch()

    def act(n: int) -> None:
        if n == 1:
            ledger = Ledger(layout.ledger, clock=ticking())
            ledger.append("done", made.parts[1], wire_state="COMPLETED", ids={})
            ledger.append("gone", made.parts[1], reason="x")
            ledger.close()
        if n == 2:
            state = load(RunState, layout.run_state)
            assert state is not None
            save(layout.run_state, state.model_copy(update={"stop_requested": True}))
            token(layout).acknowledge()
            lock.release(lambda: datetime.now(UTC))

    assert waited(layout, act) == 0
    out, err = capsys.readouterr()
    assert "2 requests in flight" in err
    assert err.count("waiting") == 2
    assert "r1 is stopped" in out
    assert f"batchtrial resume --run_id r1 --experiments_dir {tmp_path}" in out


def test_waiting_gives_up_after_its_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = make_run(tmp_path, n_settled=1).layout
    lock = locked(layout)
    assert waited(layout, lambda n: None, timeout=5) == 1
    assert "still running" in capsys.readouterr().err
    lock.release(lambda: datetime.now(UTC))


def test_a_run_that_ends_by_itself_leaves_no_request_behind(tmp_path: Path) -> None:
    layout = make_run(tmp_path).layout
    lock = locked(layout)
    layout.stop_requested.touch()
    assert waited(layout, lambda n: lock.release(lambda: datetime.now(UTC))) == 0
    assert not layout.stop_requested.exists()
    assert RunReader(layout).look().standing is Standing.FINISHED


def test_waiting_survives_a_run_that_is_deleted(tmp_path: Path) -> None:
    layout = make_run(tmp_path, n_settled=1).layout
    locked(layout)

    def act(n: int) -> None:
        layout.root.rename(tmp_path / "gone")

    assert waited(layout, act) == 0
