"""Whichever way a run gets its answers, the plan stands in its ledger before the first line about a part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chat_server import serving
from tests.golden.alt_backends import FIXTURES, MODELS
from tests.runs.test_by_hand import Run, golden_answers, run
from tests.runs.test_taken_over_control import flags

from batchtrial.cli.main import main
from batchtrial.config.analysis_plan import plan_hash, plan_of
from batchtrial.reading.config import config_of_run
from batchtrial.state.entries import Entry, read
from batchtrial.state.layout import RunLayout

__all__ = ["flags", "run"]  # fixtures


def ledger(folder: Path) -> Iterator[Entry]:
    """The ledger's lines, once the first one about a part has been seen to come after the plan, which is the plan of the run's config."""
    lines = read(folder / "ledger.jsonl").entries
    events = [line.event for line in lines]
    first = next(place for place, line in enumerate(lines) if line.part is not None)
    assert events.count("plan") == 1
    assert events.index("plan") < first
    detail = lines[events.index("plan")].detail
    assert detail is not None
    assert detail["results_before"] == 0
    assert detail["hash"] == plan_hash(plan_of(config_of_run(RunLayout(folder))))
    return iter(lines)


def parts_with(folder: Path, event: str) -> int:
    return sum(line.event == event for line in ledger(folder))


def test_batches_that_are_carried_by_hand(run: Run) -> None:
    run.export()
    assert parts_with(run.folder, "intent") == 4
    assert run.bring(golden_answers())[0] in (0, 4)
    assert parts_with(run.folder, "saved") > 0


def test_a_server_of_ones_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHTRIAL_POLL_SECONDS", "0.05")
    with serving(run.root) as server:
        where = ["--base_url", server.url, "--experiments_dir", "experiments", "--run_id", "served", "--to_step", "poll"]
        assert main(["run", "--config", "trial.yaml", *where]) in (0, 4)
    assert parts_with(run.root / "experiments" / "run_served", "intent") == 4


def test_a_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    monkeypatch.chdir(FIXTURES)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    what = ["--config", str(FIXTURES / "config.yaml"), "--backend", "openai", "--model", MODELS["openai"]]
    where = ["--experiments_dir", str(tmp_path), "--run_id", "replayed", "--to_step", "poll"]
    assert main(["run", *what, *where, "--replay_dir", str(FIXTURES / "openai" / "replay_success")]) == 0
    assert parts_with(tmp_path / "run_replayed", "intent") > 0


def test_a_control_that_is_taken_over(flags: list[str], tmp_path: Path) -> None:
    assert main(["run", *flags, "--prompt_sets", "default", "--run_id", "first"]) == 0
    assert main(["run", *flags, "--prompt_sets", "other", "--control_from", "first", "--run_id", "second", "--to_step", "poll"]) == 0
    assert parts_with(tmp_path / "experiments" / "run_second", "imported") == 1
