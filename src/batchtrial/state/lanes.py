"""Lanes of a run in its ledger: lines about a further one name it, and one that fails has a line that says why."""

from __future__ import annotations

from collections.abc import Iterable

from batchtrial.state.entries import Entry

LANE = "lane"
"""A note: the lane that `detail` names could not be asked to the end, for `reason`; without a reason, it is tried again."""


def lane_of(note: Entry) -> str | None:
    """The further lane that a line is about, by its backend; None: the run's own."""
    return (note.detail or {}).get("lane")


def failed_lanes(notes: Iterable[Entry]) -> dict[str, str]:
    """Lanes that could not be asked to the end, each with the reason, until they are tried again."""
    found: dict[str, str] = {}
    for note in notes:
        if note.event == LANE:
            name = str((note.detail or {}).get("lane"))
            found.pop(name, None)
            found |= {name: note.reason} if note.reason else {}
    return found
