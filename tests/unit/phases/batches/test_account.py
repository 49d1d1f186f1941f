"""Whose account is asked: proved before anything is sent, looked at or given up; another one is refused, and nothing is lost by it."""

from __future__ import annotations

import shutil
from collections import deque
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.memory import Batch, Memory
from tests.unit.phases.world import Quiet
from tests.unit.rig import Rig, once

from batchtrial.errors import PhaseFailed, StateError, Stopped
from batchtrial.phases.batches.account import PROBES
from batchtrial.phases.batches.giving_up import give_up_unknown
from batchtrial.providers.base import KEY_CHECK, BatchStatus, Intent, key_check
from batchtrial.providers.by_hand import ByHand, arrival
from batchtrial.run.loop import Finished, Services, carry, execute
from batchtrial.run.options import Options
from batchtrial.state.machine import Event, PartState
from batchtrial.state.store import Hook

KEY_A, KEY_B = {KEY_CHECK: "a1a"}, {KEY_CHECK: "b2b"}


class Dead(BaseException):
    """The process died here."""


def die() -> None:
    raise Dead


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path)
    made.memory.told = KEY_A
    return made


def elsewhere(rig: Rig, **told: str) -> Memory:
    """The rig's run now asks another account; returns its own."""
    ours = rig.memory
    rig.memory = Memory(rig.clock, told=told)
    return ours


def half_done(rig: Rig, at: int = 3) -> None:
    """Killed inside a create call: its batch is there, its receipt is not."""
    with pytest.raises(Dead):
        rig.run(hook=once("call:submit:after", die, at=at))


def paid_calls(memory: Memory) -> list[str]:
    return [call for call in memory.calls if call.startswith("submit")]


@pytest.mark.parametrize("told", [KEY_B, {}, {"organization": "org-b", **KEY_A}, {"account": "acct-b", **KEY_A}])
def test_another_account_is_refused_before_anything_is_sent_and_nothing_is_lost(rig: Rig, told: dict[str, str]) -> None:
    rig.memory.told = KEY_A | {name: "ours" for name in told if name != KEY_CHECK}
    half_done(rig)
    before = rig.events()
    ours = elsewhere(rig, **told)
    for _ in range(2):
        with pytest.raises(StateError) as caught:
            rig.run()
        assert caught.value.exit_code == 3
        assert "use the key that the run was started with" in caught.value.hint
    assert paid_calls(rig.memory) == []
    assert rig.events() == before, "nothing was declared gone, lost or sent"
    rig.memory = ours
    assert rig.run().counts.succeeded == rig.n_requests
    assert rig.is_paid_once()


def run_with_brought(rig: Rig, ours: Memory, *batches: str) -> Finished:
    """The run goes on; result files of these batches of ours lie in its folder, as an import leaves them that was killed before it took them in."""
    rig.layout.arrivals.mkdir(exist_ok=True)
    for batch_id in batches:
        arrival(rig.layout.arrivals, batch_id, "completed").write_bytes(b"".join(ours.batches[batch_id].lines))
    session, provider = rig.open(), ByHand(rig.memory, rig.memory, rig.layout.arrivals)
    services = Services(codec=rig.memory, provider=lambda: provider, now=rig.clock.now, stop=rig.stop_token(), progress=Quiet(rig.notes))
    try:
        return execute(session, Options(to_step="poll"), services)
    finally:
        session.close()


@pytest.mark.parametrize("brought", [("batch-1",), ("batch-1", "batch-2")])
def test_files_of_a_batch_that_somebody_brought_prove_nothing_about_a_key(rig: Rig, brought: tuple[str, ...]) -> None:
    half_done(rig)
    ours = elsewhere(rig, **KEY_B)
    for _ in range(2):
        with pytest.raises(StateError, match="knows no batch of this run"):
            run_with_brought(rig, ours, *brought)
    assert paid_calls(rig.memory) == []
    rig.memory = ours
    assert run_with_brought(rig, ours, *brought).counts.succeeded == rig.n_requests
    assert rig.is_paid_once()


def test_files_that_somebody_brought_do_not_show_that_the_account_has_lost_the_others(rig: Rig) -> None:
    rig.settings["max_concurrent_jobs"] = 10
    rig.run(to_step="submit")
    ours, rig.memory = rig.memory, Memory(rig.clock, told=KEY_A)
    with pytest.raises(PhaseFailed, match="knows no batch of this run"):
        run_with_brought(rig, ours, "batch-1")
    assert "gone" not in rig.events()
    rig.memory = ours
    assert run_with_brought(rig, ours, "batch-1").counts.succeeded == rig.n_requests


