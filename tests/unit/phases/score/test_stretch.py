"""How much is scored in one go: enough to be worth it, and little enough that several processes, or shares, have something to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.phases.elsewhere import Elsewhere
from tests.unit.phases.world import closed_items, world

from batchtrial.config.expand import TrialArm
from batchtrial.phases.base import Share
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.score import phase as score
from batchtrial.phases.tables import processes, workers
from batchtrial.phases.tables.shares import ShareMade


def tone(item: object, text: str) -> dict[str, float]:
    return {"tone": float(len(text))}


OWN = [f"{__name__}:tone"]


def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
    return None if item_id == "c7" else f"thing {item_id[1:]} by {arm.condition}"


@pytest.mark.parametrize(("metrics", "samples", "n_items"), [([], 1, 10_000), ([], 10, 5_000), (OWN, 1, 1_000), (OWN, 5, 200), (OWN, 400, 2)])
def test_what_may_be_slow_is_cut_finer(tmp_path: Path, metrics: list[str], samples: int, n_items: int) -> None:
    with world(tmp_path, closed=closed_items(1), metrics=metrics, samples_per_item=samples, temps=[1.0]) as w:
        assert score.stretch(w.view) == n_items


def test_scores_have_the_same_bytes_however_they_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    with world(tmp_path, closed=closed_items(30), metrics=OWN, submission={"lines_per_part": 20}) as w:
        w.answer_all(answer)
        w.run(parse.phase)
        for at_once in (2_000, 14, 2):
            monkeypatch.setattr(score, "SLOW_ANSWERS_AT_ONCE", at_once)
            w.run(score.phase, is_remaking=True)
            found.append([w.layout.arm(arm.name).scores.read_bytes() for arm in w.trial.arms])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(("metrics", "is_begun"), [(OWN, True), ([], False)])
def test_processes_are_begun_for_few_answers_where_each_may_be_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metrics: list[str], is_begun: bool
) -> None:
    """20,000 answers and a metric of 2 ms are forty seconds; a process begins in one."""
    others = Elsewhere()
    monkeypatch.setattr(workers, "FEW_SLOW_ROWS", 60)
    monkeypatch.setattr(processes, "Processes", lambda n: others)
    with world(tmp_path, closed=closed_items(30), metrics=metrics, submission={"lines_per_part": 20}) as w:
        w.answer_all(answer)
        w.run(parse.phase, workers=2)
        assert not others.sent
        work = w.work(workers=2)
        work.share = Share(1, 1)
        with pytest.raises(ShareMade):
            score.phase.run(work)
        n_of_share = len(others.sent)
        w.run(score.phase, workers=2)
    assert (bool(n_of_share), len(others.sent) > n_of_share) == (is_begun, is_begun)
