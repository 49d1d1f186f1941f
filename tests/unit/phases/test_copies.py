"""What a copy of the run sent beside this one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from tests.unit.memory import Batch
from tests.unit.phases.world import Quiet
from tests.unit.rig import Rig, once

from batchtrial.errors import PhaseFailed
from batchtrial.keys import OUT
from batchtrial.phases.base import Work
from batchtrial.phases.batches import poll
from batchtrial.phases.batches.by_hand import hand_out, take_in
from batchtrial.providers.base import BatchState, Intent
from batchtrial.providers.by_hand import ByHand, arrival
from batchtrial.reading.view import view_of
from batchtrial.run.loop import Services, carry, execute
from batchtrial.run.options import Options
from batchtrial.state.entries import Entry
from batchtrial.state.ledger import LOOKED, PartRecord, is_look_due
from batchtrial.state.machine import PartState
from batchtrial.state.store import Hook, no_hook


class Killed(BaseException):
    """The process dies here."""


def die() -> None:
    raise Killed


def by_hand(rig: Rig, move: Callable[[Work], object], hook: Hook = no_hook) -> None:
    """What export_batch and import_batch do: the run worked on without its provider."""
    session = rig.open(hook=hook)
    carried = ByHand(rig.memory, None, rig.layout.arrivals, was_called=lambda: False)
    services = Services(codec=rig.memory, provider=lambda: carried, now=rig.clock.now, stop=rig.stop_token(), progress=Quiet(rig.notes))
    try:
        carry(session, Options(), services, move)
    finally:
        session.close()


@pytest.mark.parametrize(("end", "is_cancelled"), [(None, True), (BatchState.COMPLETED, False), (BatchState.CANCELLED, True)])
def test_what_a_copy_sent_of_an_exported_part_is_named(tmp_path: Path, end: BatchState | None, is_cancelled: bool) -> None:
    """end: how it stood when it was seen; None while it runs, so that it is cancelled from here."""
    rig = Rig(tmp_path)
    rig.run("build")
    rig.layout.arrivals.mkdir()
    by_hand(rig, lambda work: hand_out(work, tmp_path / "requests"))
    part = rig.names()[0]
    attempt = rig.parts()[part].attempts[0]
    intent = Intent(
        part=part,
        attempt=1,
        token=attempt.token,
        payload_sha256=attempt.payload_sha256,
        n_requests=attempt.n_requests,
        created_at=rig.clock.now(),
        model="",
    )
    theirs = rig.memory.accept(intent, rig.layout.part_input(part))
    if end is not None:
        theirs.ends_as = end
        rig.clock.wait(60.0)
    by_hand(
        rig, lambda work: take_in(work, [], allow_incomplete=False, take_back=True, arrival=lambda one, end: arrival(rig.layout.arrivals, one, end))
    )
    rig.run()
    assert [(one.batch_id, one.is_cancelled) for one in rig.parts()[part].duplicates] == [(theirs.id, is_cancelled)]
    assert not any(record.duplicates for name, record in rig.parts().items() if name != part)
    assert rig.counts()["succeeded"] == rig.n_requests


def test_an_export_that_is_killed_in_its_first_line_owes_no_account_anything(tmp_path: Path) -> None:
    """A process with a key of another account had begun to ask, and sent nothing."""
    rig = Rig(tmp_path)
    rig.memory.told = {"key": "1f3", "organization": "theirs"}
    with pytest.raises(Killed):
        rig.run(hook=once("ledger:session:after", die))
    rig.layout.arrivals.mkdir()
    with pytest.raises(Killed):
        by_hand(rig, lambda work: hand_out(work, tmp_path / "requests"), once("ledger:intent:after", die))
    rig.memory.told = {"key": "8d1", "organization": "ours"}
    carried = ByHand(rig.memory, rig.memory, rig.layout.arrivals)
    session = rig.open()
    services = Services(codec=rig.memory, provider=lambda: carried, now=rig.clock.now, stop=rig.stop_token(), progress=Quiet(rig.notes))
    with pytest.raises(PhaseFailed, match="1 part is out as files"):
        execute(session, Options(to_step="poll"), services)
    session.close()
    out = rig.parts()[rig.names()[0]]
    assert out.current is not None
    assert (out.current.batch_id or "").startswith(OUT)
    assert rig.memory.n_calls("submit") == len(rig.names()) - 1


@pytest.mark.parametrize("has_list", [True, False])
def test_a_retry_whose_first_attempt_was_deleted_is_named_by_a_folder_that_was_put_back(tmp_path: Path, has_list: bool) -> None:
    """Nobody asks for the second attempt by itself: the rows of the first are missing, and missing rows are not bought again."""
    rig = Rig(tmp_path)
    rig.memory.answer = lambda custom_id, batch: "errored" if batch == 1 else "succeeded"
    rig.memory.has_list, rig.memory.limits = has_list, replace(rig.memory.limits, may_vanish=not has_list)
    with pytest.raises(Killed):
        rig.run(hook=once("call:check:before", die))
    shutil.copytree(rig.layout.root, tmp_path / "backup")
    rig.run()
    again = next(attempt.batch_id for attempt in rig.parts()[rig.names()[0]].attempts if attempt.number == 2)
    rig.memory.batches["batch-1"].is_gone = True
    shutil.rmtree(rig.layout.root)
    shutil.copytree(tmp_path / "backup", rig.layout.root)
    rig.run()
    record = rig.parts()[rig.names()[0]]
    assert record.attempts[0].is_gone
    assert [one.batch_id for one in record.duplicates] == [again]
    assert not any(one.duplicates for one in rig.parts().values() if one.part != record.part)


def test_batches_without_labels_that_end_at_once_are_all_taken_over(tmp_path: Path) -> None:
    """A backup from before anything was sent, put back while four batches of one size run: nobody can tell yet which is which part's."""
    rig = Rig(tmp_path, settings={"max_concurrent_jobs": 8})
    put_back(rig, tmp_path)
    assert len(rig.memory.batches) == len(rig.names()) == 4
    rig.run()
    assert rig.is_paid_once()
    assert len(rig.memory.batches) == 4
    assert rig.counts()["succeeded"] == rig.n_requests