def test_the_account_of_the_wire_is_compared_before_any_call(rig: Rig) -> None:
    rig.memory.told = {"account": "ours"}
    half_done(rig)
    elsewhere(rig, account="theirs")
    with pytest.raises(StateError, match="started with the account ours, and theirs is asked now"):
        rig.run()
    assert rig.memory.calls == []


def test_a_new_key_of_the_same_account_goes_on(rig: Rig) -> None:
    half_done(rig)
    rig.memory.told = KEY_B
    assert rig.run().counts.succeeded == rig.n_requests
    assert rig.is_paid_once()
    assert [dict(e.detail or {})["account"] for e in rig.entries() if e.event == "session"] == [KEY_A, KEY_B]


def test_a_first_call_in_doubt_is_proved_by_its_batch_under_a_new_key(rig: Rig) -> None:
    half_done(rig, at=1)
    rig.memory.told = KEY_B
    rig.run()
    assert rig.is_paid_once()


def test_a_first_call_in_doubt_that_a_new_key_does_not_show_is_not_made_again(rig: Rig) -> None:
    half_done(rig, at=1)
    ours = elsewhere(rig, **KEY_B)
    with pytest.raises(StateError, match="does not show the call that is in doubt"):
        rig.run()
    rig.memory = ours
    rig.run()
    assert rig.is_paid_once()


def test_a_first_call_that_never_arrived_is_made_again_with_the_same_key(rig: Rig) -> None:
    with pytest.raises(Dead):
        rig.run(hook=once("call:submit:before", die))
    rig.run()
    assert rig.is_paid_once()


def test_a_run_that_has_sent_nothing_may_go_to_any_account(rig: Rig) -> None:
    rig.run(to_step="build")
    rig.memory.told = KEY_B
    rig.run()
    assert rig.is_paid_once()


def test_batches_that_the_same_key_no_longer_knows_are_not_declared_gone_all_together(rig: Rig) -> None:
    rig.settings["max_concurrent_jobs"] = 10
    rig.run(to_step="submit")
    for batch in rig.memory.batches.values():
        batch.is_gone = True
    with pytest.raises(PhaseFailed, match="knows no batch of this run"):
        rig.run()
    assert "gone" not in rig.events()


def test_giving_up_is_refused_too(rig: Rig) -> None:
    half_done(rig)
    elsewhere(rig, **KEY_B)
    session = rig.open()
    services = Services(codec=rig.memory, provider=lambda: rig.memory, now=rig.clock.now, stop=rig.stop_token(), progress=Quiet())
    try:
        with pytest.raises(StateError, match="knows no batch of this run"):
            carry(session, Options(), services, lambda work: give_up_unknown(work, lambda lost: None))
    finally:
        session.close()
    assert "gone" not in rig.events()


def test_a_provider_that_is_away_is_waited_for(rig: Rig) -> None:
    half_done(rig)
    rig.memory.on_check = deque(["down", "down"])
    rig.run()
    assert rig.is_paid_once()


def test_a_finished_run_asks_nobody(rig: Rig) -> None:
    rig.run()
    before = len(rig.memory.calls)
    rig.run()
    assert len(rig.memory.calls) == before


def test_a_check_of_a_key_has_twelve_bits_and_hangs_on_the_run() -> None:
    checks = {key_check(f"sk-{number}", "salt") for number in range(4000)}
    assert all(len(check) == 3 for check in checks)
    assert 2000 < len(checks) < 4096
    assert key_check("sk-1", "salt") != key_check("sk-1", "other")


# What was declared gone


def gone(rig: Rig) -> str:
    """Finish a run of which the last batch is gone; its id."""
    rig.run(to_step="submit")
    last = list(rig.memory.batches.values())[-1]
    last.is_gone = True
    assert rig.run().counts.missing == 2
    return last.id


def test_a_part_that_was_declared_gone_is_opened_by_the_provider_that_shows_it(rig: Rig) -> None:
    batch_id = gone(rig)
    assert rig.run().counts.missing == 2, "still gone"
    rig.memory.batches[batch_id].is_gone = False
    assert rig.run().counts.succeeded == rig.n_requests
    assert rig.is_paid_once()
    assert rig.events().count("found") == 1
    assert rig.money().in_flight_usd == 0


def test_one_look_is_made_for_each_and_that_nobody_answers_changes_nothing(rig: Rig) -> None:
    gone(rig)
    before = rig.memory.n_calls("check")
    rig.memory.on_check = deque(["down"])
    assert rig.run().counts.missing == 2
    assert rig.memory.n_calls("check") == before + 1


