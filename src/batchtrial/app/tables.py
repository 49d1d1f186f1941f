"""A run's tables with what reads its result lines, for commands that look at answers."""

from __future__ import annotations

from collections.abc import Callable

from batchtrial.app.codecs import codecs_of
from batchtrial.providers.base import codec_of
from batchtrial.reading.run_tables import RunTables
from batchtrial.records import RawResult
from batchtrial.state.layout import RunLayout


def tables_of(layout: RunLayout) -> RunTables:
    """The run's tables. Raises what RunTables.of does; starts and sends nothing."""
    layout.check_there()

    def decode_of(backend: str) -> Callable[[bytes], RawResult]:
        return codec_of(codecs, backend).decode

    found = RunTables.of(layout, decode_of)
    codecs = codecs_of(found.config)
    return found
