"""Durable files: atomic replacement, fingerprints with a cache, and the lock that keeps one writer.

Nothing here knows what the files mean. Every write is temp file, fsync, replace, fsync of the folder, so that a reader sees the old bytes or the
new ones and a crash leaves at most a temp file behind.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import msgspec
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from batchtrial.errors import RunLocked
from batchtrial.state.ledger import Hook, fsync_folder, no_hook

log = logging.getLogger(__name__)
TEMP_SUFFIX = ".part~"
BLOCK = 1 << 20
OWNER_LOOKS, OWNER_LOOK_SECONDS = 40, 0.05


class Fingerprint(BaseModel):
    """A file's size in bytes and hex sha256."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int = Field(ge=0)
    sha256: str


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
    except Exception:
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


def fingerprint_of(blocks: Iterable[bytes]) -> Fingerprint:
    """Of bytes that come piece by piece."""
    state, size = hashlib.sha256(), 0
    for block in blocks:
        state.update(block)
        size += len(block)
    return Fingerprint(size=size, sha256=state.hexdigest())


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


class LockInfo(BaseModel):
    """Who is writing to a run; content of run.lock."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    pid: int
    host: str
    started_at: datetime
    released_at: datetime | None = None

    def is_there(self) -> bool:
        """Whether the owner may be alive: not released, and not a process of this host that is gone."""
        if self.released_at is not None or self.host != socket.gethostname():
            return self.released_at is None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def read_lock(path: Path) -> LockInfo | None:
    """The last writer's details, or None."""
    try:
        return LockInfo.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


@dataclass(slots=True)
class RunLock:
    """One writer per run.

    The kernel's lock on `guard` is held for the whole life of the process, stopped or not, and falls with it; `info` tells a
    second process whom to look for.
    """

    guard: Path
    info: Path
    _lock: FileLock | None = None
    previous: LockInfo | None = None  # an owner that died without releasing

    def acquire(self, clock: Callable[[], datetime], wait: Callable[[float], None] = time.sleep) -> None:
        """Raises RunLocked naming the owner's pid when another process has it. wait: real seconds."""
        lock = FileLock(self.guard, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            owner = self._owner(wait)
            since = f"(since {owner.started_at:%Y-%m-%d %H:%M:%S} UTC)" if owner else ""
            who = f"process {owner.pid} on {owner.host} {since}" if owner else "another process"
            raise RunLocked(
                f"this run is being written by {who}",
                where=str(self.info.name),
                hint="wait for it, or stop it with `batchtrial stop --run_id RUN`; `batchtrial status` shows it",
            ) from None
        before = read_lock(self.info)
        self.previous = before if before is not None and before.released_at is None else None
        try:
            self._write(LockInfo(pid=os.getpid(), host=socket.gethostname(), started_at=clock()))
        except OSError:
            lock.release()
            raise
        self._lock = lock

    def _owner(self, wait: Callable[[float], None]) -> LockInfo | None:
        """Who has the lock. Its name is written a moment after the lock is taken: until then the file names the owner before."""
        for _ in range(OWNER_LOOKS):
            owner = read_lock(self.info)
            if owner is not None and owner.is_there():
                return owner
            wait(OWNER_LOOK_SECONDS)
        return None

    def release(self, clock: Callable[[], datetime]) -> None:
        """Say that the run was left in order, then let go; a full disk prevents only the former."""
        if self._lock is None:
            return
        try:
            owner = read_lock(self.info)
            if owner is not None:
                self._write(owner.model_copy(update={"released_at": clock()}))
        except OSError as error:
            log.warning("%s keeps the look of a run that died: %s", self.info.name, error)
        finally:
            self._lock.release()
            self._lock = None

    def _write(self, info: LockInfo) -> None:
        write_bytes(self.info, info.model_dump_json(exclude_none=True).encode() + b"\n")
