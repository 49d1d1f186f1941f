"""Files that are there and may not be read: told as such, and as whom, since a run that cannot be seen is not a run that is lost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from batchtrial.errors import StateError


def me() -> str:
    """Who this process is: name and number."""
    uid = os.geteuid() if hasattr(os, "geteuid") else -1
    return f"{_name(uid)} (uid {uid})"


def denied(paths: Iterable[Path]) -> str | None:
    """Of the first path that is there and may not be read: what, as whom, whose it is. None when all may be read, or are not there."""
    for path in paths:
        fault = _denied(path)
        if fault is not None:
            return fault
    return None


def check_readable(paths: Iterable[Path], where: str) -> None:
    """Raises StateError about the first path that is there and may not be read. where: what it is told of."""
    fault = denied(paths)
    if fault is not None:
        raise StateError(fault, where=where, hint="run the command as the owner, or ask for read access")


def _denied(path: Path) -> str | None:
    try:
        status = path.stat()
    except PermissionError:
        return f"{path.parent} may not be searched as {me()}"
    except OSError:
        return None
    wanted = os.R_OK | os.X_OK if path.is_dir() else os.R_OK
    if os.access(path, wanted, effective_ids=os.access in os.supports_effective_ids):
        return None
    return f"{path} may not be read as {me()}: it belongs to {_name(status.st_uid)} (uid {status.st_uid}), mode {status.st_mode & 0o7777:04o}"


def _name(uid: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return "nobody known"
