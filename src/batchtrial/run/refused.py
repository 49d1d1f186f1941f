"""A new run that is refused before anything was sent leaves no folder, so that the corrected config can have its name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from filelock import FileLock, Timeout

from batchtrial.errors import ConfigError, RunnerError, StateError
from batchtrial.state import entries
from batchtrial.state.layout import RunLayout

REFUSALS: Final[tuple[type[RunnerError], ...]] = (ConfigError, StateError)
"""Ends of a run that leave nothing to go on with."""


@contextmanager
def no_folder_when_refused(layout: RunLayout, nonce: str, refusals: tuple[type[RunnerError], ...] = REFUSALS) -> Iterator[None]:
    """Remove the folder that the block made, and those above it, when it ends with a refusal and nothing was sent.

    nonce: the random digits of a run that is begun in the block, by which its ledger is known. refusals: what counts as one.
    """
    made = [folder for folder in (layout.root, *layout.root.parents) if not folder.exists()]
    try:
        yield
    except refusals:
        if made:
            _remove(layout, nonce)
            with suppress(OSError):  # it is not empty, or another process has taken it away
                for folder in made[1:]:
                    folder.rmdir()
        raise


def _remove(layout: RunLayout, nonce: str) -> None:
    """Nothing is removed that another process works on or began, or that a part was sent or taken over into."""
    if not layout.guard.exists():
        return
    lock = FileLock(layout.guard, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return
    try:
        lines = entries.read(layout.ledger).entries
        is_ours = bool(lines) and lines[0].run_nonce == nonce
        if is_ours and all(one.part is None for one in lines):
            shutil.rmtree(layout.root, ignore_errors=True)
    finally:
        lock.release()
