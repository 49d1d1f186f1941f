"""Result files of a batch that is over: rendered once, when somebody first asks, and kept as blobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from batchtrial.emulator.lifecycle import Status
from batchtrial.emulator.records import Batch
from batchtrial.emulator.rows import Fate, Fates, Reader, written
from batchtrial.emulator.service import Service

Renderer = Callable[[Fate], tuple[str, bytes] | None]  # file name and line, or None for a row without a line


class Results:
    """Result files of one wire."""

    def __init__(self, service: Service, reader_of: Callable[[Batch], Reader], renderer_of: Callable[[Batch], Renderer]) -> None:
        self.service, self.reader_of, self.renderer_of = service, reader_of, renderer_of
        self._lock = threading.Lock()

    def path(self, batch: Batch, name: str) -> Path:
        return self.service.world.blob(f"results-{batch.seq:08d}-{name}")

    def lines(self, fates: Fates, render: Renderer) -> Iterator[tuple[str, bytes]]:
        """File name and bytes for every row that has a line, strangers last."""
        for fate in fates.in_order():
            rendered = render(fate)
            if rendered is not None:
                yield rendered[0], written(rendered[1], fate)
        for fate in fates.strangers():
            rendered = render(fate)
            if rendered is not None:
                yield rendered

    def files(self, batch: Batch, at: Status, names: tuple[str, ...]) -> dict[str, Path]:
        """The result files that have at least one line, by name; renders all of them on the first call."""
        with self._lock:
            done = self.path(batch, "done")
            if not done.exists():
                self._render(batch, at, names)
                done.touch()
        return {name: self.path(batch, name) for name in names if self.path(batch, name).exists()}

    def _render(self, batch: Batch, at: Status, names: tuple[str, ...]) -> None:
        drafts: dict[str, BinaryIO] = {}
        try:
            with self.service.fates(batch, at, self.reader_of(batch)) as fates:
                for name, line in self.lines(fates, self.renderer_of(batch)):
                    if name not in drafts:
                        drafts[name] = self.path(batch, f"{name}.tmp").open("wb")
                    drafts[name].write(line)
        finally:
            for file in drafts.values():
                file.close()
        for name in names:
            if name in drafts:
                self.path(batch, f"{name}.tmp").replace(self.path(batch, name))
