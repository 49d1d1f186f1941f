"""Opening a run: what is refused is refused before anything changes, what a crash left is healed, what changed is on record."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from tests.crash.lab import Killed
from tests.crash.looks import dying
from tests.unit.rig import Rig, once

from batchtrial.config.load import config_hash, encode
from batchtrial.config.model import Config
from batchtrial.errors import ConfigDrift, RunLocked, RunStateMissing, StateError
from batchtrial.reading.config import config_of_run
from batchtrial.run.options import Options
from batchtrial.state.files import RunState, load, save
from batchtrial.state.lock import LockInfo


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def state_of(rig: Rig) -> RunState:
    state = load(RunState, rig.layout.run_state)
    assert state is not None
    return state


def files(rig: Rig) -> dict[str, bytes]:
    """Everything in the run but the lock."""
    root = rig.layout.root
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name not in ("run.lock", ".guard")
    }


def test_a_new_run_says_what_it_is_in_three_places(rig: Rig) -> None:
    rig.run(to_step="build")
    text = rig.layout.effective_config.read_bytes()
    assert text == encode(rig.config())
    want = config_hash(rig.config())
    assert hashlib.sha256(text).hexdigest() == want == state_of(rig).config_hash
    opened = rig.entries()[0]
    assert (opened.event, opened.config_hash, opened.run_nonce) == ("opened", want, "00ff00ff00ff00ff")


def test_the_nonce_of_the_first_start_stays(rig: Rig) -> None:
    rig.run(to_step="build")
    session = rig.open()
    assert session.ledger.run_nonce == "00ff00ff00ff00ff"
    assert [entry.event for entry in rig.entries()].count("opened") == 1
    session.close()


def test_a_run_that_exists_is_not_started_over(rig: Rig) -> None:
    rig.run(to_step="submit")
    before = files(rig)
    with pytest.raises(StateError, match="exists already") as caught:
        rig.open(is_resume=False)
    assert caught.value.exit_code == 3
    assert "--resume" in caught.value.hint
    assert files(rig) == before


def test_a_run_that_does_not_exist_is_not_resumed_and_leaves_no_folder(rig: Rig) -> None:
    with pytest.raises(RunStateMissing, match="there is no run r1"):
        rig.open(is_resume=True)
    assert not rig.layout.root.exists()


def test_one_writer_even_in_one_process(rig: Rig) -> None:
    session = rig.open()
    with pytest.raises(RunLocked):
        rig.open(is_resume=True)
    session.close()
    rig.open().close()


# Drift


DRIFTS: list[tuple[str, dict[str, Any], str]] = [
    ("a statistic", {"stats": {"alpha": 0.01}}, "stats.alpha: 0.05 -> 0.01"),
    ("a seed", {"seed": 8}, "seed: 1337 -> 8"),
    ("a temperature", {"temps": [0.7]}, "temps: [0.0] -> [0.7]"),
    ("an answer length", {"max_new_tokens": {"open_book": 9, "closed_book": 9}}, "max_new_tokens.closed_book: 1024 -> 9"),
    ("the cutting", {"submission": {"lines_per_part": 4, "max_concurrent_jobs": 2, "poll_seconds": 20.0}}, "submission.lines_per_part: 2 -> 4"),
]


@pytest.mark.parametrize(("changes", "told"), [drift[1:] for drift in DRIFTS], ids=[drift[0] for drift in DRIFTS])
def test_a_changed_config_is_refused_with_the_changed_keys_and_nothing_is_touched(rig: Rig, changes: dict[str, Any], told: str) -> None:
    rig.run(to_step="build")
    before = files(rig)
    given = type(rig.config()).model_validate(rig.config().model_dump(mode="json") | changes)
    with pytest.raises(ConfigDrift) as caught:
        rig.open(given=given)
    assert told in caught.value.where
    assert "--accept_drift" in caught.value.hint
    assert files(rig) == before
    rig.open().close()


@pytest.mark.parametrize(
    "settings",
    [{"max_concurrent_jobs": 9}, {"poll_seconds": 1.0}, {"budget_usd": 1.0}, {"max_attempts": 1}, {"stop_policy": "drain"}, {"give_up_hours": 1.0}],
)
def test_how_fast_how_long_and_how_much_may_change(rig: Rig, settings: dict[str, Any]) -> None:
    rig.run(to_step="build")
    before = rig.layout.effective_config.read_bytes()
    rig.open(given=rig.config(**settings)).close()
    assert rig.layout.effective_config.read_bytes() == before


def test_an_accepted_change_is_on_record_and_is_the_config_from_then_on(rig: Rig) -> None:
    rig.run(to_step="build")
    rig.changes = {"stats": {"alpha": 0.01}}
    rig.open(accept_drift=True).close()
    state = state_of(rig)
    assert [(one.keys, one.config_hash) for one in state.drift] == [({"stats.alpha": "0.05 -> 0.01"}, config_hash(rig.config()))]
    assert state.config_hash == config_hash(rig.config())
    assert rig.layout.effective_config.read_bytes() == encode(rig.config())
    assert [entry.config_hash for entry in rig.entries() if entry.event == "drift"] == [config_hash(rig.config())]
    rig.open().close()


def test_a_change_that_a_kill_left_half_written_is_gone_on_with(rig: Rig) -> None:
    """Between the ledger's line and effective_config.yaml: what is on record counts, and nobody has to be told to mend it."""
    rig.run()
    before, other = rig.config(), rig.config().model_copy(update={"metrics": ("words",)})
    written = rig.layout.effective_config.read_bytes()
    points: list[str] = []
    rig.open(given=other, accept_drift=True, hook=points.append).close()
    first, last = points.index("ledger:drift:after"), points.index("write:effective_config.yaml:written")
    for n in range(first, last):
        rig.layout.effective_config.write_bytes(written)
        rig.open(given=before, accept_drift=True).close()
        with pytest.raises(Killed):
            rig.open(given=other, accept_drift=True, hook=dying(n + 1))
        assert config_of_run(rig.layout) == other, points[n]
        rig.open(given=config_of_run(rig.layout)).close()
        assert rig.layout.effective_config.read_bytes() == encode(other), points[n]


