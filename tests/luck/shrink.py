"""The shortest history that still fails: delta debugging over the list of events, then over what surrounds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.luck.schedule import Event, History

Fails = Callable[[History], bool]
MOST_TRIES = 250


def shortest(history: History, fails: Fails) -> History:
    """A history without an event that could be left out, and in as plain a world as still makes it fail."""
    tries = 0

    def still(candidate: History) -> bool:
        nonlocal tries
        tries += 1
        return tries <= MOST_TRIES and fails(candidate)

    history = _fewer_events(history, still)
    for plainer in _plainer(history):
        if plainer(history) != history and still(plainer(history)):
            history = plainer(history)
    return _earlier(_fewer_events(history, still), still)


def _fewer_events(history: History, still: Fails) -> History:
    """ddmin: leave out halves, then quarters, down to single events."""
    size = max(1, len(history.events) // 2)
    while True:
        shrunk = False
        start = 0
        while start < len(history.events):
            rest = history.events[:start] + history.events[start + size :]
            candidate = replace(history, events=rest)
            if still(candidate):
                history, shrunk = candidate, True
            else:
                start += size
        if size == 1 and not shrunk:
            return history
        size = max(1, size // 2)


def _plainer(history: History) -> Iterator[Callable[[History], History]]:
    yield lambda h: replace(h, climate=0)
    yield lambda h: replace(h, settings=())
    yield lambda h: replace(h, is_whole=False)
    yield lambda h: replace(h, is_fresh=False)
    yield lambda h: replace(h, is_crowded=False)


def _earlier(history: History, still: Fails) -> History:
    """Turns that nothing happens in are left out."""
    turns = sorted({event.turn for event in history.events})
    closer = {turn: number for number, turn in enumerate(turns)}
    moved = tuple(Event(closer[event.turn], event.n, event.kind, event.how) for event in history.events)
    candidate = replace(history, events=moved)
    return candidate if candidate != history and still(candidate) else history
