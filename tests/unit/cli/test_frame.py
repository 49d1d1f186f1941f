"""Who reads a command's output, and whether anybody does, changes nothing about what the command does and how it ends."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from batchtrial.cli.frame import complain, framed, say, say_json
from batchtrial.cli.screens.progress import Bars, Lines


@pytest.mark.parametrize("code", [0, 6])
def test_a_pipe_that_nobody_reads_leaves_the_exit_code(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def command(argv: Sequence[str] | None) -> int:
        say("refuted")
        say_json({"answer": "refuted"})
        done.append("the rest")
        return code

    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert framed(command)([]) == code
        monkeypatch.undo()
    assert done == ["the rest"]


def test_a_connection_that_broke_is_no_success() -> None:
    def command(argv: Sequence[str] | None) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    assert framed(command)([]) == 1


class Full(io.StringIO):
    """A log on a disk that is full, or of a terminal that is gone."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_that_takes_no_more_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    complain("batch 7 is under way")
    Lines(Full()).note("batch 7 is under way")
    Bars(Full()).note("batch 7 is under way")


def test_streams_that_are_closed_are_no_defect_and_no_file_takes_their_number(tmp_path: Path) -> None:
    program = (
        "import sys, os; from batchtrial.cli.frame import own_process, say, complain; own_process(); "
        f"ledger = os.open({str(tmp_path / 'ledger')!r}, os.O_CREAT | os.O_WRONLY); say('a'); complain('b'); os.write(2, b'c'); sys.exit(ledger)"
    )
    done = subprocess.run(["/bin/sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, program], check=False)
    assert done.returncode > 2
    assert (tmp_path / "ledger").read_bytes() == b""
