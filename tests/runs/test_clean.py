"""Only what is safe elsewhere, was never begun, or is named is deleted; and only with --yes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.runs.rundir import SLUG, make_run, tree

from batchtrial.cli.commands.archive import main as archive
from batchtrial.cli.commands.clean import main
from batchtrial.reading.inventory import Inventory
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import Ledger
from batchtrial.state.lock import RunLock
from batchtrial.upkeep.leftovers import delete, find, ledger_mark


def cleaned(tmp_path: Path, *flags: str) -> int:
    return main(["--experiments_dir", str(tmp_path), *flags])


def runs_left(tmp_path: Path) -> list[str]:
    return [run.run_id for run in Inventory(tmp_path).look()]


def unsent(tmp_path: Path, run_id: str) -> RunLayout:
    """A run that was prepared and built, and of which nothing was sent."""
    return make_run(tmp_path, run_id, n_parts=2, n_settled=-1).layout


def test_nothing_goes_without_yes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unsent(tmp_path, "empty")
    before = tree(tmp_path)
    assert cleaned(tmp_path) == 0
    assert cleaned(tmp_path, "--yes", "--dry_run") == 0
    assert tree(tmp_path) == before
    assert "nothing was ever sent" in capsys.readouterr().out


def test_what_is_finished_and_not_archived_or_has_money_in_flight_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path, "finished")
    make_run(tmp_path, "flying", n_settled=1)
    unsent(tmp_path, "empty")
    assert cleaned(tmp_path, "--yes") == 0
    assert runs_left(tmp_path) == ["finished", "flying"]
    out = capsys.readouterr().out
    assert "it is finished and not archived" in out
    assert "2 requests are in flight" in out


def test_a_finished_run_goes_once_its_archive_is_there_and_sound(tmp_path: Path) -> None:
    make_run(tmp_path, "r1")
    assert archive(["--run_id", "r1", "--experiments_dir", str(tmp_path)]) == 0
    path = tmp_path / "archives" / "run_r1.zip"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    assert cleaned(tmp_path, "--yes") == 0
    assert runs_left(tmp_path) == ["r1"]
    path.write_bytes(whole)
    report = tmp_path / "run_r1" / SLUG / "reports" / "report.md"
    report.write_text(report.read_text() + "edited since\n")
    assert cleaned(tmp_path, "--yes") == 0
    assert runs_left(tmp_path) == ["r1"]
    report.write_text("# Report\n")
    elsewhere = tmp_path / "backup"
    path.parent.rename(elsewhere)
    assert cleaned(tmp_path, "--yes") == 0
    assert runs_left(tmp_path) == ["r1"]
    assert cleaned(tmp_path, "--yes", "--archives", str(elsewhere)) == 0
    assert runs_left(tmp_path) == []
    assert (elsewhere / "run_r1.zip").read_bytes() == whole


def test_what_was_spent_under_the_budget_of_the_folder_stays_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run_id, mode in (("paid", "live"), ("rehearsed", "dry_run")):
        make_run(tmp_path, run_id, mode=mode)
        assert archive(["--run_id", run_id, "--experiments_dir", str(tmp_path)]) == 0
    (tmp_path / "budget").write_text("200\n")
    assert cleaned(tmp_path, "--yes") == 0
    assert runs_left(tmp_path) == ["paid"]
    assert "what it has spent counts in the folder's budget" in capsys.readouterr().out
    assert cleaned(tmp_path, "--yes", "--run_id", "paid") == 0
    assert runs_left(tmp_path) == []


def test_a_named_run_goes_whatever_it_holds_and_others_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path, "flying", n_settled=1)
    make_run(tmp_path, "other")
    unsent(tmp_path, "empty")
    assert cleaned(tmp_path, "--run_id", "flying") == 0
    assert "would give up what may be paid for" in capsys.readouterr().err
    assert "flying" in runs_left(tmp_path)
    assert cleaned(tmp_path, "--run_id", "flying", "--yes") == 0
    assert runs_left(tmp_path) == ["other", "empty"] or runs_left(tmp_path) == ["empty", "other"]
    out, err = capsys.readouterr()
    assert "2 requests in flight at the provider (up to $" in out
    assert "are given up" in out
    assert "--yes" not in err
    assert cleaned(tmp_path, "--run_id", "nobody", "--yes") == 3
    assert cleaned(tmp_path, "--run_id", "..", "--yes") == 2


def test_a_live_run_is_never_touched_even_when_named(tmp_path: Path) -> None:
    layout = unsent(tmp_path, "live")
    lock = RunLock(layout.guard, layout.lock_info)
    lock.acquire(lambda: datetime.now(UTC))
    temp = layout.root / ".x.json.part~"
    temp.write_text("half")
    assert cleaned(tmp_path, "--run_id", "live", "--yes") == 0
    assert temp.exists()
    lock.release(lambda: datetime.now(UTC))
    assert cleaned(tmp_path, "--run_id", "live", "--yes") == 0
    assert runs_left(tmp_path) == []


def test_temporary_files_and_unfinished_restores_go(tmp_path: Path) -> None:
    made = make_run(tmp_path, "r1")
    (made.layout.root / SLUG / ".report.md.part~").write_text("half")
    for name in (".run_x.restoring", ".run_y.deleting"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("x")
    before = {name: data for name, data in tree(made.layout.root).items() if not name.endswith("part~")}
    assert cleaned(tmp_path, "--yes") == 0
    assert {name: data for name, data in tree(made.layout.root).items() if name not in ("run.lock", ".guard")} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run_r1"]


def test_simulated_providers_go_only_when_asked_for(tmp_path: Path) -> None:
    for run_id, n_settled in (("done", None), ("half", 1)):
        world = make_run(tmp_path, run_id, n_settled=n_settled, mode="dry_run").layout.emulator
        world.mkdir()
        (world / "world.sqlite").write_text("x")
    assert cleaned(tmp_path, "--yes") == 0
    assert (tmp_path / "run_done" / "emulator").is_dir()
    assert cleaned(tmp_path, "--yes", "--worlds") == 0
    assert not (tmp_path / "run_done" / "emulator").exists()
    assert (tmp_path / "run_half" / "emulator").is_dir()


def test_a_link_is_removed_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("x")
    layout = unsent(tmp_path / "runs", "empty")
    (layout.root / "link").symlink_to(precious)
    assert cleaned(tmp_path / "runs", "--yes") == 0
    assert runs_left(tmp_path / "runs") == []
    assert (precious / "data").exists()


def test_a_run_that_was_worked_on_since_it_was_shown_is_left_alone(tmp_path: Path) -> None:
    layout = unsent(tmp_path, "empty")
    (one,), _ = find(tmp_path, Inventory(tmp_path).look(), (), ())
    ledger = Ledger(layout.ledger, clock=lambda: datetime.now(UTC))
    ledger.append("intent", "p_t0_treatment_p01", attempt=1, token="0" * 16, payload="p", n_requests=1)
    ledger.close()
    assert ledger_mark(layout.root) != one.mark
    delete(one)  # what `clean` does not do then
    assert not layout.root.exists()


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unsent(tmp_path, "empty")
    make_run(tmp_path, "done")
    assert cleaned(tmp_path, "--json") == 0
    got = json.loads(capsys.readouterr().out)
    assert [one["run_id"] for one in got["can_go"]] == ["empty"]
    assert set(got["stays"]) == {"done"}
