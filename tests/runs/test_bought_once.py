"""An arm is bought once, whatever role it plays in however many trials: read off the provider's bill, on every wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.crash.lab import Lab, World
from tests.small_run import MODELS

from batchtrial.run.options import Options
from batchtrial.state.files import ControlRegistry, TrialManifest, load

N_ITEMS = 80
ROUND = {
    "ab": {"control": "control.txt", "treatment": "treatment.txt"},
    "bc": {"control": "treatment.txt", "treatment": "open.txt"},
    "ac": {"control": "control.txt", "treatment": "open.txt"},
}
"""Each against each: b is a treatment and a control, a and c play one role in two trials."""


def lab_of(root: Path, provider: str, n_items: int, temps: list[float]) -> Lab:
    sweep = {"prompt_sets": list(ROUND), "temps": temps}
    settings = {"prompt_sets": ROUND, "sweep": sweep, "submission": {"lines_per_part": N_ITEMS // 2, "max_concurrent_jobs": 8}}
    return Lab(root, provider, n_items=n_items, settings=settings, has_twin=False)


@pytest.mark.parametrize("provider", MODELS)
def test_three_prompts_each_against_each_are_bought_once(provider: str, tmp_path: Path) -> None:
    world = lab_of(tmp_path, provider, N_ITEMS, [0.0]).world("w")
    try:
        assert world.start(options=Options(to_step="poll")) == 0
        bill = world.bill()
    finally:
        world.close()
    assert (bill["answered_requests"], bill["n_paid_more_than_once"], bill["in_flight_requests"]) == (3 * N_ITEMS, 0, 0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = lab_of(tmp_path_factory.mktemp("round"), "openai", 8, [0.0, 0.7]).world("w")
    assert world.start() == 0
    yield world
    world.close()


def costs_of(world: World, slug: str) -> dict[str, Any]:
    return dict(json.loads(world.layout.trial(slug).costs.read_bytes()))


def manifest_of(world: World, slug: str) -> TrialManifest:
    found = load(TrialManifest, world.layout.trial(slug).manifest)
    assert found is not None
    return found


SLUGS = ("gpt-4-1-ab", "gpt-4-1-bc", "gpt-4-1-ac")


def test_so_they_are_at_several_temperatures(finished: World) -> None:
    assert finished.bill()["answered_requests"] == 3 * 2 * 8
    assert len(list(finished.layout.arms.iterdir())) == 3 * 2
    assert not finished.layout.shared_controls.exists()


def test_every_trial_has_the_answers_of_the_arms_that_it_compares(finished: World) -> None:
    def answers(slug: str, condition: str) -> list[str]:
        lines = finished.layout.trial(slug).predictions.read_text().splitlines()
        return sorted(line.replace(f",{condition},", ",ROLE,") for line in lines[1:] if f",{condition}," in line)

    ab, bc, ac = SLUGS
    assert answers(ab, "treatment") == answers(bc, "control") != answers(ab, "control")
    assert answers(ab, "control") == answers(ac, "control")
    assert len(answers(bc, "treatment")) == 2 * 8


def test_a_trials_costs_say_which_arm_is_shared_and_the_runs_total_counts_each_once(finished: World) -> None:
    usd: dict[str, float] = {}
    for slug in SLUGS:
        arms = costs_of(finished, slug)["arms"]
        assert {one["arm"] for one in arms.values()} == set(manifest_of(finished, slug).arms.values())
        assert all(one["shared_by_trials"] == 2 for one in arms.values())
        usd |= {one["arm"]: one["usd"] for one in arms.values()}
    assert len(usd) == 3 * 2
    told = json.loads(finished.layout.aggregate_json.read_bytes())
    assert "adjusted" in json.dumps(told)
    assert f"{sum(usd.values()):.4f}" in finished.layout.aggregate_report.read_text()


def test_the_registry_names_each_arm_that_is_a_control_and_where_it_lies(finished: World) -> None:
    registry = load(ControlRegistry, finished.layout.control_registry)
    assert registry is not None
    folders = {one.shared_rel for one in registry.controls.values()}
    assert folders == {f"arms/{name}" for slug in SLUGS for stem, name in manifest_of(finished, slug).arms.items() if stem.endswith("control")}
    assert {one.trials for one in registry.controls.values()} == {SLUGS[:2], SLUGS[::2]}
    assert {one.status for one in registry.controls.values()} == {"completed"}


def test_a_new_run_may_take_over_as_its_control_what_was_a_treatment_there(finished: World) -> None:
    lab = finished.lab
    other = {"prompt_sets": {"cd": {"control": "open.txt", "treatment": "closed.txt"}}, "temps": [0.0], "control_from": "r1"}
    tree = json.loads((lab.root / "config.yaml").read_text()) | other
    del tree["sweep"]
    (lab.root / "config.yaml").write_text(json.dumps(tree))
    ask = lab.asked(finished.experiments, finished.emulator.url, is_resume=False, options=Options(to_step="poll"))
    from batchtrial.cli.commands.execute import run

    before = finished.bill()["answered_requests"]
    assert run(ask, "r2", nonce="0123456789abcdef", env={}) == 0
    assert finished.bill()["answered_requests"] == before + 8
