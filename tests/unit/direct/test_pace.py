"""How many rows are under way follows what the server says. Time is an argument: nothing here waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from batchtrial.direct.pace import Pace, Tempo


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def paced(work: Callable[[Pace, Clock], Any], most: int = 8) -> None:
    clock = Clock()
    pace = Pace(most, Tempo(speed=1.0, monotonic=clock), seed=1)
    work(pace, clock)


def test_it_halves_once_for_rows_that_were_under_way_together_and_grows_again() -> None:
    def work(pace: Pace, clock: Clock) -> None:
        for _ in range(5):
            pace.is_busy(None)
        assert pace.limit == 4
        clock.now += 2.0
        pace.is_busy(None)
        assert pace.limit == 2
        for _ in range(60):
            pace.went_well()
        assert pace.limit == 8

    paced(work)


def test_never_fewer_than_one() -> None:
    def work(pace: Pace, clock: Clock) -> None:
        for _ in range(10):
            clock.now += 2.0
            pace.is_busy(0.0)
        assert pace.limit == 1

    paced(work)


def test_nobody_enters_before_the_server_said() -> None:
    async def work() -> None:
        clock = Clock()
        pace = Pace(2, Tempo(speed=1e9, monotonic=clock), seed=1)  # a wait takes no real time
        clock.now = 1.0
        pace.is_busy(30.0)
        entering = asyncio.ensure_future(pace.enter())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not entering.done()
        clock.now += 31.0 / 1e9
        assert await entering

    asyncio.run(work())


def test_who_waits_for_a_place_gets_it_or_learns_that_the_gate_is_closed() -> None:
    async def work() -> None:
        pace = Pace(1, Tempo(), seed=1)
        assert await pace.enter()
        waiting = [asyncio.ensure_future(pace.enter()) for _ in range(2)]
        await asyncio.sleep(0)
        pace.leave()
        assert await waiting[0]
        pace.close()
        assert not await waiting[1]
        assert not await pace.enter()

    asyncio.run(work())
