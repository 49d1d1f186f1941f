"""Killed anywhere in the wave of the judges: no judgement is bought twice or lost, and the bytes are those of a run that was never stopped."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.inprocess import InProcess
from tests.crash.judged import JUDGES, JudgedLab
from tests.crash.lab import IN_MEMORY
from tests.crash.sweeps import Tally, at_every_point, plans, several_times

N_POINTS = {"fireworks": 3, "openai": 5, "anthropic": 3}


@pytest.fixture(scope="module", params=["fireworks", "openai", "anthropic"])
def lab(request: pytest.FixtureRequest) -> Iterator[JudgedLab]:
    with tempfile.TemporaryDirectory(prefix="batchtrial-judges-", dir=IN_MEMORY, ignore_cleanup_errors=True) as root:
        yield JudgedLab(Path(root), provider=request.param, n_items=3, settings={"judges": JUDGES}, provider_of=InProcess)


def holds(tally: Tally, n: int) -> None:
    assert tally.bad == []
    assert (tally.duplicates, tally.lost, tally.unequal) == (0, 0, 0)
    assert tally.kills >= n


def test_a_kill_at_any_write_or_call_of_the_judges_wave_pays_once(lab: JudgedLab) -> None:
    n = N_POINTS[lab.provider]
    holds(at_every_point(lab, lab.second_wave(n)), n - 1)


def test_a_power_cut_in_the_judges_wave(lab: JudgedLab) -> None:
    holds(at_every_point(lab, lab.second_wave(2, "ledger:")[:1], is_power_cut=True), 1)


def test_kills_in_both_waves_of_one_run(lab: JudgedLab) -> None:
    if lab.provider == "openai":  # the others are killed in the second wave above, and in the first elsewhere
        holds(several_times(lab, plans(lab, 1, seed=3)), 1)
