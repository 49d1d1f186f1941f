"""A control taken over from another run: the plan counts what will be bought, and a pilot with one has the right price."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.batches.test_coverage import CONFIG
from tests.unit.rig import Rig

from batchtrial.cli.commands import plan_trial
from batchtrial.cli.commands.run import main

pytest.importorskip("fireworks")


@pytest.fixture
def flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    Rig(tmp_path, n_items=12)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG.replace("default: {", "other: {control: control.txt, treatment: open.txt}\n  default: {"))
    for name in ("open", "closed", "control", "treatment"):
        (tmp_path / f"{name}.txt").write_text(f"{name} text\n")
    return ["--config", "config.yaml", "--dry_run"]


def said(capsys: pytest.CaptureFixture[str], flags: list[str], *, code: int = 0) -> str:
    assert main(flags) == code
    got = capsys.readouterr()
    return got.out if code == 0 else got.err


def planned(capsys: pytest.CaptureFixture[str], run_id: str, *further: str) -> dict[str, Any]:
    assert plan_trial.main(["--run_id", run_id, "--items", "100", "--samples", "1", "--json", *further]) == 0
    return dict(json.loads(capsys.readouterr().out))


def cost(plan: str) -> float:
    found = re.search(r"cost +at most \$([\d.]+)", plan)
    assert found
    return float(found[1])


def test_plan_and_pilot_price_what_is_bought_and_no_more(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    whole = said(capsys, [*flags, "--prompt_sets", "default", "--plan_only"])
    assert "2 parts, 24 requests" in whole
    missing = [*flags, "--prompt_sets", "other", "--control_from", "first", "--plan_only"]
    assert "there is no finished run first" in said(capsys, missing, code=2)

    said(capsys, [*flags, "--prompt_sets", "default", "--run_id", "first"])
    half = said(capsys, missing)
    assert "taken over from run first: not bought" in half
    assert "1 part, 12 requests" in half
    assert 0 < cost(half) < 0.6 * cost(whole)
    other_model = [*missing, "--model", "accounts/fireworks/models/gpt-oss-120b"]
    assert "has no such control" in said(capsys, other_model, code=2)

    said(capsys, [*flags, "--prompt_sets", "other", "--control_from", "first", "--run_id", "second"])
    first, second = planned(capsys, "first"), planned(capsys, "second")
    assert second["usd_per_answer"]["control"] == pytest.approx(first["usd_per_answer"]["control"])
    assert second["usd_per_answer"]["control"] > 0
    prices = second["usd_per_answer"]
    assert second["designs"][0]["cost_usd"] == pytest.approx(100 * (prices["treatment"] + prices["control"]))
    reused = planned(capsys, "second", "--reuse_control")
    assert reused["designs"][0]["cost_usd"] == pytest.approx(100 * prices["treatment"])
    bill = json.loads(next(Path("experiments/run_second").glob("*/results/costs.json")).read_bytes())
    assert bill["arms"]["t0_control"]["usd"] == 0.0  # it was paid for in the other run
    assert bill["usd"] == bill["arms"]["t0_treatment"]["usd"]


def test_a_pilot_of_an_earlier_version_has_no_price_where_nothing_was_billed() -> None:
    assert plan_trial.per_answer({"usd": 0.0, "requests": 10}) is None
    assert plan_trial.per_answer({"usd": None, "requests": 10}) is None
    assert plan_trial.per_answer({"usd": 0.5, "requests": 10}) == 0.05
    assert plan_trial.per_answer({"usd": 0.0, "requests": 10, "usd_per_request": 0.02}) == 0.02
