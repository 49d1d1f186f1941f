"""The machine's clock, in a module of its own: those who need nothing else of a command do not load what it draws with."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def real_now() -> datetime:
    """Wall clock, UTC."""
    return datetime.now(UTC)


def elapsed_seconds() -> float:
    """Seconds since some moment that never moves; with those that the machine slept, where the system counts them."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(boot) if boot is not None else time.monotonic()


class SteadyClock:
    """A clock for waiting: it shows the wall's time when it was made and goes on evenly from there, whatever is done to the wall clock."""

    def __init__(self, wall: Callable[[], datetime] = real_now, elapsed: Callable[[], float] = elapsed_seconds) -> None:
        self._began, self._elapsed, self._zero = wall(), elapsed, elapsed()

    def __call__(self) -> datetime:
        """Now. UTC."""
        return self._began + timedelta(seconds=self._elapsed() - self._zero)