# Copies of the run


def of_copy(rig: Rig, name: str) -> Rig:
    """The same run in another folder, at the same provider."""
    other = Rig.__new__(Rig)
    for key in ("n_items", "settings", "changes", "clock", "nonce", "memory"):
        setattr(other, key, getattr(rig, key))
    other.folder, other.notes = rig.folder, []
    other.layout = replace(rig.layout, root=rig.folder / name / rig.layout.root.name)
    shutil.copytree(rig.layout.root, other.layout.root)
    return other


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_copy_and_the_original_gone_on_with_in_turn_pay_once(rig: Rig, at: int) -> None:
    half_done(rig, at)
    copy = of_copy(rig, "copy")
    assert copy.run().counts.succeeded == rig.n_requests
    assert rig.run().counts.succeeded == rig.n_requests
    assert rig.is_paid_once()
    assert any("last worked on in another folder" in note for note in copy.notes)


def test_a_copy_made_before_anything_was_sent_pays_nothing_either(rig: Rig) -> None:
    rig.run(to_step="build")
    copy = of_copy(rig, "copy")
    rig.run()
    copy.run()
    assert rig.is_paid_once()


def test_a_list_that_lags_is_asked_again_where_somebody_worked_elsewhere(rig: Rig) -> None:
    half_done(rig)
    copy = of_copy(rig, "copy")
    rig.run()
    for batch in rig.memory.batches.values():
        batch.unlisted_for = 1
    n_sent = rig.memory.n_calls("submit")
    copy.run()
    assert rig.memory.n_calls("submit") == n_sent, "nothing was sent for want of a second look"
    assert rig.is_paid_once()


def test_a_retry_that_a_copy_has_sent_is_taken_over(rig: Rig) -> None:
    seen: list[str] = []

    def answer(one: str, batch: int) -> str:
        seen.append(one)
        return "errored" if len(seen) == 1 else "succeeded"

    rig.memory.answer = answer
    with pytest.raises(Dead):
        rig.run(hook=once("ledger:receipt:after", die))
    copy = of_copy(rig, "copy")
    rig.run()
    copy.run()
    assert rig.is_paid_once()


def test_of_two_copies_at_work_the_younger_batch_is_cancelled_and_named_with_its_price(rig: Rig) -> None:
    made: list[Rig] = []

    def go_on_elsewhere() -> None:
        made.append(of_copy(rig, "copy"))
        made[0].run()

    rig.run(hook=once("call:submit:before", go_on_elsewhere))
    copy = made[0]
    twins = [one for record in rig.parts().values() for one in record.duplicates]
    assert [(one.n_requests, one.is_cancelled) for one in twins] == [(2, True)] * 2, "it looks before it sends once it has met a copy"
    assert all(rig.memory.batches[one.batch_id].is_cancelled for one in twins)
    assert twins[0].reserved_usd > 0
    assert rig.is_paid_once()
    ids = [{name: record.attempts[0].batch_id for name, record in one.parts().items()} for one in (rig, copy)]
    assert ids[0] == ids[1], "both count the same batches"
    assert rig.counts() == copy.counts() == {"succeeded": rig.n_requests}


def test_a_second_batch_that_came_too_late_to_cancel_is_named_all_the_same(rig: Rig) -> None:
    rig.run(to_step="submit")
    first = rig.names()[0]
    attempt = rig.parts()[first].attempts[0]
    rig.clock.wait(120)
    intent = Intent(
        part=first, attempt=1, token=attempt.token, payload_sha256=attempt.payload_sha256, n_requests=2, created_at=rig.clock.now(), model="m"
    )
    younger = rig.memory.accept(intent, rig.layout.part_input(first))
    younger.made_at = attempt.created_at  # it has ended as well
    rig.run()
    twins = [one for record in rig.parts().values() for one in record.duplicates]
    assert [(one.batch_id, one.is_cancelled) for one in twins] == [(younger.id, False)]
    assert rig.parts()[first].attempts[0].batch_id == attempt.batch_id


def ends_beside(copy: Rig, made: list[Batch]) -> Hook:
    """When all is settled, a batch is there that the other copy has made for the first part a moment ago."""

    def hook(point: str) -> None:
        if point != "call:list:before" or made or any(record.state is not PartState.SETTLED for record in copy.parts().values()):
            return
        part = copy.names()[0]
        attempt = copy.parts()[part].attempts[0]
        intent = Intent(part=part, attempt=1, token=attempt.token, payload_sha256="", n_requests=2, created_at=copy.clock.now(), model="m")
        made.append(copy.memory.accept(intent, copy.layout.part_input(part)))

    return hook


