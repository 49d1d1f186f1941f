"""One machine for simulated processes: its clocks, its disk, and the points at which a process can be killed.

A process here is a call of the command in a thread of this program. `Machine.install` puts our own clock below `time` and `datetime`, and hooks
below `os.fsync`, `os.replace` and `io.open`, so it belongs into a program of its own and must run before batchtrial is imported.
fsync is counted and not carried out: no power is cut here but by the rig, which knows what was synced.
"""

from __future__ import annotations

import errno
import io
import os
import random
import shutil
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

EPOCH = 1_767_225_600.0
"""Where the emulator's own clock starts."""
Action = Callable[["Process", str], None]


class Killed(BaseException):
    """The process died here."""


@dataclass
class Clock:
    """Seconds since 1970. true: the world's; skew: how far this machine's clock is off; worlds that follow are told of each step."""

    true: float = EPOCH
    skew: float = 0.0
    follow: Callable[[float], None] = lambda seconds: None

    def now(self) -> float:
        """What the machine's clock shows."""
        return self.true + self.skew

    def sleep(self, seconds: float) -> None:
        """Time passes; other threads have their turn."""
        if seconds > 0:
            self.true += seconds
            self.follow(seconds)
        process = current()
        if process is not None and process.turnstile is not None:
            process.turnstile.pass_by()


CLOCK = Clock()


class MachineTime(datetime):
    """datetime, with this machine's clock."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.fromtimestamp(CLOCK.now(), tz)


SYNCED: dict[int, int] = {}
"""inode -> bytes that are on the disk whatever happens: processes come and go, and the disk stays."""


class Turnstile:
    """Lets one of two threads work at a time; who goes on is drawn at every point that a thread passes."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._baton = threading.Condition()
        self._turn = 0
        self._done: set[int] = set()
        self._local = threading.local()

    def enter(self, number: int) -> None:
        """This thread is number 0 or 1; waits for its turn."""
        self._local.number = number
        with self._baton:
            self._baton.wait_for(lambda: self._turn == number)

    def leave(self) -> None:
        """This thread has ended; the other goes on."""
        with self._baton:
            self._done.add(self._local.number)
            self._turn = 1 - self._local.number
            self._baton.notify_all()

    def pass_by(self) -> None:
        """Perhaps the other's turn now."""
        number = self._local.number
        if self._chance.random() < 0.35 and (1 - number) not in self._done:
            with self._baton:
                self._turn = 1 - number
                self._baton.notify_all()
                self._baton.wait_for(lambda: self._turn == number)


@dataclass
class Process:
    """A simulated process.

    at: what happens when it comes to its n-th point. A point is a hook of ours, a call to the provider (before and after), an fsync, a rename.
    """

    folder: Path
    at: dict[int, list[Action]] = field(default_factory=dict)
    key: str = ""
    turnstile: Turnstile | None = None
    seen: int = 0
    full_until: int = 0
    death: str = ""
    frozen: Path | None = None

    def __post_init__(self) -> None:
        """Somebody who copied the folder, or put it back, waited until it was on the disk."""
        ledger = self.folder / "ledger.jsonl"
        if ledger.exists():
            status = ledger.stat()
            SYNCED.setdefault(status.st_ino, status.st_size)

    def point(self, name: str) -> None:
        """The process comes to a point. Raises Killed when it dies here, or is dead already."""
        if self.death:
            raise Killed(self.death)
        self.seen += 1
        for action in self.at.pop(self.seen, ()):
            action(self, name)
        if self.turnstile is not None:
            self.turnstile.pass_by()

    @property
    def is_disk_full(self) -> bool:
        return self.seen < self.full_until and not self.death

    def die(self, name: str, *, power: bool = False) -> None:
        """Raises Killed; whatever the dying process still writes is undone by `bury`.

        power: of the ledger only what was synced is left, and half of the next line.
        """
        self.death = name
        if self.folder.exists():
            self.frozen = self.folder.with_name(f"{self.folder.name}.frozen")
            shutil.copytree(self.folder, self.frozen)
            if power:
                self._cut_power(self.frozen)
        raise Killed(name)

    def _cut_power(self, frozen: Path) -> None:
        path = self.folder / "ledger.jsonl"
        if not path.exists():
            return
        data, inode = path.read_bytes(), path.stat().st_ino
        n_synced = SYNCED.get(inode, 0)
        rest = data[n_synced:] or b'{"seq":9999,"at":"2026-01-01T00:00:00Z","event":"intent"'
        left = data[:n_synced] + rest[: rest.find(b"\n") // 2]
        (frozen / "ledger.jsonl").write_bytes(left)
        SYNCED[inode] = len(left)  # what is there after the machine has come up again is on the disk

    def bury(self) -> None:
        """Put the folder back to the moment of death."""
        if self.frozen is not None:
            _keep_inode(self.folder / "ledger.jsonl", self.frozen / "ledger.jsonl")
            shutil.rmtree(self.folder, ignore_errors=True)
            self.frozen.rename(self.folder)
        elif self.death:
            shutil.rmtree(self.folder, ignore_errors=True)


def _keep_inode(here: Path, wanted: Path) -> None:
    """Put the bytes of `wanted` into the file `here`, and that in its place: a kill is no copy, and a run may look at which file it has."""
    if here.exists() and wanted.exists():
        here.write_bytes(wanted.read_bytes())
        here.replace(wanted)


_here = threading.local()


def current() -> Process | None:
    """The process that this thread is, outside of the provider's work."""
    found: Process | None = getattr(_here, "process", None)
    return found


class Being:
    """`with Being(process):` this thread is that process; `Being(None)` is the provider, whom nothing befalls."""

    def __init__(self, process: Process | None) -> None:
        self._process, self._before = process, current()

    def __enter__(self) -> None:
        self._before = current()
        _here.process = self._process

    def __exit__(self, *raised: object) -> None:
        _here.process = self._before


class _File(io.FileIO):
    """A file that is written on this machine's disk, which may be full."""

    def write(self, data: Any, /) -> int:
        process = current()
        if process is not None and process.is_disk_full:
            if len(data) > 1:
                super().write(memoryview(data)[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def _opening(plain: Callable[..., Any]) -> Callable[..., Any]:
    def call(file: Any, mode: str = "r", buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
        process = current()
        if process is None or "b" not in mode or mode.startswith("r"):
            return plain(file, mode, buffering, *args, **kwargs)
        raw = _File(file, mode.replace("b", ""))
        return raw if buffering == 0 else io.BufferedWriter(raw)

    return call


def _fsync(fd: int) -> None:
    process = current()
    if process is None:
        return
    process.point("fsync")
    if process.is_disk_full:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    status = os.fstat(fd)
    SYNCED[status.st_ino] = status.st_size


def _replacing(plain: Callable[..., None]) -> Callable[..., None]:
    def call(*args: Any, **kwargs: Any) -> None:
        process = current()
        if process is not None:
            process.point("rename")
        plain(*args, **kwargs)

    return call


def install() -> None:
    """Put this machine below everything that is imported from now on."""
    time.sleep = CLOCK.sleep  # type: ignore[assignment]
    vars(time)["monotonic"] = vars(time)["clock_gettime"] = lambda *which: CLOCK.true  # never jumps
    os.fsync = _fsync  # type: ignore[assignment]
    os.replace = _replacing(os.replace)
    io.open = _opening(io.open)
    # Every client loads the machine's certificates anew, which takes longer than all that it then does here; nothing is ever connected to.
    plain = ssl.create_default_context()
    ssl.create_default_context = lambda *args, **kwargs: plain
    import batchtrial.clock as clock

    vars(clock)["datetime"] = MachineTime
