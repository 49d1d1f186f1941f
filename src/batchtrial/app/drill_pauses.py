"""Pause points: a run waits at a named point until something stops it, so that a drill can interrupt it exactly there.

Inert unless BATCHTRIAL_PAUSE_AT is set. Its value is a list of points with commas between, met one after the other; the run waits at the last. A
point is a phase (`phase:poll:before`), a ledger line (`ledger:saved:after`), a file (`write:build_manifest.json:after`) or a call to the provider
(`call:submit:after`); `:3` behind it means its third time. A signal or a stop request lets the run go on into its stop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from batchtrial.errors import ConfigError
from batchtrial.state.store import Hook

VARIABLE = "BATCHTRIAL_PAUSE_AT"
SLICE_SECONDS = 0.02
SAID = "paused at"


@dataclass(slots=True)
class Point:
    """A point and how many more times it has to be met."""

    name: str
    times: int


def points(text: str) -> list[Point]:
    """The variable's value taken apart. Raises ConfigError."""
    found = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        name, _, last = word.rpartition(":")
        point = Point(name, int(last)) if last.isdecimal() else Point(word, 1)
        if ":" not in point.name or point.times < 1:
            raise ConfigError(f"{word!r} is no pause point", where=VARIABLE, hint="such as ledger:receipt:after:2")
        found.append(point)
    return found


def pausing(env: Mapping[str, str], *, is_let_go: Callable[[], bool], say: Callable[[str], None], wait: Callable[[float], None]) -> Hook | None:
    """The hook that pauses; None when the variable is not set. wait: real seconds. Raises ConfigError."""
    ahead = points(env.get(VARIABLE, ""))
    if not ahead:
        return None

    def hook(point: str) -> None:
        if not ahead or point != ahead[0].name:
            return
        ahead[0].times -= 1
        if ahead[0].times > 0:
            return
        del ahead[0]
        if ahead:
            return
        say(f"{SAID} {point} as {VARIABLE} asks; a signal or a stop request lets the run go on")
        while not is_let_go():
            wait(SLICE_SECONDS)

    return hook
