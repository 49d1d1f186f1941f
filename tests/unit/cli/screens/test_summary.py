"""The last lines of a run."""

from __future__ import annotations

import re

import pytest

from batchtrial.cli.screens.summary import table


def test_no_figure_is_cut_however_long_a_metric_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    label = f"{'how_well_it_keeps_to_what_was_asked_' * 4}[b] (all questions)"
    arms = {name: {"value": 0.5} for name in ("control", "treatment")}
    estimate = {"value": -0.0612, "ci_low": -0.113, "ci_high": -0.009, "level": 0.95, "method": "ppi(weight=0.2)"}
    one = {"label": label, "family": "primary", "arms": arms, "estimate": estimate, "p_adjusted": 0.023, "correction": "none"}
    (_, row) = table({"tests": [one | {"pairs": {"n": 133, "dropped": 1}}]})
    assert re.split(" {3,}", row) == [f"{label}, corrected by labels", "50.0 %", "50.0 %", "-6.1 pp", "-11.3 to -0.9 pp", "0.023", "133", "1"]
