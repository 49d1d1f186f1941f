"""An address where a folder or file is expected is refused by every command, before anything is made."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchtrial.app.invocation import EXPERIMENTS_VARIABLE
from batchtrial.cli import args as flags
from batchtrial.cli.main import COMMANDS
from batchtrial.emulator import command as emulate

ADDRESSES = ("s3://bucket/x", "gs://b/x", "abfs://c@a/x", "file:///tmp/x", "https://host/x.zip", "s3:/bucket/x", "hf://d/x")


def path_flags() -> Iterator[tuple[str, str]]:
    """(module, flag) of every flag that takes a path."""
    for source in sorted((Path(flags.__file__).parent / "commands").glob("*.py")):
        module = importlib.import_module(f"batchtrial.cli.commands.{source.stem}")
        make = getattr(module, "parser", None)
        if callable(make) and source.stem not in ("args", "main"):
            for action in make()._actions:
                if action.type in (Path, flags.local_path, flags.written_file, flags.written_folder):
                    yield source.stem, action.option_strings[0] if action.option_strings else action.dest


FLAGS = sorted(set(path_flags()))


def test_the_flags_that_take_paths_are_found() -> None:
    assert {"--experiments_dir", "--config", "--record_dir", "--bundle", "--output", "--to"} <= {flag for _, flag in FLAGS}
    assert COMMANDS


@pytest.mark.parametrize(("module", "flag"), FLAGS)
@pytest.mark.parametrize("address", ADDRESSES)
def test_no_flag_takes_an_address(module: str, flag: str, address: str) -> None:
    parser = importlib.import_module(f"batchtrial.cli.commands.{module}").parser()
    action = next(one for one in parser._actions if flag in one.option_strings or one.dest == flag)
    with pytest.raises(argparse.ArgumentTypeError, match="is an address"):
        action.type(address)


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_emulator_takes_none_either(address: str) -> None:
    for action in emulate.parser()._actions:
        assert action.type is not Path
    with pytest.raises(argparse.ArgumentTypeError, match="is an address"):
        emulate.local_path(address)


@pytest.mark.parametrize("text", ["experiments", "./a:b", "/tmp/x", "C:/runs", "C:\\runs", "a/b.zip", "~/x", "run:1", ""])
def test_paths_are_paths(text: str) -> None:
    assert flags.local_path(text) == emulate.local_path(text) == Path(text)


@pytest.mark.parametrize("command", ["run", "status", "stop", "resume", "repair", "clean", "compare", "archive", "analyze"])
def test_the_variable_takes_no_address_either(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from batchtrial.cli.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(EXPERIMENTS_VARIABLE, "s3://bucket/x")
    given = {"status": [], "clean": [], "compare": ["a", "b"], "run": ["--dry_run"], "analyze": ["--run_id", "r", "--analysis", "power_analysis"]}
    assert main([command, *given.get(command, ["--run_id", "r"])]) == 2
    assert "is an address" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
