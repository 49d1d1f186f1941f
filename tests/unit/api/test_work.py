"""Runs from Python: the bytes of the command line out of a process that has more on its hands, stopped from anywhere, and nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.golden.alt_backends import ARTIFACTS, FIXTURES, MODELS, artifacts
from tests.small_run import config_tree, write_inputs

import batchtrial
from batchtrial import Update
from batchtrial.errors import ConfigError, RunLocked, RunStateMissing, StateError, Stopped

BUSY = """
import asyncio, gc, json, os, signal, sys, threading, warnings
from pathlib import Path
import numpy as np

np.random.seed(7)
np.seterr(all="raise")
ended = threading.Event()

def busy():
    some = np.random.default_rng(1).random((64, 64))
    while not ended.wait(0.01):
        some @ some

threads = [threading.Thread(target=busy) for _ in range(3)]
for one in threads:
    one.start()

def process():
    return {
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "mask": os.umask(os.umask(0o22)),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "garbage": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        "threads": threading.active_count(),
        "draws": float(np.random.get_state()[1][0]),
        "errors": np.geterr(),
        "warnings": len(warnings.filters),
    }

import batchtrial
folder, provider, model, recording = sys.argv[1:]
how = {"replay_dir": recording, "settings": {"backend": provider, "model_id": model}}
batchtrial.plan("config.yaml", experiments_dir=folder, settings=how["settings"])
before = process()
told = []

def stop_it(update):
    told.append(update)
    if len(told) == 9:
        batchtrial.stop(Path(folder) / "run_replayed")

try:
    batchtrial.start("config.yaml", run_id="replayed", experiments_dir=folder, on_update=stop_it, **how)
    raise SystemExit("it was not stopped")
except batchtrial.errors.Stopped:
    pass
stopped = batchtrial.open_run(Path(folder) / "run_replayed").status.standing
run = asyncio.run(asyncio.to_thread(batchtrial.resume, Path(folder) / "run_replayed", replay_dir=recording))
after = process()
ended.set()
for one in threads:
    one.join()
