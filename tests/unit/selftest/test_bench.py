"""The bench measures phases that there are, and says by the work itself what a shared control saves."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from batchtrial.scoring.metrics.named import metrics_of
from batchtrial.selftest.bench import judges, metrics
from batchtrial.selftest.bench.__main__ import CPU_LIMITS, PHASES, WALL_LIMITS, table
from batchtrial.selftest.bench.growth import STEPS, lines
from batchtrial.selftest.bench.rig import lines_decoded, opened
from batchtrial.selftest.bench.step import phase_of
from batchtrial.selftest.bench.taken import Taken


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


def test_metrics_by_name_have_work_and_a_limit_beside_their_figures(tmp_path: Path) -> None:
    pytest.importorskip("jsonschema")
    (tmp_path / "metrics.json").write_text(json.dumps([{name: metrics.ENTRIES[name]} for name in metrics.FIRST]))
    assert lines_decoded(tmp_path, 1, n_items=48) == (96, 48)
    with opened(tmp_path) as rig:
        for phase in ("parse", "score"):
            rig.run(phase_of(phase))
    scores = pl.concat(map(pl.read_parquet, tmp_path.glob("**/scores.parquet")))
    assert all(0 < scores[name].sum() < scores.height for name in metrics.FIRST), scores
    assert metrics_of([{name: dict(entry)} for name, entry in metrics.ENTRIES.items()])
    shown = metrics.told(1_000_000, metrics.FIRST, Taken(2.0, 2.0, 1.0), Taken(9.0, 9.0, 400.0))
    assert "with contains, regex, numeric, json_schema: 9.00 s CPU, 400 MB, 4.50 Y  (CPU at most 6)" in shown


def test_ten_treatments_with_one_control_are_eleven_arms_to_decode(tmp_path: Path) -> None:
    assert lines_decoded(tmp_path, 10, n_items=6) == (66, 6)


def test_a_judged_run_is_timed_by_wave(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    answers, verdicts = judges.waves(tmp_path, 4)
    assert answers[0] == 8
    assert verdicts[0] in range(4, 17, 4)
    assert "a judgement takes 0.50 times what an answer does  (at most 2.2)" in judges.told((100, 8.0), (200, 8.0))


def test_growth_tells_the_cost_of_a_further_row_beside_the_first() -> None:
    sizes = [(n, {step: Taken(9.0, 1.0 + n * 2e-6 * factor, 100.0 + n / 1e4) for step in STEPS}, 700 * n) for n, factor in SIZES]
    told = lines(sizes)
    assert told[3].split() == ["prepare", "100,000", "1.30", "110", "3.1", "10.0", "1.56"]
    assert told[-1].split() == ["folder", "100,000", "rows", "70", "MB", "700", "bytes", "a", "row"]


SIZES = ((1_000, 1.0), (10_000, 1.0), (100_000, 1.5))
"""Rows, and what a row costs beside the smallest size."""
