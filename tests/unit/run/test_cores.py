"""A container that may use two cores of a large machine gets two processes, not one for every core of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchtrial.run.cores import cores


def files(root: Path, own: str, **told: str) -> int:
    """The cores by these groups. told: content by path, with `__` for a slash."""
    (root / "own").write_text(own)
    for name, text in told.items():
        path = root / "groups" / name.replace("__", "/").replace("cpu_", "cpu.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return cores(root / "groups", root / "own")


@pytest.fixture(autouse=True)
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)


def test_limits_of_both_forms_of_control_groups_hold(tmp_path: Path) -> None:
    for place, (own, told, n) in enumerate(
        (
            ("0::/\n", {"cpu_max": "200000 100000\n"}, 2),
            ("0::/\n", {"cpu_max": "max 100000\n"}, 64),
            ("0::/kube/pod/box\n", {"kube__pod__cpu_max": "150000 100000", "kube__cpu_max": "400000 100000"}, 2),
            ("0::/of/the/host\n", {"cpu_max": "50000 100000"}, 1),
            ("4:memory:/x\n3:cpu,cpuacct:/box\n0::/\n", {"cpu__box__cpu_cfs_quota_us": "300000", "cpu__box__cpu_cfs_period_us": "100000"}, 3),
            ("3:cpu:/\n", {"cpu__cpu_cfs_quota_us": "-1", "cpu__cpu_cfs_period_us": "100000"}, 64),
            ("nonsense", {}, 64),
        )
    ):
        (root := tmp_path / str(place)).mkdir()
        assert files(root, own, **told) == n, own
    assert cores(tmp_path / "none", tmp_path / "none") == 64
