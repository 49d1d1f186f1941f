"""The planted effect is found: whole dry runs with several seeds, judged by the emulator's own truth."""

from __future__ import annotations

import pytest

from batchtrial.selftest.bench.planted import dry_runs


@pytest.mark.slow
def test_the_interval_holds_the_planted_effect() -> None:
    trials = list(dry_runs(4))
    assert {trial.planted for trial in trials} == {trials[0].planted}
    assert trials[0].planted > 0.05
    # Each interval misses one time in twenty; with these seeds none may.
    assert [trial.seed for trial in trials if not trial.is_inside] == []
    assert len({(trial.low, trial.high) for trial in trials}) == 4
