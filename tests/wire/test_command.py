"""The command: how it starts, what it refuses, how it ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.emulator_process import Emulator, running
from tests.wire.plain import Plain, rows

from batchtrial.emulator.command import main

COMMAND = [sys.executable, "-m", "batchtrial.emulator"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_fast(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path) as emu:
        Plain(emu, "openai").submit(rows(3))
        assert emu.process is not None
        emu.process.send_signal(number)
        assert emu.process.wait(20) == 0  # busy machines included
        assert emu.log() == ""


def test_it_ends_while_a_download_trickles(tmp_path: Path) -> None:
    with running(tmp_path) as emu:
        client = Plain(emu, "anthropic")
        batch_id = client.submit(rows(50))
        emu.advance(30)
        emu.add_faults([{"do": {"slow_body": {"bytes_per_second": 50, "cap_seconds": 60}}}])
        url = client.result_urls(batch_id)["output"]
        asker = threading.Thread(target=lambda: _swallow(client, url))
        asker.start()
        while not emu.call("GET", "/_emulator/faults")["faults"][0]["fired"]:
            threading.Event().wait(0.01)
        assert emu.stop() == 0
        asker.join()
        assert "Traceback" not in emu.log()


def _swallow(client: Plain, url: str) -> None:
    with suppress(OSError, http.client.HTTPException):
        client.fetch(url)


def test_ready_file_says_where_it_is(tmp_path: Path) -> None:
    with running(tmp_path) as emu:
        record = json.loads((tmp_path / "ready.json").read_text())
        assert record == {
            "url": emu.url,
            "pid": emu.pid,
            "fireworks_base_url": emu.url,
            "openai_base_url": f"{emu.url}/v1",
            "anthropic_base_url": emu.url,
        }


def test_it_prints_how_to_reach_it(tmp_path: Path) -> None:
    process = subprocess.Popen([*COMMAND, "--state", str(tmp_path), "--parent-pid", str(os.getpid())], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        shown = [process.stdout.readline() for _ in range(6)]
        process.terminate()
        assert process.wait(10) == 0
    assert shown[0].startswith("emulator listening on http://127.0.0.1:")
    text = "".join(shown)
    assert all(name in text for name in ("FIREWORKS_BASE_URL=", "OPENAI_BASE_URL=", "ANTHROPIC_BASE_URL=", "/_emulator/ledger"))


def test_it_goes_when_its_parent_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    code = f"""
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-m", "batchtrial.emulator", "--state", {str(tmp_path / "world")!r}, "--quiet",
                  "--ready_file", {str(ready)!r}, "--parent_pid", str(os.getpid())])
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 30
    while not ready.exists() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    pid = json.loads(ready.read_text())["pid"]
    parent.kill()
    parent.wait()
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert not Path(f"/proc/{pid}").exists()


def test_one_server_for_a_world(tmp_path: Path) -> None:
    with running(tmp_path):
        refused = run("--state", str(tmp_path / "world"))
        assert refused.returncode == 3
        assert "in use" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with running(tmp_path) as emu:
        refused = run("--state", str(tmp_path / "other"), "--port", str(emu.port))
        assert refused.returncode == 1
        assert f"127.0.0.1:{emu.port}" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--speed", "0"], "--speed"),
        (["--port", "70000"], "--port"),
        (["--batch_seconds", "-1"], "--batch_seconds"),
        (["--faults", "none.json"], "none.json"),
        (["--model", "none.json"], "none.json"),
        (["--upstream", "localhost"], "--upstream"),
        (["--upstream_concurrency", "0"], "--upstream_concurrency"),
    ],
)
def test_bad_flags_are_named(tmp_path: Path, flags: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--state", str(tmp_path / "w"), *flags]) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_a_world_made_with_another_seed_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, seed=1) as emu:
        emu.stop()
        refused = run("--state", str(tmp_path / "world"), "--seed", "2")
        assert (refused.returncode, "--seed 1" in refused.stderr) == (3, True)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = run("--state", str(tmp_path / "file" / "world"))
    assert refused.returncode == 3
    assert "Traceback" not in refused.stderr


def test_a_fault_file_changed_between_starts_keeps_the_counts_of_what_stayed(tmp_path: Path) -> None:
    faults: list[dict[str, Any]] = [{"match": {"op": "list"}, "on": [2], "do": {"status": 500}}, {"match": {"op": "get"}, "do": {"status": 500}}]
    with running(tmp_path, faults=faults) as emu:
        Plain(emu, "openai").call("GET", "/v1/batches")
        emu.stop()
        (tmp_path / "faults.json").write_text(json.dumps(faults[:1]))
        emu.restart()
        shown = emu.call("GET", "/_emulator/faults")["faults"]
        assert [(each["seen"], each["rule"]["match"]) for each in shown] == [(1, {"op": "list"})]


def test_help_has_examples() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    assert "examples:" in shown.stdout


def test_emulator_object_can_be_used_by_hand(tmp_path: Path) -> None:
    emu = Emulator(tmp_path, ["--seed", "1", "--clock", "manual"])
    try:
        assert emu.batches() == []
        assert emu.calls() == {}
    finally:
        assert emu.stop() == 0
    assert emu.stop() == 0
