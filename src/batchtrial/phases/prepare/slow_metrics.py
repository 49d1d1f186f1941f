"""Calls of a user's metric that take too long: named while they are under way, and ended when a stop is asked for."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any, Final, Self

_MOST_NOTES: Final = 5
_LOOK_SECONDS: Final = 1.0
"""Between two looks for a stop, once a call takes too long."""


def _nothing() -> None:
    return None


@dataclass(slots=True)
class SlowCalls:
    """Watches one call at a time. seconds: that a call may take. note: is told of one that takes longer, a few times. stop: raises Stopped.

    A call is not ended for being slow: its answer may be worth the wait. A stop may end it anywhere, since scores are only put in place when all of
    them are there. Where the system has no timer signal, or outside the main thread, a call is named when it has ended.
    """

    seconds: float
    note: Callable[[str], None]
    stop: Callable[[], None] = _nothing
    clock: Callable[[], float] = time.monotonic
    _call: str = ""
    _n_notes: int = 0
    _before: Any = None
    _is_listening: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_listening:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)
            self._is_listening = False

    @contextmanager
    def watched(self, metric: str, item: str) -> Iterator[None]:
        """Around one call. Raises Stopped, if need be in the middle of it."""
        self._call, began = f"the metric {metric} on item {item}", self.clock()
        self._listen()
        try:
            if self._is_listening:
                signal.setitimer(signal.ITIMER_REAL, self.seconds, _LOOK_SECONDS)
            yield
        finally:
            if self._is_listening:
                signal.setitimer(signal.ITIMER_REAL, 0)
            took, call, self._call = self.clock() - began, self._call, ""
            if call and took > self.seconds:
                self._tell(f"{call} took {took:.3g} s")

    def _listen(self) -> None:
        if self._is_listening or not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
            return
        self._before = signal.signal(signal.SIGALRM, self._ring)
        self._is_listening = True

    def _ring(self, number: int, frame: FrameType | None) -> None:
        call, self._call = self._call, ""
        if call:
            self._tell(f"{call} has not returned after {self.seconds:g} s (metric_seconds); it goes on, and Ctrl-C ends it")
        self.stop()

    def _tell(self, text: str) -> None:
        self._n_notes += 1
        if self._n_notes <= _MOST_NOTES:
            with suppress(OSError):
                self.note(f"note: {text}")
