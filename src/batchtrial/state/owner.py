"""Whether the process that a run's lock names is still there; told from the outside, without touching the lock."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from batchtrial.keys import digest
from batchtrial.state.store import LockInfo, read_lock

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
