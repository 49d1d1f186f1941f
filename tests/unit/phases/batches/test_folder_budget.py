"""A file `budget` caps all runs of a folder: reserves count, what was paid less frees the rest, and whoever cannot be counted stops the sending."""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from tests.runs.test_access import as_mere_mortal
from tests.unit.rig import Rig

from batchtrial.errors import BudgetReached, BudgetTooSmall, ConfigError
from batchtrial.reading.folder_budget import GUARD, FolderBudget, cap_of
from batchtrial.run.options import Options
from batchtrial.state.layout import RunLayout


def rig(folder: Path, run_id: str, **how: Any) -> Rig:
    made = Rig(folder, settings={"max_concurrent_jobs": 8}, **how)
    made.layout = RunLayout(folder / f"run_{run_id}")
    return made


def whole_plan(folder: Path) -> Decimal:
    """What a run's plan reserves in all, and after it the least reserve of a part."""
    alone = rig(folder / "alone", "r1")
    alone.run("submit")
    return sum((attempt.reserved_usd for part in alone.parts().values() for attempt in part.attempts), Decimal(0))


def set_cap(folder: Path, usd: Decimal) -> None:
    (folder / "budget").write_text(f"# of all runs here\n{usd}  # dollars\n")


def test_what_is_in_flight_elsewhere_counts_and_what_was_paid_less_frees_the_rest(tmp_path: Path) -> None:
    plan = whole_plan(tmp_path)
    first, second = rig(tmp_path, "r1"), rig(tmp_path, "r2")
    set_cap(tmp_path, plan * Decimal("1.9"))
    first.memory.life_seconds = 3600.0
    first.run("submit")
    assert first.money().in_flight_usd == plan
    with pytest.raises(BudgetTooSmall) as caught:
        second.run()
    assert (caught.value.where, "in that file" in caught.value.hint) == (str(tmp_path / "budget"), True)
    assert not second.memory.batches
    first.clock.wait(4000.0)
    first.run("poll")
    assert first.money().committed_usd < plan / 2
    second.run("poll")
    assert second.is_paid_once()


def test_a_part_that_the_cap_does_not_cover_is_not_sent_and_goes_when_it_is_raised(tmp_path: Path) -> None:
    plan = whole_plan(tmp_path)
    first, second = rig(tmp_path, "r1"), rig(tmp_path, "r2")
    first.memory.life_seconds = 3600.0
    first.run("submit")
    set_cap(tmp_path, plan * Decimal("1.55"))
    with pytest.raises(BudgetReached) as caught:
        second.run(options=Options(to_step="poll", is_partial=True))
    assert "the folder's budget" in caught.value.what
    assert caught.value.where == str(tmp_path / "budget")
    assert 0 < len(second.memory.batches) < len(second.names())
    assert second.money().in_flight_usd == 0
    assert first.money().committed_usd + second.money().committed_usd <= plan * Decimal("1.55")
    with pytest.raises(BudgetReached):
        second.run()  # a run that has begun is not refused whole
    (tmp_path / "budget").unlink()
    second.run()
    assert second.is_paid_once()


def test_rehearsals_and_live_runs_count_apart(tmp_path: Path) -> None:
    plan = whole_plan(tmp_path)
    set_cap(tmp_path, plan)
    rehearsal, live = rig(tmp_path, "r1"), rig(tmp_path, "r2", changes={"mode": "live"})
    rehearsal.memory.life_seconds = 3600.0
    rehearsal.run("submit")
    live.run()
    assert live.is_paid_once()


def test_a_ledger_that_does_not_tell_stops_the_sending(tmp_path: Path) -> None:
    first, second = rig(tmp_path, "r1"), rig(tmp_path, "r2")
    first.run("submit")
    set_cap(tmp_path, Decimal(1000))
    whole = first.layout.ledger.read_bytes()
    lines = whole.splitlines(keepends=True)
    first.layout.ledger.write_bytes(b"".join([*lines[:-1], b"nonsense\n", lines[-1]]))
    with pytest.raises(BudgetReached, match="ledger of run r1 is damaged"):
        second.run()
    assert not second.memory.batches
    first.layout.ledger.write_bytes(whole + b'{"seq":99,"torn')  # a line that a kill cut off was never acted upon
    second.run()
    assert second.is_paid_once()


def test_a_run_whose_attempts_have_no_price_stops_the_sending(tmp_path: Path) -> None:
    first, second = rig(tmp_path, "r1", changes={"model_id": "a-model-of-our-own"}), rig(tmp_path, "r2")
    first.memory.life_seconds = 3600.0
    first.run("submit")
    set_cap(tmp_path, Decimal(1000))
    with pytest.raises(BudgetReached, match="ledger of run r1 has attempts without a known price"):
        second.run()
    first.clock.wait(4000.0)
    (tmp_path / "budget").unlink()
    first.run("poll")
    set_cap(tmp_path, Decimal(1000))
    with pytest.raises(BudgetReached, match="without a known price"):  # settled, the sum is no better known
        second.run()
    assert not second.memory.batches


