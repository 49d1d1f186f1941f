"""A verdict that cannot be read is asked for once more, as a second attempt in ledger and bill, where no provider enforces its form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.crash.children import NONCE
from tests.crash.inprocess import InProcess
from tests.crash.lab import RUN_ID, Lab, Rule, World, killed_at
from tests.crash.sweeps import resume_until_done

from batchtrial.config.judge_arms import arm_of
from batchtrial.config.judges import ready_rubric
from batchtrial.keys import token
from batchtrial.reading.config import config_of_run
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import fold
from batchtrial.state.store import read_json

N = 5
JUDGE = {"name": "right", "kind": "yes_no", "rubric": {"path": "factual", "text": ready_rubric("factual")}, "max_tokens": 32, "structured": False}


def lab(root: Path, *, garbled: float, faults: Any = lambda lab: (), **judge: Any) -> Lab:
    settings: dict[str, Any] = {"judges": [{**JUDGE, **judge}], "simulation": {"judge": {"garbled": garbled}}}
    return Lab(root, provider="openai", n_items=N, settings=settings, provider_of=InProcess, has_twin=False, faults=faults)


def unreadable(lab: Lab) -> Sequence[Rule]:
    """Two rows of the judge's first part, when it is first asked."""
    config = config_of_run(RunLayout(lab.root / "learn" / f"run_{RUN_ID}"))
    mark = token(NONCE, arm_of(config, config.judges[0]).part(1), 1)
    return [{"match": {"op": "create", "part": mark}, "on": "every", "do": {"rows": {"answers": {"count": 2, "form": "unreadable"}}}}]


def states(world: World) -> dict[str, int]:
    return dict(pl.read_parquet(world.layout.judgements)["state"].value_counts().iter_rows())


def judged_attempts(world: World) -> list[list[int]]:
    """Rows of each attempt, by part of the judge."""
    return [[one.n_requests for one in record.attempts] for part, record in fold(world.ledger().entries).items() if part not in world.lab.parts]


@pytest.fixture(scope="module")
def garbled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, list[str]]]:
    """A run whose judge garbles some verdicts, and the points at which it could have been killed."""
    points: list[str] = []
    world = lab(tmp_path_factory.mktemp("garbled"), garbled=0.4).world("twin")
    assert world.start(points.append) == 0
    yield world, points
    world.close()


def test_it_is_asked_once_more_and_never_a_third_time(garbled: tuple[World, list[str]]) -> None:
    world, _ = garbled
    found = states(world)
    assert found["unparseable"] >= 1
    assert all(len(rows) <= 2 for rows in judged_attempts(world))
    asked_again = sum(sum(rows[1:]) for rows in judged_attempts(world))
    assert asked_again == found["unparseable"]  # the simulated judge says the same twice
    assert world.bill()["answered_requests"] == 2 * N + sum(found.values()) + asked_again


def test_an_answer_without_a_verdict_is_no_failure_of_a_metric(garbled: tuple[World, list[str]]) -> None:
    world, _ = garbled
    (tests,) = world.layout.root.glob("*/results/significance.json")
    record = read_json(tests)
    lost = next(one for one in record["tests"] if one["metric"] == "right" and one["kind"] == "all")["pairs"]["lost_answers"]
    asked, said = pl.read_parquet(world.layout.asked), pl.read_parquet(world.layout.judgements)
    unread = asked.join(said.filter(pl.col("verdict").is_null()), on="item_hash").height
    assert sum(counts.get("judge", 0) for counts in lost.values()) == unread > 0
    (report,) = world.layout.root.glob("*/reports/report.md")
    assert "left without a verdict (the judge's reply was lost or cannot be read)" in report.read_text() + json.dumps(record)
    assert "which failed" not in report.read_text() + json.dumps(record)


def test_killed_while_it_asks_again_it_buys_nothing_twice(garbled: tuple[World, list[str]]) -> None:
    twin, points = garbled
    begin, end = points.index("phase:judge_poll:before"), points.index("phase:judge_parse:before")
    world = twin.lab.world("killed")
    assert killed_at(world, begin + 1 + int(0.6 * (end - begin)), first=True)
    resume_until_done(world)
    assert world.bill()["answered_requests"] == twin.bill()["answered_requests"]
    assert world.outputs() == twin.outputs()
    world.close()


def test_where_a_form_is_enforced_nothing_is_asked_again(tmp_path: Path) -> None:
    world = lab(tmp_path, garbled=0.0, structured=True, faults=unreadable).world("enforced")
    assert world.start() == 0
    assert all(len(rows) == 1 for rows in judged_attempts(world))
    assert states(world)["lost"] == 2


def test_the_second_answer_takes_the_place_of_the_first(tmp_path: Path) -> None:
    world = lab(tmp_path, garbled=0.0, faults=unreadable).world("second")
    assert world.start() == 0
    assert set(states(world)) == {"judged"}
    assert sorted(sum(rows[1:]) for rows in judged_attempts(world))[-1] == 2
