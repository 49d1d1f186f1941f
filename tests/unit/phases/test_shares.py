"""Parts made in shares: in any order, some twice, some killed, they end in the bytes of one process, or what is missing is named."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.unit.phases.test_one_result import STEPS, KillAt, Killed, left, settled
from tests.unit.phases.world import Stop, World, closed_items, open_items, world

from batchtrial.errors import ConfigError, PhaseFailed, Stopped
from batchtrial.phases.base import Phase, Share
from batchtrial.phases.score import phase as score
from batchtrial.phases.tables.shares import ShareMade, share_of

N = 64


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    with begun(tmp_path_factory.mktemp("whole")) as w:
        for step in STEPS:
            w.run(step)
        return left(w)


@contextmanager
def begun(folder: Path) -> Iterator[World]:
    with world(folder, opened=open_items(9), closed=closed_items(12), submission={"lines_per_part": 2}) as w:
        yield settled(w)


def make(w: World, step: Phase, share: Share, *, stop: Stop | None = None) -> ShareMade:
    work = w.work(stop=stop)
    work.share = share
    with pytest.raises(ShareMade) as made:
        step.run(work)
    return made.value


def merge(w: World, step: Phase, *, kill_at: int = 0) -> None:
    work = w.work()
    work.is_merging, work.hook = True, KillAt(kill_at)
    step.run(work)


def test_shares_in_any_order_some_twice_some_stopped_leave_the_same_bytes(tmp_path: Path, whole: dict[str, bytes]) -> None:
    draw = random.Random(3)
    with begun(tmp_path) as w:
        for step in STEPS:
            order = [*range(1, N + 1), *draw.sample(range(1, N + 1), 9)]
            draw.shuffle(order)
            for number in order:
                if draw.random() < 0.1:
                    work = w.work(stop=Stop(after=draw.randrange(3)))
                    work.share = Share(number, N)
                    with pytest.raises((Stopped, ShareMade)):
                        step.run(work)
                make(w, step, Share(number, N))
            for n in range(1, 100):
                try:
                    merge(w, step, kill_at=n)
                    break
                except Killed:
                    assert n < 99
        assert any("ran more than once" in note for note in w.progress.notes)
        assert left(w) == whole
        assert not list(w.layout.root.rglob("*.shares"))


def test_what_is_missing_is_named_by_its_share_and_nothing_is_made(tmp_path: Path) -> None:
    with begun(tmp_path) as w:
        w.run(STEPS[0])
        with pytest.raises(PhaseFailed, match="parts missing") as told:
            merge(w, score.phase)
        assert "no share has run yet" in told.value.hint
        for number in (4, 1, 3):
            make(w, score.phase, Share(number, 4))
        with pytest.raises(PhaseFailed) as told:
            merge(w, score.phase)
        assert told.value.hint.endswith("2/4")
        assert not list(w.layout.root.rglob("scores.parquet"))
        make(w, score.phase, Share(2, 4))
        damaged = sorted(w.layout.root.rglob("*.shares/*.arrow"))[5]
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
        with pytest.raises(PhaseFailed, match="1 part missing, or not as they would be made"):
            merge(w, score.phase)


def test_a_part_that_other_code_made_is_made_again(tmp_path: Path, whole: dict[str, bytes]) -> None:
    with begun(tmp_path) as w:
        first = make(w, STEPS[0], Share(1, 1))
        for path in sorted(w.layout.root.rglob("*.shares/*.json"))[:3]:
            record = json.loads(path.read_bytes())
            path.write_text(json.dumps({**record, "code": {**record["code"], "batchtrial": "0.0.1"}}))
        with pytest.raises(PhaseFailed, match=r"3 parts missing.*batchtrial is 0[.]0[.]1 there"):
            merge(w, STEPS[0])
        again = make(w, STEPS[0], Share(1, 1))
        assert (again.made, again.kept) == (3, first.made - 3)
        merge(w, STEPS[0])
        for step in STEPS[1:]:
            w.run(step)
        assert left(w) == whole


def test_a_share_that_runs_again_keeps_what_is_there_and_one_of_another_splitting_too(tmp_path: Path) -> None:
    with begun(tmp_path) as w:
        first = make(w, STEPS[0], Share(1, 2))
        again = make(w, STEPS[0], Share(1, 2))
        assert (again.made, again.kept) == (0, first.made)
        make(w, STEPS[0], Share(1, 1))
        merge(w, STEPS[0])
        assert any("several splittings (I/1, I/2)" in note for note in w.progress.notes)


def test_a_share_is_named_or_refused() -> None:
    assert share_of("3/64") == Share(3, 64)
    for text in ("0/4", "5/4", "1", "1/0", "a/b", "-1/4", "1/4/4", ""):
        with pytest.raises(ConfigError, match="is no share"):
            share_of(text)
