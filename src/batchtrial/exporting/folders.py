"""Exports that are a folder: whoever stops half way leaves nothing that looks like the whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `folder` when all is written; in one that holds something its files come beside what is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-", ignore_cleanup_errors=True) as beside:
        made = Path(beside) / "made"
        made.mkdir()
        yield made
        if folder.is_dir() and any(folder.iterdir()):
            for path in sorted(made.iterdir()):
                path.replace(folder / path.name)
        else:
            made.rename(folder)
