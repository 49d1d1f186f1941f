"""The plan as data: what `--plan_only` prints is made of it, and it says beforehand what a run would come upon."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.runs.test_try import ROWS, TREE

from batchtrial.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [row | {"channel": "mail", "topic": "x"} for row in ROWS]
    (tmp_path / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "ask.txt").write_text("Sort this:\n{{ subject }}\n")
    (tmp_path / "control.txt").write_text("You sort tickets into categories.")
    (tmp_path / "short.txt").write_text("You sort tickets, briefly, into categories.")
    (tmp_path / "trial.yaml").write_text(json.dumps(TREE))
    return tmp_path


def plan(capsys: pytest.CaptureFixture[str], *flags: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["run", "--config", "trial.yaml", "--plan_only", "--json", *flags]) == code
    return dict(json.loads(capsys.readouterr().out))


def test_columns_guesses_equal_arms_and_what_models_refuse_are_in_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arms = TREE["arms"] | {"thinking": {"model": "gpt-5-mini"}}
    (folder / "trial.yaml").write_text(json.dumps(TREE | {"arms": arms, "provider": {"accepts": ["temperature"]}}))
    found = plan(capsys)
    kinds = {note["kind"]: note["text"] for note in found["data"]}
    assert kinds["unread"] == "columns that nobody reads: channel, topic"
    assert "guessed" in kinds["guessed"]
    by_label = {arm["label"]: arm for arm in found["arms"]}
    assert set(by_label) == {"control and same", "other_house", "shorter", "thinking"}
    assert any("are the same request: it is bought once" in note for note in found["notes"])
    refuses = by_label["thinking"]["refuses"]
    assert refuses["fields"] == ["stop", "temperature", "top_p"]
    assert refuses["source"]
    assert refuses["dated"] >= "2026-11-28"
    assert refuses["accepted"] == ["temperature"]
    assert {one["trial"] for one in found["differences"]} == {"other_house-vs-control", "shorter-vs-control", "thinking-vs-control"}
    assert found["metrics"] == [{"name": "words", "kind": "count", "better": "lower"}]
    assert found["steps"][0] == {"name": "prepare", "action": "run", "reason": "no prepared items yet"}
    assert not (folder / "experiments").exists()


def test_money_is_the_sum_of_its_arms_and_is_held_against_the_budget(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--budget_usd", "0.0001")
    assert found["at_most_usd"] == pytest.approx(sum(arm["at_most_usd"] for arm in found["arms"]))
    assert found["expected_usd"] is None
    assert found["budget"]["covers"] is False
    assert "0 of 20 pairs" in found["budget"]["sentence"]
    assert plan(capsys, "--budget_usd", "5")["budget"]["covers"] is True


def test_a_cost_says_whose_price_it_is_and_which_model_has_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = TREE | {"arms": TREE["arms"] | {"unknown": {"model": "some-new-model"}}}
    (folder / "trial.yaml").write_text(json.dumps(tree))
    assert {arm["tier"] for arm in plan(capsys)["arms"]} == {"batch"}
    told = ["run", "--config", "trial.yaml", "--plan_only"]
    assert main(told) == 0
    out = capsys.readouterr().out
    assert "other_house: anthropic, claude-haiku-4-5, at most $0.0034 at batch price" in out
    assert "  cost     unknown: no price of some-new-model is known; add it under pricing.overrides\n" in out
    (folder / "trial.yaml").write_text(json.dumps(TREE | {"provider": {"lane": "direct"}}))
    assert main(told) == 0
    out = capsys.readouterr().out
    assert "other_house: anthropic, claude-haiku-4-5, at most $0.0034 at batch price" in out
    assert re.search(r"shorter: openai, gpt-4.1-mini, at most \$[0-9.]+ at standard price\n", out)
    assert re.search(r"cost     at most \$[0-9.]+\n", out)  # of two prices


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"stats": {"primary": {"metric": "false_answer"}}}, "stats.primary.metric", "no question is unanswerable"),
        ({"slices": ["tpic"]}, "slices", "no row of"),
        ({"metrics": ["nowhere:rule"]}, "nowhere:rule", "nowhere"),
        ({"arms": TREE["arms"] | {"thinking": {"model": "gpt-5-mini"}}}, "arms.thinking", "refuses temperature"),
    ],
)
def test_what_cannot_be_is_refused_as_data_too(
    folder: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], where: str, what: str
) -> None:
    (folder / "trial.yaml").write_text(json.dumps(TREE | changes))
    found = plan(capsys, code=2)["refused"]
    assert where in found["where"]
    assert what in found["what"]


def test_after_a_try_the_plan_says_what_is_to_be_expected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["try", "--config", "trial.yaml", "--send", "3", "--dry_run", "--run_id", "t"]) == 0
    live = plan(capsys)
    assert live["expected_usd"] is None, "simulated answers say nothing of real ones"
    dry = plan(capsys, "--dry_run")
    assert 0 < dry["expected_usd"] < dry["at_most_usd"]
    assert {(arm["like"]["run"], arm["like"]["n"]) for arm in dry["arms"]} == {("tries/run_t", 3)}
    assert main(["run", "--config", "trial.yaml", "--plan_only", "--dry_run"]) == 0
    told = capsys.readouterr().out
    assert "  expected $" in told
    assert "  items    20\n" in told
    assert "on em (all items)" in told, "no ticket is a question, with a passage or without"
    assert "open book" not in told
