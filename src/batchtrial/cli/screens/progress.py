"""Progress for people: bars on a terminal, plain lines elsewhere. Results go to standard output, everything here to standard error."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final, TextIO

from tqdm import tqdm

from batchtrial.visible import on_terminal


class _Bar(tqdm):  # type: ignore[type-arg]
    """A bar without the library's own thread."""

    monitor_interval = 0


_LOCK: Final = threading.RLock()
tqdm.set_lock(_LOCK)  # the library would take one for several processes
_FORMAT: Final = "{desc}  {bar}  {n_fmt}/{total_fmt}  {elapsed}"
_WITHOUT_TOTAL: Final = "{desc}  {n_fmt}  {elapsed}"


class Bars:
    """A bar for each task that goes on, one below the other. While there is one, a thread keeps its clock going: a wait may take hours."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bars: list[_Bar] = []
        self._are_gone = threading.Event()

    def task(self, label: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        return self._task(label, total)

    @contextmanager
    def _task(self, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
        form = _FORMAT if total is not None else _WITHOUT_TOTAL
        width, height = shutil.get_terminal_size()
        with _Bar(desc=label, total=total, file=self._stream, leave=False, ncols=width - 1, nrows=height, bar_format=form) as bar:
            self._bars.append(bar)
            if len(self._bars) == 1:
                self._are_gone = threading.Event()
                threading.Thread(target=self._keep_going, args=(self._are_gone,), daemon=True).start()

            def tick(n: int) -> None:
                bar.update(n)

            try:
                yield tick
            finally:
                self._bars.remove(bar)
                if not self._bars:
                    self._are_gone.set()

    def _keep_going(self, are_gone: threading.Event) -> None:
        while not are_gone.wait(1.0):
            with _LOCK:
                for bar in tuple(self._bars):
                    if not bar.disable:  # it is not being closed
                        bar.refresh(nolock=True)

    def note(self, text: str) -> None:
        with suppress(OSError):
            _Bar.write(on_terminal(text), file=self._stream)


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
        with suppress(OSError):  # a log that takes no more ends no run
            self._stream.write(on_terminal(text) + "\n")
            self._stream.flush()


def progress(stream: TextIO | None = None) -> Bars | Lines:
    """What fits the stream; standard error as it is now, unless another is given."""
    stream = stream or sys.stderr
    return Bars(stream) if stream.isatty() else Lines(stream)
