"""Two runs are set side by side only when their numbers mean the same, or with a warning that they do not."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.runs.earlier_runs import Shape, make
from tests.runs.rundir import make_run

from batchtrial.cli.commands.analyze import main as analyze
from batchtrial.cli.commands.compare import main
from batchtrial.cli.commands.plan_trial import main as plan_trial
from batchtrial.cli.commands.resume import main as resume
from batchtrial.cli.commands.run import main as run
from batchtrial.state.files import RunState, load, save
from batchtrial.state.layout import RunLayout

CONFIG = Path(__file__).parents[2] / "config" / "eval_config.yaml"


@dataclass(frozen=True, slots=True)
class Runs:
    """Dry runs: `a` and `b` differ in the treatment's prompt, `few` has fewer items, `twin` is `a` once more."""

    folder: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    for run_id, flags in {
        "a": ("--limit_items", "40"),
        "twin": ("--limit_items", "40"),
        "b": ("--limit_items", "40", "--prompt_sets", "operational_only"),
        "few": ("--limit_items", "20"),
    }.items():
        assert run(["--config", str(CONFIG), "--dry_run", "--run_id", run_id, "--experiments_dir", str(folder), *flags]) == 0
    return Runs(folder)


def compared(runs: Runs, a: str, b: str, *flags: str) -> int:
    return main([a, b, "--experiments_dir", str(runs.folder), *flags])


def as_json(runs: Runs, capsys: pytest.CaptureFixture[str], a: str, b: str, *flags: str) -> dict[str, Any]:
    capsys.readouterr()
    assert compared(runs, a, b, "--json", *flags) == 0
    return dict(json.loads(capsys.readouterr().out))


def scores(runs: Runs, run_id: str, slug: str) -> dict[tuple[str, str], float]:
    """(item, condition) -> exact match."""
    with RunLayout(runs.folder / f"run_{run_id}").trial(slug).scores.open(newline="") as file:
        return {(row["item_key"], row["condition"]): float(row["em"]) for row in csv.DictReader(file) if row["em"]}


def test_comparisons_at_several_temperatures_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run_id in ("r1", "r2"):
        make(tmp_path, Shape(run_id=run_id))
        assert resume(["--run_id", run_id, "--experiments_dir", str(tmp_path / "experiments")]) == 0
    capsys.readouterr()
    assert main(["r1", "r2", "--experiments_dir", str(tmp_path / "experiments")]) == 0
    labels = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ") and line[2].isalpha() and "A   " not in line]
    assert "  abstention (open book), t = 0.7" in labels
    assert len(labels) == len(set(labels))


