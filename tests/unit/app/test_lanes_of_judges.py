"""Judges at providers of their own: each is one lane beside the run's, whoever else judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.world import config

from batchtrial.app.wiring import Place, Wiring
from batchtrial.config.lanes import config_of_lane, lanes_of
from batchtrial.state.layout import RunLayout

ROWS = [{"name": "a", "source": "file", "path": "x"}]


def judge(name: str, backend: str | None) -> dict[str, Any]:
    return {"name": name, "rubric": {"path": "", "text": f"Is it {name}?"}, "backend": backend, "model": "m"}


@pytest.mark.parametrize("backends", [["anthropic"], ["anthropic", "mistral"], [None, "anthropic", "mistral", "openai"]])
def test_a_run_judged_at_several_providers_ends_all_of_them(backends: list[str | None], tmp_path: Path) -> None:
    settings = config(ROWS, judges=[judge(f"j{place}", name) for place, name in enumerate(backends)])
    wiring = Wiring(settings, Place(layout=RunLayout(tmp_path), trials=lambda: ()), {})
    further = [name for name in backends if name is not None]
    assert sorted(wiring.others) == sorted(further)
    assert not any(lane.others for lane in wiring.others.values())
    wiring.close()
    for name in further:
        lane = config_of_lane(settings, name)
        assert lanes_of(lane) == (name,)
        assert [one.backend for one in lane.judges] == [name]
