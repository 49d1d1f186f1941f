"""A run that grows buys what is new and nothing else, killed or not; its tables are those of a run that asked for all of it at the start."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from tests.crash.growth import N_ALL, N_FIRST, SAMPLES, THIRD, Grown, asked_at_once, config_of, fault, with_settings
from tests.crash.lab import Killed
from tests.crash.looks import dying

from batchtrial.errors import ConfigDrift, ConfigError, DataError, StateError
from batchtrial.reading.config import config_of_run
from batchtrial.run.growth import check_growth, grown_settings, honest_words
from batchtrial.run.options import Options


@dataclass(frozen=True)
class Whole:
    """What a run ends with that grew four times. bills: by growth what was told, what may be bought, what was bought."""

    folder: Path
    points: dict[str, list[str]]
    bills: dict[str, tuple[int, int | None, int]]
    tables: dict[str, str]
    n_paid: int
    is_paid_once: bool


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("grown") / "run"
    run, points, bills = Grown(folder), dict[str, list[str]](), dict[str, tuple[int, int | None, int]]()
    for name, config, n in run.steps():
        told, before = run.bill(config), len(run.rig.memory.paid())
        run.go_on(config, dying(0, points.setdefault(name, [])))
        assert all(one.is_exact for one in told)
        assert sum(one.requests for one in run.bill(config)) == 0
        bills[name] = sum(one.requests for one in told), n, len(run.rig.memory.paid()) - before
    found = Whole(folder, points, bills, run.tables(), len(run.rig.memory.paid()), run.is_paid_once())
    shutil.rmtree(folder)
    return found


def test_each_growth_costs_what_is_new_and_says_so_before(whole: Whole) -> None:
    assert whole.is_paid_once
    for told, may, bought in whole.bills.values():
        assert told == bought > 0
        assert may in (None, bought)


def test_the_tables_are_those_of_a_run_that_asked_for_all_at_the_start_however_it_was_cut(whole: Whole) -> None:
    assert asked_at_once(whole.folder, lines_per_part=7) == whole.tables


@pytest.mark.parametrize(("step", "share"), [("items", 0.7), ("samples", 0.4)])
def test_killed_anywhere_in_between_it_is_bought_once(whole: Whole, step: str, share: float) -> None:
    """All of the points: `python -m tests.crash.growth`."""
    assert fault(whole.folder, step, n := int(share * len(whole.points[step])), whole.tables, whole.n_paid) == "", whole.points[step][n - 1]


def test_what_is_no_growth_is_refused(tmp_path: Path) -> None:
    run = Grown(tmp_path)
    run.first()
    view = run.view()
    with pytest.raises(ConfigError, match="has 4 items already"):
        grown_settings(view, items=N_FIRST)
    with pytest.raises(ConfigError, match="has 1 sample of each item already"):
        grown_settings(view, samples=1)
    with pytest.raises(ConfigError, match="only adds"):
        check_growth(view.config, config_of(run.rig, limit_items=N_FIRST, seed=5))
    with pytest.raises(ConfigError, match="samples_per_item differs"):
        check_growth(view.config, config_of(run.rig, limit_items=N_FIRST, samples_per_item=SAMPLES))
    with pytest.raises(ConfigError, match="would be gone"):
        check_growth(view.config, config_of(run.rig, limit_items=N_FIRST, prompt_sets={"default": {"control": THIRD, "treatment": THIRD}}))
    with pytest.raises(ConfigDrift, match="other questions"):
        run.go_on(config_of(run.rig, limit_items=N_ALL))
    run.rig.questions.write_text("".join(run.rig.questions.read_text().replace("Which word", "What word").splitlines(keepends=True)))
    more = with_settings(view.config, grown_settings(view, items=N_ALL))
    with pytest.raises(StateError, match="do not hold the items"):
        run.bill(more)
    several = with_settings(view.config, grown_settings(view, samples=2))  # of items that are prepared: no question file is needed
    assert sum(one.requests for one in run.bill(several)) == 2 * N_FIRST
    with pytest.raises(StateError, match="hold other items now"):
        run.go_on(more)
    assert len(run.rig.memory.paid()) == 2 * N_FIRST


def test_only_a_plan_that_declared_it_grows_with_its_looks(tmp_path: Path) -> None:
    plan = {"primary": {"metric": "em", "kind": "all", "goal": "superiority"}, "sequential": {"looks": 2, "min_changed": 0}}
    plain = Grown(tmp_path / "plain")
    plain.rig.run("build", given=config_of(plain.rig, limit_items=N_FIRST, stats=plan))
    with pytest.raises(ConfigError, match="planned for its items"):
        grown_settings(plain.view(), items=N_ALL)
    with pytest.raises(ConfigError, match="planned for the samples"):
        grown_settings(plain.view(), samples=SAMPLES)
    declared, plan = Grown(tmp_path / "declared"), plan | {"sequential": {"looks": 4, "min_changed": 0, "futility": None, "n_max": N_ALL}}
    first = config_of(declared.rig, limit_items=N_FIRST, stats=plan)
    declared.rig.run("report", given=first)
    more = with_settings(first, grown_settings(declared.view(), items=N_ALL))
    assert "the bounds take this growth into account" in honest_words(declared.view(), more)
    declared.go_on(more)
    looks = [entry.detail["n_items"] for entry in declared.rig.entries() if entry.event == "look" and entry.detail]
    assert looks == sorted(set(looks))
    assert declared.is_paid_once()


def test_growing_after_results_is_told_as_optional_stopping_and_makes_no_claim(whole: Whole, tmp_path: Path) -> None:
    run = Grown(tmp_path)
    first = run.first()
    more = with_settings(first, grown_settings(run.view(), samples=SAMPLES))
    assert "optional stopping" in honest_words(run.view(), more)


@pytest.mark.parametrize("point", ["ledger:drift:after", "write:run_state.json:written", "write:effective_config.yaml:before"])
def test_a_run_that_was_killed_as_it_began_to_grow_goes_on_with_resume(tmp_path: Path, point: str) -> None:
    run = Grown(tmp_path)
    first = run.first()
    more = with_settings(first, grown_settings(run.view(), items=N_ALL))

    def hook(met: str) -> None:
        if met == point and run.view().config != first:
            raise Killed(met)

    with pytest.raises(Killed):
        run.go_on(more, hook)
    assert grown_settings(run.view(), items=N_ALL) == {}
    with pytest.raises(ConfigError, match="begun to grow otherwise"):
        grown_settings(run.view(), samples=SAMPLES)
    for _ in range(2):
        run.rig.run("report", given=config_of_run(run.rig.layout), options=Options(to_step="report"))
    assert len(run.rig.memory.paid()) == 2 * N_ALL
    assert run.is_paid_once()


def test_a_run_does_not_grow_by_items_that_no_set_holds(tmp_path: Path) -> None:
    run = Grown(tmp_path)
    config = with_settings(run.first(), grown_settings(run.view(), items=100))
    assert sum(one.requests for one in run.bill(config)) == 2 * (N_ALL - N_FIRST)
    run.go_on(config)
    further = with_settings(config, grown_settings(run.view(), items=200))
    with pytest.raises(DataError, match="hold no further item: the run has all 8 items"):
        run.bill(further)
    assert config_of_run(run.rig.layout) == config


def appended(run: Grown, n: int, **fields: str) -> None:
    """n further questions at the end of the run's question file."""
    rows = [json.loads(line) | {"id": f"n{i}", "cluster": f"n{i}"} | fields for i, line in enumerate(run.rig.questions.read_text().splitlines()[:n])]
    for i, row in enumerate(rows):
        row["question"] = f"And which word comes after word {i} of {row['id']}?"
    with run.rig.questions.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_questions_that_were_appended_to_their_file_are_asked_after_all_others(tmp_path: Path) -> None:
    run = Grown(tmp_path)
    config = run.first()
    appended(run, 3)
    for items, bought in ((N_ALL, 2 * (N_ALL - N_FIRST)), (N_ALL + 2, 4)):  # those that the file held at first come before them
        config, before = with_settings(config, grown_settings(run.view(), items=items)), len(run.rig.memory.paid())
        assert sum(one.requests for one in run.bill(config)) == bought
        run.go_on(config)
        assert len(run.rig.memory.paid()) - before == bought
        run.rig.run("report", given=config)
    ids = pl.read_parquet(run.rig.layout.items).sort("place")["item_id"].to_list()
    assert {one for one in ids if one.startswith("o")} == set(ids[:N_ALL])
    appended(run, 1, id="later")  # behind the one that was not asked about
    config = with_settings(config, grown_settings(run.view(), items=N_ALL + 3))
    run.go_on(config)
    assert pl.read_parquet(run.rig.layout.items).sort("place")["item_id"].to_list()[: len(ids)] == ids
    assert len(run.rig.memory.paid()) == 2 * (N_ALL + 3)
    assert run.is_paid_once()


