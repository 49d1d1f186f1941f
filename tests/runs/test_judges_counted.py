"""What is said of each judge, counted again by hand from the tables: several samples, verdicts put twice, judgements that were lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.crash.children import NONCE
from tests.crash.inprocess import InProcess
from tests.crash.lab import RUN_ID, Lab, Rule, World

from batchtrial.api.run import open_run
from batchtrial.cli.main import main
from batchtrial.config.judge_arms import arm_of
from batchtrial.config.judges import ready_rubric
from batchtrial.keys import token
from batchtrial.reading.config import config_of_run
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import read_json
from batchtrial.testing import assert_not_worse

N = 12
RUBRIC = {"path": "factual", "text": ready_rubric("factual")}
SETTINGS: dict[str, Any] = {
    "judges": [
        {"name": "better", "kind": "pairwise", "rubric": RUBRIC, "max_tokens": 64, "repeats": 2},
        {"name": "right", "kind": "yes_no", "rubric": RUBRIC, "max_tokens": 64},
        {"name": "whole", "kind": "yes_no", "rubric": {"path": "complete", "text": ready_rubric("complete")}, "max_tokens": 64},
    ],
    "panels": [{"name": "jury", "judges": ["right", "whole"], "by": "majority"}],
    "temps": [0.7],
    "samples_per_item": {"0.7": 3},
    "submission": {"lines_per_part": 50},
    "simulation": {
        "judge": {"right": 0.7, "first": 0.4},
        "treatment": {"right": 0.6, "unanswerable_abstain": 0.5},
        "control": {"right": 0.4, "unanswerable_abstain": 0.5},
    },
}


def lost(lab: Lab) -> Sequence[Rule]:
    """Two rows of the first part of the judge `right`, when it is asked."""
    config = config_of_run(RunLayout(lab.root / "learn" / f"run_{RUN_ID}"))
    mark = token(NONCE, arm_of(config, config.judges[1]).part(1), 1)
    return [{"match": {"op": "create", "part": mark}, "on": "every", "do": {"rows": {"answers": {"count": 2, "form": "unreadable"}}}}]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lab = Lab(tmp_path_factory.mktemp("counted"), provider="openai", n_items=N, settings=SETTINGS, provider_of=InProcess, has_twin=False, faults=lost)
    found = lab.world("one")
    assert found.start() in (0, 4)
    yield found
    found.close()


@pytest.fixture(scope="module")
def told(world: World) -> dict[str, Any]:
    (path,) = world.layout.root.glob("*/results/significance.json")
    return {one["name"]: one for one in read_json(path)["judges"]}


def by_pair(world: World) -> dict[tuple[int, int], list[tuple[str, list[float]]]]:
    """Of each pair of answers what the judge `better` said in each order."""
    asked, said = pl.read_parquet(world.layout.asked), pl.read_parquet(world.layout.judgements).filter(pl.col("judge") == "better")
    found: dict[tuple[int, int], list[tuple[str, list[float]]]] = {}
    for row in asked.filter(pl.col("other") != "", pl.col("item_hash").is_not_null()).iter_rows(named=True):
        verdicts = said.filter(pl.col("item_hash") == row["item_hash"])["verdict"].drop_nulls().to_list()
        found.setdefault((row["place"], row["sample"]), []).append((row["arm"], verdicts))
    return found


def test_flips_are_counted_pair_by_pair(world: World, told: dict[str, Any]) -> None:
    """An item has several pairs of answers: a flip of one is no less of a flip where the other's verdict stands."""
    by_item: dict[int, list[bool]] = {}
    for (place, _), orders in by_pair(world).items():
        one, two = (sum(verdicts) / len(verdicts) for _, verdicts in orders)
        by_item.setdefault(place, []).append((one - 0.5) * (two - 0.5) > 0)
    shares = [sum(flips) / len(flips) for flips in by_item.values()]
    assert any(0 < share < 1 for share in shares)
    flips = told["better"]["numbers"]["flips"]
    assert (flips["value"], flips["n"]) == (pytest.approx(sum(shares) / len(shares)), len(shares))


def test_judgements_that_were_lost_are_counted_beside_answers_that_are_none(world: World, told: dict[str, Any]) -> None:
    asked, said = pl.read_parquet(world.layout.asked), pl.read_parquet(world.layout.judgements)
    n_answers = asked.filter(pl.col("other") == "", pl.col("why") == "lost").height
    n_lost = said.filter(pl.col("judge") == "right", pl.col("state") == "lost").height
    assert n_lost == 2
    assert told["right"]["counts"]["lost"] == n_answers + n_lost
    assert told["whole"]["counts"]["lost"] == n_answers
    assert told["jury"]["counts"]["lost"] == n_answers + n_lost


def test_python_and_exports_have_each_judge_as_a_metric_and_each_verdict(world: World, tmp_path: Path) -> None:
    run = open_run(world.layout.root)
    scores, pairs, judgements = run.scores(), run.pairs(), run.judgements
    by_arm = judgements.filter(judge="right").group_by("arm", "place").agg(pl.col("verdict").mean())
    both = scores.join(by_arm, on=("arm", "place"))
    assert both.height == 2 * N
    assert both["right"].to_list() == pytest.approx(both["verdict"].to_list(), nan_ok=True)
    assert {"right", "whole", "jury"} <= set(scores.columns)
    assert "better" not in scores.columns
    (tests,) = world.layout.root.glob("*/results/significance.json")
    prefers = {one["name"]: one["numbers"]["prefers"]["value"] for one in read_json(tests)["judges"]}
    for name in ("better", "right", "whole", "jury"):
        assert (pairs[f"{name}_b"] - pairs[f"{name}_a"]).mean() == pytest.approx(prefers[name])
    swapped = run.pairs("treatment", "control")
    assert swapped["better_a"].to_list() == pytest.approx(pairs["better_b"].to_list())
    assert dict(judgements.filter(judge="right")["state"].value_counts().iter_rows())["lost"] >= 2
    assert judgements.filter(judge="better", state="identical")["verdict"].null_count() > 0
    assert set(judgements.filter(judge="better", state="judged").group_by("place", "sample").len()["len"]) == {4}
    assert any(judgements["reason"].drop_nulls())
    assert main(["export", "--run_id", RUN_ID, "--experiments_dir", str(world.experiments), "--csv", str(tmp_path / "rows.csv")]) == 0
    rows = pl.read_csv(tmp_path / "rows.csv")
    assert rows.height == 6 * N
    assert rows.filter(sample=0)["right"].mean() == pytest.approx(scores["right"].mean())


@pytest.mark.parametrize("name", ["whole", "jury", "better"])
def test_no_gate_passes_on_a_judges_word(world: World, name: str) -> None:
    with pytest.raises(AssertionError, match=f"what the judge {name} prefers, and no claim"):
        assert_not_worse(open_run(world.layout.root), name, 0.999, is_simulation_meant=True)


def test_a_damaged_table_of_judgements_is_named_and_not_exported(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, rows = world.layout.judgements, tmp_path / "rows.csv"
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    assert main(["export", "--run_id", RUN_ID, "--experiments_dir", str(world.experiments), "--csv", str(rows)]) != 0
    assert "judgements.parquet" in capsys.readouterr().err
    assert not rows.exists()
    assert main(["repair", "--check", "--run_id", RUN_ID, "--experiments_dir", str(world.experiments)]) != 0
    assert "judgements.parquet" in "".join(capsys.readouterr())
    assert main(["repair", "--run_id", RUN_ID, "--experiments_dir", str(world.experiments)]) == 0
    assert world.resume() in (0, 4)
    assert path.read_bytes() == whole
