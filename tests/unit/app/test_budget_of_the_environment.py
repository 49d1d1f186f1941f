"""A budget in the environment holds for a run that goes on where it is the lower one, and never raises what may be spent."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.unit.config.configs import tree, write

from batchtrial.cli.commands.run import main


@pytest.mark.parametrize(
    ("started_with", "env", "flag", "held"), [("0.2", "0.12", "", "0.12"), ("0.2", "5", "", "0.2"), ("", "3", "", "3"), ("0.2", "0.1", "4", "4")]
)
def test_the_lower_budget_holds_at_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], started_with: str, env: str, flag: str, held: str
) -> None:
    write(tmp_path, yaml.safe_dump(tree() | {"backend": "openai", "model_id": "gpt-4.1-mini", "limit_items": 2}))
    monkeypatch.chdir(tmp_path)
    begun = ["--config", "config.yaml", "--dry_run", "--run_id", "r", "--to_step", "build"]
    assert main([*begun, *(["--budget_usd", started_with] if started_with else [])]) == 0
    monkeypatch.setenv("BATCHTRIAL_BUDGET_USD", env)
    capsys.readouterr()
    assert main(["--resume", "--run_id", "r", "--plan_only", *(["--budget_usd", flag] if flag else [])]) == 0
    assert f"budget   ${held} covers it" in capsys.readouterr().out
    assert main(["--resume", "--run_id", "r", "--to_step", "build"]) == 0


def test_a_budget_of_the_environment_that_is_no_sum_is_refused_at_resume_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, yaml.safe_dump(tree() | {"limit_items": 2}))
    monkeypatch.chdir(tmp_path)
    assert main(["--config", "config.yaml", "--dry_run", "--run_id", "r", "--to_step", "build"]) == 0
    monkeypatch.setenv("BATCHTRIAL_BUDGET_USD", "a lot")
    assert main(["--resume", "--run_id", "r", "--plan_only"]) == 2
    assert "submission.budget_usd (BATCHTRIAL_BUDGET_USD)" in capsys.readouterr().err
