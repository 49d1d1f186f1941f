"""How many rows may be under way: up to the given number, half of what it was when the server is busy, one more for every round of answers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 60.0
LONGEST_ASKED_WAIT_SECONDS: Final = 600.0
"""The most that a server's own word for how long to wait is believed."""
CUT_APART_SECONDS: Final = 1.0
"""Rows that were under way together are told the same thing; they halve the number once."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """How time passes: `speed` seconds of waits in one real second, so that a rehearsal does not wait."""

    speed: float = 1.0
    monotonic: Callable[[], float] = time.monotonic

    def now(self) -> float:
        return self.monotonic() * self.speed

    def real(self, seconds: float) -> float:
        """Real seconds that such a wait takes."""
        return seconds / self.speed


class Pace:
    """The gate before the server. Used from one event loop."""

    def __init__(self, most: int, tempo: Tempo, seed: int) -> None:
        self.most, self._tempo, self._random = most, tempo, Random(seed)
        self._limit = float(most)
        self._under_way = 0
        self._not_before = self._cut_at = float("-inf")
        self._n_busy = 0  # in a row
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_closed = asyncio.Event()

    @property
    def limit(self) -> int:
        """How many may be under way now."""
        return max(1, int(self._limit))

    async def enter(self) -> bool:
        """Wait for a place. False when the gate was closed instead."""
        while not self._is_closed.is_set():
            wait = self._not_before - self._tempo.now()
            if wait > 0:
                await self.pause(wait)
            elif self._under_way < self.limit:
                self._under_way += 1
                return True
            else:
                place = asyncio.get_running_loop().create_future()
                self._waiting.append(place)
                await place
        return False

    def leave(self) -> None:
        """Give the place back."""
        self._under_way -= 1
        self._wake(self.limit - self._under_way)

    def went_well(self) -> None:
        """An answer came."""
        self._n_busy = 0
        self._limit = min(float(self.most), self._limit + 1 / self._limit)

    def is_busy(self, wait_seconds: float | None) -> None:
        """The server sends rows away: fewer at a time, and none before it says, or longer each time when it does not say."""
        now = self._tempo.now()
        if now - self._cut_at >= CUT_APART_SECONDS:
            self._limit, self._cut_at = max(1.0, self._limit / 2), now
            self._n_busy += 1
        usual = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(self._n_busy - 1, 10)) * self._random.uniform(0.75, 1.25)
        wait = usual if wait_seconds is None else min(wait_seconds, LONGEST_ASKED_WAIT_SECONDS)
        self._not_before = max(self._not_before, now + wait)

    async def pause(self, seconds: float) -> bool:
        """Let the time pass. False when the gate was closed meanwhile."""
        try:
            await asyncio.wait_for(self._is_closed.wait(), self._tempo.real(seconds))
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        """Let nobody in any more."""
        self._is_closed.set()
        self._wake(len(self._waiting))

    def _wake(self, n: int) -> None:
        while n > 0 and self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                n -= 1
