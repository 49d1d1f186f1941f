"""Metrics of runs in Prometheus' text format: each sample on a line of its own, names escaped, the file readable by another user."""

from __future__ import annotations

import dataclasses
import os
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from tests.runs.rundir import make_run

from batchtrial.cli.commands.status import main
from batchtrial.cli.screens.prometheus import text
from batchtrial.reading.inventory import RunSummary, Standing
from batchtrial.state.ledger import Counts
from batchtrial.state.money import Money

SAMPLE = re.compile(r'[a-z_]+(?:\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? [0-9.e+-]+')
RUN = RunSummary(
    run_id='odd"name\\',
    root=Path("run_x"),
    standing=Standing.RUNNING,
    parts={"settled": 3},
    n_requests=12,
    outcomes=Counts(succeeded=9, expired=1),
    money=Money(spent_usd=Decimal("0.5"), in_flight_usd=Decimal("0.25")),
    started_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def test_every_line_is_a_comment_or_a_sample() -> None:
    lines = text([RUN], Decimal(200), Decimal("0.75")).splitlines()
    assert [line for line in lines if not line.startswith(("# HELP ", "# TYPE ")) and not SAMPLE.fullmatch(line)] == []
    assert 'batchtrial_run_usd{run_id="odd\\"name\\\\",kind="spent"} 0.5' in lines
    assert 'batchtrial_run_requests{run_id="odd\\"name\\\\",outcome="expired"} 1.0' in lines
    assert "batchtrial_folder_budget_usd 200.0" in lines
    assert "batchtrial_folder_committed_usd 0.75" in lines
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


def test_a_sum_that_nobody_knows_has_no_sample() -> None:
    unpriced = dataclasses.replace(RUN, run_id="a", money=Money(unpriced=2, in_flight_unpriced=1))
    lines = text([unpriced], None).splitlines()
    assert [line for line in lines if line.startswith("batchtrial_run_usd")] == []
    assert 'batchtrial_run_attempts_unpriced{run_id="a"} 3.0' in lines
    partly = dataclasses.replace(RUN, run_id="a", money=Money(spent_usd=Decimal("0.5"), unpriced=1))
    told = [line for line in text([partly], None).splitlines() if line.startswith("batchtrial_run_usd")]
    assert told == ['batchtrial_run_usd{run_id="a",kind="spent"} 0.5', 'batchtrial_run_usd{run_id="a",kind="in_flight"} 0.0']


def test_what_counts_against_the_budget_is_of_every_run_and_told_only_when_it_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run_id in ("a", "b"):
        make_run(tmp_path, run_id)
    (tmp_path / "budget").write_text("200\n")
    file = tmp_path / "batchtrial.prom"
    command = ["--experiments_dir", str(tmp_path), "--run_id", "a", "--prometheus", str(file)]
    assert main(command) == 0
    ((_, spent),) = re.findall(r'(batchtrial_run_usd{run_id="a",kind="spent"}) (.+)', file.read_text())
    assert f"batchtrial_folder_committed_usd {2 * float(spent)}" in file.read_text()
    ledger = tmp_path / "run_b" / "ledger.jsonl"
    ledger.write_bytes(b"nonsense\n" + ledger.read_bytes())
    capsys.readouterr()
    assert main(command) == 0
    assert "\nbatchtrial_folder_committed_usd" not in file.read_text()
    assert main(["--experiments_dir", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    told = "the ledger of run b is damaged, so that nobody knows what of the folder's budget is left"
    assert f"budget of this folder $200.00: {told}" in " ".join(out.split())
    assert err == f"note: {told}\n"


def test_the_command_writes_the_file_for_another_user_and_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "batchtrial.prom"
    assert main(["--experiments_dir", str(tmp_path / "none"), "--prometheus", str(file)]) == 0
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.read_text().startswith("# HELP batchtrial_run_info")
    assert capsys.readouterr().out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["batchtrial.prom"]


def test_a_folder_whose_name_is_no_text_hides_no_other_run(tmp_path: Path) -> None:
    for name in (b"run_\xff", b"run_line\nand\\", b"run_mine"):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/experiments/" + name)) / "prepared").mkdir(parents=True)
    file = tmp_path / "batchtrial.prom"
    assert main(["--experiments_dir", str(tmp_path / "experiments"), "--prometheus", str(file)]) == 0
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#") and not SAMPLE.fullmatch(line)] == []
    assert {line.split('"')[1] for line in lines if line.startswith("batchtrial_run_info")} == {"\\\\udcff", "line\\nand\\\\", "mine"}
    assert main(["--experiments_dir", str(tmp_path / "experiments"), "--json"]) == 0
