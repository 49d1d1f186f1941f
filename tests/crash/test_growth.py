"""A run that grows buys what is new and nothing else, killed or not; its tables are those of a run that asked for all of it at the start."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.crash.lab import Killed
from tests.crash.looks import dying
from tests.unit.phases.world import text_of
from tests.unit.rig import Rig

from batchtrial.config.model import Config
from batchtrial.errors import ConfigDrift, ConfigError, StateError
from batchtrial.reading.view import view_of
from batchtrial.run.growth import check_growth, grown_settings, purchases
from batchtrial.run.options import Options
from batchtrial.state.store import Hook, fingerprint, no_hook

N_FIRST, N_ALL = 4, 8
THIRD = {"system": text_of("third", "Answer in one word.")}


def rig_of(folder: Path) -> Rig:
    return Rig(folder, n_items=N_ALL)


def config_of(rig: Rig, **changes: Any) -> Config:
    return Config.model_validate(rig.config().model_dump(mode="json") | changes)


def begun(folder: Path, **changes: Any) -> Rig:
    """A finished run of the first items."""
    rig = rig_of(folder)
    rig.run("report", given=config_of(rig, limit_items=N_FIRST, **changes))
    return rig


def grown(rig: Rig, **changes: Any) -> Config:
    """The config of the run with all items."""
    settings = grown_settings(view_of(rig.folder, "r1", lambda *_: rig.memory.limits), N_ALL, lines_per_part=None, parts=None)
    return config_of(rig, limit_items=settings["limit_items"], grown=settings["grown"], **changes)


def go_on(rig: Rig, config: Config, hook: Hook = no_hook) -> None:
    rig.run("report", given=config, options=Options(accept_drift=True, to_step="report"), hook=hook)


def tables(rig: Rig) -> dict[str, str]:
    """sha256 of what is made of the answers, and of where they lie."""
    names = ("scores.parquet", "answers.parquet", "per_item_scores.csv", "items.parquet")
    return {
        path.relative_to(rig.layout.root).as_posix(): fingerprint(path).sha256
        for path in rig.layout.artifacts()
        if path.name in names and "earlier_scores" not in path.parts
    }


def test_more_items_cost_what_is_new_and_give_the_tables_of_a_run_that_asked_for_all(tmp_path: Path) -> None:
    whole = rig_of(tmp_path / "run")
    whole.run("report", given=config_of(whole, limit_items=N_ALL))
    want, names = tables(whole), whole.names()
    shutil.rmtree(tmp_path / "run")
    rig = begun(tmp_path / "run")
    first = set(rig.memory.paid())
    config = grown(rig)
    bought = purchases(view_of(rig.folder, "r1", lambda *_: rig.memory.limits), config, rig.memory)
    assert sum(one.requests for one in bought) == 2 * (N_ALL - N_FIRST)
    go_on(rig, config)
    assert rig.names() == names
    assert first < set(rig.memory.paid())
    assert rig.is_paid_once()
    assert tables(rig) == want
    assert purchases(view_of(rig.folder, "r1", lambda *_: rig.memory.limits), config, rig.memory) != ()
    assert sum(one.requests for one in purchases(view_of(rig.folder, "r1", lambda *_: rig.memory.limits), config, rig.memory)) == 0


def test_then_a_third_treatment_buys_its_own_answers_alone(tmp_path: Path) -> None:
    rig = begun(tmp_path)
    config = grown(rig)
    go_on(rig, config)
    tree = config.model_dump(mode="json")
    sets = tree["prompt_sets"] | {"third": {"control": tree["prompt_sets"]["default"]["control"], "treatment": THIRD}}
    more = Config.model_validate(tree | {"prompt_sets": sets, "sweep": {"prompt_sets": ["default", "third"]}})
    check_growth(config, more)
    go_on(rig, more)
    paid = rig.memory.paid()
    assert len(paid) == 3 * N_ALL
    assert set(paid.values()) == {1}


@pytest.mark.parametrize("share", [0.25, 0.7])
def test_killed_anywhere_in_between_it_is_bought_once(tmp_path: Path, share: float) -> None:
    points: list[str] = []
    whole = begun(tmp_path / "run")
    go_on(whole, grown(whole), hook=dying(0, points))
    want = tables(whole)
    shutil.rmtree(tmp_path / "run")
    n = int(share * len(points))
    rig = begun(tmp_path / "run")
    config = grown(rig)
    with pytest.raises(Killed):
        go_on(rig, config, hook=dying(n))
    go_on(rig, config)
    assert rig.is_paid_once(), points[n - 1]
    assert tables(rig) == want, points[n - 1]


def test_what_is_no_growth_is_refused(tmp_path: Path) -> None:
    rig = begun(tmp_path)
    view = view_of(rig.folder, "r1", lambda *_: rig.memory.limits)
    with pytest.raises(ConfigError, match="has 4 items already"):
        grown_settings(view, N_FIRST, lines_per_part=None, parts=None)
    with pytest.raises(ConfigError, match="only adds"):
        check_growth(view.config, config_of(rig, limit_items=N_FIRST, seed=5))
    with pytest.raises(ConfigError, match="would be gone"):
        check_growth(view.config, config_of(rig, limit_items=N_FIRST, prompt_sets={"default": {"control": THIRD, "treatment": THIRD}}))
    with pytest.raises(ConfigDrift, match="other questions"):
        go_on(rig, config_of(rig, limit_items=N_ALL))
    rig.questions.write_text("".join(rig.questions.read_text().replace("Which word", "What word").splitlines(keepends=True)))
    with pytest.raises(StateError, match="do not hold the items"):
        purchases(view, grown(rig), rig.memory)
    with pytest.raises(StateError, match="hold other items now"):
        go_on(rig, grown(rig))
    assert len(rig.memory.paid()) == 2 * N_FIRST


def test_only_a_plan_that_declared_it_grows_with_its_looks(tmp_path: Path) -> None:
    plan = {"primary": {"metric": "em", "kind": "all", "goal": "superiority"}, "sequential": {"looks": 2, "min_changed": 0}}
    rig = begun(tmp_path / "plain", stats=plan)
    with pytest.raises(ConfigError, match="planned for its items"):
        grown(rig)
    declared = begun(tmp_path / "declared", stats=plan | {"sequential": {"looks": 4, "min_changed": 0, "futility": None, "n_max": N_ALL}})
    go_on(declared, grown(declared, stats=plan | {"sequential": {"looks": 4, "min_changed": 0, "futility": None, "n_max": N_ALL}}))
    looks = [entry.detail["n_items"] for entry in declared.entries() if entry.event == "look" and entry.detail]
    assert looks == sorted(set(looks))
    assert declared.is_paid_once() or looks[-1] < N_ALL
