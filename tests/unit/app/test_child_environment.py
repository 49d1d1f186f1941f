"""The emulator's process gets no key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchtrial.app import emulator as dryrun

KEYS = (
    "FIREWORKS_API_KEY",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "HF_TOKEN",
    "GITHUB_TOKEN",
    "MY_PASSWORD",
)


def test_the_emulator_s_process_gets_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEYS, "UPSTREAM_API_KEY"):
        monkeypatch.setenv(name, f"secret-{name}")
    _, child = dryrun.spawn(tmp_path / "world", seed=1, arguments=("--clock", "manual"))
    try:
        seen = Path(f"/proc/{child.pid}/environ").read_bytes().decode()
    finally:
        child.terminate()
        child.wait()
    assert "secret-" not in seen
    assert "PATH=" in seen


def test_no_key_of_an_own_server_and_no_proxy_goes_along_either(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEYS, "UPSTREAM_API_KEY", "https_proxy"):
        monkeypatch.setenv(name, "x")
    found = dryrun.emulator_environment()
    assert not {*KEYS, "UPSTREAM_API_KEY", "https_proxy"} & found.keys()
    assert found.keys() <= {*os.environ, "PYTHONPATH"}
