"""A metric that is no share is set side by side in its own unit, and the items that changed are those of the primary endpoint."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from tests.runs.test_endpoints import written

from batchtrial.cli.commands.compare import main
from batchtrial.cli.commands.run import main as run
from batchtrial.state.layout import RunLayout


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two dry runs whose treatments differ: the primary endpoint is a number of words, and fewer are better."""
    monkeypatch.chdir(tmp_path)
    primary = {"metric": "n_words", "higher_is_better": False}
    path = written(tmp_path, ["open"], {"primary": primary}, further=("rule_for_endpoints:only_words",))
    rows = [
        {"id": f"o{n}", "question": f"What is {n}?", "context": f"It is {n} and no more here.", "answers": [f"{n} and no more"]} for n in range(30)
    ]
    (tmp_path / "open.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = path.read_text()
    for run_id, name in (("a", "mine"), ("b", "other")):
        path.write_text(text.replace("mine:", f"{name}:"))
        assert run(["--config", str(path), "--dry_run", "--run_id", run_id]) == 0
    return tmp_path


def words(folder: Path, run_id: str) -> dict[tuple[str, str], float]:
    """(item, condition) -> number of words."""
    layout = RunLayout(folder / "experiments" / f"run_{run_id}")
    path = next(layout.root.glob("*/results/per_item_scores.csv"))
    with path.open(newline="") as file:
        return {(row["item_key"], row["condition"]): float(row["n_words"]) for row in csv.DictReader(file)}


def test_word_counts_are_no_percentages_and_changed_items_follow_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = words(folder, "a"), words(folder, "b")
    assert max(a.values()) > 1
    capsys.readouterr()
    assert main(["a", "b"]) == 0
    out = capsys.readouterr().out
    block = re.search(r"^  n_words[^\n]*\n((?:    [^\n]*\n)+)", out, re.MULTILINE)
    assert block is not None, out
    assert "not in percent" in block.group(0)
    assert "%" not in block.group(1)
    mean = sum(value for (_, condition), value in a.items() if condition == "control") / (len(a) / 2)
    assert f"{mean:.4g}" in block.group(1)
    assert main(["a", "b", "--json"]) == 0
    (trial,) = json.loads(capsys.readouterr().out)["trials"]
    assert {row["name"].split("/")[0]: row["is_share"] for row in trial["metrics"]}["n_words"] is False
    for one in trial["changed_items"]:
        assert one["measure"].startswith("n_words")
        mine = {item for item, condition in a if condition == one["condition"]}
        arm = one["condition"]
        assert one["better_in_b"] == sorted(item for item in mine if b[item, arm] < a[item, arm]), "fewer words are better"
        assert one["worse_in_b"] == sorted(item for item in mine if b[item, arm] > a[item, arm])
    assert any(one["better_in_b"] or one["worse_in_b"] for one in trial["changed_items"])
