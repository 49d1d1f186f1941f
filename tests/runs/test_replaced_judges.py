"""A judge that is replaced by one with another rubric: what it cost stays on the bill that the report shows, and its answers in the counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batchtrial.cli.main import main
from batchtrial.state.entries import read
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import fold, money
from batchtrial.state.store import read_json

CONFIG = """
backend: openai
model_id: gpt-4.1
datasets: [{name: bundled_closed, source: bundled}]
task_instructions: {open_book: a.txt, closed_book: a.txt}
prompt_sets: {mine: {control: a.txt, treatment: b.txt}}
default_prompt_set: mine
judges: [{name: right, rubric: rubric.txt, model: claude-haiku-4-5, backend: anthropic}]
report: {answers_page: false}
"""


def test_what_a_replaced_judge_cost_is_still_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("a.txt", "Answer."), ("b.txt", "Answer with care."), ("rubric.txt", "Is it right?"), ("trial.yaml", CONFIG)):
        Path(name).write_text(text)
    assert main(["run", "--config", "trial.yaml", "--run_id", "r", "--dry_run", "--limit_items", "4"]) == 0
    Path("rubric.txt").write_text("Is it, right?")
    assert main(["grow", "--config", "trial.yaml", "--run_id", "r", "--yes"]) == 0
    layout = RunLayout(tmp_path / "experiments" / "run_r")
    (path,) = layout.root.glob("*/results/costs.json")
    costs = read_json(path)
    whole = money(fold(read(layout.ledger).entries).values()).as_json()["usd_at_least"]
    assert costs["judges"]["replaced"]["usd_at_least"] > 0
    assert costs["usd_at_least"] + costs["judges"]["usd_at_least"] == pytest.approx(whole, abs=2e-8)
    assert "judges since replaced" in (path.parents[1] / "reports/report.md").read_text()
    capsys.readouterr()
    assert main(["status", "--run_id", "r"]) == 0
    n_done, n = re.search(r"requests +(\d+) succeeded, of (\d+)", capsys.readouterr().out).groups()  # type: ignore[union-attr]
    assert n_done == n
