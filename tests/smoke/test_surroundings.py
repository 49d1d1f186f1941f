"""What the environment brings along: keys stay out of every byte, proxies are not for this machine, and a resume needs no flag repeated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.emulator_process import Emulator, running
from tests.golden.alt_backends import FIXTURES, MODELS

PROVIDERS = tuple(MODELS)
SECRET = "sk-ant-fw-surely-nobody-else-has-this-0123456789"
NOWHERE = "http://127.0.0.1:9"


def config(root: Path, **changes: object) -> Path:
    """The fixtures' config with absolute paths and some keys changed."""
    tree = yaml.safe_load((FIXTURES / "config.yaml").read_text(encoding="utf-8")) | changes
    for one in tree["datasets"]:
        one["path"] = str(FIXTURES / one["path"])
    for texts in (tree["task_instructions"], *tree["prompt_sets"].values()):
        texts |= {name: str((FIXTURES / path).resolve()) for name, path in texts.items()}
    path = root / "config.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


def batchtrial(root: Path, *asked: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`batchtrial run` in a process of its own that has these variables and no key of ours."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")} | variables
    command = [sys.executable, "-m", "batchtrial", "run", "--run_id", "r", "--experiments_dir", str(root / "experiments"), *asked]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def wire_of(emulator: Emulator, provider: str) -> str:
    return emulator.openai_base_url if provider == "openai" else emulator.anthropic_base_url


@pytest.mark.parametrize("is_refused", [False, True])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_key_of_the_environment_is_in_no_file_and_no_output(provider: str, is_refused: bool, tmp_path: Path) -> None:
    """A live run with its recording, and one whose key the provider refuses by quoting it."""
    quoting = {"status": 401, "message": f"Incorrect API key provided: {SECRET}"}
    faults = [{"match": {"op": "any"}, "on": "every", "do": quoting}] if is_refused else []
    with running(tmp_path / "emulator", faults=faults, clock="real", speed=2000.0) as emulator:
        asked = ["--config", str(config(tmp_path, submission={"poll_seconds": 0.1})), "--backend", provider, "--model", MODELS[provider]]
        asked += ["--base_url", wire_of(emulator, provider), "--record_dir", str(tmp_path / "recording"), "--verbose"]
        done = batchtrial(tmp_path, *asked, **{f"{provider.upper()}_API_KEY": SECRET})
    assert done.returncode == (1 if is_refused else 0), done.stderr
    assert ("API_KEY" in done.stderr) == is_refused
    written = [path for folder in ("experiments", "recording") for path in (tmp_path / folder).rglob("*") if path.is_file()]
    assert len(written) > 5
    assert [path.name for path in written if SECRET.encode() in path.read_bytes()] == []
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_dry_run_goes_past_the_proxies_of_the_environment(provider: str, tmp_path: Path) -> None:
    proxies = {name: NOWHERE for kind in ("http", "https", "all") for name in (f"{kind}_proxy", f"{kind}_PROXY".upper())}
    asked = ["--config", str(config(tmp_path)), "--backend", provider, "--model", MODELS[provider], "--dry_run", "--limit_items", "2"]
    done = batchtrial(tmp_path, *asked, **proxies)
    assert done.returncode == 0, done.stderr


def test_a_resume_asks_for_what_the_flags_of_the_start_asked_for(tmp_path: Path) -> None:
    """Two items and one of two prompt sets, at the emulator that was named: a resume that read the file alone would buy twelve more requests."""
    with running(tmp_path / "emulator", seed=3) as emulator:
        asked = ["--config", str(config(tmp_path)), "--backend", "openai", "--model", MODELS["openai"], "--dry_run", "--emulator_url", emulator.url]
        started = batchtrial(tmp_path, *asked, "--limit_items", "2", "--prompt_sets", "strength_2", "--to_step", "submit")
        assert started.returncode == 0, started.stderr
        resumed = batchtrial(tmp_path, "--resume")
        assert resumed.returncode == 0, resumed.stderr
        bill = emulator.ledger()
        models = {request["model"] for request in emulator.requests()}
    assert (bill["creates"], bill["answered_requests"], models) == (2, 4, {MODELS["openai"]})
    state = json.loads((tmp_path / "experiments" / "run_r" / "run_state.json").read_bytes())
    assert state["overrides"]["limit_items"] == 2
