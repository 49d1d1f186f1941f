"""Large artifacts written once and fingerprinted on the way, so that publishing them does not read them again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from batchtrial.phases.base import Work
from batchtrial.state.store import Fingerprint, decode_json, replacing


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a sink: bytes before it, and the hash of them."""

    size: int
    state: hashlib._Hash


class Sink:
    """A file being written from its beginning; knows its size and sha256 so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._state, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        """Append."""
        self._state.update(data)
        self._file.write(data)
        self.size += len(data)

    def mark(self) -> Mark:
        """Where the file ends now, for `back_to`."""
        return Mark(self.size, self._state.copy())

    def back_to(self, mark: Mark) -> None:
        """Forget what was written since."""
        self._file.seek(mark.size)
        self._file.truncate()
        self.size, self._state = mark.size, mark.state.copy()

    @property
    def fingerprint(self) -> Fingerprint:
        """Of what was written so far."""
        return Fingerprint(size=self.size, sha256=self._state.hexdigest())


@contextmanager
def publishing(work: Work, path: Path) -> Iterator[Sink]:
    """A sink whose content durably becomes `path` on a clean exit, with its fingerprint known from then on."""
    with replacing(path, hook=work.hook) as file:
        sink = Sink(file)
        yield sink
    work.view.stamps.learn(path, sink.fingerprint)


def read_json(path: Path) -> dict[str, Any]:
    """One of the trial's own artifacts."""
    return dict(decode_json(path.read_bytes()))
