"""Durable files: atomic replacement, fingerprints with a cache, and the hook that tests kill at.

Nothing here knows what the files mean. Every write is temp file, fsync, replace, fsync of the folder, so that a reader sees the old bytes or the
new ones and a crash leaves at most a temp file behind.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

log = logging.getLogger(__name__)
TEMP_SUFFIX = ".part~"
BLOCK = 1 << 20

Hook = Callable[[str], None]


def no_hook(point: str) -> None:
    """Called at every durable write; tests put something that kills here."""


def fsync_folder(path: Path) -> None:
    """Make the folder's entries durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Fingerprint(BaseModel):
    """A file's size in bytes and hex sha256."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int = Field(ge=0)
    sha256: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a sink: bytes before it, and the hash of them."""

    size: int
    state: hashlib._Hash


class Sink:
    """A file being written from its beginning, or none; knows the size and sha256 so far."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file, self._state, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        """Append."""
        self._state.update(data)
        if self._file is not None:
            self._file.write(data)
        self.size += len(data)

    def mark(self) -> Mark:
        """Where the file ends now, for `back_to`."""
        return Mark(self.size, self._state.copy())

    def back_to(self, mark: Mark) -> None:
        """Forget what was written since."""
        if self._file is not None:
            self._file.seek(mark.size)
            self._file.truncate()
        self.size, self._state = mark.size, mark.state.copy()

    @property
    def fingerprint(self) -> Fingerprint:
        """Of what was written so far."""
        return Fingerprint(size=self.size, sha256=self._state.hexdigest())


@contextmanager
def replacing(path: Path, *, hook: Hook = no_hook) -> Iterator[IO[bytes]]:
    """Open a temp file beside `path`; on a clean exit it durably becomes `path`, on an exception it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}{TEMP_SUFFIX}")
    hook(f"write:{path.name}:before")
    try:
        with temp.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        hook(f"write:{path.name}:written")
        temp.replace(path)
    except (Exception, KeyboardInterrupt):
        temp.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)
    hook(f"write:{path.name}:after")


def write_bytes(path: Path, data: bytes, *, hook: Hook = no_hook) -> None:
    """Durably replace the file with `data`."""
    with replacing(path, hook=hook) as file:
        file.write(data)


def decode_json(data: bytes) -> Any:
    """What JSON says. Raises ValueError for anything else, and for more brackets inside each other than the decoder can follow."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of ours. Raises OSError, ValueError."""
    return dict(decode_json(path.read_bytes()))


def encode_json(value: object) -> bytes:
    """Indented JSON in given key order with a final newline; NaN and infinities raise ValueError. Indenting apart takes half the time.

    Half of a surrogate pair, which the message of an error may quote from somebody's file, becomes a question mark: no reader takes it otherwise.
    """
    return msgspec.json.format(json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace"), indent=2) + b"\n"


def is_unchanged(path: Path | str, want: Fingerprint) -> bool:
    """Whether the file's bytes are those that were published. Its size first: a cut file need not be read. Raises FileNotFoundError."""
    status = _status(path)
    return stat.S_ISREG(status.st_mode) and status.st_size == want.size and fingerprint(path).sha256 == want.sha256


def _status(path: Path | str) -> os.stat_result:
    return os.stat(path)  # noqa: PTH116 -- a Path made for each of thousands of names takes longer than the look at the disk


def fingerprint(path: Path | str) -> Fingerprint:
    """Read the file once. Raises FileNotFoundError."""
    return fingerprint_of(blocks(path))


def fingerprint_of(blocks: Iterable[bytes], copy_to: IO[bytes] | None = None) -> Fingerprint:
    """Of bytes that come piece by piece; copy_to: where they are written on the way."""
    sink = Sink(copy_to)
    for block in blocks:
        sink.write(block)
    return sink.fingerprint


def blocks(path: Path | str) -> Iterator[bytes]:
    """The file's bytes, some at a time and past the buffer of a file object, which costs more than reading a small file. Raises FileNotFoundError."""
    fd = os.open(path, os.O_RDONLY)
    try:
        while block := os.read(fd, BLOCK):
            yield block
    finally:
        os.close(fd)


_STAMPS = TypeAdapter(dict[str, tuple[int, int, str]])


class Stamps:
    """Fingerprints of files under `root`, remembered by (size, mtime) so that a finished run is recognised without reading it.

    The cache is only ever a saving: a file whose size or mtime differs is read again, and a damaged cache is an empty one.
    """

    def __init__(self, root: Path, cache: Path) -> None:
        self._prefix, self._cache = f"{root.as_posix()}/", cache
        self._known: dict[str, tuple[int, int, str]] = {}
        self._is_dirty = False
        try:
            self._known = _STAMPS.validate_json(cache.read_bytes())
        except (FileNotFoundError, ValidationError):
            self._is_dirty = True

    def __getstate__(self) -> dict[str, Any]:
        """Without what is remembered, which may be thousands of files: another process looks for itself."""
        return {**vars(self), "_known": {}, "_is_dirty": False}

    def of(self, path: Path | str) -> Fingerprint | None:
        """The file's fingerprint; None when there is no such file. path: as text with slashes where thousands are asked for."""
        try:
            status = _status(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        name = self._name(path)
        known = self._known.get(name)
        if known is not None and known[0] == status.st_size and known[1] == status.st_mtime_ns:
            return Fingerprint(size=known[0], sha256=known[2])
        got = fingerprint(path)
        self._known[name] = (status.st_size, status.st_mtime_ns, got.sha256)
        self._is_dirty = True
        return got

    def learn(self, path: Path, got: Fingerprint) -> None:
        """Remember a fingerprint computed while the file was written."""
        status = path.stat()
        self._known[self._name(path)] = (status.st_size, status.st_mtime_ns, got.sha256)
        self._is_dirty = True

    def _name(self, path: Path | str) -> str:
        """Relative to the run; a question set's own file lies elsewhere and keeps its path."""
        name = path if isinstance(path, str) else path.as_posix()
        return name[len(self._prefix) :] if name.startswith(self._prefix) else Path(path).resolve().as_posix()

    def save(self) -> None:
        """Write the cache when it has changed."""
        if self._is_dirty:
            write_bytes(self._cache, json.dumps(self._known, separators=(",", ":")).encode())
            self._is_dirty = False
