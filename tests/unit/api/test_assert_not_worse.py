"""`assert_not_worse`: passes on what the interval shows and on nothing that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.world import Answer
from tests.unit.reading.trials import finished

from batchtrial import Run, open_run
from batchtrial.config.expand import TrialArm
from batchtrial.steps import STEPS
from batchtrial.testing import assert_not_worse


def share(*, control: int, treatment: int, lost: int = 0) -> Answer:
    """Of ten items each arm gets the first so many right; of the treatment so many of the last are lost."""

    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        number, is_treated = int(item_id[1:]), arm.condition == "treatment"
        if is_treated and number >= 100 - lost:
            return None
        return f"thing {number}" if number % 10 < (treatment if is_treated else control) else "something else"

    return answer


@contextmanager
def made(folder: Path, answer: Answer, **changes: Any) -> Iterator[Run]:
    with finished(folder, answer, n_open=0, n_closed=100, stats={"permutation_samples": 999}, **changes) as world:
        for name in STEPS:
            world.session.snapshots.phase(name, "completed")
        world.session.close()
        yield open_run(world.layout.root)


def test_it_passes_when_the_interval_is_inside_the_margin(tmp_path: Path) -> None:
    with made(tmp_path, share(control=6, treatment=9)) as run:
        assert_not_worse(run, "em", 0.02, is_simulation_meant=True)
        with pytest.raises(AssertionError, match="simulated"):
            assert_not_worse(run, "em", 0.02)
        with pytest.raises(AssertionError, match="bleu is not compared"):
            assert_not_worse(run, "bleu", 0.02, is_simulation_meant=True)
        with pytest.raises(AssertionError, match="is not compared on all questions in other"):
            assert_not_worse(run, "em", 0.02, trial="other", is_simulation_meant=True)


def test_it_fails_when_the_treatment_is_or_may_be_worse(tmp_path: Path) -> None:
    with made(tmp_path, share(control=9, treatment=6)) as run:
        with pytest.raises(AssertionError, match=r"em may be worse by 0.02 or more:[\s\S]*difference -0.3000"):
            assert_not_worse(run, "em", 0.02, is_simulation_meant=True)
        assert_not_worse(run, "em", 0.5, is_simulation_meant=True)
        with pytest.raises(AssertionError, match=r"points are 0\.03"):
            assert_not_worse(run, "em", 3, is_simulation_meant=True)  # points, where a share is meant


def test_lost_pairs_count_at_the_worst(tmp_path: Path) -> None:
    with made(tmp_path, share(control=6, treatment=8, lost=20)) as run:
        assert run.tests.row(0, named=True)["low"] > 0
        with pytest.raises(AssertionError, match="20 lost pairs counted at the worst"):
            assert_not_worse(run, "em", 0.02, is_simulation_meant=True)
        assert_not_worse(run, "em", 0.4, is_simulation_meant=True)


def test_a_run_that_is_not_finished_proves_nothing(tmp_path: Path) -> None:
    with (
        finished(tmp_path, share(control=6, treatment=9), n_open=0, n_closed=100, stats={"permutation_samples": 999}) as world,
        pytest.raises(AssertionError, match="not finished"),
    ):
        assert_not_worse(open_run(world.layout.root), "em", 0.02, is_simulation_meant=True)
