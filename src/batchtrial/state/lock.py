"""The run's lock: who holds it, whether that process is alive, taking it and letting go."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from batchtrial.errors import RunLocked
from batchtrial.keys import digest
from batchtrial.state.store import log, write_bytes

OWNER_LOOKS, OWNER_LOOK_SECONDS = 40, 0.05


class LockInfo(BaseModel):
    """Who is writing to a run; content of run.lock."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    pid: int
    host: str
    started_at: datetime
    released_at: datetime | None = None


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
            if owner is not None and is_alive(owner) is not False:
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


SLACK = timedelta(seconds=10)
"""Process start times are counted in ticks since a boot time that is known to the second."""


def is_alive(owner: LockInfo | None) -> bool | None:
    """True or False; None when the owner is on another host and has not said that it left.

    A process that was started after the lock was taken has only inherited the number.
    """
    if owner is None or owner.released_at is not None:
        return False
    if owner.host != socket.gethostname():
        return None
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    state, born = _process(owner.pid)
    return state != "Z" and (born is None or born <= owner.started_at + SLACK)


def may_be_open(lock_info: Path) -> bool:
    """Whether a process has the run of this run.lock open, or may have."""
    try:
        return is_alive(read_lock(lock_info)) is not False
    except OSError:
        return False


BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def place_of(root: Path, ledger: Path, salt: str) -> dict[str, str]:
    """Where this process works on a run: host, folder, the ledger's place on its disk, and the machine's start; all but the host as digests.

    A copied folder differs in `folder`, one put back from a backup in `disk`, and a cloned machine in `boot`.
    """
    status = ledger.stat()
    try:
        boot = BOOT_ID.read_text().strip()
    except OSError:
        boot = ""
    told = {"folder": str(root.resolve()), "disk": f"{status.st_dev}:{status.st_ino}", "boot": boot}
    return {"host": socket.gethostname()} | {name: digest((salt, name, value), 12) for name, value in told.items()}


def _process(pid: int, proc: Path = Path("/proc")) -> tuple[str, datetime | None]:
    """(state letter, start time) as the kernel tells them; ("", None) where it does not."""
    try:
        fields = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = next(int(line.split()[1]) for line in (proc / "stat").read_text().splitlines() if line.startswith("btime"))
        return fields[0], datetime.fromtimestamp(boot + int(fields[19]) / os.sysconf("SC_CLK_TCK"), UTC)
    except (OSError, ValueError, IndexError, StopIteration):
        return "", None
