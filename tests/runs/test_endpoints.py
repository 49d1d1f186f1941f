"""An endpoint that cannot exist is refused before anything is bought, by `run` and by `--plan_only`, and the message names what there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchtrial.cli.commands.run import main
from batchtrial.config.analysis_plan import plan_hash, plan_of
from batchtrial.config.load import load
from batchtrial.config.model import StatsConfig
from batchtrial.state import entries

SETS: dict[str, list[dict[str, Any]]] = {
    "closed": [{"id": f"c{n}", "question": f"What is {n}?", "answers": [str(n)]} for n in range(6)],
    "open": [{"id": f"o{n}", "question": f"What is {n}?", "context": f"It is {n} here.", "answers": [str(n)]} for n in range(6)],
    "unanswerable": [
        {"id": f"u{n}", "question": f"What is {n}?", "context": "It says nothing.", "answers": [], "is_unanswerable": True} for n in range(6)
    ],
}
RULE = (
    "def words(item, text):\n    return {'em': 1, 'n_words': float(len(text.split()))}\n"
    "def only_words(item, text):\n    return {'n_words': float(len(text.split()))}\n"
)


def written(folder: Path, sets: list[str], stats: dict[str, Any] | None, metric: str | None = None, further: tuple[str, ...] = ()) -> Path:
    """A config with these question sets and this plan."""
    datasets = []
    for name in sets:
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in SETS[name]))
        datasets.append({"name": name, "source": "file", "path": f"{name}.jsonl"} | ({"metric": metric} if metric else {}))
    for name in ("instruction", "control", "treatment"):
        (folder / f"{name}.txt").write_text(f"{name}\n")
    (folder / "rule_for_endpoints.py").write_text(RULE)
    tree: dict[str, Any] = {
        "model_id": "accounts/fireworks/models/gpt-oss-20b",
        "datasets": datasets,
        "task_instructions": {"open_book": "instruction.txt", "closed_book": "instruction.txt"},
        "prompt_sets": {"mine": {"control": "control.txt", "treatment": "treatment.txt"}},
        "metrics": list(further),
    }
    path = folder / "trial.yaml"
    path.write_text(yaml.safe_dump(tree | ({"stats": stats} if stats is not None else {})))
    return path


OWN = "rule_for_endpoints:words"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


REFUSED: list[tuple[list[str], dict[str, Any], str | None, str]] = [
    (["closed"], {"metric": "em", "kind": "open"}, None, "no question has em with kind: open (0 of 6 questions are open book)"),
    (["open"], {"metric": "f1", "kind": "closed"}, None, "f1 is there with kind: open or all"),
    (["closed"], {"metric": "exact_match"}, None, "did you mean em? There are: em (exact match)"),
    (["closed"], {"metric": "F1"}, None, "did you mean f1?"),
    (["closed"], {"metric": "bleu"}, None, "there are: em (exact match), f1 (token F1), abstained (abstention)"),
    (["closed", "open"], {"metric": "false_answer"}, None, "no question is unanswerable"),
    (["closed"], {"metric": "unsupported"}, None, "no question has a passage"),
    (["closed", "unanswerable"], {"metric": "false_answer", "kind": "closed"}, None, "false_answer is there with kind: open or all"),
    (["closed"], {"metric": "f1"}, OWN, "its sets are scored without it"),
    (["closed"], {"metric": "n_word"}, OWN, "did you mean n_words?"),
]


@pytest.mark.parametrize("how", ["run", "plan"])
@pytest.mark.parametrize("place", ["primary", "confirmatory"])
@pytest.mark.parametrize(("sets", "endpoint", "metric", "said"), REFUSED)
def test_an_endpoint_that_cannot_exist_is_refused_before_anything_is_bought(
    sets: list[str],
    endpoint: dict[str, Any],
    metric: str | None,
    said: str,
    place: str,
    how: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stats = {"primary": endpoint} if place == "primary" else {"confirmatory": [endpoint]}
    path = written(tmp_path, sets, stats, metric)
    assert main(["--config", str(path), "--run_id", "r1", "--dry_run", *(["--plan_only"] if how == "plan" else [])]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert f"stats.{place}" in told
    assert not list(tmp_path.rglob("batch_inputs/*.jsonl"))
    assert "intent" not in {one.event for one in entries.read(tmp_path / "experiments" / "run_r1" / "ledger.jsonl").entries}


@pytest.mark.parametrize(
    ("sets", "endpoint", "metric", "further"),
    [
        (["closed"], {"metric": "em", "kind": "closed"}, None, ()),
        (["closed"], {"metric": "em", "kind": "all"}, None, ()),
        (["unanswerable"], {"metric": "false_answer", "kind": "open"}, None, ()),
        (["open"], {"metric": "unsupported"}, None, ()),
        (["closed"], {"metric": "n_words", "margin": 0.5}, OWN, ()),
        (["closed"], {"metric": "n_words"}, None, ("rule_for_endpoints:only_words",)),
    ],
)
def test_an_endpoint_that_exists_is_planned(
    sets: list[str], endpoint: dict[str, Any], metric: str | None, further: tuple[str, ...], tmp_path: Path
) -> None:
    path = written(tmp_path, sets, {"primary": endpoint}, metric, further)
    assert main(["--config", str(path), "--dry_run", "--plan_only"]) == 0


def test_a_rehearsal_on_a_few_questions_may_lack_a_kind_that_the_sets_have(tmp_path: Path) -> None:
    path = written(tmp_path, ["closed", "unanswerable"], {"confirmatory": [{"metric": "false_answer", "kind": "open"}]})
    where = ["--config", str(path), "--run_id", "r1", "--dry_run", "--limit_items", "1"]
    assert main([*where, "--plan_only"]) == 0
    assert main([*where, "--to_step", "submit"]) == 0


@pytest.mark.parametrize("twin", [{"metric": "em", "margin": 0.1}, {"metric": "em", "kind": "closed"}])
def test_an_endpoint_that_is_declared_twice_is_refused(twin: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also by two names, where all questions are of one kind."""
    path = written(tmp_path, ["closed"], {"primary": {"metric": "em"}, "confirmatory": [twin]})
    assert main(["--config", str(path), "--dry_run", "--plan_only"]) == 2
    assert "stats.primary and stats.confirmatory.0 are the same endpoint" in capsys.readouterr().err


