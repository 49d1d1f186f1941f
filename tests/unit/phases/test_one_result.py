"""The bytes of what parse and score leave depend neither on how many processes work nor on a death in the middle."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.unit.phases.world import Stop, World, closed_items, open_items, world

from batchtrial.config.expand import TrialArm
from batchtrial.errors import Stopped
from batchtrial.phases.base import Phase
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.score import phase as score
from batchtrial.phases.tables import workers

STEPS: tuple[Phase, ...] = (parse.phase, score.phase)


class Killed(BaseException):
    """What no handler of an error catches."""


@dataclass
class KillAt:
    """Dies at the n-th durable write."""

    n: int

    def __call__(self, point: str) -> None:
        self.n -= 1
        if self.n == 0:
            raise Killed(point)


def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
    return None if item_id == "c7" else f"I do not know {item_id}" if item_id.endswith("3") else f"thing {item_id[1:]} by {arm.condition}"


def settled(w: World) -> World:
    for arm, shard in w.parts():
        w.save(arm, shard, [*reversed(w.lines(arm, shard, answer)[1:]), b"junk\n"])
        w.settle(shard)
    return w


def left(w: World) -> dict[str, bytes]:
    """Every file of tables and results but the manifest, whose times are those of its writing."""
    folders = (w.layout.arms, w.layout.trial(w.trial.slug).results, w.layout.prepared)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.name != "trial_manifest.json"]
    return {path.relative_to(w.layout.root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    with begun(tmp_path_factory.mktemp("whole")) as w:
        settled(w)
        for step in STEPS:
            w.run(step)
        w.export()
        found = left(w)
    assert {path.rpartition("/")[2] for path in found} >= {
        "answers.parquet",
        "scores.parquet",
        "predictions.csv",
        "per_item_scores.csv",
        "scoring.json",
    }
    return found


def begun(folder: Path) -> AbstractContextManager[World]:
    return world(folder, opened=open_items(20), closed=closed_items(30), submission={"lines_per_part": 20})


def test_any_number_of_processes_leaves_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, bytes]) -> None:
    monkeypatch.setattr(workers, "FEW_ROWS", 10)
    with begun(tmp_path) as w:
        settled(w)
        w.run(parse.phase, workers=2)
        w.run(score.phase, workers=3)
        w.export()
        assert left(w) == whole
        first, second = (arm.name for arm in w.trial.arms)
        steps = {f"parse {first}": 50, f"parse {second}": 50, f"score on {first} and 1 further arm": 100}
        assert {step: w.progress.steps[step] for step in steps} == steps


def test_a_death_at_any_durable_write_and_a_stop_at_any_look_leave_the_same_bytes(tmp_path: Path, whole: dict[str, bytes]) -> None:
    deaths = []
    with begun(tmp_path) as w:
        settled(w)
        for step in STEPS:
            for n in range(1, 100):
                with pytest.raises(Stopped):
                    w.run(step, stop=Stop(after=n % 2))
                work = w.work()
                work.hook = KillAt(n)
                try:
                    step.run(work)
                    break
                except Killed as killed:
                    deaths.append(str(killed))
        w.export()
        assert left(w) == whole
    assert {"answers.parquet", "scores.parquet", "account.json", "scoring.json"} <= {death.split(":")[1] for death in deaths}
