"""Looks of a sequential plan in the ledger: a line each, written before anything that hangs on its decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from batchtrial.state.entries import Entry

LOOK: Final = "look"
"""A note: a planned look was taken. `detail` has the items of the prefix (n_items), and by trial what was seen and decided."""


def looks_in(notes: Iterable[Entry]) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """By trial what its looks saw and decided, in order. A look is taken once: a later line about the same prefix says nothing."""
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for note in notes:
        if note.event == LOOK and note.detail is not None:
            n_items = int(note.detail["n_items"])
            for slug, seen in note.detail["trials"].items():
                found.setdefault(slug, {}).setdefault(n_items, {"n_items": n_items, **seen})
    return {slug: tuple(seen[n] for n in sorted(seen)) for slug, seen in found.items()}
