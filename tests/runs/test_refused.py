"""A run that is refused before anything was bought does not use up its name: the corrected config starts under it without a flag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.runs.test_endpoints import written
from tests.unit.phases.world import clock

from batchtrial.cli.commands.run import main
from batchtrial.errors import ConfigError
from batchtrial.run.refused import no_folder_when_refused
from batchtrial.state import entries
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import Ledger


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def changed(path: Path, changes: dict[str, Any]) -> None:
    tree = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(tree | changes))


def root(folder: Path) -> Path:
    return folder / "experiments" / "run_r1"


REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "an endpoint that cannot exist": ({"stats": {"primary": {"metric": "bleu"}}}, ()),
    "a further endpoint that cannot exist": ({"stats": {"confirmatory": [{"metric": "em", "kind": "open"}]}}, ()),
    "a metric whose function is missing": ({"metrics": ["rule_for_endpoints:nothing"]}, ()),
    "a metric whose module is missing": ({"metrics": ["no_such_module_here:nothing"]}, ()),
    "a model that refuses a temperature": ({"backend": "openai", "model_id": "gpt-5-mini"}, ()),
    "a control run that is not there": ({}, ("--control_from", "nobody")),
    "a budget below the plan": ({}, ("--budget_usd", "0.000001")),
    "a temperature twice": ({"temps": [0.5, 0.5]}, ()),
}


@pytest.mark.parametrize("kind", list(REFUSED))
def test_a_refused_run_leaves_no_folder_and_its_name_free(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes, flags = REFUSED[kind]
    path = written(tmp_path, ["closed"], None)
    whole = path.read_text()
    changed(path, changes)
    start = ["--config", str(path), "--run_id", "r1", "--dry_run"]
    assert main([*start, *flags]) in (2, 3), kind
    assert not root(tmp_path).exists()
    path.write_text(whole)
    assert main([*start, "--to_step", "build"]) == 0, capsys.readouterr().err
    assert root(tmp_path).exists()


@pytest.mark.parametrize("rows", ["", '{"id": "c0"}\n', "not JSON\n"], ids=["empty", "no question", "not JSON"])
def test_questions_that_cannot_be_read_leave_no_folder(rows: str, tmp_path: Path) -> None:
    path = written(tmp_path, ["closed"], None)
    sound = (tmp_path / "closed.jsonl").read_text()
    (tmp_path / "closed.jsonl").write_text(rows)
    start = ["--config", str(path), "--run_id", "r1", "--dry_run", "--to_step", "build"]
    assert main(start) == 2
    assert not root(tmp_path).exists()
    (tmp_path / "closed.jsonl").write_text(sound)
    assert main(start) == 0


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    path = written(tmp_path, ["closed"], {"primary": {"metric": "bleu"}})
    root(tmp_path).mkdir(parents=True)
    (root(tmp_path) / "notes.txt").write_text("mine")
    assert main(["--config", str(path), "--run_id", "r1", "--dry_run"]) == 2
    assert (root(tmp_path) / "notes.txt").read_text() == "mine"


def test_a_run_that_was_begun_stays_when_its_resume_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ["closed"], None)
    start = ["--config", str(path), "--run_id", "r1", "--dry_run"]
    assert main([*start, "--to_step", "build"]) == 0
    before = entries.read(root(tmp_path) / "ledger.jsonl").entries
    assert main(start) == 3, "the name is taken"
    changed(path, {"stats": {"primary": {"metric": "bleu"}}})
    assert main([*start, "--resume"]) == 3
    assert main([*start, "--resume", "--accept_drift"]) == 2
    assert entries.read(root(tmp_path) / "ledger.jsonl").entries[: len(before)] == before


def refused_late(layout: RunLayout) -> None:
    """A run that is begun, sends a part, and is refused then."""
    with no_folder_when_refused(layout, "n1"):
        layout.root.mkdir()
        layout.guard.touch()
        ledger = Ledger(layout.ledger, clock=clock)
        ledger.append("opened", run_nonce="n1", config_hash="0", detail={})
        ledger.append("intent", part="shared-1_t0_control_p01", attempt=1, token="t", payload="p", payload_sha256="0", n_requests=1)
        ledger.close()
        raise ConfigError("refused late")


def test_a_refusal_after_something_was_sent_removes_nothing(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run_r1")
    with pytest.raises(ConfigError):
        refused_late(layout)
    assert layout.ledger.exists()
