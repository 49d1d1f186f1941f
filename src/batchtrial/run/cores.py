"""How many processes can work at once: the cores that this process may use, and no more than a container's limit allows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

GROUPS: Final = Path("/sys/fs/cgroup")
OWN: Final = Path("/proc/self/cgroup")


def cores(groups: Path = GROUPS, own: Path = OWN) -> int:
    """Processor cores that this process may use. groups: where control groups are mounted; own: the list of this process's."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([here, *(max(1, -(-quota // period)) for quota, period in _limits(groups, own))])


def _limits(groups: Path, own: Path) -> Iterator[tuple[int, int]]:
    """(microseconds of processor time, in so many) of each group that this process is in, both forms of the kernel's."""
    try:
        rows = [line.split(":", 2) for line in own.read_text().splitlines() if line.count(":") > 1]
    except OSError:  # no such system
        return
    for _, controllers, path in rows:
        root = groups if not controllers else groups / "cpu"
        if controllers and "cpu" not in controllers.split(","):
            continue
        at = root / path.strip("/")
        for folder in (at, *at.parents):  # in a container the mount may be the group itself, and the path one of the host
            if folder == root or root in folder.parents:
                yield from _limit(folder, is_old=bool(controllers))


def _limit(folder: Path, *, is_old: bool) -> Iterator[tuple[int, int]]:
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if is_old else ("cpu.max",)
    try:
        quota, period = (int(word) for name in names for word in (folder / name).read_text().split())
    except (OSError, ValueError):  # no limit: the file is not there, or says `max`
        return
    if quota > 0 < period:
        yield quota, period
