"""Answers are scored again without asking anybody: no connection, no byte of the answers changed, the earlier scores kept, killed or not."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from tests.crash.growth import N_ALL, Grown, with_settings
from tests.crash.lab import RUN_ID, Killed, World
from tests.runs.damage import Template

import batchtrial
from batchtrial.app.invocation import Invocation
from batchtrial.app.tables import tables_of
from batchtrial.cli.commands import compare
from batchtrial.cli.commands.rescore import main, score_again
from batchtrial.cli.commands.resume import main as resume
from batchtrial.reading import pages
from batchtrial.run.growth import grown_settings
from batchtrial.run.options import Options
from batchtrial.state.entries import read
from batchtrial.state.store import Hook, decode_json, no_hook


@contextmanager
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever opens a socket fails."""

    def refuse(*args: Any, **how: Any) -> Any:
        raise AssertionError("a socket was opened")

    with monkeypatch.context() as within:
        within.setattr(socket.socket, "connect", refuse)
        within.setattr(socket.socket, "bind", refuse)
        yield


def asked(world: World) -> Invocation:
    options = Options(from_step="score", accept_drift=True, workers=1)
    return Invocation(
        run_id=RUN_ID, is_resume=True, config=None, changes={"metrics": ["words"]}, options=options, experiments=world.experiments, is_offline=True
    )


def rescored(world: World, hook: Hook = no_hook) -> int:
    return score_again(asked(world), RUN_ID, env={}, hook=hook)


def dying(n: int) -> Hook:
    """Kills at the n-th point."""
    seen = 0

    def hook(point: str) -> None:
        nonlocal seen
        seen += 1
        if seen == n:
            raise Killed(point)

    return hook


def told(world: World) -> dict[str, str]:
    """sha256 of every artifact that does not say when the metric was added."""
    tells_when = ("index.html", "aggregate.json", "aggregate_report.md", "/significance.json", "/report.md", "/report.html")
    return {name: sha for name, sha in world.outputs().items() if name.startswith("earlier_scores/") or not name.endswith(tells_when)}


def test_another_metric_asks_nobody_and_leaves_the_answers_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before, bill = world.outputs(), world.bill()
    with no_network(monkeypatch):
        assert main(["--run_id", RUN_ID, "--experiments_dir", str(world.experiments), "--metric", "words"]) == 0
    after = world.outputs()
    assert world.bill() == bill
    kept = {name.split("/", 2)[2]: sha for name, sha in after.items() if name.startswith("earlier_scores/")}
    record = decode_json(next(world.layout.earlier_scores.glob("*/kept.json")).read_bytes())
    scores = [name for name in before if name.endswith(("scores.parquet", "significance.json", "/report.md"))]
    assert scores
    assert {name: kept[name] for name in scores} == {name: before[name] for name in scores}
    assert record["files"] == {name: sha for name, sha in kept.items() if name != "kept.json"}
    untouched = [name for name in before if name.endswith(("answers.parquet", "results.jsonl", "predictions.csv"))]
    assert untouched
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    for path in world.layout.arms.glob("*/scores.parquet"):
        assert "words" in pl.read_parquet_schema(path)
    assert [entry.event for entry in read(world.layout.ledger).entries][-3:].count("drift") == 1


