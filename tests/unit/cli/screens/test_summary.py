"""The last lines of a run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.rig import Rig

from batchtrial.cli.screens.summary import lines, table
from batchtrial.run.options import Options


def test_no_figure_is_cut_however_long_a_metric_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    label = f"{'how_well_it_keeps_to_what_was_asked_' * 4}[b] (all questions)"
    arms = {name: {"value": 0.5} for name in ("control", "treatment")}
    estimate = {"value": -0.0612, "ci_low": -0.113, "ci_high": -0.009, "level": 0.95, "method": "ppi(weight=0.2)"}
    one = {"label": label, "family": "primary", "arms": arms, "estimate": estimate, "p_adjusted": 0.023, "correction": "none"}
    (_, row) = table({"tests": [one | {"pairs": {"n": 133, "dropped": 1}}]})
    assert re.split(" {3,}", row) == [f"{label}, corrected by labels", "50.0 %", "50.0 %", "-6.1 pp", "-11.3 to -0.9 pp", "0.023", "133", "1"]


def test_batches_of_an_arm_that_is_no_longer_asked_for_are_not_left_without_a_word(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.run("submit")
    rig.changes = {"conditions": ["control"]}
    finished = rig.run(options=Options(to_step="poll", accept_drift=True))
    session = rig.open()
    told = [line for line in lines(session.look(), finished, session.ledger.money()) if line.startswith("left ")]
    session.close()
    assert len(told) == 1
    assert "2 requests under way (1 batch, " in told[0]
    assert rig.money().in_flight_usd > 0
    rig.changes = {}
    finished = rig.run(options=Options(to_step="poll", accept_drift=True))
    session = rig.open()
    told = [line for line in lines(session.look(), finished, session.ledger.money()) if line.startswith("left ")]
    session.close()
    assert told == []
    assert rig.money().in_flight_usd == 0
    assert rig.is_paid_once()
