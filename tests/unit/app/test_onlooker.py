"""A run tells what happens to it: events of a documented form, a line a part, an ending without words of anybody."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import ROOT, blocks
from tests.unit.phases.world import Quiet
from tests.unit.rig import Rig

from batchtrial.app.ending import Ending
from batchtrial.app.onlooker import EventFile, Onlooker
from batchtrial.errors import ConfigError
from batchtrial.run.loop import Services, execute
from batchtrial.run.options import Options

AT = datetime(2026, 1, 1, tzinfo=UTC)


def told(tmp_path: Path, **how: Any) -> tuple[list[dict[str, Any]], list[str], Ending]:
    """Events, lines and the ending of a run of four items in four parts as far as its answers."""
    rig = Rig(tmp_path, **how)
    said: list[str] = []
    onlooker = Onlooker(run_id="r1", now=lambda: AT, say=said.append, events=EventFile(tmp_path / "events", said.append))
    session = rig.open(hook=onlooker.hook)
    onlooker.watch(session)
    progress = onlooker.progress(Quiet(rig.notes))
    services = Services(
        codec=rig.memory, provider=lambda: rig.memory, now=rig.clock.now, stop=rig.stop_token(), progress=progress, hook=onlooker.hook
    )  # fmt: skip
    try:
        onlooker.finished(execute(session, Options(to_step="poll"), services))
        ending = onlooker.ending("steps_done", 0)
    finally:
        session.close()
    onlooker.ended(ending)
    return [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()], said, ending


def test_events_tell_each_phase_and_each_change_of_a_part(tmp_path: Path) -> None:
    events, said, ending = told(tmp_path)
    assert all((one["schema_version"], one["run_id"], one["at"]) == (1, "r1", "2026-01-01T00:00:00Z") for one in events)
    assert (events[0]["event"], events[-1]["event"]) == ("started", "ended")
    assert [one["phase"] for one in events if one["event"] == "phase"] == ["prepare", "build", "submit", "poll"]
    assert any(one["event"] == "note" and "built 8 requests" in one["text"] for one in events)
    parts = [one for one in events if one["event"] == "part"]
    first = [one for one in parts if one["part"] == parts[0]["part"]]
    assert [one["change"] for one in first if one["change"] != "uploaded"] == ["intent", "receipt", "done", "saved", "settled"]
    assert (first[0]["n_requests"], first[0]["reserved_usd"] > 0) == (2, True)
    assert first[-1]["counts"]["succeeded"] == 2
    assert [line.split(": ")[1].split(",")[0] for line in said].count("settled") == 4
    assert said[-1].endswith("settled, 2 succeeded; 4 of 4 parts")
    assert (ending.counts.succeeded, ending.money.spent_usd > 0, ending.verdicts) == (8, True, {})


def test_the_page_shows_the_payload_as_it_is() -> None:
    (block,) = [block for block in blocks() if block.info == "json payload"]
    shown = json.loads(block.body)
    made = Ending(run_id="r", outcome="done", exit_code=0, at=AT).as_json()
    assert list(shown) == list(made)
    assert [list(shown[name]) for name in ("requests", "cost")] == [list(made[name]) for name in ("requests", "cost")]
    assert block.page == ROOT / "docs" / "unattended.md"


def test_a_file_that_takes_no_events_is_told_of_once(tmp_path: Path) -> None:
    said: list[str] = []
    full = EventFile(Path("/dev/full"), said.append)
    for _ in range(3):
        full.write({"event": "note"})
    assert said == ["note: /dev/full takes no more events: No space left on device"]
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "nowhere" / "events", tmp_path):
        with pytest.raises(ConfigError, match="cannot be written"):
            EventFile(path, said.append)
