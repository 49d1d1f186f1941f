"""StopToken: one answer to "should this loop end?", fed by signals and by files in the run folder.

First request (SIGINT, SIGTERM or the file STOP_REQUESTED): the call in hand is finished, nothing more is sent, state is written. A second signal or
the file STOP_NOW: leave after the durable write in hand.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType

from batchtrial.errors import StateError, Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class StopToken:
    """Read in every loop. wait: sleeps at most so many seconds; given by the caller so that tests and dry runs need no real time.

    requested, now: the two files.
    """

    requested: Path
    now: Path
    wait: Callable[[float], None]
    slice_seconds: float = 1.0
    _signals: int = 0
    _why: str = ""
    _previous: dict[int, object] = field(default_factory=dict)
    _is_shielded: bool = False

    def listen(self) -> None:
        """Take over SIGINT and SIGTERM; only the main thread may."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._previous[number] = signal.signal(number, self._on_signal)

    def unlisten(self) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        self._why = self._why or signal.Signals(number).name
        if self._signals > 1 and not self._is_shielded:
            raise Stopped(f"stopped at once by a second signal ({signal.Signals(number).name})")

    def ask(self, who: str) -> None:
        """A request from inside the process, from any thread; a second one is immediate."""
        self._signals += 1
        self._why = self._why or who

    def shield(self, point: str) -> None:
        """A hook for durable writes: a second signal takes effect after the ledger line in hand, not inside it."""
        if point.startswith("ledger:"):
            self._is_shielded = point.endswith(":before")
            if not self._is_shielded and self._signals > 1:
                raise Stopped("stopped at once by a second signal")

    def accept_files(self, now: datetime, *, stale_minutes: float, ignore: bool) -> str | None:
        """Look at requests left over from before this process. Returns a note when one is overlooked.

        Raises StateError for a stale request without `ignore`, Stopped is left to `check` for a fresh one.
        """
        there = {path: path.stat().st_mtime for path in (self.requested, self.now) if path.exists()}
        if not there:
            return None
        newest = max(there, key=lambda path: there[path])
        age = now - datetime.fromtimestamp(there[newest], tz=now.tzinfo)
        minutes = f"{age.total_seconds() / 60:.0f} minutes ago"
        if ignore:
            self.acknowledge()
            return f"{newest.name} from {minutes} is removed and ignored"
        if age > timedelta(minutes=stale_minutes):
            raise StateError(
                f"a stop was requested {minutes} and never taken back", where=newest.name, hint="add --ignore_stop to go on, or delete the file"
            )
        return None

    def acknowledge(self) -> None:
        """The process is about to end, as was asked: the files that asked for it go, so that a resume is not stopped by them."""
        self.requested.unlink(missing_ok=True)
        self.now.unlink(missing_ok=True)

    def is_requested(self) -> bool:
        return self._signals > 0 or self.requested.exists() or self.now.exists()

    def is_immediate(self) -> bool:
        return self._signals > 1 or self.now.exists()

    def check(self) -> None:
        """Raises Stopped when a stop was requested."""
        if self.is_requested():
            raise Stopped(f"stopped by {self.why()}")

    def why(self) -> str:
        """What asked for the stop."""
        if self._why:
            return self._why
        return self.now.name if self.now.exists() else self.requested.name

    def sleep(self, seconds: float) -> None:
        """Wait in slices short enough that a request is noticed at once."""
        while seconds > 0:
            self.check()
            step = min(seconds, self.slice_seconds)
            self.wait(step)
            seconds -= step
        self.check()

    def sleep_draining(self, seconds: float) -> None:
        """Wait although a stop was requested; a second signal or STOP_NOW ends it."""
        while seconds > 0:
            if self.is_immediate():
                raise Stopped(f"stopped at once by {self.why()}")
            step = min(seconds, self.slice_seconds)
            self.wait(step)
            seconds -= step