def test_a_run_of_all_its_questions_grows_by_those_that_are_appended(tmp_path: Path) -> None:
    run = Grown(tmp_path)
    first = config_of(run.rig)
    run.rig.run("report", given=first)
    ids = pl.read_parquet(run.rig.layout.items).sort("place")["item_id"].to_list()
    appended(run, 2)
    run.rig.run("report", given=first)  # nothing but growth asks about them
    more = with_settings(first, grown_settings(run.view(), items=N_ALL + 2))
    assert sum(one.requests for one in run.bill(more)) == 4
    run.go_on(more)
    assert pl.read_parquet(run.rig.layout.items).sort("place")["item_id"].to_list()[:N_ALL] == ids
    assert len(run.rig.memory.paid()) == 2 * (N_ALL + 2)
    assert run.is_paid_once()
    run.rig.questions.write_text("\n".join(sorted(run.rig.questions.read_text().splitlines())))  # in the middle now
    further = with_settings(more, grown_settings(run.view(), items=N_ALL + 2 + 1))
    with pytest.raises(StateError, match="do not hold the items"):
        run.bill(further)


def test_no_cluster_that_the_plan_keeps_whole_is_grown(tmp_path: Path) -> None:
    run, plan = Grown(tmp_path), {"primary": {"metric": "em", "kind": "all", "goal": "superiority"}}
    rows = [json.loads(line) | {"cluster": "passage"} for line in run.rig.questions.read_text().splitlines()]
    run.rig.questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    looks = {"looks": 2, "min_changed": 0, "futility": None, "n_max": 2 * N_ALL}
    first = config_of(run.rig, stats=plan | {"sequential": looks})
    assert first.keeps_clusters
    run.rig.run("report", given=first)
    appended(run, 2, cluster="passage")
    with pytest.raises(DataError, match="keeps clusters whole"):
        run.bill(with_settings(first, grown_settings(run.view(), items=N_ALL + 2)))


def test_questions_that_are_gone_once_somebody_agreed_to_grow_are_named_and_may_be_put_back(tmp_path: Path) -> None:
    run = Grown(tmp_path)
    more = with_settings(run.first(), grown_settings(run.view(), items=N_ALL))
    questions, few = run.rig.questions.read_text(), {row["item_id"] for row in pl.read_parquet(run.rig.layout.items).iter_rows(named=True)}
    run.rig.questions.write_text("".join(line for line in questions.splitlines(keepends=True) if json.loads(line)["id"] in few))
    with pytest.raises(DataError, match="hold no further item"):
        run.go_on(more)
    run.rig.questions.write_text(questions)
    run.rig.run("report", given=more)
    assert len(run.rig.memory.paid()) == 2 * N_ALL
    assert run.is_paid_once()