def test_a_config_that_is_changed_before_the_first_request_is_asked_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, ["closed"], {"primary": {"metric": "em"}})
    assert main(["--config", str(path), "--run_id", "r1", "--dry_run", "--to_step", "build"]) == 0
    written(tmp_path, ["closed"], {"primary": {"metric": "exact_match"}})
    assert main(["--resume", "--config", str(path), "--run_id", "r1", "--accept_drift"]) == 2
    assert "did you mean em" in capsys.readouterr().err
    assert "intent" not in {one.event for one in entries.read(tmp_path / "experiments" / "run_r1" / "ledger.jsonl").entries}


def test_a_plan_prints_its_hash_which_the_ledger_then_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, ["closed"], {"primary": {"metric": "em", "margin": 0.05}, "confirmatory": [{"metric": "abstained"}]})
    assert main(["--config", str(path), "--dry_run", "--plan_only"]) == 0
    said = capsys.readouterr().out
    want = plan_hash(plan_of(load(path, flags={"mode": "dry_run"}).config))
    assert f"plan     {want}, frozen when the run starts" in said
    assert "primary  noninferiority on em (all questions), margin 0.05\n" in said
    assert "further  superiority on abstained (all questions)\n" in said
    assert main(["--config", str(path), "--run_id", "r1", "--dry_run", "--to_step", "build"]) == 0
    lines = entries.read(tmp_path / "experiments" / "run_r1" / "ledger.jsonl").entries
    assert [one.detail["hash"] for one in lines if one.event == "plan" and one.detail] == [want]
    capsys.readouterr()
    assert main(["--resume", "--run_id", "r1", "--plan_only"]) == 0
    assert f"plan     {want}, frozen before the first request" in capsys.readouterr().out


def test_a_plan_that_nobody_wrote_is_called_a_default_by_plan_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, ["closed"], None)
    assert main(["--config", str(path), "--dry_run", "--plan_only"]) == 0
    margin = StatsConfig().primary.margin
    assert f"margin {margin:g} (the default: the config names none)" in capsys.readouterr().out
