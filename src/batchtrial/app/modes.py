"""Who may read what a command writes: its user alone, since answers may be private, unless `--shared` leaves it to the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

SHARED = "--shared"
PRIVATE = 0o077


@contextmanager
def file_modes(argv: Sequence[str]) -> Iterator[None]:
    """Files made inside the block, by this process and its children, are 0600 and folders 0700; with `--shared` as the umask has them."""
    before = os.umask(PRIVATE)
    os.umask(before if SHARED in argv else before | PRIVATE)
    try:
        yield
    finally:
        os.umask(before)