def test_a_run_against_its_twin_shows_no_difference(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    got = as_json(runs, capsys, "a", "twin")
    assert {check["standing"] for check in got["checks"]} == {"same"}
    (trial,) = got["trials"]
    assert {row["shift"] for row in trial["metrics"]} == {0.0}
    assert all(one["better_in_b"] == one["worse_in_b"] == [] for one in trial["changed_items"])


def test_figures_and_changed_items_are_those_of_the_runs(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    got = as_json(runs, capsys, "a", "b")
    (trial,) = got["trials"]
    assert (trial["a"], trial["b"]) == ("gpt-oss-20b-default", "gpt-oss-20b-operational_only")
    standing = {check["what"]: check["standing"] for check in got["checks"]}
    assert standing["treatment prompt"] == "differs"
    assert standing["control prompt"] == standing["items"] == standing["model"] == "same"
    a, b = scores(runs, "a", trial["a"]), scores(runs, "b", trial["b"])
    for one in trial["changed_items"]:
        better = sorted(item for item, condition in a if condition == one["condition"] and b[item, condition] > a[item, condition])
        worse = sorted(item for item, condition in a if condition == one["condition"] and b[item, condition] < a[item, condition])
        assert (one["better_in_b"], one["worse_in_b"]) == (better, worse)
    changed = {one["condition"]: one for one in trial["changed_items"]}
    assert changed["control"]["better_in_b"] == []  # the same prompt, items and seed give the same answers
    assert changed["treatment"]["better_in_b"]
    significance = json.loads(RunLayout(runs.folder / "run_a").trial(trial["a"]).significance.read_bytes())
    primary = next(one for one in significance["tests"] if one["standing"] == "primary")
    shown = next(row for row in trial["metrics"] if row["name"] == primary["name"])
    assert shown["a"]["estimate"] == primary["estimate"]
    assert trial["cost_usd"]["a"] > 0


def test_the_text_is_readable_and_shows_intervals(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(runs, "a", "b") == 0
    out = capsys.readouterr().out
    for words in ("A = a, B = b", "DIFFERS  treatment prompt", "exact match (all questions) (primary)", "B-A", " to +", "cost A   $", "better in B"):
        assert words in out or words.replace("better in B", "better and") in out
    assert "NOT COMPARABLE" not in out


def test_runs_with_partly_the_same_questions_are_compared_on_those(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(runs, "a", "few") == 0
    out = capsys.readouterr().out
    (line,) = (line for line in out.splitlines() if line.startswith("  DIFFERS  items"))
    shown = re.findall(r"\(([0-9a-f]{8})\)", line)
    assert len(set(shown)) == 2, f"two different sets of questions are shown as the same: {line}"
    assert "20 of 40 are in both" in out
    got = as_json(runs, capsys, "b", "few")
    assert (got["comparable"], got["forced"]) == (True, False)
    assert {one["in_both"] for one in got["trials"][0]["changed_items"]} == {20}
    change = got["trials"][0]["change_of_effect"]["0"]
    one, other = (scores(runs, name, got["trials"][0][side]) for name, side in (("b", "a"), ("few", "b")))
    items = sorted({item for item, _ in one} & {item for item, _ in other})
    effects = [other[i, "treatment"] - other[i, "control"] - one[i, "treatment"] + one[i, "control"] for i in items]
    assert change["n"] <= len(items) == 20
    assert change["value"] == pytest.approx(sum(effects) / 20)
    assert change["ci_low"] < change["value"] < change["ci_high"]


def test_other_questions_are_refused_unless_forced_and_then_it_says_so(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(runs.folder / "run_few", runs.folder / "run_edited")
    try:
        for path in (runs.folder / "run_edited" / "prepared").glob("*_book.jsonl"):
            path.write_text(path.read_text().replace("?", "??"))
        assert compared(runs, "a", "edited") == 3
        err = capsys.readouterr().err
        assert "other texts or answers behind 20 of them" in err
        assert "--although_different" in err
        assert compared(runs, "a", "edited", "--although_different") == 0
        assert capsys.readouterr().out.startswith("NOT COMPARABLE")
        got = as_json(runs, capsys, "a", "edited", "--although_different")
        assert (got["comparable"], got["forced"]) == (False, True)
    finally:
        shutil.rmtree(runs.folder / "run_edited")


def test_a_run_that_has_failed_is_not_compared(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(runs.folder / "run_few", runs.folder / "run_failed")
    try:
        state = load(RunState, RunLayout(runs.folder / "run_failed").run_state)
        assert state is not None
        phases = state.phases | {"stats": state.phases["stats"].model_copy(update={"status": "failed"})}
        save(RunLayout(runs.folder / "run_failed").run_state, state.model_copy(update={"phases": phases}))
        assert compared(runs, "a", "failed", "--although_different") == 3
        assert "run failed has failed in the step stats" in capsys.readouterr().err
    finally:
        shutil.rmtree(runs.folder / "run_failed")


def test_simulated_and_real_answers_are_not_set_side_by_side(runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "run_copy"
    shutil.copytree(runs.folder / "run_a", copy, ignore=shutil.ignore_patterns("emulator"))
    assert main([str(copy), "a", "--experiments_dir", str(runs.folder)]) == 0
    path = copy / "effective_config.yaml"
    path.write_text(path.read_text().replace("mode: dry_run", "mode: live"))
    (copy / "ledger.jsonl").unlink()  # so that the edited file counts
    capsys.readouterr()
    assert main([str(copy), "a", "--experiments_dir", str(runs.folder)]) == 3
    assert "FORBIDS  answers" in capsys.readouterr().out


def test_runs_of_the_same_name_are_told_apart_by_their_folders(runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "run_a"
    shutil.copytree(runs.folder / "run_a", copy, ignore=shutil.ignore_patterns("emulator"))
    assert compared(runs, "a", str(copy)) == 0
    assert f"A = {runs.folder / 'run_a'}, B = {copy}\n" in capsys.readouterr().out
    found = as_json(runs, capsys, "a", str(copy))
    assert (found["a"], found["b"]) == (str(runs.folder / "run_a"), str(copy))


def test_answers_that_are_read_by_other_rules_are_no_like_for_like(runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy, edited = tmp_path / "run_a", tmp_path / "edited.yaml"
    shutil.copytree(runs.folder / "run_a", copy)
    edited.write_text(RunLayout(copy).effective_config.read_text().replace("cut_answers: lost", "cut_answers: wrong"))
    assert run(["--resume", "--run_id", "a", "--experiments_dir", str(tmp_path), "--config", str(edited), "--accept_drift"]) == 0
    (read,) = [check for check in as_json(runs, capsys, "a", str(copy))["checks"] if check["what"] == "answers read"]
    assert (read["standing"], read["b"]) == ("differs", "cut wrong, refused lost, thinking auto")


def test_a_run_without_results_is_refused_with_the_way_to_get_them(runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_run(tmp_path)
    assert main([str(made.layout.root), "a", "--experiments_dir", str(runs.folder)]) == 3
    assert "resume" in capsys.readouterr().err
    assert compared(runs, "a", "nobody") == 3
    assert main(["a", "--experiments_dir", str(runs.folder)]) == 2
    assert main(["a", "../b", "--experiments_dir", str(runs.folder)]) == 3
    assert main(["a", "..", "--experiments_dir", str(runs.folder)]) == 2


def test_two_runs_of_the_earlier_system_are_compared_once_they_are_taken_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run_id, errors in (("old1", frozenset[tuple[str, int]]()), ("old2", frozenset({("treatment", 1), ("treatment", 2)}))):
        make(tmp_path, Shape(run_id=run_id, errors=errors))
    experiments = str(tmp_path / "experiments")
    assert main(["--run1", "old1", "--run2", "old2", "--experiments_dir", experiments]) == 3
    assert "batchtrial resume --run_id old1" in capsys.readouterr().err
    for run_id, code in (("old1", 0), ("old2", 4)):
        assert resume(["--run_id", run_id, "--experiments_dir", experiments]) == code
    capsys.readouterr()
    assert main(["--run1", "old1", "--run2", "old2", "--experiments_dir", experiments, "--json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["comparable"]
    (trial,) = got["trials"]
    assert trial["requests"]["b"]["errored"] == 4
    lost = [one for one in trial["changed_items"] if one["condition"] == "treatment"]
    assert {one["in_both"] for one in lost} == {10}


@pytest.mark.parametrize("name", ["scores.parquet", "significance.json", "costs.json", "account.json", "index.csv"])
def test_a_damaged_file_is_named_and_nothing_is_read_from_it(runs: Runs, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run_id in ("a", "twin"):
        shutil.copytree(runs.folder / f"run_{run_id}", tmp_path / f"run_{run_id}", ignore=shutil.ignore_patterns("emulator"))
    victim = next((tmp_path / "run_a").rglob(name))
    sound = victim.read_bytes()
    victim.write_bytes(sound.replace(sound[:9], b"[[[[", 1))
    slug = next(path.parts[-3] for path in (tmp_path / "run_a").glob("*/results/costs.json"))
    capsys.readouterr()
    given = ["--experiments_dir", str(tmp_path)]
    assert main(["a", "twin", *given]) == 3
    told = capsys.readouterr().err
    assert Path(name).stem.split("_")[0] in told
    assert "batchtrial resume --run_id" in told
    if name not in ("account.json", "index.csv"):
        for command, asked in ((plan_trial, []), (analyze, ["--analysis", "subgroups"])):
            assert command([*asked, "--run_id", "a", "--trial", slug, *given]) == 3
            assert "checksum" in capsys.readouterr().err
