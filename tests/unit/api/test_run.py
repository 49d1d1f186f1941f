"""A run from Python: the frames are the tables, the numbers are the report's, and a large run is read at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.unit.phases.world import World
from tests.unit.reading.trials import finished

from batchtrial import Run, open_run
from batchtrial.errors import ConfigError, RunStateMissing
from batchtrial.state.layout import RunLayout

MARKUP = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with finished(tmp_path_factory.mktemp("api"), samples_per_item=2, stats={"primary": {"metric": "em"}, "permutation_samples": 999}) as made:
        yield made


@pytest.fixture(scope="module")
def run(world: World) -> Run:
    return open_run(world.layout.root)


def test_trials_name_their_arms_and_arms_say_what_they_ask(world: World, run: Run) -> None:
    trial, arms = run.trials.row(0, named=True), run.arms
    assert (trial["trial"], trial["is_scored"]) == (world.trial.slug, True)
    assert [trial["control"], trial["treatment"]] == [arm.name for arm in world.trial.arms] == arms["arm"].to_list()
    assert arms["label"].to_list() == ["default control", "default treatment"]
    assert arms["system"].to_list() == ["Answer.", "Answer with care."]
    assert arms["samples"].to_list() == [2, 2]
    assert arms["has_scores"].all()


def test_items_have_their_questions_and_when_asked_for_everything(run: Run) -> None:
    items, whole = run.items(), run.items(whole=True)
    assert items.height == whole.height == 60
    assert items["place"].to_list() == list(range(60))
    assert whole.select(items.columns).equals(items)
    first = whole.filter(pl.col("item_id") == "o4").row(0, named=True)
    assert first["unanswerable"] is True
    assert first["context"].startswith("Passage 4 says")
    assert first["references"] == []


def test_answers_are_one_a_request_under_the_key_of_their_item(world: World, run: Run) -> None:
    answers = run.answers()
    assert answers.height == 2 * 60 * 2
    assert answers.filter(pl.col("outcome") == "succeeded").height == run.status.outcomes.succeeded or run.status.n_requests == 240
    rows = answers.filter((pl.col("arm") == world.trial.arms[0].name) & (pl.col("place") == 3))
    assert rows["sample"].to_list() == [0, 1]
    assert set(rows["item_key"]) == {run.items()["item_key"][3]}
    assert "text" not in run.answers("control", texts=False).columns
    assert run.answers("default treatment").equals(run.answers("treatment"))


def test_pairs_are_the_scores_of_both_arms_side_by_side(run: Run) -> None:
    pairs, scores = run.pairs(), run.scores()
    assert pairs.height == 60
    for side, arm in zip("ab", run.arms["arm"], strict=True):
        own = scores.filter(pl.col("arm") == arm)
        assert own["item_key"].to_list() == pairs["item_key"].to_list()
        assert own["em"].to_list() == pairs[f"em_{side}"].to_list()
    swapped = run.pairs("treatment", "control")
    assert swapped["em_a"].to_list() == pairs["em_b"].to_list()


def test_the_difference_of_pairs_is_the_report_s(run: Run) -> None:
    for one in run.tests.filter(pl.col("kind") == "all").iter_rows(named=True):
        pairs = run.pairs().select(pl.col(f"{one['metric']}_b") - pl.col(f"{one['metric']}_a")).to_series().drop_nulls()
        assert pairs.len() == one["pairs"]
        assert pairs.mean() == pytest.approx(one["difference"])


def test_tests_costs_and_plan_are_those_of_the_files(world: World, run: Run) -> None:
    files = world.layout.trial(world.trial.slug)
    told = json.loads(files.significance.read_text())["tests"]
    assert run.tests["name"].to_list() == [one["name"] for one in told]
    assert run.tests["low"].to_list() == [one["estimate"]["ci_low"] for one in told]
    costs = json.loads(files.costs.read_text())["arms"]
    assert run.costs["usd"].to_list() == [one["usd"] for one in costs.values()]
    assert run.plan.origin == "frozen"
    assert "primary" in dict(run.plan.words)


def test_an_arm_that_is_not_there_is_named_with_those_that_are(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"no arm 'shorter'[\s\S]*'default control'"):
        run.pairs("control", "shorter")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunStateMissing, match="there is no run"):
        open_run(tmp_path / "run_none")


def test_a_notebook_sees_the_declared_comparison_and_nothing_acts(world: World, run: Run, tmp_path: Path) -> None:
    shown = run._repr_html_()
    assert "exact match (all questions)" in shown
    assert "SIMULATED" in shown
    folder = tmp_path / f"run_{MARKUP.replace('/', '')}"
    folder.mkdir()
    assert "<script" not in Run(RunLayout(folder))._repr_html_()
    assert "Run" in repr(run)


MEASURED = """
import re, sys, time
from pathlib import Path
from batchtrial import open_run
run = open_run(sys.argv[1])
begin = time.process_time()
pairs = run.pairs()
took = time.process_time() - begin
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
print(pairs.height, took, peak, float((pairs["em_b"] - pairs["em_a"]).mean()))
"""


def test_a_million_rows_are_paired_in_a_second_and_half_a_gigabyte(tmp_path: Path) -> None:
    n = 500_000
    with finished(tmp_path, n_open=4, n_closed=4) as small:
        layout, arms = small.layout, small.trial.arms
        items = pl.read_parquet(layout.items)
        place = pl.int_range(n, dtype=pl.Int32, eager=True)
        key = pl.DataFrame({"place": place}).select(pl.format("reading|{}", "place")).to_series()
        texts = {name: pl.lit("a text that pairs do not need").alias(name) for name in ("question",)}
        many = items[[0] * n].with_columns(place.alias("place"), key.alias("item_key"), **texts)
        many.write_parquet(layout.items, compression="lz4", row_group_size=8192)
        draws = np.random.default_rng(5)
        for arm, share in zip(arms, (0.4, 0.5), strict=True):
            path = layout.arm(arm.name).scores
            one = pl.read_parquet(path)[[0] * n].with_columns(place.alias("place"), pl.Series("em", (draws.random(n) < share).astype(np.float64)))
            one.write_parquet(path, compression="lz4", row_group_size=8192)
        done = subprocess.run([sys.executable, "-c", MEASURED, str(layout.root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    height, took, peak, difference = map(float, done.stdout.split())  # took: of all its threads, whatever else the machine has to do
    assert height == n
    assert difference == pytest.approx(0.1, abs=0.005)
    assert took < 1.0
    assert peak < 500


def test_what_a_run_has_by_now_is_read_again_when_it_has_more(tmp_path: Path) -> None:
    with finished(tmp_path, n_open=4, n_closed=4) as small:
        run = open_run(small.layout.root)
        arm = small.trial.arms[1].name
        scores = small.layout.arm(arm).scores
        aside = scores.rename(scores.with_suffix(".aside"))
        with pytest.raises(RunStateMissing, match="'default treatment' has no scores yet"):
            run.pairs()
        assert run.scores()["arm"].unique().to_list() == [small.trial.arms[0].name]
        aside.rename(scores)
        assert run.pairs().height == 8
        assert replace(run.status, notes=()).n_requests == 16
