"""How many rows of the parts under way have their answer, by the journals of the direct lane: looked at while they are written, without a lock."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from batchtrial.direct.journal import BrokenJournal, answered_so_far

PREFIX = "direct-"


def answered_rows(folder: Path, tokens: Iterable[str]) -> int:
    """Rows with an answer, of the attempts with these tokens; 0 for those that have no journal there."""
    if not folder.is_dir():
        return 0
    return sum(_answered(folder / f"{PREFIX}{token}.jsonl") for token in tokens)


def _answered(path: Path) -> int:
    try:
        return answered_so_far(path)
    except (OSError, BrokenJournal):  # another provider's, or not begun: nothing can be said of it
        return 0
