"""The console command before any subcommand is at work."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from batchtrial.cli.main import main

NAME = "batchtrial.cli.commands.stop"


class Interrupted(MetaPathFinder):
    """A person's Ctrl-C while that module is imported."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname == NAME:
            raise KeyboardInterrupt
        return None


def test_a_ctrl_c_while_modules_are_read_is_a_stop_and_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    assert main(["stop", "--run_id", "r"]) == 130
    assert capsys.readouterr().err == "stopped: interrupted before anything was begun\n"
