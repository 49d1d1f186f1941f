"""What a run cost is one figure in one wording wherever it is shown, also when half of the answers do not say what they used."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.chat_server import MODEL, serving

from batchtrial.cli.commands.archive import main as archive
from batchtrial.cli.commands.compare import main as compare
from batchtrial.cli.commands.resume import main as resume
from batchtrial.cli.commands.run import main as run
from batchtrial.cli.commands.status import main as status
from batchtrial.state.entries import read
from batchtrial.state.ledger import fold, money

pytest.importorskip("openai")
N = 8


def write_trial(root: Path, *, n: int = N, budget: float | None = None, price: bool = True) -> None:
    """Questions of which every second is answered without usage."""
    words = [f"place {k} FREE" if k % 2 else f"place {k}" for k in range(n)]
    (root / "questions.jsonl").write_text("".join(json.dumps({"id": f"q{k}", "question": w, "answers": [w]}) + "\n" for k, w in enumerate(words)))
    for name in ("control", "treatment", "plain"):
        (root / f"{name}.txt").write_text(f"{name}.")
    tree = {
        "backend": "local",
        "model_id": MODEL,
        "max_new_tokens": {"open_book": 16, "closed_book": 16},
        "datasets": [{"name": "own", "source": "file", "path": "questions.jsonl"}],
        "task_instructions": {"open_book": "plain.txt", "closed_book": "plain.txt"},
        "prompt_sets": {"system": {"control": "control.txt", "treatment": "treatment.txt"}},
        "submission": {"lines_per_part": 4, "poll_seconds": 0.05, "max_concurrent_jobs": 2, "budget_usd": budget},
        "stats": {"primary": {"metric": "em", "kind": "closed"}, "permutation_samples": 999},
        "pricing": {"overrides": {MODEL: {"input_per_mtok": 1000, "output_per_mtok": 2000}}} if price else {},
    }
    (root / "trial.yaml").write_text(yaml.safe_dump(tree))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], command: Callable[[list[str]], int], *flags: str, code: int = 0) -> str:
    assert command(list(flags)) == code
    return capsys.readouterr().out


def test_half_of_the_answers_without_usage_is_one_figure_everywhere(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_trial(root)
    with serving(root) as server:
        terminal = said(capsys, run, "--config", "trial.yaml", "--run_id", "a", "--base_url", server.url)
        folder = root / "experiments" / "run_a"
        total = money(fold(read(folder / "ledger.jsonl").entries).values())
        planned = said(capsys, resume, "--run_id", "a", "--plan_only")
    # 8 answers say that they used 10 and 5 tokens: 8 * (10 * 1000 + 5 * 2000) / 1e6 dollars.
    assert float(total.spent_usd) == pytest.approx(0.16)
    assert total.answers_without_usage == 8
    assert not total.in_flight_usd
    assert total.unknown_usd > 0
    figure = total.sentence()
    assert figure.startswith("at least $0.1600; 8 answers came without usage; up to $")
    reasons = figure.partition("; ")[2]
    assert f"cost      at least $0.1600 spent; {reasons}" in terminal
    assert f"spent    at least $0.1600; {reasons}" in planned

    costs = json.loads(next(folder.glob("*/results/costs.json")).read_bytes())
    assert costs["cost"] == figure
    assert (costs["usd"], costs["usd_at_least"], costs["reason"]) == (None, 0.16, reasons)
    assert costs["unknown_usd"] == pytest.approx(float(total.unknown_usd))
    assert costs["effectiveness"]["0.0"]["items_without_cost"] == 4
    assert f"Together {figure}, at batch rate" in next(folder.glob("*/reports/report.md")).read_text()
    assert figure in next(folder.glob("*/reports/report.html")).read_text()
    assert f"Cost of the whole run: {figure}, at batch rate" in (folder / "aggregate_report.md").read_text()

    (record,) = json.loads(said(capsys, status, "--run_id", "a", "--json"))
    assert record["money"]["cost"] == figure
    assert figure.replace("$0.1600", "$0.1600 spent") in " ".join(said(capsys, status, "--run_id", "a").split())
    assert f"cost A   {figure}" in said(capsys, compare, "a", "a", "--experiments_dir", "experiments")
    said(capsys, archive, "--run_id", "a")
    (path,) = root.rglob("run_a*.zip")
    with zipfile.ZipFile(path) as file:
        manifest = json.loads(next(file.read(name) for name in file.namelist() if name.endswith("archive_manifest.json")))
    assert manifest["cost"] == figure
    assert manifest["spent_usd"] == "0.16"


def test_an_unknown_price_is_unknown_in_every_place(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_trial(root, price=False, n=4)
    with serving(root) as server:
        terminal = said(capsys, run, "--config", "trial.yaml", "--run_id", "a", "--base_url", server.url)
    folder = root / "experiments" / "run_a"
    figure = "unknown; 4 answers came without usage; 2 attempts without a known price"
    assert f"cost      {figure}" in terminal
    assert f"Together {figure}" in next(folder.glob("*/reports/report.md")).read_text()
    assert f"Cost of the whole run: {figure}" in (folder / "aggregate_report.md").read_text()
    costs = json.loads(next(folder.glob("*/results/costs.json")).read_bytes())
    assert (costs["usd"], costs["usd_at_least"], costs["cost"]) == (None, None, figure)