found = {"stopped": stopped, "standing": run.status.standing, "mode": oct(run.path.stat().st_mode)}
found["pairs"] = run.pairs("control", run.arms["arm"][1]).height
found["changed"] = [what for what in before if before[what] != after[what]]
Path(folder, "found.json").write_text(json.dumps(found))
"""


def test_a_busy_process_gives_the_bytes_of_the_command_line_and_stays_as_it_was(tmp_path: Path) -> None:
    recording = FIXTURES / "openai" / "replay_success"
    given = [str(tmp_path), "openai", MODELS["openai"], str(recording)]
    done = subprocess.run([sys.executable, "-c", BUSY, *given], cwd=FIXTURES, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = json.loads((tmp_path / "found.json").read_text())
    assert found == {"stopped": "stopped", "standing": "finished", "pairs": 6, "mode": "0o40700", "changed": []}
    wanted = {p.relative_to(recording / "expected").as_posix(): p.read_bytes() for p in (recording / "expected").rglob("*") if p.name in ARTIFACTS}
    assert artifacts(tmp_path / "run_replayed") == wanted


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    write_inputs(tmp_path, 3)
    monkeypatch.chdir(tmp_path)
    return config_tree("openai", poll_seconds=60)


def prepared(config: dict[str, Any], run_id: str = "first", **how: Any) -> batchtrial.Run:
    return batchtrial.start(config, run_id=run_id, dry_run=True, to_step="build", **how)


def test_a_config_may_be_a_mapping_and_the_plan_costs_nothing(config: dict[str, Any], tmp_path: Path) -> None:
    plan = batchtrial.plan(config, limit_items=2, settings={"submission.lines_per_part": 1})
    assert (plan.items["all"], plan.requests, plan.parts) == (2, 4, 4)
    assert plan.at_most_usd is not None
    assert not (tmp_path / "experiments").exists()


def test_a_run_that_was_begun_is_open_and_tells_its_steps(config: dict[str, Any]) -> None:
    told: list[Update] = []
    run = prepared(config, on_update=told.append)
    assert run.status.standing == "partial"
    assert run.items().height == 3
    assert [str(one) for one in told if one.label == "build"][-1] == "build: 4 of 4"
    assert any("run first in" in one.note for one in told)
    assert len({str(one) for one in told}) == len(told)  # a callback that asks for a stop at a step asks once
    with pytest.raises(RunStateMissing, match="has no scores yet"):
        run.pairs()
    assert run.tests.is_empty()
    with pytest.raises(StateError, match="exists already"):
        prepared(config)


def test_what_interrupts_the_caller_stops_the_run_in_order(config: dict[str, Any]) -> None:
    def interrupt(update: Update) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Stopped, match="the caller"):
        prepared(config, on_update=interrupt)
    assert batchtrial.open_run("first").status.standing == "stopped"
    assert batchtrial.resume("first", to_step="build").status.n_requests == 6


def test_a_callback_that_fails_stops_the_run_in_order_and_is_told(config: dict[str, Any]) -> None:
    def fail(update: Update) -> None:
        raise LookupError("the widget is gone")

    with pytest.raises(LookupError, match="the widget is gone"):
        prepared(config, on_update=fail)
    assert batchtrial.open_run("first").status.owner is not None
    assert not batchtrial.open_run("first").status.standing.is_live


def test_a_run_that_is_at_work_is_not_taken_by_another_thread(config: dict[str, Any]) -> None:
    refused: list[RunLocked] = []

    def again(update: Update) -> None:
        if not refused:
            try:
                batchtrial.resume("first")
            except RunLocked as error:
                refused.append(error)

    run = prepared(config, on_update=again)
    assert len(refused) == 1
    assert run.status.standing == "partial"


def test_an_argument_that_nothing_reads_is_named(config: dict[str, Any]) -> None:
    wrong: Any = {"limit": 3}
    with pytest.raises(ConfigError, match="no argument 'limit'"):
        batchtrial.plan(config, **wrong)
    with pytest.raises(ConfigError, match=r"unknown key 'datesets'"):
        batchtrial.plan({**config, "datesets": []})
    with pytest.raises(ConfigError, match="a config holds texts"):
        batchtrial.plan({**config, "seed": object()})
    with pytest.raises(RunStateMissing):
        batchtrial.resume("never")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"workers": "2"}, "workers is a whole number from 1"),
        ({"workers": -1}, "workers is a whole number from 1"),
        ({"workers": True}, "workers is a whole number from 1"),
        ({"partial": "no"}, "partial is True or False"),
        ({"stop_stale_minutes": "60"}, "stop_stale_minutes is a number"),
        ({"settings": ["x"]}, "settings is a mapping"),
    ],
)
def test_an_argument_of_another_kind_is_told_before_anything_is_begun(config: dict[str, Any], tmp_path: Path, how: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        batchtrial.start(config, run_id="first", dry_run=True, **how)
    assert not (tmp_path / "experiments").exists()
    with pytest.raises(RunStateMissing):
        batchtrial.resume("first", **how)


def test_a_process_may_change_its_folder_while_a_run_is_at_work_and_after(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()

    def go(update: Update) -> None:
        if update.label == "build":
            monkeypatch.chdir(other)

    run = batchtrial.start(config, run_id="first", dry_run=True, to_step="submit", on_update=go)
    assert list(other.iterdir()) == []
    assert run.path == tmp_path / "experiments" / "run_first"
    monkeypatch.chdir(tmp_path)
    named, by_path = batchtrial.open_run("first"), batchtrial.open_run("experiments/run_first")
    monkeypatch.chdir(other)
    assert {one.status.standing for one in (run, named, by_path)} == {"partial"}
    assert named.items().height == by_path.items().height == 3


@pytest.mark.parametrize("name", ["", ".", "..", "other"])
def test_a_folder_that_holds_no_run_is_none(config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    here = tmp_path / "above" / "here"
    deep = here / "other" / "of" / "somebody" / "else" / "and" / "deeper"  # nobody waits until a whole disk is looked through
    deep.mkdir(parents=True)
    (deep / "results.jsonl").touch()
    monkeypatch.chdir(here)
    for do in (batchtrial.open_run, batchtrial.stop, batchtrial.resume):
        with pytest.raises(RunStateMissing, match="holds no run"):
            do(name)
    assert sorted(path.name for path in tmp_path.rglob("STOP*")) == []
