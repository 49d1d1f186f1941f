"""run.log: every decision of this process, a line each, beside what it decided about."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from batchtrial.visible import VisibleFormatter

_OWN: ContextVar[RunLog | None] = ContextVar("_OWN", default=None)
"""The log of the run that this thread carries out: one program may carry out several."""


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """The run's own log takes every decision until the end of the block."""
    handler = RunLog(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(VisibleFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger("batchtrial").addHandler(handler)
    before = _OWN.set(handler)
    try:
        yield
    finally:
        _OWN.reset(before)
        logging.getLogger("batchtrial").removeHandler(handler)
        handler.close()


class RunLog(logging.FileHandler):
    """run.log. A line that a full disk does not take is left out: the person is told why the run ends by its message, not by a traceback per line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write what the run's own threads say; a thread that belongs to no run is heard by all."""
        if _OWN.get() in (None, self):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Let go of what the disk refuses; anything else is told as ever."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        """Close it, whatever is left in its buffer."""
        with suppress(OSError):
            super().close()
