"""The worked trials of docs/examples, each from its files to its report; and what a declared text is when it reaches the provider."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import ROOT

EXAMPLES = ROOT / "docs" / "examples"
BRACES = "The courier lost {my parcel}."
TRIALS = {
    "extraction": ("gpt-4-1-mini-careful", "exact match"),
    "classification": ("claude-haiku-4-5-explained", "exact match"),
    "free_text": ("gpt-oss-20b-first_things_first", "token F1"),
}


def dry_run(folder: Path) -> Path:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    environment.pop("BATCHTRIAL_EXPERIMENTS_DIR", None)
    words = [sys.executable, "-m", "batchtrial", "run", "--config", "trial.yaml", "--dry_run", "--run_id", "x", "--workers", "1"]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "experiments" / "run_x"


def test_every_example_is_tried() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == set(TRIALS)


@pytest.mark.parametrize("name", sorted(TRIALS))
def test_an_example_leads_to_a_report_and_its_answers_have_their_form(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder)
    run = dry_run(folder)
    trial, metric = TRIALS[name]
    report = (run / trial / "reports" / "report.md").read_text(encoding="utf-8")
    assert "SIMULATED" in report
    assert f"| {metric} (all questions) |" in report
    assert " task |" in report
    with (run / trial / "results" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        answers = [row["response_text"] for row in csv.DictReader(file)]
    if name == "extraction":
        assert all(json.loads(answer).keys() == {"customer", "article", "quantity", "city"} for answer in answers)
    if name == "classification":
        assert set(answers) == {"billing", "access", "shipping"}
        received = b"".join(path.read_bytes() for path in sorted((run / "emulator").rglob("*")) if path.is_file())
        assert json.dumps(BRACES)[1:-1].encode() in received
    if name == "free_text":
        built = [json.loads(line) for path in sorted((run / "batch_inputs").glob("*.jsonl")) for line in path.read_text().splitlines()]
        systems = {line["body"]["messages"][0]["role"] for line in built}
        assert systems == {"system", "user"}
