"""A look is taken once and decides the same, whenever the process dies; and only on what is whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.crash.looks import N_ITEMS, Looked, Whole, around_looks, fault, undisturbed

from batchtrial.errors import StateError
from batchtrial.phases.batches.gates import answer
from batchtrial.providers.base import BatchState
from batchtrial.reading.ask import Ask
from batchtrial.reading.looks import BETWEEN, looks_told
from batchtrial.reading.run_tables import RunTables
from batchtrial.reading.slices import Slicer, slice_json
from batchtrial.reading.view import material_of, view_of
from batchtrial.records import Outcome
from batchtrial.run.options import Options
from batchtrial.state.looks import LOOK


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Whole]:
    folder = tmp_path_factory.mktemp("looks") / "run"
    return folder, undisturbed(folder)


def test_it_stops_at_the_look_that_crosses_and_buys_no_more(twin: tuple[Path, Whole]) -> None:
    whole = twin[1]
    assert whole.looks == [(4, "go on"), (8, "crossed")]
    assert len(whole.paid) == 2 * 8


@pytest.mark.parametrize("place", ["ledger:look:before", "ledger:look:after"])
def test_killed_beside_a_look_it_ends_as_if_nothing_had_been(twin: tuple[Path, Whole], place: str) -> None:
    folder, whole = twin
    for n in [number for number in around_looks(whole.points) if whole.points[number - 1] == place]:
        assert fault(folder, n, whole) == "", place


def test_the_look_waits_for_a_part_that_expires_in_the_middle(tmp_path: Path) -> None:
    run = Looked(tmp_path)
    run.rig.memory.ends.extend([BatchState.COMPLETED, BatchState.EXPIRED])
    plain = run.rig.memory.answer
    run.rig.memory.answer = lambda custom_id, batch: "expired" if batch == 2 else plain(custom_id, batch)
    run.rig.run("report")
    assert run.is_in_order()
    assert run.looks() == [(4, "go on"), (8, "crossed")]
    assert run.rig.counts()["succeeded"] == 2 * 8


def test_lost_answers_leave_the_prefix_as_it_is(tmp_path: Path) -> None:
    run = Looked(tmp_path)
    plain = run.rig.memory.answer
    run.rig.memory.answer = lambda custom_id, batch: "" if batch == 2 else plain(custom_id, batch)
    run.rig.run("report")
    assert run.is_in_order()
    assert [n for n, _ in run.looks()] == [4, 8, 12]
    assert run.rig.counts()[Outcome.MISSING.value] == 2


def test_what_lost_answers_could_explain_is_no_claim_after_the_looks_either(tmp_path: Path) -> None:
    """The treatment loses each answer that would have been wrong: all that is left speaks for it."""
    run = Looked(tmp_path, right=lambda item, is_treatment: is_treatment == (item % 2 == 0))
    plain, heads = run.rig.memory.answer, run.rig.arms("treatment")
    run.rig.memory.answer = lambda custom_id, batch: (
        "" if custom_id.startswith(heads) and "no idea" in plain(custom_id, batch) else plain(custom_id, batch)
    )
    run.rig.run("report")
    (path,) = run.rig.layout.root.glob("*/results/significance.json")
    (one,) = (one for one in json.loads(path.read_bytes())["tests"] if one["family"] == "primary")
    assert (one["counts"]["treatment_only"], one["counts"]["control_only"], one["pairs"]["dropped"]) == (6, 0, 6)
    assert one["test"]["p_value"] < 0.05
    assert (one["verdict"], one["is_claim"]) == ("not decided", False)


def test_a_part_behind_the_look_is_refused_by_the_queue_itself(tmp_path: Path) -> None:
    run = Looked(tmp_path)
    run.rig.run("submit")
    session = run.rig.open()
    try:
        view = session.look()
        assert view.build is not None
        said = {shard.first_item: answer(shard, view.trials, view.build, session.ledger.notes) for shard in view.build.shards.values()}
        assert said == {first: "go" if first < N_ITEMS // 3 else "wait" for first in range(0, N_ITEMS, 2)}
        slug = view.trials[0].slug
        session.ledger.append(
            LOOK, detail={"n_items": 4, "n_max": N_ITEMS, "trials": {slug: {"z": 9.0, "changed": 4, "bound": 3.7, "decision": "crossed"}}}
        )
        view = session.look()
        said = {shard.first_item: answer(shard, view.trials, view.build, session.ledger.notes) for shard in view.build.shards.values()}  # type: ignore[union-attr]
        assert said == {first: "go" if first < N_ITEMS // 3 else "never" for first in range(0, N_ITEMS, 2)}
    finally:
        session.close()
    run.rig.run("poll")
    assert len(run.rig.memory.paid()) == 2 * 4


def test_between_two_looks_no_display_shows_a_difference_or_a_p(tmp_path: Path) -> None:
    run = Looked(tmp_path)
    run.rig.run("poll")
    run.rig.run(options=Options(from_step="parse", to_step="costs"))
    assert run.looks() == []
    with RunTables.of(run.rig.layout) as tables:
        (trial, temp), *_ = tables.ready()
        ask = Ask(trial=trial.slug, temp=temp)
        slicer = Slicer(tables, tables.pairs(trial.slug, temp), lambda _: np.zeros(4, dtype=np.bool_))
        told = slice_json(slicer, ask, slicer.mask(ask, slicer.without_chips(ask)))
        assert (told["n"], told["withheld"]) == (4, BETWEEN)
        assert not {"p", "value", "low"} & told.keys()
        found = json.loads(run.rig.layout.trial(trial.slug).significance.read_bytes())
        assert found["tests"] == []
        assert "between two planned looks" in found["reason"]
        with pytest.raises(StateError, match="between two planned looks"):
            material_of(view_of(run.rig.folder, "r1", lambda *_: run.rig.memory.limits), trial)
        assert list(looks_told(run.rig.layout)) == ["0 of 3 taken, the first at 4 of 12 items"]
        run.rig.run("report")
        assert run.looks() == [(4, "go on"), (8, "crossed")]
        assert slice_json(slicer, ask, slicer.mask(ask, slicer.without_chips(ask)))["p"] is not None
