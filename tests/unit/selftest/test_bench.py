"""The bench measures phases that there are, and says by the work itself what a shared control saves."""

from __future__ import annotations

from pathlib import Path

from batchtrial.selftest.bench.__main__ import CPU_LIMITS, PHASES, WALL_LIMITS, Taken, table
from batchtrial.selftest.bench.rig import lines_decoded
from batchtrial.selftest.bench.step import phase_of


def test_every_measured_step_is_a_phase_of_the_pipeline() -> None:
    assert {phase_of(step).name for step in PHASES} == {*PHASES}
    assert {*WALL_LIMITS} == {*PHASES, "sum"}
    assert {step.removesuffix(" alone") for step in CPU_LIMITS} <= {*PHASES}


def test_every_limit_stands_beside_its_figures() -> None:
    found = {step: Taken(2.0, 3.0, 400.0) for step in (*PHASES, "sum", *CPU_LIMITS, "yardstick")}
    shown = table(1_000_000, 10**9, found)
    assert "json.loads over the same lines: 3.00 s CPU" in shown
    assert all(f"wall at most {limit:g}" in shown for limit in WALL_LIMITS.values())
    assert all(f"CPU at most {limit:g}" in shown for limit in CPU_LIMITS.values())


def test_ten_treatments_with_one_control_are_eleven_arms_to_decode(tmp_path: Path) -> None:
    assert lines_decoded(tmp_path, 10, n_items=6) == (66, 6)
