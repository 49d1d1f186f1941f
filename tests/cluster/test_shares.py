"""Shares as processes of their own, as an array scheduler starts them: killed, stopped and run again, and put together by one."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster.test_dask import command, polled

N = 4


def start(folder: Path, step: str, number: int) -> subprocess.Popen[str]:
    env = {**os.environ, "BATCHTRIAL_EXPERIMENTS_DIR": "experiments"}
    flags = [step, "--run_id", "r1", "--shard", f"{number}/{N}", "--workers", "1"]
    return subprocess.Popen(
        [sys.executable, "-m", "batchtrial", *flags], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )


def test_shares_killed_and_started_again_end_in_the_report_of_one_process(tmp_path: Path) -> None:
    here, draw = polled(tmp_path / "here"), random.Random(11)
    whole = tmp_path / "whole"
    shutil.copytree(here, whole)
    done = command(whole, "resume", "--run_id", "r1")
    assert done.returncode == 0, done.stderr
    early = command(here, "score", "--run_id", "r1", "--shard", "1/2")
    assert (early.returncode, "waits for parse" in early.stderr) == (3, True)
    for step in ("parse", "score"):
        numbers = list(range(1, N + 1))
        draw.shuffle(numbers)
        victim = start(here, step, numbers[0])
        try:
            victim.wait(timeout=draw.uniform(0.2, 2))
        except subprocess.TimeoutExpired:
            victim.kill()
        victim.communicate()
        shares = [start(here, step, number) for number in numbers[1:]]
        told = [share.communicate(timeout=200) for share in shares]
        assert [share.returncode for share in shares] == [0] * (N - 1), told
        early = command(here, step, "--run_id", "r1", "--merge")
        if early.returncode:
            assert f"{numbers[0]}/{N}" in early.stderr
            again = command(here, step, "--run_id", "r1", "--shard", f"{numbers[0]}/{N}")
            assert again.returncode == 0, again.stderr
            merged = command(here, step, "--run_id", "r1", "--merge")
            assert merged.returncode == 0, merged.stderr
        assert "is done already" in command(here, step, "--run_id", "r1", "--shard", f"1/{N}").stdout
    done = command(here, "resume", "--run_id", "r1")
    assert done.returncode == 0, done.stderr
    for pattern in ("*.parquet", "*.csv", "significance.json"):
        assert [path.read_bytes() for path in sorted(here.rglob(pattern))] == [path.read_bytes() for path in sorted(whole.rglob(pattern))]
