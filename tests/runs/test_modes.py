"""What a run holds may be read by its user alone, whatever the umask; `--shared` leaves it to the umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.config.configs import write

from batchtrial.cli.main import main


@pytest.fixture(params=[0o022, 0o002, 0])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(root: Path) -> set[tuple[str, int]]:
    return {("folder" if path.is_dir() else "file", stat.S_IMODE(path.stat().st_mode)) for path in (root, *root.rglob("*"))}


@pytest.mark.parametrize("shared", [False, True])
def test_a_run_and_its_archive_are_private_unless_shared(tmp_path: Path, umask: int, shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fireworks")
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    extra = ["--shared"] if shared else []
    assert main(["run", "--config", "config.yaml", "--dry_run", "--run_id", "r", "--limit_items", "4", "--record_dir", "tape", *extra]) == 0
    assert main(["archive", "--run_id", "r", *extra]) == 0
    assert main(["archive", "--restore", "experiments/archives/run_r.zip", "--experiments_dir", "other", *extra]) == 0
    found = modes(tmp_path / "experiments") | modes(tmp_path / "other") | modes(tmp_path / "tape")
    narrowed = umask if shared else 0o077
    assert {mode & 0o777 & ~0o100 for kind, mode in found if kind == "file"} <= {0o666 & ~narrowed, 0o644 & ~narrowed, 0o600}
    if shared:
        assert ("file", 0o666 & ~umask) in found
        assert ("folder", 0o777 & ~umask) in found
    else:
        assert found <= {("file", 0o600), ("folder", 0o700)}
    assert os.umask(umask) == umask  # as it was