def test_until_the_new_scores_are_compared_nobody_is_told_what_the_earlier_ones_decided(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    def decided() -> tuple[list[str], int]:
        with tables_of(world.layout) as tables:
            about = pages.about(tables)
            run = batchtrial.open_run(world.layout.root)
            return [one["headline"] for one in about["trials"]], run.tests.height

    def dies(point: str) -> None:
        if point == "phase:stats:before":
            raise Killed(point)

    def compared() -> int:
        return compare.main([str(world.layout.root), str(world.layout.root)])

    before = decided()
    assert all(before[0])
    assert compared() == 0
    with pytest.raises(Killed):
        rescored(world, dies)
    assert decided() == (["" for _ in before[0]], 0)
    assert compared() != 0
    assert "made anew since" in capsys.readouterr().err
    assert rescored(world) == 0
    assert decided()[0] == before[0]


def test_only_what_scores_may_change_and_what_is_refused_leaves_the_run_as_it_was(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.yaml"
    text = world.layout.effective_config.read_text()
    other.write_text(text.replace("alpha: 0.05", "alpha: 0.1"))
    before = world.outputs()
    assert main(["--run_id", RUN_ID, "--experiments_dir", str(world.experiments), "--config", str(other)]) == 2
    assert "stats.alpha differs (0.05 -> 0.1), and `rescore` changes only how answers are scored" in capsys.readouterr().err
    other.write_text(json.dumps(yaml.safe_load(text) | {"metrics": [{"contains": {"reference": "a_column_that_nobody_read"}}]}))
    assert main(["--run_id", RUN_ID, "--experiments_dir", str(world.experiments), "--config", str(other)]) == 2
    assert "has a value for no item" in capsys.readouterr().err
    assert main(["--run_id", RUN_ID, "--experiments_dir", str(world.experiments), "--slice", "topics"]) == 2
    assert "no item of the run has a column 'topics'" in capsys.readouterr().err
    (tmp_path / "faulty_rules.py").write_text("def f(item, text): raise ValueError('no')\ndef g(item, text): return {'em': 1.0}\n")
    monkeypatch.chdir(tmp_path)
    for name, fault in {"faulty_rules:f": "raised ValueError: no", "faulty_rules:g": "'em'", "faulty_rules:h": "has no"}.items():
        assert main(["--run_id", RUN_ID, "--experiments_dir", str(world.experiments), "--metric", name]) == 2
        assert fault in capsys.readouterr().err, name
    assert world.outputs() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"slices": ["topics"]}, "no item of the run has a column 'topics'"),
        ({"metrics": [{"contains": {"reference": "topics"}}]}, "has a value for no item"),
        ({"metrics": ["no_such_module:f"]}, "there is no module 'no_such_module'"),
    ],
)
def test_a_resume_with_what_cannot_score_the_items_is_refused_and_the_run_is_as_it_was(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(json.dumps(yaml.safe_load(world.layout.effective_config.read_text()) | change))
    before, config = world.outputs(), world.layout.effective_config.read_bytes()
    for more in (["--plan_only"], []):
        asked = ["--run_id", RUN_ID, "--experiments_dir", str(world.experiments), "--config", str(other), "--accept_drift", *more]
        assert resume(asked) == 2
        assert said in capsys.readouterr().err
    assert (world.outputs(), world.layout.effective_config.read_bytes()) == (before, config)


def test_killed_anywhere_and_given_again_it_ends_with_the_same_bytes(finished: Template, tmp_path: Path) -> None:
    whole = finished.copy(tmp_path / "whole")
    points: list[str] = []
    assert rescored(whole, points.append) == 0
    want = told(whole)
    whole.emulator.kill()
    for n in range(1, len(points), max(1, len(points) // 6)):
        world = finished.copy(tmp_path / f"k{n}")
        with pytest.raises(Killed):
            rescored(world, dying(n))
        assert rescored(world) == 0
        assert told(world) == want, points[n - 1]
        world.emulator.kill()


def test_a_run_that_grows_is_scored_again_once_its_answers_are_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Grown(tmp_path)
    first = run.first()
    more = with_settings(first, grown_settings(run.view(), items=N_ALL))
    points: list[str] = []

    def hook(point: str) -> None:
        points.append(point)
        if point == "call:submit:after":
            raise Killed(point)

    with pytest.raises(Killed):
        run.go_on(more, hook)
    flags = ["--run_id", "r1", "--experiments_dir", str(tmp_path), "--metric", "words"]
    before = run.rig.layout.ledger.read_bytes()
    assert main(flags) == 3
    said = capsys.readouterr().err
    assert "the run's answers are not all there: poll: 4 of 8 parts settled" in said
    assert "a table cannot be read" not in said
    assert run.rig.layout.ledger.read_bytes() == before
    assert not run.rig.layout.earlier_scores.exists()