def test_a_changed_judge_is_refused_with_the_command_that_says_what_it_costs(rig: Rig) -> None:
    """--accept_drift alone would buy its judgements with no word of their price."""
    rig.changes = {"judges": [{"name": "fair", "rubric": {"path": "", "text": "Is it right?"}}]}
    rig.run(to_step="build")
    rig.changes["judges"][0]["rubric"]["text"] = "Is it, right?"
    with pytest.raises(ConfigDrift) as caught:
        rig.open()
    assert "`batchtrial grow --run_id r1 --config FILE` says what another judge costs and buys it when told" in caught.value.hint


def test_a_config_that_somebody_put_back_later_is_still_a_change(rig: Rig) -> None:
    rig.run(to_step="build")
    written = rig.layout.effective_config.read_bytes()
    rig.run(given=rig.config().model_copy(update={"metrics": ("words",)}), options=Options(to_step="poll", accept_drift=True))
    rig.layout.effective_config.write_bytes(written)
    with pytest.raises(ConfigDrift, match="the config has changed"):
        rig.open(given=config_of_run(rig.layout))


def test_a_refused_open_lets_go_of_the_run(rig: Rig) -> None:
    rig.run(to_step="build")
    rig.changes = {"seed": 5}
    with pytest.raises(ConfigDrift):
        rig.open()
    with pytest.raises(ConfigDrift):
        rig.open()  # not RunLocked


# What a crash leaves


