"""Runs of the earlier system are taken over: nothing is bought again, nothing is lost, and what cannot be known is said."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.runs.earlier_runs import MODEL, SYSTEM, Shape, answer, items, make, slug_of
from tests.runs.rundir import tree

from batchtrial.cli.commands.archive import main as archive
from batchtrial.cli.commands.repair import examiner_of
from batchtrial.cli.commands.resume import main as resume
from batchtrial.cli.commands.run import main as run
from batchtrial.config.model import Config
from batchtrial.earlier.files import split_old_id
from batchtrial.earlier.migration import Migration, as_wire
from batchtrial.errors import StateError
from batchtrial.providers.base import Provider
from batchtrial.reading.config import config_of_run
from batchtrial.reading.inventory import RunReader, Standing
from batchtrial.state.entries import read
from batchtrial.state.files import RunState, TrialManifest, load
from batchtrial.state.form import is_of_earlier_system
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import fold, money
from batchtrial.state.machine import PartState


def resumed(root: Path, shape: Shape, *flags: str) -> int:
    return resume(["--run_id", shape.run_id, "--experiments_dir", str(root / "experiments"), *flags])


def layout_of(root: Path, shape: Shape) -> RunLayout:
    return RunLayout(root / "experiments" / f"run_{shape.run_id}")


def answers_in(layout: RunLayout, slug: str) -> dict[tuple[str, str, str, float, int], tuple[str, str]]:
    """(dataset, item, condition, temp, sample) -> (outcome, text) of predictions.csv."""
    with layout.trial(slug).predictions.open(newline="", encoding="utf-8") as file:
        return {
            (row["dataset"], row["item_id"], row["condition"], float(row["temp"]), int(row["sample_index"])): (row["outcome"], row["response_text"])
            for row in csv.DictReader(file)
        }


def expected(shape: Shape) -> dict[tuple[str, str, str, float, int], tuple[str, str]]:
    found = {}
    for place, row in enumerate(items(shape.n_items)):
        for condition in SYSTEM:
            for temp in shape.temps:
                for sample in range(shape.samples):
                    outcome, text = "succeeded", answer(row, condition, place)
                    if (condition, place) in shape.lost:
                        outcome, text = "missing", ""
                    elif (condition, place) in shape.errors:
                        outcome, text = "errored", ""
                    found[row["dataset"], row["id"], condition, temp, sample] = (outcome, text)
    return found


SHAPES = {
    "v1": Shape(),
    "v2 with shared controls and errors": Shape(version=2, prompt_sets=("careful", "default"), samples=2, errors=frozenset({("control", 2)})),
    "openai": Shape(version=2, backend="openai"),
    "anthropic": Shape(version=2, backend="anthropic", errors=frozenset({("treatment", 1)})),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_run_of_the_earlier_system_is_scored_here_without_asking_a_provider(tmp_path: Path, shape: Shape) -> None:
    make(tmp_path, shape)
    layout = layout_of(tmp_path, shape)
    assert RunReader(layout).look().standing is Standing.EARLIER
    assert resumed(tmp_path, shape) == (4 if shape.errors else 0)  # no key is set: a call to a provider would fail
    for name in shape.prompt_sets:
        got = answers_in(layout, slug_of(shape, name))
        assert got == expected(shape)
        tests = json.loads(layout.trial(slug_of(shape, name)).significance.read_bytes())
        assert tests["tests"]
    summary = RunReader(layout).look()
    assert (summary.standing, summary.is_migrated) == (Standing.FINISHED, True)
    n_answers = sum(outcome == "succeeded" for outcome, _ in expected(shape).values())
    n_sets = len(shape.prompt_sets)
    n_control = sum(key[2] == "control" and value[0] == "succeeded" for key, value in expected(shape).items())
    assert summary.outcomes.succeeded == n_control + n_sets * (n_answers - n_control)  # the shared control counts once
    assert float(summary.money.spent_usd) == pytest.approx(summary.outcomes.succeeded * (20 * 0.1 + 5 * 0.2) / 1e6)


def test_every_original_is_kept_and_the_manifest_lies_beside_its_backup(tmp_path: Path) -> None:
    shape = SHAPES["v1"]
    before = tree(make(tmp_path, shape))
    assert resumed(tmp_path, shape) == 0
    after = tree(layout_of(tmp_path, shape).root)
    kept = set(after.values())
    assert [name for name, data in before.items() if data not in kept] == []
    slug = slug_of(shape, "default")
    backups = [name for name in after if name.startswith(f"{slug}/results/trial_manifest.json.backup.") and name.endswith(".json")]
    assert [after[name] for name in backups] == [before[f"{slug}/results/trial_manifest.json"]]
    manifest = load(TrialManifest, layout_of(tmp_path, shape).trial(slug).manifest)
    assert manifest is not None
    assert manifest.schema_version == 2
    assert manifest.jobs["t0_control"] == ("accounts/x/batchInferenceJobs/t0_control-1",)


def test_the_old_config_is_carried_over_and_what_means_nothing_is_listed(tmp_path: Path) -> None:
    shape = SHAPES["v1"]
    make(tmp_path, shape)
    assert resumed(tmp_path, shape) == 0
    layout = layout_of(tmp_path, shape)
    config = config_of_run(layout)
    assert (config.backend, config.model_id, config.temps, config.top_k) == ("fireworks", MODEL, (0.0, 0.7), 50)
    assert config.prompt_sets["default"].control.system.text == SYSTEM["control"]
    assert config.task_instructions.open_book.text == "Use the passage.\n"
    assert config.stats.random_seed == 7
    state = load(RunState, layout.run_state)
    assert state is not None
    assert state.migrated
    told = "\n".join(state.notes)
    assert "max_concurrent_requests" in told
    assert "stats.bootstrap_samples" in told
    assert "is not known" in told
    assert {name for name, record in state.phases.items() if record.status == "completed"} >= {"prepare", "build", "submit", "poll", "report"}


def test_requests_that_may_still_be_out_there_are_not_given_up_without_being_told_to(tmp_path: Path) -> None:
    shape = Shape(lost=frozenset({("treatment", 0), ("treatment", 5)}), job_state="running")
    folder = make(tmp_path, shape)
    before = {name: data for name, data in tree(folder).items() if name.endswith(".jsonl")}
    assert resumed(tmp_path, shape) == 3
    assert is_of_earlier_system(layout_of(tmp_path, shape))
    assert {data for name, data in before.items()} <= set(tree(folder).values())
    assert resumed(tmp_path, shape, "--accept_drift", "--remake") == 3
    assert resumed(tmp_path, shape, "--give_up_unknown_batches") == 3  # nobody is there to be asked
    assert is_of_earlier_system(layout_of(tmp_path, shape))
    assert resumed(tmp_path, shape, "--give_up_unknown_batches", "--yes") == 4
    assert answers_in(layout_of(tmp_path, shape), slug_of(shape, "default")) == expected(shape)
    parts = fold(read(layout_of(tmp_path, shape).ledger).entries)
    assert {part.state for part in parts.values()} == {PartState.SETTLED}
    assert money(parts.values()).in_flight_usd == 0


def test_results_that_are_downloaded_later_are_found_on_the_second_try(tmp_path: Path) -> None:
    shape = Shape(lost=frozenset({("treatment", 0)}), job_state="running")
    folder = make(tmp_path, shape)
    assert resumed(tmp_path, shape) == 3
    whole = make(tmp_path / "whole", replace(shape, lost=frozenset()))
    part = Path("llama-8b-default", "results", "t0_treatment_p01")
    fresh = folder / part.parent / "downloaded"
    fresh.mkdir()
    for temp in ("0", "07"):
        (fresh / f"{temp}.jsonl").write_bytes((whole / part.parent / f"t{temp}_treatment_p01" / "results.jsonl").read_bytes())
    assert resumed(tmp_path, shape) == 0
    assert answers_in(layout_of(tmp_path, shape), slug_of(shape, "default")) == expected(replace(shape, lost=frozenset()))


def test_answers_come_from_the_table_of_predictions_when_result_lines_are_gone(tmp_path: Path) -> None:
    shape = Shape(has_lines=False, errors=frozenset({("control", 1)}))
    make(tmp_path, shape)
    assert resumed(tmp_path, shape) == 4
    assert answers_in(layout_of(tmp_path, shape), slug_of(shape, "default")) == expected(shape)
    state = load(RunState, layout_of(tmp_path, shape).run_state)
    assert state is not None
    assert any("predictions.csv" in note for note in state.notes)


def test_an_unreadable_manifest_is_made_up_for_and_said(tmp_path: Path) -> None:
    shape = SHAPES["v1"]
    folder = make(tmp_path, shape)
    manifest = folder / slug_of(shape, "default") / "results" / "trial_manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:40])
    assert resumed(tmp_path, shape) == 0
    assert answers_in(layout_of(tmp_path, shape), slug_of(shape, "default")) == expected(shape)
    state = load(RunState, layout_of(tmp_path, shape).run_state)
    assert state is not None
    assert any("manifest could not be read" in note for note in state.notes)


def test_without_its_questions_a_run_is_refused_with_the_flag_that_helps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = SHAPES["v1"]
    make(tmp_path, shape)
    (tmp_path / "data" / "prepared").rename(tmp_path / "elsewhere")
    assert resumed(tmp_path, shape) == 3
    assert "--prepared_dir" in capsys.readouterr().err
    assert resumed(tmp_path, shape, "--prepared_dir", str(tmp_path / "elsewhere")) == 0


class Killed(BaseException):
    """The process died."""


def dying(n: int) -> Callable[[], datetime]:
    """A clock at whose n-th look the process dies."""
    left = n

    def look() -> datetime:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        return datetime(2026, 1, 1, 0, 0, left % 60, tzinfo=UTC)

    return look


def dying_codec(codec_of: Callable[[Config], Provider]) -> Callable[[Config], Provider]:
    def codec(config: Config) -> Provider:
        codec_of(config)
        raise Killed

    return codec


def test_taking_over_can_be_killed_anywhere_and_done_again(tmp_path: Path) -> None:
    shape = Shape(n_items=4, samples=2, version=2, prompt_sets=("careful", "default"))
    make(tmp_path / "whole", shape)
    assert resumed(tmp_path / "whole", shape) == 0
    want = answers_in(layout_of(tmp_path / "whole", shape), "llama-8b-careful")
    n_kills = 0
    for n in range(1, 50):
        root = tmp_path / f"kill{n}"
        make(root, shape)
        layout = layout_of(root, shape)
        codec_of = examiner_of(layout).codec_of
        try:
            Migration(layout, codec_of, dying(n), "00ff00ff00ff00ff").carry_out()
        except Killed:
            n_kills += 1
        else:
            break
        assert resumed(root, shape) == 0
        assert answers_in(layout, "llama-8b-careful") == want
    assert n_kills >= 4


def test_a_run_taken_over_is_archived_repaired_and_planned_like_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = SHAPES["v1"]
    make(tmp_path, shape)
    experiments = str(tmp_path / "experiments")
    assert run(["--resume", "--run_id", shape.run_id, "--experiments_dir", experiments, "--plan_only"]) == 3
    assert "earlier system" in capsys.readouterr().err
    assert resumed(tmp_path, shape) == 0
    assert run(["--resume", "--run_id", shape.run_id, "--experiments_dir", experiments, "--plan_only"]) == 0
    before = tree(RunLayout.of(Path(experiments), shape.run_id).root)
    assert resume(["--run_id", shape.run_id, "--experiments_dir", experiments, "--plan_only"]) == 0
    assert tree(RunLayout.of(Path(experiments), shape.run_id).root) == before
    assert "skip submit" in capsys.readouterr().out
    assert archive(["--run_id", shape.run_id, "--experiments_dir", experiments]) == 0
    assert archive(["--restore", f"{experiments}/archives/run_{shape.run_id}.zip", "--experiments_dir", str(tmp_path / "b")]) == 0
    assert resume(["--run_id", shape.run_id, "--experiments_dir", str(tmp_path / "b")]) == 0
    found = examiner_of(RunLayout(tmp_path / "b" / f"run_{shape.run_id}")).examine()
    assert [str(finding) for finding in found.findings] == []


def test_ids_with_separators_inside_are_taken_apart() -> None:
    got = split_old_id("squad|a|b|c|treatment|0.7|3|open")
    assert got is not None
    assert (got.dataset, got.item_id, got.condition, got.temp, got.sample, got.kind) == ("squad", "a|b|c", "treatment", 0.7, 3, "open")
    for text in ("", "a|b|c", "squad|x|neither|0.0|0|open", "squad|x|control|warm|0|open", "c-t0-0123abcd-0123456789abcdef-s0"):
        assert split_old_id(text) is None


def test_answers_of_anthropic_go_back_into_its_own_form() -> None:
    line = {"custom_id": "old", "response": {"choices": [{"message": {"content": "yes"}, "finish_reason": "length"}], "usage": {"prompt_tokens": 3}}}
    got = json.loads(as_wire("anthropic", line, "new"))
    assert got["custom_id"] == "new"
    assert got["result"]["message"]["stop_reason"] == "max_tokens"
    assert json.loads(as_wire("anthropic", {"custom_id": "old", "error": "boom"}, "new"))["result"]["type"] == "errored"
    assert json.loads(as_wire("fireworks", line, "new")) == {**line, "custom_id": "new"}


def test_a_folder_without_any_trial_is_refused(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run_x")
    layout.root.mkdir()
    (layout.root / ".state.lock").touch()
    with pytest.raises(StateError, match="no trial"):
        Migration(layout, examiner_of(layout).codec_of, lambda: datetime(2026, 1, 1, tzinfo=UTC), "0" * 16).carry_out()


def test_a_run_taken_over_that_loses_its_ledger_is_taken_over_again(tmp_path: Path) -> None:
    shape = SHAPES["v2 with shared controls and errors"]
    make(tmp_path, shape)
    assert resumed(tmp_path, shape) == 4
    layout = layout_of(tmp_path, shape)
    want = answers_in(layout, "llama-8b-careful")
    layout.ledger.unlink()
    assert resumed(tmp_path, shape) == 4
    assert answers_in(layout, "llama-8b-careful") == want == expected(shape)
    assert money(fold(read(layout.ledger).entries).values()).in_flight_usd == 0