@pytest.mark.parametrize("what", ["the run", "its ledger", "the folder of all runs"])
def test_a_run_of_somebody_else_that_may_not_be_read_stops_the_sending(what: str, tmp_path: Path) -> None:
    first = rig(tmp_path, "r1")
    first.run("submit")
    set_cap(tmp_path, Decimal(1000))
    mine = FolderBudget(RunLayout(tmp_path / "run_r2"), "dry_run")
    path = {"the run": first.layout.root, "its ledger": first.layout.ledger, "the folder of all runs": tmp_path}[what]
    mode = path.stat().st_mode
    tmp_path.chmod(0o755)
    path.chmod(0o111 if path == tmp_path else 0)
    try:
        code, said = as_mere_mortal(lambda: refused(mine.others_usd), Path(os.devnull))
    finally:
        path.chmod(mode)
    assert code == 1, said


def refused(ask: Callable[[], object]) -> int:
    try:
        ask()
    except BudgetReached:
        return 1
    return 0


def test_a_run_whose_link_leads_nowhere_stops_the_sending(tmp_path: Path) -> None:
    first, second = rig(tmp_path, "r1"), rig(tmp_path, "r2")
    first.run("submit")
    set_cap(tmp_path, Decimal(1000))
    elsewhere = tmp_path / "disk" / "run_r1"
    elsewhere.parent.mkdir()
    first.layout.root.rename(elsewhere)
    first.layout.root.symlink_to(elsewhere)
    committed = second_sees(tmp_path)
    assert committed > 0
    elsewhere.rename(tmp_path / "unmounted")
    with pytest.raises(BudgetReached, match="ledger of run r1 cannot be read"):
        second.run()


def second_sees(folder: Path) -> Decimal:
    return FolderBudget(RunLayout(folder / "run_r2"), "dry_run").others_usd()


def test_a_run_that_is_reached_through_a_link_keeps_to_the_folder_in_which_it_lies(tmp_path: Path) -> None:
    plan = whole_plan(tmp_path)
    first, second = rig(tmp_path, "r1"), rig(tmp_path, "r2")
    first.memory.life_seconds = 3600.0
    first.run("submit")
    second.layout.root.mkdir()
    set_cap(tmp_path, plan)
    links = tmp_path / "current"
    links.mkdir()
    (links / "run_mine").symlink_to(second.layout.root)
    second.layout = RunLayout(links / "run_mine")
    with pytest.raises(BudgetTooSmall) as caught:
        second.run()
    assert caught.value.where == str(tmp_path / "budget")
    set_cap(tmp_path, plan * 3)
    second.run("submit")
    (tmp_path / "run_again").symlink_to(second.layout.root)  # another name of its own
    assert FolderBudget(second.layout, "dry_run").others_usd() == plan


def test_whoever_may_begin_runs_in_a_folder_may_take_its_lock(tmp_path: Path) -> None:
    set_cap(tmp_path, Decimal(1))
    tmp_path.chmod(0o777)
    budget = FolderBudget(RunLayout(tmp_path / "run_r1"), "live")
    with budget.held() as is_held:
        assert is_held
    assert (tmp_path / GUARD).stat().st_mode & 0o777 == 0o666
    (tmp_path / GUARD).unlink()
    tmp_path.chmod(0o555)
    try:
        assert as_mere_mortal(lambda: refused(lambda: taken(budget)), Path(os.devnull))[0] == 1
    finally:
        tmp_path.chmod(0o755)


def taken(budget: FolderBudget) -> int:
    with budget.held() as is_held:
        return 0 if is_held else 2


def test_nothing_is_reserved_while_another_process_is_at_it(tmp_path: Path) -> None:
    budget = FolderBudget(RunLayout(tmp_path / "run_r1"), "live", lock_seconds=0.02)
    with budget.held() as is_held:
        assert is_held
    assert list(tmp_path.iterdir()) == []
    set_cap(tmp_path, Decimal(1))
    with FileLock(tmp_path / GUARD), budget.held() as is_held:
        assert not is_held
    with budget.held() as is_held:
        assert is_held


@pytest.mark.parametrize(
    ("text", "usd"), [("200", 200), ("\ufeff200\r\n", 200), ("# all of us\n\n$12.50 # until May\n", 12.5), ("0", 0), ("30 USD", 30)]
)
def test_the_file_holds_one_number(text: str, usd: float, tmp_path: Path) -> None:
    (tmp_path / "budget").write_text(text)
    assert cap_of(tmp_path) == Decimal(str(usd))


@pytest.mark.parametrize("text", ["", "a lot", "nan", "inf", "-3", "1\n2", "1 2", "1,000.5,0"])
def test_a_file_that_says_something_else_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "budget").write_text(text)
    with pytest.raises(ConfigError, match="no sum of dollars"):
        cap_of(tmp_path)
    assert cap_of(tmp_path / "elsewhere") is None


def test_a_file_that_is_being_written_anew_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "budget"
    path.write_text("")
    monkeypatch.setattr("batchtrial.reading.folder_budget.time.sleep", lambda seconds: path.write_text("300\n"))
    assert cap_of(tmp_path) == 300


def test_a_file_that_is_a_link_to_nothing_lifts_no_cap(tmp_path: Path) -> None:
    (tmp_path / "budget").symlink_to(tmp_path / "not mounted" / "budget")
    with pytest.raises(ConfigError, match="a link to nothing"):
        cap_of(tmp_path)
