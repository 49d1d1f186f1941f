"""Runs of the version that bought an arm for its role: read, resumed, scored again, archived, and a source of controls.

tests/fixtures/runs_of_form_1 holds two that it made of the questions in tests/fixtures/alt_backends, as dry runs at OpenAI's wire: `finished.zip`,
its archive of one; and `half.zip`, one that its budget stopped with half of its parts settled and none under way, with the emulator's world.
"""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest
import yaml

from batchtrial.cli.commands.archive import main as archive
from batchtrial.cli.commands.repair import main as repair
from batchtrial.cli.commands.resume import main as resume
from batchtrial.cli.commands.run import main as run
from batchtrial.cli.commands.status import main as status
from batchtrial.reading.config import config_of_run
from batchtrial.state.entries import read
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import fold
from batchtrial.state.machine import PartState

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
HELD = FIXTURES / "runs_of_form_1"
TABLES = ("predictions.csv", "per_item_scores.csv")


@pytest.fixture
def half(tmp_path: Path) -> RunLayout:
    with zipfile.ZipFile(HELD / "half.zip") as held:
        held.extractall(tmp_path)
    return RunLayout.of(tmp_path, "half")


@pytest.fixture
def finished(tmp_path: Path) -> RunLayout:
    assert archive(["--restore", str(HELD / "finished.zip"), "--experiments_dir", str(tmp_path)]) == 0
    return RunLayout.of(tmp_path, "earlier")


def place(layout: RunLayout) -> list[str]:
    return ["--experiments_dir", str(layout.root.parent), "--run_id", layout.run_id]


Rows = list[dict[str, str]]


def as_it_was() -> dict[str, Rows]:
    """The tables that the earlier version made, by path inside the run."""
    with zipfile.ZipFile(HELD / "finished.zip") as held:
        names = [name for name in held.namelist() if name.rsplit("/", 1)[-1] in TABLES]
        return {name: list(csv.DictReader(io.StringIO(held.read(name).decode(), newline=""))) for name in names}


def is_as_it_was(layout: RunLayout) -> bool:
    """Whether the run's tables say the same; they may have further columns."""
    for name, want in as_it_was().items():
        with (layout.root / name).open(newline="") as file:
            got = [{column: row[column] for column in want[0]} for row in csv.DictReader(file)]
        if got != want:
            return False
    return True


def test_one_that_stopped_half_way_goes_on_under_its_own_form_and_buys_only_what_is_left(half: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    assert status([*place(half)[:2]]) == 0
    assert "3/6" in capsys.readouterr().out
    before = {name for name, part in fold(read(half.ledger).entries).items() if part.state is PartState.SETTLED}
    assert len(before) == 3
    assert resume([*place(half), "--budget_usd", "1"]) == 0
    parts = fold(read(half.ledger).entries)
    assert len(parts) == 6
    assert all(part.state is PartState.SETTLED and len(part.attempts) == 1 for part in parts.values())
    assert not half.arms.exists() or not list(half.arms.rglob("results*.jsonl"))
    assert len(as_it_was()) == 4
    assert is_as_it_was(half)


def test_a_finished_one_is_read_scored_again_and_archived_again(finished: RunLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert config_of_run(finished).arm_form == 1
    assert repair([*place(finished), "--check"]) == 0
    assert resume([*place(finished), "--from_step", "parse", "--remake"]) == 0
    assert is_as_it_was(finished)
    assert archive([*place(finished), "--output", str(tmp_path / "again.zip")]) == 0
    assert archive(["--verify", str(tmp_path / "again.zip")]) == 0


def test_its_controls_are_taken_over_by_a_run_that_is_begun_now(
    finished: RunLayout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FIXTURES / "alt_backends")
    asked = [
        "--config",
        "config.yaml",
        "--model",
        "gpt-5.4-mini",
        "--experiments_dir",
        str(finished.root.parent),
        "--dry_run",
        "--lines_per_part",
        "3",
    ]
    new = [*asked, "--run_id", "new", "--prompt_sets", "strength_2", "--control_from", "earlier"]
    assert run([*new, "--plan_only"]) == 0
    assert "taken over from run earlier: not bought" in capsys.readouterr().out
    assert run(new) == 0
    layout = RunLayout.of(finished.root.parent, "new")
    assert config_of_run(layout).arm_form == 1
    sent = [entry.event for entry in read(layout.ledger).entries if entry.event in ("intent", "imported")]
    assert sorted(sent) == ["imported", "imported", "intent", "intent"]


def test_another_form_is_refused_whatever_is_accepted(finished: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    tree = yaml.safe_load(finished.effective_config.read_text())
    finished.effective_config.write_text(yaml.safe_dump({**tree, "arm_form": 2}))
    assert resume([*place(finished), "--accept_drift"]) == 3
    assert "another form of arms" in capsys.readouterr().err