def put_back(rig: Rig, tmp_path: Path) -> None:
    """The run from before anything was sent, while four batches of it, which tell by their results alone whose they are, run."""
    rig.memory.is_unlabelled = True
    rig.run("build")
    shutil.copytree(rig.layout.root, tmp_path / "backup")
    with pytest.raises(Killed):
        rig.run(hook=once("call:check:before", die))
    shutil.rmtree(rig.layout.root)
    shutil.copytree(tmp_path / "backup", rig.layout.root)


def test_a_batch_that_may_be_a_copys_and_never_ends_ends_the_run(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings={"max_concurrent_jobs": 8, "give_up_hours": 2.0})
    rig.memory.life_seconds = 1e9
    put_back(rig, tmp_path)
    with pytest.raises(PhaseFailed, match=r"\S+_p01 has waited for 2 hours .* batch-1") as caught:
        rig.run()
    assert caught.value.where == "submission.give_up_hours"
    assert sum(rig.clock.waited) < 3 * 3600
    rig.memory.life_seconds = 60.0
    rig.run()
    assert rig.is_paid_once()
    assert len(rig.memory.batches) == 4


def test_a_list_that_nobody_gives_ends_the_run_with_a_reason(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings={"max_concurrent_jobs": 8})
    put_back(rig, tmp_path)
    listed = iter([True])

    def down() -> None:
        if next(listed, False):
            return
        rig.memory.on_list.extend(["down"] * 10)

    rig.memory.life_seconds = 1e9
    with pytest.raises(PhaseFailed, match="cannot be listed"):
        rig.run(hook=lambda point: down() if point == "call:list:before" else None)
    assert sum(rig.clock.waited) < 2 * 3600
    rig.memory.on_list.clear()
    rig.memory.life_seconds = 60.0
    rig.run()
    assert rig.is_paid_once()


def second_batch(rig: Rig, part: str) -> Batch:
    """What a copy of the run, which ended a moment later, had sent for a part that is settled here."""
    attempt = rig.parts()[part].attempts[0]
    intent = Intent(
        part=part,
        attempt=1,
        token=attempt.token,
        payload_sha256=attempt.payload_sha256,
        n_requests=attempt.n_requests,
        created_at=rig.clock.now(),
        model="",
    )
    return rig.memory.accept(intent, rig.layout.part_input(part))


def ended_unseen(rig: Rig) -> None:
    """A run that died when every part was settled, before the account was listed for second batches."""
    with pytest.raises(Killed):
        rig.run(hook=once("ledger:looked:before", die))
    assert {record.state for record in rig.parts().values()} == {PartState.SETTLED}


