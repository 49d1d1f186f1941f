"""A run says which extra it lacks before it leaves anything behind; `init` writes what works where it is."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from batchtrial.app.installed import check_installed
from batchtrial.app.templates import templates
from batchtrial.cli.main import main
from batchtrial.config.load import load
from batchtrial.errors import MissingExtra

CONFIG = templates() / "eval_config.yaml"


@pytest.fixture(autouse=True)
def _without_fireworks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "fireworks", None)
    monkeypatch.chdir(tmp_path)


def test_a_lane_without_its_package_is_refused_and_one_that_needs_none_is_not() -> None:
    with pytest.raises(MissingExtra) as caught:
        check_installed(load(CONFIG, flags={"mode": "dry_run"}).config)
    assert caught.value.hint == 'pip install "batchtrial[fireworks]"'
    check_installed(load(CONFIG, flags={"mode": "dry_run", "backend": "mistral"}).config)
    check_installed(load(CONFIG, flags={"mode": "dry_run", "provider.lane": "direct"}).config)


def test_the_refused_run_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config", str(CONFIG), "--dry_run", "--limit_items", "4"]) == 2
    assert 'hint pip install "batchtrial[fireworks]"' in capsys.readouterr().err
    assert not (tmp_path / "experiments").exists()


def test_a_run_without_the_step_that_sends_needs_no_package() -> None:
    assert main(["run", "--config", str(CONFIG), "--dry_run", "--limit_items", "4", "--to_step", "build"]) == 0


def test_init_says_the_extra_and_a_command_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["init", "--to", "my trial"]) == 0
    first, tried = capsys.readouterr().out.splitlines()[1:]
    assert first == 'first:  pip install "batchtrial[fireworks]"'
    words = shlex.split(tried.removeprefix("try it: "))
    assert words[:3] == [sys.executable, "-m", "batchtrial"]
    assert main([*words[3:], "--to_step", "build"]) == 0
    comment = (tmp_path / "my trial" / "eval_config.yaml").read_text(encoding="utf-8").splitlines()[1]
    assert "--config 'my trial'/eval_config.yaml" in comment
