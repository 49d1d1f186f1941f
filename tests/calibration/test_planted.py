"""A small sample of `python -m tests.calibration.planted`: whole runs find the effect that was planted, for a share, a grade and a count."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.calibration.planted import build, covered, truths


def test_intervals_of_whole_runs_cover_what_was_planted(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    built = build(tmp_path, 60)
    true = truths(built, range(100, 120))
    assert true["contains"] == pytest.approx(0.0515, abs=0.001), "from 62 to 68 of 100, over items of a difficulty of one"
    assert min(covered(built, true, range(4)).values()) >= 3
