"""build: every request once, the same slices for both conditions, the same bytes every time, and never other requests than were sent."""

from __future__ import annotations

import csv
import itertools
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.memory import Clock, Memory
from tests.unit.phases.world import config, text_of
from tests.unit.rig import Rig

from batchtrial.config.expand import arms_of, expand
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError, StateError
from batchtrial.keys import split_custom_id
from batchtrial.phases.build import phase as build
from batchtrial.phases.build.lines import plain_lines
from batchtrial.phases.prepare.items import load_prepared, place
from batchtrial.providers.base import Limits
from batchtrial.records import Item
from batchtrial.run.options import Options
from batchtrial.state.files import BuildManifest, Shard, load


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, n_items=5)


def shards(rig: Rig) -> dict[str, Shard]:
    found = load(BuildManifest, rig.layout.build_manifest)
    assert found is not None
    return dict(found.shards)


def ids_of(path: Path) -> list[str]:
    return [json.loads(line)["custom_id"] for line in path.read_bytes().splitlines()]


def test_every_request_is_in_exactly_one_part(tmp_path: Path) -> None:
    rig = Rig(tmp_path, n_items=5, changes={"temps": [0.0, 0.7], "samples_per_item": {"0.7": 3}})
    rig.run(to_step="build")
    seen = Counter(itertools.chain.from_iterable(ids_of(rig.layout.part_input(part)) for part in shards(rig)))
    assert set(seen.values()) == {1}
    assert len(seen) == 5 * 2 * (1 + 3)
    cells = {(one.arm, one.item, one.sample_index) for one in map(split_custom_id, seen) if one is not None}
    assert len(cells) == len(seen)


def test_part_k_of_every_arm_asks_about_the_same_items_in_the_same_order(rig: Rig) -> None:
    rig.run(to_step="build")
    by_index: dict[int, list[list[str]]] = {}
    for part, shard in shards(rig).items():
        items = [one.item for one in map(split_custom_id, ids_of(rig.layout.part_input(part))) if one is not None]
        by_index.setdefault(shard.part_index, []).append(items)
    assert all(control == treatment for control, treatment in by_index.values())
    assert list(shards(rig)) == sorted(shards(rig), key=lambda part: shards(rig)[part].part_index)


def test_the_order_is_a_shuffle_by_seed_that_ignores_the_order_of_the_source(tmp_path: Path) -> None:
    def order(seed: int, *, is_turned: bool) -> list[str]:
        rig = Rig(tmp_path / f"{seed}{is_turned}", n_items=12, changes={"seed": seed})
        if is_turned:
            rig.questions.write_text("".join(reversed(rig.questions.read_text().splitlines(keepends=True))))
        rig.run(to_step="build")
        with rig.layout.index.open() as file:
            return [row["item_id"] for row in csv.DictReader(file)]

    assert order(1, is_turned=False) == order(1, is_turned=True)
    assert order(1, is_turned=False) != order(2, is_turned=False)
    assert order(1, is_turned=False) != sorted(order(1, is_turned=False))


def test_the_manifest_counts_and_sums_what_is_there(rig: Rig) -> None:
    rig.run(to_step="build")
    for part, shard in shards(rig).items():
        body = rig.layout.part_input(part).read_bytes()
        assert (shard.lines, shard.size) == (body.count(b"\n"), len(body))
        assert shard.input_tokens > 0
    assert sum(shard.lines for shard in shards(rig).values()) == rig.n_requests


@pytest.mark.parametrize("words", ["Answer.", "文章だけを読んで答えてください。"])
def test_the_tokens_of_a_part_are_those_of_its_requests_one_by_one(tmp_path: Path, words: str) -> None:
    """A character that is not ASCII is a token, in what stands around the questions too."""
    texts = {"open_book": text_of("open", words), "closed_book": text_of("closed", words)}
    rig = Rig(tmp_path, changes={"task_instructions": texts})
    rig.run(to_step="build")
    arms = {arm.name: arm for arm in arms_of(expand(rig.config(), ""))}
    items = sorted(load_prepared(rig.layout), key=lambda one: place(one, rig.config().seed, keeps_clusters=rig.config().keeps_clusters))
    for shard in shards(rig).values():
        mine = items[shard.first_item : shard.first_item + shard.n_items]
        assert shard.input_tokens == sum(build.input_tokens(arms[shard.arm], item) for item in mine)


def test_the_index_leads_back_from_every_custom_id(rig: Rig) -> None:
    rig.run(to_step="build")
    with rig.layout.index.open() as file:
        index = {row["item_hash"]: (row["dataset"], row["item_id"]) for row in csv.DictReader(file)}
    for part in shards(rig):
        for one in map(split_custom_id, ids_of(rig.layout.part_input(part))):
            assert one is not None
            assert index[one.item][0] == "reading"


