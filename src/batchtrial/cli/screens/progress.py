"""Progress for people: bars on a terminal, plain lines elsewhere. Results go to standard output, everything here to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Bars:
    """rich bars; one live display for nested tasks."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._display = Progress(*columns, console=self._console, transient=True)
        self._depth = 0

    def task(self, label: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        return self._task(label, total)

    @contextmanager
    def _task(self, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
        if self._depth == 0:
            self._display.start()
        self._depth += 1
        row = self._display.add_task(label, total=total)
        try:
            yield lambda n: self._display.advance(row, n)
        finally:
            self._display.remove_task(row)
            self._depth -= 1
            if self._depth == 0:
                self._display.stop()

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)


class Lines:
    """A line when a task begins to move, at each further tenth, and when it ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def task(self, label: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        return self._task(label, total)

    @contextmanager
    def _task(self, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
        done, told = 0, 0

        def tick(n: int) -> None:
            nonlocal done, told
            done += n
            if total and total >= 10 and done * 10 // total > told and not label.startswith("fetch"):
                told = done * 10 // total
                self.note(f"{label}: {done} of {total}")

        yield tick

    def note(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def progress(stream: TextIO | None = None) -> Bars | Lines:
    """What fits the stream; standard error as it is now, unless another is given."""
    stream = stream or sys.stderr
    return Bars(stream) if stream.isatty() else Lines(stream)
