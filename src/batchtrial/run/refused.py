"""A new run that is refused before anything was sent leaves no folder, so that the corrected config can have its name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from batchtrial.errors import ConfigError, StateError
from batchtrial.state import entries
from batchtrial.state.layout import RunLayout


@contextmanager
def no_folder_when_refused(layout: RunLayout, nonce: str) -> Iterator[None]:
    """Remove the folder that the block made when it ends with a refusal and nothing was sent.

    nonce: the random digits of a run that is begun in the block, by which its ledger is known.
    """
    was_there = layout.root.exists()
    try:
        yield
    except (ConfigError, StateError):
        if not was_there:
            _remove(layout, nonce)
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
