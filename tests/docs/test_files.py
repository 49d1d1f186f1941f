"""docs/files.md lists every file that a run leaves, and shows its keys as they are."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.docs.pages import ROOT, text_of


def examples() -> ModuleType:
    spec = importlib.util.spec_from_file_location("examples", ROOT / "docs" / "examples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dry run of ten items, the same one that the examples were taken from."""
    root = tmp_path_factory.mktemp("files")
    asked = ["--config", "config/eval_config.yaml", "--dry_run", "--limit_items", "10", "--run_id", "look", "--experiments_dir", str(root)]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    command = [sys.executable, "-m", "batchtrial", "run", *asked]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return root / "run_look"


def test_every_file_of_a_run_is_on_the_page(run: Path) -> None:
    page, general_name = text_of(ROOT / "docs" / "files.md"), examples().general_name
    left = {general_name(path, run) for path in run.rglob("*") if path.is_file()}
    unsaid = {"TRIAL/reports/report.html": "report.html"}
    assert sorted(name for name in left if f"`{unsaid.get(name, name)}`" not in page) == []


def test_examples_have_the_keys_of_the_files(run: Path) -> None:
    module = examples()
    shown = json.loads(module.STORE.read_text(encoding="utf-8"))
    real = module.excerpts(run)
    assert sorted(shown) == sorted(real), "run `python docs/examples.py RUN_DIR` on a new dry run, then `nox -t gen`"
    for name, text in real.items():
        assert module.form(shown[name]) == module.form(text), f"{name}: run `python docs/examples.py RUN_DIR` on a new dry run, then `nox -t gen`"
