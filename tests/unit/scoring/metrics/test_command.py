"""A program as a metric: real processes that answer, fail, hang, write too much or leave others behind."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from tests.unit.scoring.metrics.answers import judged

from batchtrial.errors import ConfigError
from batchtrial.scoring.metrics.named import metric_of, sha256_of

LENGTHS = """
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    print("null" if not row["references"] else len(row["answer"]))
"""


def is_running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def program(folder: Path, text: str) -> list[str]:
    (folder / "judge.py").write_text(text)
    return [sys.executable, str(folder / "judge.py")]


def test_each_answer_has_the_line_in_its_place(tmp_path: Path) -> None:
    run = program(tmp_path, LENGTHS)
    assert judged({"command": {"run": run, "scale": "count"}}, ["abc", None, "", "é\n\u2028"], ["x"]) == [3, None, 0, 3]
    assert judged({"command": {"run": run}}, ["abc"], []) == [None]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("raise SystemExit('no model')", "ended with 1: no model"),
        ("", "wrote 0 lines for 2 answers"),
        ("print(1); print(2); print(3)", "wrote 3 lines for 2 answers"),
        ("print(1); print('NaN')", "wrote 'NaN' in line 2"),
        ("print(1); print('true')", "wrote 'True' in line 2"),
        ("print(1); print(2)", "wrote '2' in line 2"),
        ("print(1); print('1' + 400 * '0')", "wrote '1000"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended with -11"),
    ],
)
def test_what_goes_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match="the metric judge: ") as caught:
        judged({"command": {"run": program(tmp_path, text), "scale": "share", "name": "judge"}}, ["a", "b"])
    assert says in str(caught.value)


def test_one_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    start = "import subprocess, time; p = subprocess.Popen(['sleep', '600']); "
    text = f"{start}open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid)); time.sleep(600)"
    began = time.monotonic()
    with pytest.raises(ConfigError, match="took longer than 1 s"):
        judged({"command": {"run": program(tmp_path, text), "seconds": 1}}, ["a"])
    assert time.monotonic() - began < 30
    child = int((tmp_path / "pid").read_text())
    while is_running(child):
        assert time.monotonic() - began < 60


def test_one_that_writes_without_an_end_is_killed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wrote more than 64 MiB"):
        judged({"command": {"run": program(tmp_path, "import sys\nwhile True: sys.stdout.write('1' * 1_000_000)"), "seconds": 60}}, ["a"])


def test_it_gets_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("ANY_TOKEN", "secret")
    run = program(tmp_path, "import os; print(sum('secret' in value for value in os.environ.values()))")
    assert judged({"command": {"run": run}}, ["a"]) == [0]
    assert "ANY_TOKEN" in os.environ


def test_its_version_and_its_files_are_recorded(tmp_path: Path) -> None:
    run = program(tmp_path, LENGTHS)
    entry = {"command": {"run": run, "version_run": [sys.executable, "-c", "print('judge 1.2')"]}}
    assert metric_of(entry).record()["version"] == "judge 1.2"
    before = sha256_of(metric_of(entry))
    program(tmp_path, LENGTHS + "\n")
    assert sha256_of(metric_of(entry)) != before


def test_a_program_that_is_not_there_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ConfigError, match="there is no program 'no-such-judge'"):
        metric_of({"command": {"run": ["no-such-judge"]}}).check()
    with pytest.raises(ValueError, match="only a share has a negation"):
        metric_of({"command": {"run": ["sh"], "not": True}})


def test_a_program_that_may_not_be_executed_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    program = tmp_path / "judge.sh"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o600)
    with pytest.raises(ConfigError, match="may not be executed"):
        metric_of({"command": {"run": [str(program)]}}).check()
