"""The worked trials of docs/examples, each from its files to its report; and what a declared text is when it reaches the provider."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from tests.docs.pages import ROOT

from batchtrial.cli.main import main

EXAMPLES = ROOT / "docs" / "examples"
BRACES = "The courier lost {my parcel}."
TRIALS = {
    "extraction": {"gpt-4-1-mini-careful": "fields_right"},
    "classification": {"claude-haiku-4-5-explained": "choice"},
    "free_text": {"gpt-oss-20b-first_things_first": "token F1"},
    "cheaper": {"cheaper-vs-control": "choice"},
    "two_providers": {"other_house-vs-control": "fields_right"},
    "three_prompts": dict.fromkeys(("plain-vs-brief", "warm-vs-brief", "warm-vs-plain"), "token F1"),
}


def test_every_example_is_tried() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == set(TRIALS)


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example, and no key of anybody."""
    for name in [*os.environ]:
        if name.endswith("_API_KEY") or name == "BATCHTRIAL_EXPERIMENTS_DIR":
            monkeypatch.delenv(name)
    shutil.copytree(EXAMPLES / request.param, tmp_path / request.param)
    monkeypatch.chdir(tmp_path / request.param)
    return Path.cwd()


@pytest.mark.parametrize("folder", sorted(TRIALS), indirect=True)
def test_an_example_goes_from_try_to_its_report_and_its_answers_have_their_form(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = folder.name
    assert main(["try", "--config", "trial.yaml", "--send", "2", "--dry_run", "--json"]) == 0
    tried = json.loads(capsys.readouterr().out)
    assert not any(arm["refused"] for arm in tried["arms"])
    assert all(arm["state"] == "complete" for item in tried["answers"] for arm in item["arms"])
    assert main(["run", "--config", "trial.yaml", "--dry_run", "--run_id", "x", "--workers", "1"]) == 0
    run = folder / "experiments" / "run_x"
    assert {path.parent.name for path in run.glob("*/reports")} == set(TRIALS[name])
    for slug, metric in TRIALS[name].items():
        report = (run / slug / "reports" / "report.md").read_text(encoding="utf-8")
        assert "SIMULATED" in report
        assert f"| {metric} (all items) |" in report
        assert " task |" in report
        found = json.loads((run / slug / "results" / "significance.json").read_bytes())
        assert found["headline"] is not None
    _answers_have_their_form(name, run, next(iter(TRIALS[name])))


def _answers_have_their_form(name: str, run: Path, trial: str) -> None:
    with (run / trial / "results" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        answers = [row["response_text"] for row in csv.DictReader(file)]
    if name in ("extraction", "two_providers"):
        assert all(json.loads(answer).keys() == {"customer", "article", "quantity", "city"} for answer in answers)
    if name in ("classification", "cheaper"):
        assert set(answers) == {"billing", "access", "shipping"}
    if name == "classification":
        received = b"".join(path.read_bytes() for path in sorted((run / "emulator").rglob("*")) if path.is_file())
        assert json.dumps(BRACES)[1:-1].encode() in received
    if name == "cheaper":
        assert "the answers cost" in (run / trial / "reports" / "report.md").read_text(encoding="utf-8")
    if name == "free_text":
        built = [json.loads(line) for path in sorted((run / "batch_inputs").glob("*.jsonl")) for line in path.read_text().splitlines()]
        systems = {line["body"]["messages"][0]["role"] for line in built}
        assert systems == {"system", "user"}
