"""The virtual clock of a world: moved by hand, or following the wall clock at a chosen speed.

Its state is a row of the world, so that a restarted server goes on from the time it had.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final, Literal

ClockMode = Literal["manual", "real"]
EPOCH: Final = 1_767_225_600.0  # 2026-01-01T00:00:00Z: where a manual clock starts


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """Virtual time = virtual_at_anchor, plus (wall - wall_at_anchor) * speed when the mode is real. Seconds."""

    mode: ClockMode
    speed: float
    virtual_at_anchor: float
    wall_at_anchor: float

    def now(self, wall: float) -> float:
        """Virtual time, unix seconds."""
        if self.mode == "manual":
            return self.virtual_at_anchor
        return self.virtual_at_anchor + max(0.0, wall - self.wall_at_anchor) * self.speed

    def moved(self, seconds: float, wall: float) -> ClockState:
        """The clock `seconds` later."""
        return ClockState(mode=self.mode, speed=self.speed, virtual_at_anchor=self.now(wall) + seconds, wall_at_anchor=wall)

    def as_json(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "speed": self.speed,
            "virtual_at_anchor": self.virtual_at_anchor,
            "wall_at_anchor": self.wall_at_anchor,
        }


class Clock:
    """A clock state together with the wall clock it reads."""

    def __init__(self, state: ClockState, wall: Callable[[], float]) -> None:
        self.state, self.wall = state, wall

    def now(self) -> float:
        """Virtual time, unix seconds."""
        return self.state.now(self.wall())


def first_state(mode: ClockMode, speed: float, wall: float) -> ClockState:
    """The clock of a new world."""
    start = EPOCH if mode == "manual" else wall
    return ClockState(mode=mode, speed=speed, virtual_at_anchor=start, wall_at_anchor=wall)


def continued(old: ClockState, mode: ClockMode, speed: float, wall: float) -> ClockState:
    """The old clock in a new mode or speed, without a jump in virtual time."""
    return ClockState(mode=mode, speed=speed, virtual_at_anchor=old.now(wall), wall_at_anchor=wall)


def rfc3339(at: float) -> str:
    """Unix seconds as `2026-01-01T00:00:00.000000Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def http_date(at: float) -> str:
    """Unix seconds as an HTTP `Date` header."""
    return format_datetime(datetime.fromtimestamp(int(at), UTC), usegmt=True)
