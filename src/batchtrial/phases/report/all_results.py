"""results_combined.jsonl: the line that answers each request, as received, in request order; a stand-in where there is none.

A copy for people and other programs, made only when `exports` asks for it: which line it is, and where it lies, is in the arm's table.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import cache
from typing import IO, Final

import polars as pl

from batchtrial.config.expand import Trial
from batchtrial.phases.base import Work, arms_in_order
from batchtrial.state.store import Sink

_ROWS_AT_ONCE: Final = 1 << 14


def write_combined(work: Work, trial: Trial, out: Sink) -> None:
    """The lines of a trial: control arms first, as in predictions.csv. Raises Stopped."""
    for arm in arms_in_order(trial):
        table = pl.scan_parquet(work.layout.arm(arm.name).answers).select("file", "byte", "length", "custom_id", "error")
        n_rows = table.select(pl.len()).collect().item()
        with ExitStack() as files:

            @cache
            def opened(name: str, files: ExitStack = files) -> IO[bytes]:
                return files.enter_context((work.layout.root / name).open("rb"))

            for first in range(0, n_rows, _ROWS_AT_ONCE):
                work.stop.check()
                for name, byte, length, custom_id, error in table.slice(first, _ROWS_AT_ONCE).collect().iter_rows():
                    if name is None:
                        out.write(stand_in(custom_id, error))
                        continue
                    file = opened(name)
                    file.seek(byte)
                    out.write(file.read(length).rstrip(b"\n") + b"\n")


def stand_in(custom_id: str, error: str) -> bytes:
    """A line for a request without one."""
    code, _, message = error.partition(": ")
    line = {"custom_id": custom_id, "response": None, "error": {"code": code, "message": message}}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