def test_what_a_copy_cancelled_is_not_bought_again(tmp_path: Path) -> None:
    """The copy was first, saw both batches and cancelled ours, before we saw its own."""
    rig = Rig(tmp_path)
    theirs: list[Batch] = []

    def a_moment_before(intent: Intent) -> None:
        if not theirs:
            theirs.append(rig.memory.accept(intent, rig.layout.part_input(intent.part)))
            theirs[0].unlisted_for = 1

    def cancelled() -> None:
        ours = list(rig.memory.batches.values())[1]
        ours.is_cancelled, ours.ends_as, ours.lines = True, BatchState.CANCELLED, ()

    rig.memory.at_create = a_moment_before
    rig.run(hook=once("ledger:receipt:after", cancelled))
    part = rig.names()[0]
    record = rig.parts()[part]
    assert [(one.number, one.batch_id) for one in record.attempts] == [(1, theirs[0].id)]
    assert [one.batch_id for one in record.duplicates] == ["batch-2"]
    assert rig.is_paid_once()
    assert rig.counts()["succeeded"] == rig.n_requests


def test_what_somebody_cancelled_where_there_is_no_copy_is_asked_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    def cancelled() -> None:
        ours = next(iter(rig.memory.batches.values()))
        ours.is_cancelled, ours.ends_as, ours.lines = True, BatchState.CANCELLED, ()

    rig.run(hook=once("ledger:receipt:after", cancelled))
    assert [one.number for one in rig.parts()[rig.names()[0]].attempts] == [1, 2]
    assert rig.is_paid_once()


def looks(rig: Rig) -> list[Entry]:
    return [entry for entry in rig.entries() if entry.event == LOOKED]


def test_a_run_that_died_before_its_last_look_is_not_done(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    ended_unseen(rig)
    view = view_of(rig.layout.root.parent, rig.layout.run_id, lambda config: rig.memory.limits)
    assert poll.verdict(view).reason == "all 4 parts settled; the account is still to be listed for second batches"
    theirs = second_batch(rig, rig.names()[0])
    n_batches = len(rig.memory.batches)
    rig.run()
    assert [one.batch_id for record in rig.parts().values() for one in record.duplicates] == [theirs.id]
    assert rig.money().unknown_usd > 0
    assert len(rig.memory.batches) == n_batches
    view = view_of(rig.layout.root.parent, rig.layout.run_id, lambda config: rig.memory.limits)
    assert poll.verdict(view).is_done
    n_listings = rig.memory.n_calls("list")
    rig.run()  # nothing is left to do, nothing is asked
    assert rig.memory.n_calls("list") == n_listings


def test_a_batch_made_after_the_last_look_asks_for_another(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.run()
    notes, parts = rig.entries(), list(rig.parts().values())
    assert not is_look_due(notes, parts)
    part = parts[0]
    one = part.attempts[0]
    more = PartRecord(part=part.part, state=part.state, attempts=(one, msgspec.structs.replace(one, number=2, batch_id="batch-99")))
    assert is_look_due(notes, [more, *parts[1:]])
    out = PartRecord(part=part.part, state=part.state, attempts=(one, msgspec.structs.replace(one, number=2, batch_id=f"{OUT}99")))
    assert not is_look_due(notes, [out, *parts[1:]])  # no provider lists what left as a file


def test_a_ledger_of_an_earlier_version_asks_for_no_look(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.run()
    assert not is_look_due([], rig.parts().values())


def test_a_list_that_fails_or_lags_at_the_end_is_asked_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    ended_unseen(rig)
    rig.memory.on_list.extend(["down", "down"])
    theirs = second_batch(rig, rig.names()[0])
    theirs.unlisted_for = 1
    mine = next(batch for batch in rig.memory.batches.values() if batch is not theirs)
    mine.unlisted_for = 1
    rig.run()
    assert [one.batch_id for record in rig.parts().values() for one in record.duplicates] == [theirs.id]
    assert [entry.reason for entry in looks(rig)] == [None]


@pytest.mark.parametrize(("troubles", "n_listings"), [(["denied"], 1), (["down"] * 5, 5)])
def test_a_list_that_cannot_be_had_is_told_and_ends_no_run(tmp_path: Path, troubles: list[Literal["down", "denied"]], n_listings: int) -> None:
    rig = Rig(tmp_path)
    ended_unseen(rig)
    before = rig.memory.n_calls("list")
    rig.memory.on_list.extend(troubles)
    rig.run()
    assert rig.counts()["succeeded"] == rig.n_requests
    assert rig.memory.n_calls("list") - before == n_listings
    assert [entry.reason for entry in looks(rig)] == ["the account's batches cannot be listed: cannot be listed"]
    assert any("could not be seen" in note for note in rig.notes)


def test_batches_that_the_list_does_not_show_are_told_and_end_no_run(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    ended_unseen(rig)
    next(iter(rig.memory.batches.values())).unlisted_for = 99
    rig.run()
    assert [entry.reason for entry in looks(rig)] == ["the account's list lacks 1 batch of this run"]
