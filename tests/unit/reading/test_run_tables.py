"""A run's pairs, read without its lock: the same numbers as the report, the same texts as the tables, and slices that are what they say."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.unit.phases.world import World
from tests.unit.reading.trials import answers, finished

from batchtrial.errors import ConfigError, RunStateMissing, StateError
from batchtrial.phases.analyse.tables import Cell, load_tables
from batchtrial.reading import pages
from batchtrial.reading.ask import OUTCOMES, Ask, read_ask
from batchtrial.reading.run_tables import RunTables
from batchtrial.reading.slices import BY_OUTCOME, Slicer, slice_json


@dataclass
class Read:
    """A finished run and its first trial as readers see it."""

    world: World
    tables: RunTables
    slicer: Slicer

    def ask(self, **how: Any) -> Ask:
        trial, temp = self.tables.ready()[0]
        return read_ask({"trial": trial.slug, "temp": temp, **how})

    def slice(self, **how: Any) -> tuple[Ask, np.ndarray[Any, Any]]:
        ask = self.ask(**how)
        return ask, self.slicer.mask(ask, self.slicer.without_chips(ask))

    def json(self, **how: Any) -> dict[str, Any]:
        return slice_json(self.slicer, *self.slice(**how))

    def places(self, **how: Any) -> list[int]:
        ask, mask = self.slice(**how)
        return [int(place) for place in self.slicer.order(ask, mask)]


@contextmanager
def reader(world: World) -> Iterator[Read]:
    with RunTables.of(world.layout, lambda backend: world.codec.decode) as tables:
        trial, temp = tables.ready()[0]
        pairs = tables.pairs(trial.slug, temp)
        yield Read(world, tables, Slicer(tables, pairs, lambda _: np.zeros(tables.items.n, dtype=np.bool_)))


@pytest.fixture(scope="module", params=["single", "samples", "clusters"])
def read(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    how: dict[str, dict[str, Any]] = {"single": {}, "samples": {"samples_per_item": 3}, "clusters": {"per_passage": 3}}
    stats = {"primary": {"metric": "em", "kind": "all"}, "permutation_samples": 999}
    with finished(tmp_path_factory.mktemp(request.param), stats=stats, **how[request.param]) as world, reader(world) as found:
        yield found


def test_the_whole_run_has_the_numbers_of_the_report(read: Read) -> None:
    path = read.world.layout.trial(read.world.trial.slug).significance
    tests = json.loads(path.read_text())["tests"]
    checked = 0
    for one in tests:
        if one["temp"] != read.slicer.pairs.temp or one["metric"] not in {m.name for m in read.slicer.pairs.metrics}:
            continue
        values = {} if one["kind"] == "all" else {"kind": [one["kind"]]}
        got = read.json(metric=one["metric"], values=values | ({"dataset": [one["dataset"]]} if one["dataset"] else {}))
        assert (got["pairs"], got["value"], got["low"], got["high"]) == pytest.approx(
            (one["pairs"]["n"], *(one["estimate"][name] for name in ("value", "ci_low", "ci_high"))), abs=1e-12, nan_ok=True
        ), one["name"]
        if one["test"]["method"] != "sign_flip_monte_carlo":
            assert got["p"] == pytest.approx(one["test"]["p_value"], abs=1e-12)
        checked += 1
    assert checked >= 6
    report = read.world.layout.trial(read.world.trial.slug).report_md.read_text()
    n = tests[0]["n_clusters"]
    assert (read.tables.items.clusters is not None) == ("stand in" in report) == (f"stand in {n} clusters, and intervals" in report)


def test_any_slice_is_compared_as_the_report_compares_its_rows(read: Read) -> None:
    trial, temp = read.tables.ready()[0]
    table = load_tables(read.world.view, trial)[temp]
    ask = read.ask(metric="em")
    by_key = {key: place for place, key in enumerate(item.key for item in read.tables.items.read(range(read.tables.items.n)))}
    places = np.array([by_key[key] for key in table.keys])
    whole = table.pick(Cell(metric="em", kind="all", temp=temp))
    assert whole is not None
    rng = random.Random(3)
    for _ in range(20):
        mask = np.array([rng.random() < 0.5 for _ in range(read.slicer.n)])
        got, want = read.slicer.comparison(ask, mask), whole.where(mask[places])
        assert got is not None
        assert got.missing.n_pairs == want.kept().treatment.size
        assert got.estimate.value == pytest.approx(float(np.mean(want.kept().treatment - want.kept().control)))


def test_each_pair_is_one_outcome_and_chips_count_them(read: Read) -> None:
    metric = read.slicer.pairs.metric("em")
    outcomes = read.slicer.outcomes(metric)
    base = read.slicer.without_chips(read.ask())
    counts = outcomes.counts(base)
    assert sum(counts.get(name, 0) for name in OUTCOMES) == read.slicer.n
    control, treatment = read.slicer.pairs.scores["em"]
    for place in read.places(metric="em", chips=["lost"]):
        assert treatment[place] < control[place]
    assert len(read.places(metric="em", chips=["won", "lost"])) == counts["won"] + counts["lost"]
    incomplete = [place for place in range(read.slicer.n) if np.isnan(control[place]) or np.isnan(treatment[place])]
    assert read.places(metric="em", chips=["incomplete"]) == incomplete
    if incomplete:
        assert read.places(metric="em", chips=["reason:errored"]) == incomplete


def test_a_pair_that_differs_by_rounding_alone_is_neither_won_nor_lost(read: Read) -> None:
    pairs = read.slicer.pairs
    path = read.world.layout.arm(pairs.treatment.name).scores
    before = path.read_bytes()
    same = read.slicer.outcomes(pairs.metric("f1")).codes
    try:
        pl.read_parquet(path).with_columns(pl.col("f1") * (1 + 3e-16)).write_parquet(path)
        with RunTables.of(read.world.layout) as tables:
            blurred = Slicer(tables, tables.pairs(pairs.trial.slug, pairs.temp), lambda _: np.zeros(tables.items.n, dtype=np.bool_))
            assert (blurred.outcomes(blurred.pairs.metric("f1")).codes == same).all()
    finally:
        path.write_bytes(before)


def test_a_slice_chosen_by_the_outcome_has_counts_and_no_interval(read: Read) -> None:
    for how in (
        {"chips": ["lost"]},
        {"ranges": {"length_change": [1, None]}},
        {"search": {"text": "answer", "where": "control"}},
        {"search": {"text": "answer"}},
        {"labelled": "no"},
        {"ranges": {"d.f1": [None, 0.0]}},
    ):
        got = read.json(metric="em", **how)
        assert got["withheld"] == BY_OUTCOME
        assert not {"value", "low", "high", "p"} & set(got)
        assert sum(got["counts"].values()) == got["n"]
    assert "low" in read.json(metric="em", values={"kind": ["open"]}, search={"text": "number 1", "where": "question"})


def test_texts_out_of_the_lines_are_those_of_the_tables(read: Read) -> None:
    for arm in read.tables.arms():
        table = pl.read_parquet(read.tables.layout.arm(arm.name).answers)["text"]
        got = read.tables.texts(arm).of(range(len(table)))
        assert list(got.values()) == [text or "" for text in table]
        plain = RunTables.of(read.world.layout)
        assert plain.texts(arm).of([3, len(table) - 1, 0]) == {row: table[row] or "" for row in (3, len(table) - 1, 0)}
        plain.close()


def test_search_finds_texts_in_an_arm_or_in_one_only(read: Read) -> None:
    pairs = read.slicer.pairs

    def has(arm: int, text: str) -> set[int]:
        table = pl.read_parquet(read.tables.layout.arm((pairs.control, pairs.treatment)[arm].name).answers)["text"].to_list()
        return {row // pairs.samples for row, one in enumerate(table) if one is not None and text.lower() in one.lower()}

    control, treatment = has(0, "Something"), has(1, "Something")
    assert set(read.places(search={"text": "SOMETHING", "where": "control"})) == control
    assert set(read.places(search={"text": "something", "where": "treatment_only"})) == treatment - control
    assert read.places(search={"text": "(", "where": "any"}) == []
    assert set(read.places(search={"text": "some.*else$", "where": "control", "is_pattern": True})) == control
    with pytest.raises(ConfigError, match="pattern"):
        read.places(search={"text": "(", "where": "any", "is_pattern": True})


def test_orders_are_by_number_with_what_has_none_at_the_end(read: Read) -> None:
    control, treatment = read.slicer.pairs.scores["f1"]
    worst = [float(value) for value in (treatment - control)[read.places(metric="f1", sort="effect")]]
    known = [value for value in worst if not np.isnan(value)]
    assert known == sorted(known)
    assert all(np.isnan(value) for value in worst[len(known) :])
    longest = read.slicer.number("length_change", read.slicer.pairs.metric(""))[read.places(sort="length_change", is_down=True)]
    numbers = [float(value) for value in longest if not np.isnan(value)]
    assert numbers == sorted(numbers, reverse=True)


def test_a_page_of_rows_and_an_item_say_what_was_sent_and_what_came_back(read: Read) -> None:
    ask, mask = read.slice(metric="em")
    places = [int(place) for place in read.slicer.order(ask, mask)[:5]]
    rows = pages.rows(read.slicer, "em", places, {})
    assert [row["place"] for row in rows] == places
    one = pages.detail(read.tables, read.slicer.pairs, places[0])
    assert one["question"].startswith(rows[0]["question"])
    pair = [place for place, arm in enumerate(read.tables.arms()) if arm.name == read.slicer.pairs.control.name]
    assert one["by_arm"][pair[0]][0]["text"][: pages.EXCERPT] == rows[0]["answers"][0]
    assert one["sent"][0][0][0] == "user"
    assert one["question"] in one["sent"][0][0][1]
    told = json.dumps(pages.about(read.tables), allow_nan=False)
    assert '"em"' in told
    assert json.dumps([rows, one, pages.pictures(read.slicer, "f1", mask)], allow_nan=False)


@pytest.mark.parametrize(
    "tree",
    [
        {},
        [],
        {"trial": "x"},
        {"trial": "x", "temp": 0.0, "odd": 1},
        {"trial": "x", "temp": 0.0, "chips": ["oops"]},
        {"trial": "x", "temp": 0.0, "sort": "oops"},
        {"trial": "x", "temp": 0.0, "search": {"text": "y" * 500}},
        {"trial": "x", "temp": 0.0, "ranges": {"score_change": [1]}},
    ],
)
def test_a_question_that_cannot_be_meant_is_refused(tree: Any) -> None:
    with pytest.raises(ConfigError):
        read_ask(tree)


def test_columns_and_numbers_that_are_not_there_are_named(read: Read) -> None:
    for how in ({"values": {"x.colour": ["red"]}}, {"ranges": {"d.nothing": [0, 1]}}, {"ranges": {"weight_change": [0, 1]}}):
        with pytest.raises(ConfigError, match="there is no"):
            read.places(**how)


def test_a_table_that_was_replaced_is_noticed_and_one_that_is_missing_is_named(tmp_path: Path) -> None:
    with finished(tmp_path, answers(), n_open=6, n_closed=0) as world:
        tables = RunTables.of(world.layout)
        assert tables.is_current()
        scores = world.layout.arm(tables.arms()[0].name).scores
        data = scores.read_bytes()
        scores.unlink()
        assert not tables.is_current()
        with pytest.raises(RunStateMissing, match="no pairs"):
            RunTables.of(world.layout).pairs(world.trial.slug, 0.0)
        scores.write_bytes(data)
        with RunTables.of(world.layout) as again:
            assert again.pairs(world.trial.slug, 0.0).samples == 1
        tables.close()
    with pytest.raises(RunStateMissing):
        RunTables.of(type(world.layout)(tmp_path / "run_none"))


def test_items_that_were_prepared_anew_are_not_read_by_the_places_of_those_before(tmp_path: Path) -> None:
    with finished(tmp_path, n_open=0, n_closed=3) as made:
        with RunTables.of(made.layout) as tables:
            assert sorted(item.item_id for item in tables.items.read([0, 1, 2])) == ["c0", "c1", "c2"]
        lines = made.layout.closed_book.read_bytes().splitlines(keepends=True)
        made.layout.closed_book.write_bytes(b"".join([lines[0].replace(b"c0", b"d0"), *lines]))
        with RunTables.of(made.layout) as tables, pytest.raises(StateError, match="a run that grows makes both anew"):
            tables.items.read([0])


def test_columns_of_the_source_can_be_chosen_from(tmp_path: Path) -> None:
    from tests.unit.phases.world import closed_items, world

    from batchtrial.phases.parse import phase as parse
    from batchtrial.phases.score import phase as score

    rows = [{**row, "category": ("a", "b")[n % 2]} for n, row in enumerate(closed_items(8))]
    with world(tmp_path, closed=rows, slices=["category"]) as made:
        made.answer_all(answers())
        for phase in (parse.phase, score.phase):
            made.run(phase)
        with reader(made) as read:
            assert read.tables.items.choices == {"x.category": ["a", "b"]}
            got = read.tables.items.read(read.places(values={"x.category": ["a"]}))
            assert len(got) == 4
            assert {item.columns["category"] for item in got} == {"a"}
            assert "low" in read.json(metric="em", values={"x.category": ["a"]})