@pytest.mark.parametrize("how", ["gone", "cut", "changed"])
def test_only_the_damaged_part_is_made_again_and_has_its_bytes_again(rig: Rig, how: str) -> None:
    rig.run(to_step="build")
    paths = [rig.layout.part_input(part) for part in shards(rig)]
    before = {path: path.read_bytes() for path in paths}
    times = {path: path.stat().st_mtime_ns for path in paths}
    if how == "gone":
        paths[1].unlink()
    else:
        paths[1].write_bytes(before[paths[1]][:20] if how == "cut" else before[paths[1]].replace(b"custom_id", b"kustom_id"))
    assert rig.run(to_step="build").ran == ("build",)
    assert {path: path.read_bytes() for path in paths} == before
    assert [path.stat().st_mtime_ns == times[path] for path in paths] == [place != 1 for place in range(len(paths))]


def test_a_kill_between_two_parts_keeps_the_first(rig: Rig) -> None:
    class Died(BaseException):
        pass

    def hook(point: str) -> None:
        if "_p02" in point and point.endswith(":written"):
            raise Died

    with pytest.raises(Died):
        rig.run(to_step="build", hook=hook)
    assert not rig.layout.build_manifest.exists()
    rig.run(to_step="build")
    whole = Rig(rig.folder / "whole", n_items=5)
    whole.run(to_step="build")
    assert [path.name for path in sorted(rig.layout.batch_inputs.iterdir())] == [path.name for path in sorted(whole.layout.batch_inputs.iterdir())]
    assert all(path.read_bytes() == (whole.layout.batch_inputs / path.name).read_bytes() for path in rig.layout.batch_inputs.iterdir())


def test_requests_that_were_sent_do_not_change_under_their_results(rig: Rig) -> None:
    rig.run(to_step="submit")
    rig.changes = {"task_instructions": {"open_book": {"path": "x", "text": "Other."}, "closed_book": {"path": "y", "text": "Other."}}}
    with pytest.raises(StateError):
        rig.run(options=Options(to_step="submit", remake=True))
    sent = {call.split()[1] for call in rig.memory.calls if call.startswith("submit")}
    assert len(sent) == rig.memory.n_calls("submit"), "nothing was sent twice under another text"


# Cutting


def item(number: int, size: int) -> Item:
    return Item(dataset="d", item_id=str(number), kind="open", question="q" * size, context="c", answers=("a",))


def cutting(**submission: int) -> Config:
    return config([{"name": "bundled_open", "source": "bundled"}], submission=submission)


def memory(limits: Limits) -> Memory:
    found = Memory(Clock())
    found.limits = limits
    return found


@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=30),
    most_requests=st.integers(1, 12),
    most_bytes=st.integers(1200, 5000),
    lines=st.one_of(st.none(), st.integers(1, 9)),
)
@settings(max_examples=60, deadline=None)
def test_slices_cover_every_item_once_within_every_limit(sizes: list[int], most_requests: int, most_bytes: int, lines: int | None) -> None:
    items = [item(number, size) for number, size in enumerate(sizes)]
    chosen = cutting(**({"lines_per_part": lines} if lines is not None else {}))
    arms = arms_of(expand(chosen, "0" * 64))
    limits = Limits(max_requests=most_requests, max_bytes=most_bytes)
    provider = memory(limits)
    slices = build.cut(items, arms, chosen, limits, provider)
    assert [position for piece in slices for position in range(piece.first, piece.first + piece.n)] == list(range(len(items)))
    for piece in slices:
        mine = items[piece.first : piece.first + piece.n]
        assert 1 <= piece.n <= min(most_requests, lines or most_requests)
        assert all(sum(map(len, plain_lines(arm, mine, provider))) <= most_bytes for arm in arms)


@pytest.mark.parametrize(("parts", "n_items", "want"), [(1, 7, [7]), (3, 7, [3, 3, 1]), (7, 7, [1] * 7), (20, 7, [1] * 7)])
def test_a_number_of_parts_is_cut_evenly(parts: int, n_items: int, want: list[int]) -> None:
    chosen = cutting(parts_per_dataset=parts)
    limits = Limits(max_requests=1000, max_bytes=10**6)
    slices = build.cut([item(n, 5) for n in range(n_items)], arms_of(expand(chosen, "0" * 64)), chosen, limits, memory(limits))
    assert [piece.n for piece in slices] == want


def test_lines_per_part_beats_the_number_of_parts() -> None:
    chosen = cutting(parts_per_dataset=1, lines_per_part=2)
    limits = Limits(max_requests=1000, max_bytes=10**6)
    slices = build.cut([item(n, 5) for n in range(6)], arms_of(expand(chosen, "0" * 64)), chosen, limits, memory(limits))
    assert [piece.n for piece in slices] == [2, 2, 2]


def test_a_request_that_no_batch_could_hold_is_named() -> None:
    chosen = cutting()
    limits = Limits(max_requests=1000, max_bytes=1500)
    with pytest.raises(ConfigError, match="item '1'"):
        build.cut([item(0, 5), item(1, 5000)], arms_of(expand(chosen, "0" * 64)), chosen, limits, memory(limits))
