"""While batches take their time, a line every ten minutes says what is waited for, since when, and what it holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.rig import Rig

from batchtrial.cli.commands.clean import main as clean
from batchtrial.cli.commands.status import main as status
from batchtrial.errors import PhaseFailed

LINE = re.compile(
    r"waiting for (?:(\d+) h )?(\d+) min: (\d+) batch(?:es)? with (\d+) requests, (\S+) since 2026-01-01 00:0\d UTC; "
    r"up to \$\d+\.\d+ is held for them"
)


def waited(tmp_path: Path, mode: str, **changes: Any) -> tuple[Rig, list[str]]:
    rig = Rig(tmp_path, settings={"give_up_hours": 5.5, "poll_seconds": 60.0}, changes={"mode": mode, **changes})
    rig.memory.life_seconds = 1e9
    with pytest.raises(PhaseFailed, match="has not ended"):
        rig.run()
    return rig, [note for note in rig.notes if note.startswith("waiting")]


def test_ten_minutes_of_waiting_are_a_line(tmp_path: Path) -> None:
    rig, lines = waited(tmp_path, "live")
    told = [LINE.fullmatch(line) for line in lines]
    assert all(told), lines
    minutes = [60 * int(match[1] or 0) + int(match[2]) for match in told if match]
    assert minutes == list(range(10, 340, 10))
    assert {(match[3], match[4]) for match in told if match} == {("2", "4")}
    assert {match[5] for match in told if match} == {"batch-1"}
    assert rig.money().in_flight_usd > 0


def test_what_is_waited_for_without_a_price_is_not_held_at_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rig, lines = waited(tmp_path, "live", model_id="a-model-without-a-price")
    assert lines
    assert all(line.endswith("; an unknown sum is held for them") for line in lines)
    assert rig.money().in_flight() == "an unknown sum"
    assert status(["--experiments_dir", str(tmp_path), "--run_id", "r1"]) == 0
    assert "nothing spent, an unknown sum in flight" in capsys.readouterr().out
    assert clean(["--experiments_dir", str(tmp_path), "--run_id", "r1"]) == 0
    assert "4 requests in flight at the provider (an unknown sum)" in capsys.readouterr().out


def test_a_dry_run_whose_hours_pass_in_moments_says_nothing(tmp_path: Path) -> None:
    _, lines = waited(tmp_path, "dry_run")
    assert lines == []