def test_a_copy_waits_at_its_end_for_what_may_be_a_second_batch_and_still_runs(rig: Rig) -> None:
    rig.memory.is_unlabelled = True
    half_done(rig)
    copy, made = of_copy(rig, "copy"), list[Batch]()
    copy.run(hook=ends_beside(copy, made))
    assert [one.batch_id for record in copy.parts().values() for one in record.duplicates] == [made[0].id]
    assert [entry.reason for entry in copy.entries() if entry.event == "looked"] == [None]
    assert any("wait until" in note or "waits until" in note for note in copy.notes)


def test_a_copy_that_is_killed_while_it_waits_waits_again(rig: Rig) -> None:
    rig.memory.is_unlabelled = True
    half_done(rig)
    copy, made = of_copy(rig, "copy"), list[Batch]()
    beside = ends_beside(copy, made)
    n_listings: list[str] = []

    def hook(point: str) -> None:
        beside(point)
        if made and point == "call:list:before":
            n_listings.append(point)
            if len(n_listings) == 2:
                die()

    with pytest.raises(Dead):
        copy.run(hook=hook)
    copy.run()
    assert [one.batch_id for record in copy.parts().values() for one in record.duplicates] == [made[0].id]
    assert [entry.reason for entry in copy.entries() if entry.event == "looked"] == [None]


def test_a_copy_tells_what_still_runs_after_the_time_that_a_batch_may_take(rig: Rig) -> None:
    rig.settings["give_up_hours"] = 2.0
    rig.memory.is_unlabelled = True
    half_done(rig)
    copy, made = of_copy(rig, "copy"), list[Batch]()
    beside = ends_beside(copy, made)

    def hook(point: str) -> None:
        beside(point)
        if made:
            made[0].made_at = copy.clock.now()  # it never ends

    assert copy.run(hook=hook).counts.succeeded == rig.n_requests
    told = [entry.reason or "" for entry in copy.entries() if entry.event == "looked"]
    assert len(told) == 1
    assert made[0].id in told[0]
    assert any("could not be seen" in note for note in copy.notes)


def test_a_folder_that_moved_goes_on_after_one_listing(rig: Rig) -> None:
    with pytest.raises(Stopped):
        rig.run(hook=once("ledger:receipt:after", lambda: rig.layout.stop_requested.touch()))
    rig.layout.stop_requested.unlink()
    there = rig.folder / "there"
    rig.layout.root.rename(there)
    rig.layout = replace(rig.layout, root=there)
    before = rig.memory.n_calls("list")
    rig.run(to_step="submit")
    assert rig.is_paid_once() or rig.memory.n_calls("submit") == 4
    assert rig.memory.n_calls("list") - before <= rig.memory.limits.find_rounds + 4


def test_no_key_stands_in_the_ledger(rig: Rig) -> None:
    rig.memory.told = {KEY_CHECK: key_check("sk-secret-0123456789", "00ff00ff00ff00ff")}
    rig.run()
    assert b"sk-secret" not in rig.layout.ledger.read_bytes()


@pytest.mark.parametrize("refuses", [False, True], ids=["the account knows none", "another kind of lane"])
def test_batches_of_arms_that_are_asked_no_more_prove_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch, refuses: bool) -> None:
    """A judge at another provider that was replaced: its batches are the newest, and the direct lane cannot even name them."""
    half_done(rig)
    session = rig.open()
    for number in range(PROBES):
        part = f"judge-since-replaced_p{number:02}"
        intent = {"attempt": 1, "token": f"{number}" * 16, "payload": "x", "payload_sha256": "x", "n_requests": 1}
        session.ledger.append(Event.INTENT, part, **intent)
        session.ledger.append(Event.RECEIPT, part, attempt=1, batch_id=f"elsewhere-{number}", adopted=False)
    session.ledger.append(Event.GONE, part, reason="its provider knew nothing of it")
    session.close()
    plain = Memory.check

    def check(memory: Memory, batch_id: str) -> BatchStatus:
        if refuses and batch_id.startswith("elsewhere-"):
            raise StateError("was not made by this lane")
        return plain(memory, batch_id)

    monkeypatch.setattr(Memory, "check", check)
    rig.memory.told = KEY_B
    rig.run()
    assert rig.is_paid_once()
