"""Files that are there and may not be read are told as such, as whom and whose they are; no command takes them for lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.crash.children import _drop_privileges
from tests.unit.config.configs import write

from batchtrial.cli.main import main
from batchtrial.state.access import denied, me


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--config", "config.yaml", "--dry_run", "--run_id", "r", "--to_step", "build"]) == 0
    return tmp_path


def as_mere_mortal(work: Callable[[], int], output: Path) -> tuple[int, str]:
    """Exit code and output of `work` in a child for which permission bits count, though it may be root's."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            sys.stdout = sys.stderr = output.open("w")
            _drop_privileges()
            code = work()
            sys.stdout.flush()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output.read_text()


COMMANDS = {
    "status": ["status"],
    "status of it": ["status", "--run_id", "r"],
    "resume": ["resume", "--run_id", "r"],
    "stop": ["stop", "--run_id", "r"],
    "repair": ["repair", "--run_id", "r", "--check"],
    "archive": ["archive", "--run_id", "r"],
    "analyze": ["analyze", "--run_id", "r", "--analysis", "power_analysis"],
}


@pytest.mark.parametrize("what", ["the folder of all runs", "the run", "the ledger"])
@pytest.mark.parametrize("command", COMMANDS)
def test_what_may_not_be_read_is_not_said_to_be_lost(home: Path, command: str, what: str) -> None:
    runs = home / "experiments"
    path = {"the folder of all runs": runs, "the run": runs / "run_r", "the ledger": runs / "run_r" / "ledger.jsonl"}[what]
    before, mode = sorted(runs.rglob("*")), path.stat().st_mode
    path.chmod(0)
    try:
        code, said = as_mere_mortal(lambda: _run(COMMANDS[command]), home / "said")
    finally:
        path.chmod(mode)
    assert "may not be" in said
    assert me() in said
    assert "lost" not in said
    assert "no runs here" not in said
    assert "there is no run" not in said
    assert "Traceback" not in said
    assert code == (0 if command.startswith("status") and what != "the folder of all runs" else 3)
    assert sorted(runs.rglob("*")) == before


@pytest.mark.parametrize("command", ["view", "clean"])
def test_a_folder_of_runs_that_may_not_be_read_is_not_shown_as_an_empty_one(home: Path, command: str) -> None:
    runs = home / "experiments"
    mode = runs.stat().st_mode
    runs.chmod(0)
    try:
        code, said = as_mere_mortal(lambda: _run([command]), home / "said")
    finally:
        runs.chmod(mode)
    assert code == 3
    assert f"experiments may not be read as {me()}" in said


def _run(argv: list[str]) -> int:
    return main(argv)


def test_what_may_be_read_or_is_not_there_is_not_denied(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    assert denied((tmp_path, tmp_path / "a", tmp_path / "none", tmp_path / "a" / "below")) is None
