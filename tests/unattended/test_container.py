"""The image is built, is nobody's root, and runs a trial to its report. Where docker cannot be used it is skipped."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TAG = "batchtrial-test"
MOST_BYTES = 900_000_000


def docker(*words: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    if shutil.which("docker") is None or docker("info", timeout=30).returncode:
        pytest.skip("docker is not usable here")
    if docker("pull", "python:3.12-slim", timeout=300).returncode:
        pytest.skip("docker is not usable here: it cannot fetch python:3.12-slim")
    built = docker("build", "-t", TAG, ".")
    assert built.returncode == 0, built.stderr[-3000:]
    yield TAG
    docker("image", "rm", "--force", TAG)


def test_a_trial_runs_in_it_as_user_1000(image: str, tmp_path: Path) -> None:
    assert docker("run", "--rm", "--entrypoint", "id", image, "-u").stdout.strip() == "1000"
    assert int(docker("image", "inspect", "--format", "{{.Size}}", image).stdout) < MOST_BYTES
    tmp_path.chmod(0o777)
    done = docker("run", "--rm", "--network", "none", "-v", f"{tmp_path}:/work", image, "demo")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "non-inferior" in done.stdout or "superior" in done.stdout
