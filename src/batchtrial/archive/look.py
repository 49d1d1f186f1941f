"""An archived run put where it can be looked at, without what only sending and parsing need.

That is requests and result lines, most of an archive's bytes.
"""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from batchtrial.archive.restore import restore
from batchtrial.archive.store import Source, stored, what_is_there
from batchtrial.errors import StateError
from batchtrial.state.layout import RunLayout

_BULK: Final = re.compile(r"(?:^|/)(?:batch_inputs/[^/]+[.]jsonl|arms/[^/]+/p[0-9]+/[^/]+|results_combined[.]jsonl)$")


def is_read(name: str) -> bool:
    """Whether a file of a run is wanted to look at it."""
    return _BULK.search(name) is None


def fetched(source: Source, folder: Path) -> RunLayout:
    """The run of an archive, under `folder`: every file but requests and result lines, each checked by its sha256.

    Raises StateError naming what is damaged, and StoreFailed; the same call goes on where a connection broke off.
    """
    root, _ = restore(source, folder, wanted=is_read)
    return RunLayout(root)


@contextmanager
def lent(address: str, note: Callable[[str], None]) -> Iterator[Path]:
    """A folder of runs that holds the archived one, or all under a prefix, and goes with the block. Raises what `fetched` does.

    Among several, one that cannot be shown keeps nobody from the others.
    """
    with tempfile.TemporaryDirectory(prefix="batchtrial-") as name:
        folder = Path(name) / "experiments"
        found = stored(address).archives()
        for one in found:
            try:
                fetched(one, folder)
            except StateError as error:
                if len(found) == 1:
                    raise
                note(f"{one} is not shown: {error.what}")
            else:
                note(f"fetched {one} for reading")
        if not found:
            raise StateError("there are no archives", where=address, hint=what_is_there(address))
        yield folder


def run_at(address: str) -> RunLayout:
    """An archived run as Python reads it: its files lie in a temporary folder that goes when the interpreter ends. Raises what `fetched` does."""
    folder = Path(tempfile.mkdtemp(prefix="batchtrial-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return fetched(stored(address), folder)