def test_what_a_dead_writer_left_is_swept_and_said(rig: Rig) -> None:
    rig.run(to_step="build")
    dead = LockInfo(pid=2**22 + 1, host="elsewhere", started_at=rig.clock.now())
    rig.layout.lock_info.write_text(dead.model_dump_json())
    half = rig.layout.batch_inputs / ".x.jsonl.part~"
    half.write_text("half a line")
    session = rig.open()
    assert not half.exists()
    assert any(f"process {dead.pid} died" in note for note in session.healed)
    session.close()


def test_a_torn_ledger_line_is_dropped_and_said(rig: Rig) -> None:
    rig.run(to_step="build")
    whole = rig.layout.ledger.read_bytes()
    rig.layout.ledger.write_bytes(whole + b'{"seq":2,"at":"20')
    session = rig.open()
    assert any("torn" in note for note in session.healed)
    session.close()
    assert rig.layout.ledger.read_bytes() == whole


def test_a_lost_run_state_is_put_together_again(rig: Rig) -> None:
    rig.run()
    rig.layout.run_state.unlink()
    calls = list(rig.memory.calls)
    rig.run()
    state = state_of(rig)
    assert state.migrated
    assert state.notes
    assert state.config_hash == config_hash(rig.config())
    assert rig.memory.calls == calls


def test_a_lost_build_manifest_gives_the_same_bytes_again(rig: Rig) -> None:
    rig.run()
    before = {path.name: path.read_bytes() for path in rig.layout.batch_inputs.iterdir()}
    rig.layout.build_manifest.unlink()
    calls = list(rig.memory.calls)
    rig.run()
    assert {path.name: path.read_bytes() for path in rig.layout.batch_inputs.iterdir()} == before
    assert rig.memory.calls == calls


def test_a_snapshot_that_changes_between_two_looks_is_read_again(rig: Rig) -> None:
    rig.run(to_step="build")
    session = rig.open()
    first, second = session.look().build, session.look().build
    assert first is not None
    assert second is first
    save(rig.layout.build_manifest, first.model_copy(update={"inputs": "other"}))
    third = session.look().build
    assert third is not None
    assert third.inputs == "other"
    rig.layout.build_manifest.write_bytes(b"{")
    assert session.look().build is None
    assert "build_manifest.json" in session.healed[-1]
    session.close()


def test_phases_are_recorded_as_they_end(rig: Rig) -> None:
    rig.run(to_step="submit")
    state = state_of(rig)
    assert {name: record.status for name, record in state.phases.items()} == {"prepare": "completed", "build": "completed", "submit": "completed"}
    assert state.last_checkpoint is not None
    assert state.last_checkpoint.phase == "submit"
    assert not state.stop_requested


def test_a_failed_phase_says_why(rig: Rig) -> None:
    rig.memory.on_submit.append("refused")
    with pytest.raises(Exception, match="no such model"):
        rig.run()
    record = state_of(rig).phases["submit"]
    assert (record.status, record.last_error) == ("failed", "no such model")


class Died(Exception):
    """The process died here."""


def die() -> None:
    raise Died


@pytest.mark.parametrize("stats", [{}, {"alpha": 0.1}], ids=["nobody wrote a plan", "somebody wrote one"])
@pytest.mark.parametrize("point", ["ledger:plan:before", "ledger:opened:after"])
def test_a_death_before_the_plan_line_does_not_make_defaults_into_a_written_plan(tmp_path: Path, point: str, stats: dict[str, Any]) -> None:
    """The config that a resume reads has every setting written out; what somebody wrote is in the ledger's first line."""
    rig = Rig(tmp_path, changes={"stats": stats} if stats else {})
    with pytest.raises(Died):
        rig.run(to_step="prepare", hook=once(point, die))
    assert [entry.event for entry in rig.entries()] == ["opened"]
    written_out = Config.model_validate(rig.config().model_dump())
    assert written_out.stats.model_fields_set > set(stats)
    session = rig.open(given=written_out)
    session.close()
    (plan,) = (entry for entry in rig.entries() if entry.event == "plan")
    assert plan.detail is not None
    assert plan.detail["written"] == sorted(stats)
