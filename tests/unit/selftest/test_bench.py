"""The bench measures phases that there are."""

from __future__ import annotations

from batchtrial.selftest.bench.__main__ import BEFORE, LIMITS, MEASURED, SHOWN
from batchtrial.selftest.bench.step import phase_of


def test_every_measured_step_is_a_phase_of_the_pipeline() -> None:
    steps = {*BEFORE, *MEASURED} - {"questions", "answers"}
    assert {phase_of(step).name for step in steps} == steps
    assert {*SHOWN, *LIMITS} <= steps
