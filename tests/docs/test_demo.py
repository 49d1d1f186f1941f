"""`batchtrial demo` shows real recorded answers, the same figures everywhere, and the README shows what it prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, blocks

from batchtrial.providers.recordings.form import load_metadata, load_provenance, source_of
from batchtrial.state import entries, ledger

RECORDING = ROOT / "src" / "batchtrial" / "recordings" / "qwen2.5-coder-1.5b.zip"
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the run, and what was printed with its names as in the README."""
    pytest.importorskip("fireworks")
    root = tmp_path_factory.mktemp("demo")
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    environment.pop("BATCHTRIAL_EXPERIMENTS_DIR", None)
    command = [sys.executable, "-m", "batchtrial", "demo"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (run,) = (root / "experiments").iterdir()
    return run, done.stdout


def steady(text: str) -> list[str]:
    """The lines without what the clock decides."""
    return [re.sub(r"run_demo-[0-9]{14}", "run_demo", line) for line in text.strip().splitlines()]


def test_the_readme_shows_what_the_demo_prints(demo: tuple[Path, str]) -> None:
    shown = next(block.body for block in blocks() if block.page == ROOT / "README.md" and "RECORDED ANSWERS" in block.body)
    assert steady(shown) == steady(demo[1])


def test_the_readme_shows_the_picture_of_this_report() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "docs/report.png" in readme


def test_nothing_in_it_is_called_simulated_and_the_reports_say_whose_answers_they_are(demo: tuple[Path, str]) -> None:
    run, printed = demo
    reports = [path.read_text(encoding="utf-8") for path in run.rglob("*") if path.suffix in (".md", ".html") and path.is_file()]
    assert len(reports) == 7  # two trials twice, all together twice, and the answers
    assert [text for text in (printed, *reports) if "simulated" in text.lower()] == []
    assert all("RECORDED ANSWERS" in text for text in reports)
    provenance = load_provenance(source_of(RECORDING))
    assert provenance is not None
    for report in run.glob("*/reports/report.md"):
        text = report.read_text(encoding="utf-8")
        for value in (provenance.model, provenance.weights_sha256, provenance.server_build, provenance.licence, provenance.recorded_on):
            assert value in text


def test_the_official_sdk_sent_every_request_over_http(demo: tuple[Path, str]) -> None:
    parts = ledger.fold(ledger.read(demo[0] / "ledger.jsonl").entries)
    assert sum(record.counts.succeeded for record in parts.values() if record.counts is not None) == 870
    assert {attempt.wire_state for record in parts.values() for attempt in record.attempts} == {"JOB_STATE_COMPLETED"}


def test_the_recording_is_small_complete_and_of_a_real_model() -> None:
    assert RECORDING.stat().st_size < MOST_BYTES
    metadata = load_metadata(source_of(RECORDING))
    assert (metadata.simulated, metadata.failure_mode, metadata.expected_records, metadata.expected_results) == (False, "none", 870, 870)
    with zipfile.ZipFile(RECORDING) as archive:
        lines = [json.loads(line) for name in archive.namelist() if name.startswith("results/") for line in archive.read(name).splitlines()]
    assert Counter(line["custom_id"] for line in lines).most_common(1)[0][1] == 1
    arms = Counter(line["custom_id"].split("-")[2] for line in lines)
    assert sorted(arms.values()) == [290, 290, 290]  # a control and two treatments, each item once
    assert {line["response"]["body"]["system_fingerprint"] for line in lines} == {"b1-7e4c0a9"}


def test_with_a_judge_it_shows_a_weak_one_and_what_labels_make_of_it(tmp_path: Path) -> None:
    """The judge sees no difference and flips every second verdict; by the accepted answers the treatment is worse. Labels show it."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    command = [sys.executable, "-m", "batchtrial", "demo", "--judge", "--experiments_dir", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    alone, _, corrected = " ".join(done.stdout.split()).partition("99 items labelled by their accepted answers")
    assert "and no claim: it prefers neither arm, and no labels say how far it is right (difference 0.0 pp, 95 % CI -4.7 to +4.7 pp)" in alone
    assert "(difference -6.1 pp, 95 % CI -11.6 to -0.5 pp, p = 0.034)" in corrected
    (path,) = tmp_path.glob("*/*/results/significance.json")
    (judge,) = json.loads(path.read_bytes())["judges"]
    assert (judge["counts"]["judged"], judge["counts"]["identical"], judge["counts"]["unparseable"]) == (46, 110, 0)
    numbers = {name: round(one["value"], 3) for name, one in judge["numbers"].items()}
    assert (numbers["flips"], numbers["position_bias"], numbers["favours_treatment"]) == (0.565, 0.217, 0.061)


def test_the_judges_recording_is_of_a_real_model_and_has_each_pair_in_both_orders() -> None:
    source = source_of(RECORDING.with_name("qwen2.5-coder-1.5b-judge.zip"))
    metadata, provenance = load_metadata(source), load_provenance(source)
    assert (metadata.simulated, metadata.failure_mode, metadata.expected_records, metadata.expected_results) == (False, "none", 314, 314)
    assert provenance is not None
    assert "46 verdicts on 23 pairs" in provenance.note


def test_the_recorded_run_was_interrupted_and_each_item_answered_once(tmp_path: Path) -> None:
    """The third interruption fell between the call and the receipt: that batch was found again and adopted."""
    path = tmp_path / "ledger.jsonl"
    with zipfile.ZipFile(RECORDING) as archive:
        path.write_bytes(archive.read("ledger.jsonl"))
    got = entries.read(path)
    assert got.is_sound
    assert [entry.part for entry in got.entries if entry.adopted] == ["qwen2-5-coder-1-5b-instruct-q4_k_m-system_prompt_t0_treatment_p02"]
    parts = ledger.fold(got.entries)
    assert [len(record.attempts) for record in parts.values()] == [1] * 18
    assert sum(record.counts.succeeded for record in parts.values() if record.counts is not None) == 870
