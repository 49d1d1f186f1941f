"""Judges at providers of their own: each is one lane beside the run's, whoever else judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.world import config

from batchtrial.app.hosts import as_recorded, with_host
from batchtrial.app.wiring import Place, Wiring
from batchtrial.config.check import check
from batchtrial.config.lanes import config_of_lane, lanes_of
from batchtrial.config.load import Loaded
from batchtrial.config.pauses import models_of
from batchtrial.errors import ConfigError
from batchtrial.state.layout import RunLayout

ROWS = [{"name": "a", "source": "file", "path": "x"}]
ARMS = {name: {"system": {"path": "", "text": name}} for name in ("control", "brief")}


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


@pytest.mark.parametrize("how", [{}, {"arms": ARMS, "prompt_sets": {}}])
def test_a_lane_of_a_judge_alone_can_be_set_and_one_of_nobody_cannot(how: dict[str, Any]) -> None:
    """Such as `sampling: omit` for a judge whose model refuses a temperature."""
    check(config(ROWS, judges=[judge("j", "anthropic")], lanes={"anthropic": {"sampling": "omit"}}, **how))
    for name, what in (("mistral", "no arm and no judge is at mistral"), ("fireworks", "fireworks is the run's own backend")):
        with pytest.raises(ConfigError, match=what):
            check(config(ROWS, judges=[judge("j", "anthropic")], lanes={name: {}}, **how))


def test_a_judge_at_another_provider_names_its_model() -> None:
    with pytest.raises(ConfigError, match="names no model"):
        check(config(ROWS, judges=[{**judge("j", "anthropic"), "model": None}]))


def test_the_same_config_again_is_no_change_where_it_says_nothing_of_a_judges_lane() -> None:
    settings = config(ROWS, judges=[judge("j", "anthropic")])
    again = as_recorded(with_host(Loaded(config=settings, origin={}), {}), settings)
    assert again.config == settings


def test_a_cheaper_tier_is_taken_where_every_model_of_the_lane_has_it_the_judges_too() -> None:
    """And what the arms ask elsewhere is no model of a judge's lane."""
    settings = config(ROWS, judges=[judge("j", "anthropic"), judge("k", None)])
    assert models_of(settings, "anthropic") == {"m"}
    assert models_of(settings, "fireworks") == {settings.model_id, "m"}
