"""`python -m tests.store.sender FILE ADDRESS PIECE_BYTES`: send an archive in pieces, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from batchtrial.archive.send import send
from batchtrial.archive.store import stored
from batchtrial.errors import RunnerError

if __name__ == "__main__":
    try:
        send(Path(sys.argv[1]), stored(sys.argv[2]), print, piece_bytes=int(sys.argv[3]))
    except RunnerError as error:
        sys.exit(str(error))
