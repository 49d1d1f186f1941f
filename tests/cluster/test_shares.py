"""Shares as processes of their own, as an array scheduler starts them: killed, stopped and run again, and put together by one."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster.test_dask import command, polled

N = 4
DOCS = Path(__file__).parents[2] / "docs" / "scale.md"
SBATCH = """#!/bin/bash
set -e
before=""
while [[ $1 == --* ]]; do
  case $1 in
    --parsable) ;;
    --kill-on-invalid-dep=yes) ;;
    --dependency=after*:*) before=${1#--dependency=} ;;
    --export=ALL,*) export "${1#--export=ALL,}" ;;
    *) echo "sbatch has no $1" >&2; exit 1 ;;
  esac
  shift
done
if [[ $before == afterok:* && $(cat "ended-${before#*:}") != 0 ]]; then echo 1 > ended-$$; echo $$; exit; fi
tasks=$(sed -n 's/^#SBATCH --array=\\([0-9]*\\)-\\([0-9]*\\)$/\\1 \\2/p' "$1")
code=0
for task in $(shuf -e $(seq ${tasks:-1 1})); do SLURM_ARRAY_TASK_ID=$task bash "$1" >> told 2>&1 || code=1; done
echo $code > ended-$$
echo $$
"""
"""What Slurm's command does with the flags that docs/scale.md gives it, one job after the other."""
RECIPE = ("#SBATCH --array", '"$STEP" --run_id r1 --merge', "for step in")


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


def test_the_recipe_for_slurm_does_what_one_process_does_and_a_lost_share_is_named(tmp_path: Path) -> None:
    here, whole = polled(tmp_path / "here"), tmp_path / "whole"
    shutil.copytree(here, whole)
    assert command(whole, "resume", "--run_id", "r1").returncode == 0
    text = DOCS.read_text(encoding="utf-8").replace("-64", f"-{N}").replace("/64", f"/{N}").replace("autumn", "r1")
    share, merge, chain = (next(block for block in re.findall("```bash\n(.*?)```", text, re.DOTALL) if one in block) for one in RECIPE)
    (tmp_path / "bin").mkdir()
    for path, content in ((here / "share.sbatch", share), (here / "merge.sbatch", merge), (tmp_path / "bin" / "sbatch", SBATCH)):
        path.write_text(content)
        path.chmod(0o755)
    env = {
        **os.environ,
        "BATCHTRIAL_EXPERIMENTS_DIR": "experiments",
        "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    (here / "share.sbatch").write_text(share.replace("batchtrial ", "[ $SLURM_ARRAY_TASK_ID = 3 ] || batchtrial "))
    subprocess.run(["bash", "-e", "-c", chain], cwd=here, env=env, check=True, timeout=200)
    told = (here / "told").read_text()
    assert (f"run again, with --shard I/N: 3/{N}" in told, "of score" in told) == (True, False), told
    (here / "share.sbatch").write_text(share)
    subprocess.run(["bash", "-e", "-c", chain], cwd=here, env=env, check=True, timeout=200)
    assert command(here, "resume", "--run_id", "r1").returncode == 0
    for pattern in ("*.parquet", "*.csv", "significance.json"):
        assert [path.read_bytes() for path in sorted(here.rglob(pattern))] == [path.read_bytes() for path in sorted(whole.rglob(pattern))]
