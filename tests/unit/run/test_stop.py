"""One answer to "should this loop end?", whoever asks: a signal, a second one, or a file."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from batchtrial.errors import StateError, Stopped
from batchtrial.run.stop import StopToken

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class Waits(list[float]):
    """A sleep that takes no time, and may bring a request with it."""

    def __init__(self, *then: str) -> None:
        super().__init__()
        self.then = list(then)
        self.folder = Path()

    def __call__(self, seconds: float) -> None:
        self.append(seconds)
        if self.then and len(self) == 3:
            (self.folder / self.then.pop()).touch()


def token(folder: Path, waits: Waits | None = None) -> StopToken:
    waits = waits if waits is not None else Waits()
    waits.folder = folder
    return StopToken(folder / "STOP_REQUESTED", folder / "STOP_NOW", waits)


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[StopToken]:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    stop = token(tmp_path)
    stop.listen()
    yield stop
    stop.unlisten()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_interrupts_nothing(listening: StopToken, number: signal.Signals) -> None:
    listening.check()
    signal.raise_signal(number)
    assert listening.is_requested()
    assert not listening.is_immediate()
    with pytest.raises(Stopped, match=f"stopped by {number.name}") as caught:
        listening.check()
    assert caught.value.exit_code == 130


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_leaves_at_once(listening: StopToken, second: signal.Signals) -> None:
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(Stopped, match="second signal"):
        signal.raise_signal(second)
    assert listening.is_immediate()


def test_the_second_signal_waits_for_the_ledger_line_in_hand(listening: StopToken) -> None:
    signal.raise_signal(signal.SIGTERM)
    listening.shield("ledger:receipt:before")
    signal.raise_signal(signal.SIGTERM)  # raises nothing here: the line would be torn
    assert listening.is_immediate()
    with pytest.raises(Stopped, match="second signal"):
        listening.shield("ledger:receipt:after")


def test_the_shield_is_for_the_ledger_only(listening: StopToken) -> None:
    signal.raise_signal(signal.SIGTERM)
    listening.shield("write:trial_manifest.json:before")
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)


def test_the_files_ask_too(tmp_path: Path) -> None:
    stop = token(tmp_path)
    stop.check()
    (tmp_path / "STOP_REQUESTED").touch()
    assert (stop.is_requested(), stop.is_immediate()) == (True, False)
    with pytest.raises(Stopped, match="STOP_REQUESTED"):
        stop.check()
    (tmp_path / "STOP_NOW").touch()
    assert stop.is_immediate()
    with pytest.raises(Stopped, match="STOP_NOW"):
        stop.check()


def test_a_taken_back_request_is_none(tmp_path: Path) -> None:
    (tmp_path / "STOP_REQUESTED").touch()
    (tmp_path / "STOP_NOW").touch()
    stop = token(tmp_path)
    stop.acknowledge()
    stop.check()
    assert list(tmp_path.iterdir()) == []


def test_a_sleep_is_left_within_a_slice_of_the_request(tmp_path: Path) -> None:
    waits = Waits("STOP_REQUESTED")
    stop = token(tmp_path, waits)
    with pytest.raises(Stopped):
        stop.sleep(600.0)
    assert waits == [1.0, 1.0, 1.0]


def test_a_sleep_nobody_interrupts_takes_its_time(tmp_path: Path) -> None:
    waits = Waits()
    token(tmp_path, waits).sleep(2.5)
    assert waits == [1.0, 1.0, 0.5]


def test_draining_waits_on_through_a_request_and_ends_at_stop_now(tmp_path: Path) -> None:
    (tmp_path / "STOP_REQUESTED").touch()
    waits = Waits("STOP_NOW")
    with pytest.raises(Stopped, match="at once"):
        token(tmp_path, waits).sleep_draining(60.0)
    assert sum(waits) == 3.0


# Requests left over


@pytest.mark.parametrize("name", ["STOP_REQUESTED", "STOP_NOW"])
@pytest.mark.parametrize(("minutes", "is_stale"), [(0, False), (59, False), (61, True), (100_000, True)])
def test_a_stale_request_is_refused_and_a_fresh_one_obeyed(tmp_path: Path, name: str, minutes: int, is_stale: bool) -> None:
    request = tmp_path / name
    request.touch()
    made = (NOW - timedelta(minutes=minutes)).timestamp()
    os.utime(request, (made, made))
    stop = token(tmp_path)
    if not is_stale:
        assert stop.accept_files(NOW, stale_minutes=60, ignore=False) is None
        with pytest.raises(Stopped):
            stop.check()
        return
    with pytest.raises(StateError) as caught:
        stop.accept_files(NOW, stale_minutes=60, ignore=False)
    assert (caught.value.where, caught.value.exit_code) == (name, 3)
    assert f"{minutes} minutes ago" in caught.value.what
    assert "--ignore_stop" in caught.value.hint
    assert request.exists(), "what is refused is left for the person to look at"


@pytest.mark.parametrize("names", [("STOP_REQUESTED",), ("STOP_NOW",), ("STOP_REQUESTED", "STOP_NOW")])
def test_ignoring_a_request_removes_every_trace_and_says_so(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).touch()
    stop = token(tmp_path)
    note = stop.accept_files(datetime.now(UTC), stale_minutes=60, ignore=True)
    assert note is not None
    assert "ignored" in note
    stop.check()
    assert list(tmp_path.iterdir()) == []


def test_without_a_request_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert token(tmp_path).accept_files(NOW, stale_minutes=60, ignore=True) is None
