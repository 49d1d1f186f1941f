"""A dry run whose answers come from the shipped recording: every wire, an interruption, and what it may not be mixed with."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from batchtrial.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
RECORDING = ROOT / "src" / "batchtrial" / "recordings" / "qwen2.5-coder-1.5b.zip"
SIMULATED = ROOT / "tests" / "fixtures" / "alt_backends" / "openai" / "replay_success"


def run(root: Path, *flags: str, run_id: str = "own", pause: str = "") -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATCHTRIAL_") and not name.endswith("_API_KEY")}
    environment |= {"BATCHTRIAL_PAUSE_AT": pause} if pause else {}
    command = [sys.executable, "-m", "batchtrial", "run", "--run_id", run_id, "--experiments_dir", str(root), *flags]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def batchtrial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """The command in this process: exit code, and all that it printed."""
    monkeypatch.chdir(ROOT)
    for name in [name for name in os.environ if name.startswith("BATCHTRIAL_") or name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)

    def called(*flags: str) -> tuple[int, str]:
        code = main(["run", "--run_id", "own", "--experiments_dir", str(tmp_path), *flags])
        return code, "".join(capfd.readouterr())

    return called


def begun(backend: str, *flags: str) -> list[str]:
    config = ["--config", "config/local_eval_config.yaml", "--backend", backend, "--limit_items", "8"]
    return [*config, "--dry_run", "--replay_dir", str(RECORDING), *flags]


@pytest.mark.parametrize("backend", ["fireworks", "openai", "anthropic", "local"])
def test_every_wire_brings_the_recorded_answers(batchtrial: Callable[..., tuple[int, str]], backend: str) -> None:
    pytest.importorskip("openai" if backend == "local" else backend)
    code, output = batchtrial(*begun(backend))
    assert code == 0, output
    assert "requests  24 succeeded, 0 errored" in output
    assert "simulated" not in output.lower()
    assert "RECORDED ANSWERS: Qwen2.5-Coder-1.5B-Instruct (Q4_K_M) gave them on 2026-11-27" in output


def test_a_kill_between_call_and_receipt_changes_no_byte(tmp_path: Path) -> None:
    pytest.importorskip("fireworks")
    whole = run(tmp_path, *begun("fireworks"), run_id="whole")
    assert whole.communicate(timeout=240)
    cut = run(tmp_path, *begun("fireworks"), run_id="cut", pause="call:submit:after:2")
    assert cut.stdout is not None
    assert any("paused at" in line for line in cut.stdout)
    cut.kill()
    cut.communicate()
    resumed = run(tmp_path, "--resume", "--replay_dir", str(RECORDING), run_id="cut")
    output, _ = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, output

    def artifacts(run_id: str) -> dict[str, bytes]:
        folder = tmp_path / f"run_{run_id}"
        names = ("predictions.csv", "significance.json", "report.md", "report.html", "aggregate_report.md", "provenance.json")
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.name in names}

    assert artifacts("cut") == artifacts("whole")
    assert len(artifacts("cut")) == 10


def test_without_the_recording_it_does_not_go_on(batchtrial: Callable[..., tuple[int, str]]) -> None:
    pytest.importorskip("fireworks")
    assert batchtrial(*begun("fireworks", "--to_step", "build"))[0] in (0, 4)
    code, output = batchtrial("--resume")
    assert code == 2
    assert "say which with --replay_dir" in output


def test_simulated_answers_are_not_passed_off_as_recorded_ones(batchtrial: Callable[..., tuple[int, str]]) -> None:
    code, output = batchtrial("--config", "config/alt_eval_config.yaml", "--dry_run", "--replay_dir", str(SIMULATED))
    assert code == 2
    assert "the answers of this recording are simulated" in output


def test_a_running_emulator_answers_for_itself(batchtrial: Callable[..., tuple[int, str]]) -> None:
    code, output = batchtrial(*begun("fireworks", "--emulator_url", "http://127.0.0.1:9"))
    assert code == 2
    assert "--emulator_url and --replay_dir exclude each other" in output


def test_a_run_that_asks_nobody_else_cannot_be_continued_from_a_recording(batchtrial: Callable[..., tuple[int, str]]) -> None:
    pytest.importorskip("fireworks")
    config = ["--config", "config/local_eval_config.yaml", "--backend", "fireworks", "--limit_items", "4"]
    assert batchtrial(*config, "--dry_run", "--to_step", "build")[0] in (0, 4)
    code, output = batchtrial("--resume", "--replay_dir", str(RECORDING))
    assert code == 3
    assert "mode: dry_run -> recorded_dry_run" in output
