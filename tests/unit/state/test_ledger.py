"""The ledger: what it says after any history, any crash and any full disk is what happened."""

from __future__ import annotations

import os
import resource
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from batchtrial.errors import IllegalTransition, StateError
from batchtrial.state.entries import Counts, Entry, LedgerRead, decode, encode, mark_of, marked, read
from batchtrial.state.ledger import LATER, REFETCHED, Ledger, fold, load_parts, money
from batchtrial.state.machine import IN_FLIGHT, NEXT, Event, PartState

PART = "model-set_t0_treatment_p01"
E = Event


def clock() -> Callable[[], datetime]:
    seconds = count()
    return lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(seconds))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def intent(ledger: Ledger, part: str = PART, attempt: int = 1, reserve: str | None = "0.5") -> Entry:
    fields: dict[str, Any] = {"token": f"{attempt:016x}", "payload": "batch_inputs/x.jsonl", "payload_sha256": "ab", "n_requests": 4}
    return ledger.append(E.INTENT, part, attempt=attempt, reserved_usd=reserve, **fields)


def saved(ledger: Ledger, part: str = PART, cost: str | None = "0.1") -> None:
    ledger.append(E.SAVED, part, path="r.jsonl", sha256="cd", size=9, counts=Counts(succeeded=4), odd={}, usage={}, cost_usd=cost)


def lived(ledger: Ledger, part: str = PART) -> None:
    """A whole life without trouble."""
    intent(ledger, part)
    ledger.append(E.UPLOADED, part, file_id="file-1")
    ledger.append(E.RECEIPT, part, batch_id="batch-1", adopted=False)
    ledger.append(E.DONE, part, wire_state="completed", ids={"output_file_id": "file-2"})
    saved(ledger, part)
    ledger.append(E.SETTLED, part, counts=Counts(succeeded=4))


def test_a_part_after_a_whole_life_is_told_in_full(path: Path) -> None:
    ledger = Ledger(path, clock=clock())
    lived(ledger)
    record = ledger.part(PART)
    assert (record.state, record.counts, len(record.attempts)) == (PartState.SETTLED, Counts(succeeded=4), 1)
    attempt = record.attempts[0]
    assert (attempt.batch_id, attempt.file_id, attempt.is_saved, attempt.wire_state) == ("batch-1", "file-1", True, "completed")
    assert attempt.created_at < (attempt.batch_at or attempt.created_at)
    assert ledger.owned_batches() == {"batch-1"}
    assert ledger.part("another").state is PartState.PENDING
    ledger.close()


def test_what_is_read_back_is_what_was_there(path: Path) -> None:
    ledger = Ledger(path, clock=clock())
    ledger.append("opened", run_nonce="00ff")
    lived(ledger)
    intent(ledger, "other")
    parts, owed = ledger.parts, ledger.money()
    ledger.close()
    again = Ledger(path, clock=clock())
    assert (again.parts, again.money(), again.run_nonce, again.n_lines) == (parts, owed, "00ff", 8)
    assert [note.event for note in again.notes if note.event == "opened"] == ["opened"]
    again.close()


def test_an_event_that_cannot_be_writes_nothing(path: Path) -> None:
    ledger = Ledger(path, clock=clock())
    intent(ledger)
    before = path.read_bytes()
    with pytest.raises(IllegalTransition):
        intent(ledger)
    assert path.read_bytes() == before
    assert ledger.part(PART).state is PartState.SUBMITTING
    ledger.close()


def test_a_call_that_never_arrived_is_repeated_under_its_own_number_and_a_retry_under_the_next(path: Path) -> None:
    ledger = Ledger(path, clock=clock())
    assert ledger.part(PART).next_attempt == 1
    intent(ledger)
    ledger.append(E.LOST, PART, reason="connection refused")
    assert ledger.part(PART).next_attempt == 1
    intent(ledger)
    ledger.append(E.RECEIPT, PART, batch_id="b1")
    ledger.append(E.REJECTED, PART, reason="quota")
    ledger.append(E.RETRY, PART)
    assert ledger.part(PART).next_attempt == 2
    intent(ledger, attempt=2)
    assert [a.number for a in ledger.part(PART).attempts] == [1, 2]
    ledger.close()


def test_a_refetched_file_changes_the_fingerprint_and_nothing_else(path: Path) -> None:
    ledger = Ledger(path, clock=clock())
    lived(ledger)
    before = ledger.part(PART)
    ledger.append(REFETCHED, PART, attempt=1, sha256="ef", size=11)
    after = ledger.part(PART)
    assert (after.attempts[0].sha256, after.attempts[0].size) == ("ef", 11)
    assert (after.state, after.counts) == (before.state, before.counts)
    ledger.close()


def test_money_is_reserved_at_the_intent_and_replaced_by_the_bill(path: Path) -> None:
    ledger = Ledger(path, clock=clock())
    seen = []
    intent(ledger)
    seen.append(ledger.money())
    ledger.append(E.RECEIPT, PART, batch_id="b1")
    ledger.append(E.DONE, PART)
    seen.append(ledger.money())
    saved(ledger)
    seen.append(ledger.money())
    assert [f"{m.spent_usd} {m.in_flight_usd}" for m in seen] == ["0 0.5", "0 0.5", "0.1 0.0"]
    ledger.close()


@pytest.mark.parametrize(
    ("events", "unknown", "in_flight"),
    [
        ([(E.LOST, {})], "0", "0"),
        ([(E.RECEIPT, {"batch_id": "b"}), (E.REJECTED, {})], "0", "0"),
        # A batch that the provider lost may have been billed: the budget counts its reserve, and nobody says that it was spent.
        ([(E.RECEIPT, {"batch_id": "b"}), (E.GONE, {})], "0.5", "0"),
        ([(E.RECEIPT, {"batch_id": "b"}), (E.DONE, {}), (E.GONE, {})], "0.5", "0"),
    ],
)
def test_what_never_ran_costs_nothing_and_what_is_gone_is_unknown_up_to_its_reserve(
    path: Path, events: list[tuple[Event, dict[str, Any]]], unknown: str, in_flight: str
) -> None:
    ledger = Ledger(path, clock=clock())
    intent(ledger)
    for event, fields in events:
        ledger.append(event, PART, **fields)
    assert (ledger.money().unknown_usd, ledger.money().in_flight_usd) == (Decimal(unknown), Decimal(in_flight))
    assert (ledger.money().spent_usd, ledger.money().committed_usd) == (Decimal(0), Decimal(unknown) + Decimal(in_flight))
    ledger.close()


def test_an_attempt_without_a_price_is_counted_as_such(path: Path) -> None:
    ledger = Ledger(path, clock=clock())
    intent(ledger, reserve=None)
    ledger.append(E.RECEIPT, PART, batch_id="b")
    ledger.append(E.DONE, PART)
    saved(ledger, cost=None)
    assert (ledger.money().spent_usd, ledger.money().unpriced) == (Decimal(0), 1)
    ledger.close()


def test_a_torn_last_line_is_dropped_and_the_next_one_stands_alone(path: Path) -> None:
    ledger = Ledger(path, clock=clock())
    intent(ledger)
    ledger.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    again = Ledger(path, clock=clock())
    assert again.dropped_bytes == 40
    again.append(E.RECEIPT, PART, batch_id="b1")
    again.close()
    got = read(path)
    assert got.is_sound
    assert [e.event for e in got.entries] == ["intent", "receipt"]
    assert got.entries[1].seq == 2


def test_hooks_stand_around_the_write(path: Path) -> None:
    lines_at: list[tuple[str, int]] = []

    def hook(point: str) -> None:
        lines_at.append((point, path.read_bytes().count(b"\n")))

    ledger = Ledger(path, clock=clock(), hook=hook)
    intent(ledger)
    ledger.close()
    assert lines_at == [("ledger:intent:before", 0), ("ledger:intent:after", 1)]


@contextmanager
def room_for(n_bytes: int) -> Iterator[None]:
    """No file of this process can grow past that size: the kernel writes what fits and refuses the rest, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 30, 150])
def test_a_disk_that_fills_up_in_the_middle_of_a_line_leaves_no_half_line(path: Path, room: int) -> None:
    ledger = Ledger(path, clock=clock())
    intent(ledger)
    before = path.read_bytes()
    with room_for(len(before) + room), pytest.raises(OSError, match="File too large"):
        ledger.append(E.RECEIPT, PART, batch_id="b" * 200)
    assert path.read_bytes() == before
    assert ledger.part(PART).state is PartState.SUBMITTING
    ledger.append(E.RECEIPT, PART, batch_id="b" * 200)
    assert read(path).is_sound
    ledger.close()


class Disk:
    """Stands in for os.fsync: counts, and fails when told to."""

    def __init__(self) -> None:
        self.n_synced, self.is_broken = 0, False

    def __call__(self, fd: int) -> None:
        if self.is_broken:
            raise OSError(5, "Input/output error")
        self.n_synced += 1


def test_an_intent_that_may_not_be_durable_did_not_happen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(path, clock=clock())
    ledger.append("opened", run_nonce="00ff")
    before, disk = path.read_bytes(), Disk()
    monkeypatch.setattr(os, "fsync", disk)
    disk.is_broken = True
    with pytest.raises(OSError, match="Input/output error"):
        intent(ledger)
    assert path.read_bytes() == before
    assert (ledger.part(PART).state, ledger.n_lines) == (PartState.PENDING, 1)
    disk.is_broken = False
    intent(ledger)
    assert [e.seq for e in read(path).entries] == [1, 2]
    ledger.close()


def test_an_intent_is_synced_at_once_with_all_that_came_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    ledger = Ledger(path, clock=clock())
    monkeypatch.setattr(os, "fsync", disk)
    lived(ledger)
    assert disk.n_synced == 1, "the intent alone; a kill takes nothing back, and a power cut only what is found out again"
    intent(ledger, "other")
    assert disk.n_synced == 2
    ledger.append(E.RECEIPT, "other", batch_id="b")
    ledger.sync()
    ledger.sync()
    assert disk.n_synced == 3
    ledger.close()
    assert disk.n_synced == 3


def test_closing_syncs_what_is_left(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    ledger = Ledger(path, clock=clock())
    intent(ledger)
    ledger.append(E.RECEIPT, PART, batch_id="b")
    monkeypatch.setattr(os, "fsync", disk)
    ledger.close()
    assert disk.n_synced == 1


def test_what_may_be_synced_later_is_never_what_allows_a_payment() -> None:
    assert set(Event) - LATER == {E.INTENT, E.IMPORTED}


# Lines lost at the end


def cut(path: Path, n_lines: int) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:n_lines]))


@pytest.mark.parametrize("n_left", range(7))
def test_a_ledger_cut_at_the_end_of_a_line_is_refused_and_stays_as_it_is(path: Path, n_left: int) -> None:
    """The seventh line is an intent: whatever is cut off with it may have been paid for."""
    ledger = Ledger(path, clock=clock())
    lived(ledger)
    intent(ledger, "other")
    ledger.append(E.RECEIPT, "other", batch_id="b")
    cut(path, n_left)
    before = path.read_bytes()
    assert read(path).absent[-1] == 7
    with pytest.raises(StateError, match=r"gone|no ledger") as caught:
        Ledger(path, clock=clock())
    assert "batchtrial repair" in caught.value.hint
    with pytest.raises(StateError, match=r"gone|no ledger"):
        load_parts(path)
    assert path.read_bytes() == before
    ledger.close()


def test_a_last_line_torn_after_it_was_whole_is_dropped_and_told(path: Path) -> None:
    ledger = Ledger(path, clock=clock())
    intent(ledger)
    intent(ledger, "other")
    ledger.close()
    path.write_bytes(path.read_bytes()[:-9])
    again = Ledger(path, clock=clock())
    assert (again.is_torn_late, again.n_lines, again.part("other").state) == (True, 1, PartState.PENDING)
    again.close()


def test_lines_that_a_power_cut_took_back_are_not_missed(path: Path) -> None:
    """The mark counts what is on the disk and never runs ahead of it."""
    ledger = Ledger(path, clock=clock())
    for number in range(3):
        intent(ledger, f"p{number}")
        ledger.append(E.RECEIPT, f"p{number}", batch_id=f"b{number}")
    cut(path, 5)
    again = Ledger(path, clock=clock())
    assert again.part("p2").state is PartState.SUBMITTING, "and the provider is asked"
    again.close()
    ledger.close()


def test_what_is_synced_late_is_marked_then(path: Path) -> None:
    ledger = Ledger(path, clock=clock())
    intent(ledger)
    ledger.append(E.RECEIPT, PART, batch_id="b")
    assert marked(path) == 1
    ledger.sync()
    assert marked(path) == 2
    ledger.append(E.DONE, PART, wire_state="completed")
    ledger.close()
    assert marked(path) == 3


@pytest.mark.parametrize("mark", [None, b"", b"many", b"\xff\n"])
def test_a_mark_that_is_lost_or_damaged_is_made_again(path: Path, mark: bytes | None) -> None:
    ledger = Ledger(path, clock=clock())
    lived(ledger)
    ledger.close()
    mark_of(path).unlink() if mark is None else mark_of(path).write_bytes(mark)
    Ledger(path, clock=clock()).close()
    assert marked(path) == 6


def test_a_disk_that_refuses_the_mark_does_not_stop_the_run(path: Path) -> None:
    ledger = Ledger(path, clock=clock())
    mark_of(path).unlink(missing_ok=True)
    mark_of(path).mkdir()
    lived(ledger)
    assert len(read(path).entries) == 6
    ledger.close()


def test_lines_that_contradict_each_other_are_named(path: Path) -> None:
    ledger = Ledger(path, clock=clock())
    lived(ledger)
    ledger.close()
    lines = path.read_bytes().splitlines()
    bad = encode(decode(lines[4]).but(seq=3, check=None))  # type: ignore[union-attr]
    path.write_bytes(b"\n".join([*lines[:2], bad.rstrip(), *lines[3:]]) + b"\n")
    with pytest.raises(IllegalTransition, match="line 3 of the ledger contradicts") as caught:
        load_parts(path)
    assert PART in caught.value.where
    assert "batchtrial repair" in caught.value.hint


class Histories(RuleBasedStateMachine):
    """Random histories of events, crashes and torn lines, against a plain dict of what must be true."""

    parts = ("p1", "p2", "p3")

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, dict[str, Any]] = {}
        self.clock = clock()
        self.n_lines = 0

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="histories-")
        self.path = Path(self.folder.name) / "ledger.jsonl"
        self.ledger = Ledger(self.path, clock=self.clock)

    @rule(part=st.sampled_from(parts), event=st.sampled_from([*Event]), cents=st.integers(0, 99), n=st.integers(0, 5))
    def happen(self, part: str, event: Event, cents: int, n: int) -> None:
        known = self.model.get(part, {"state": PartState.PENDING, "attempts": []})
        number = len(known["attempts"]) + 1
        if known["attempts"] and known["attempts"][-1].get("lost"):
            number -= 1
        fields: dict[str, Any] = {"attempt": number}
        if event is E.INTENT:
            fields |= {"token": f"{number:x}", "payload": "x", "payload_sha256": "y", "n_requests": n, "reserved_usd": f"0.{cents:02d}"}
        if event is E.RECEIPT:
            fields = {"batch_id": f"{part}-{number}"}
        if event in (E.SAVED, E.IMPORTED):
            fields |= {"cost_usd": f"0.{cents:02d}", "counts": Counts(succeeded=n), "path": "r", "sha256": "s", "size": n}
        if event is E.SETTLED:
            fields = {"counts": Counts(succeeded=n)}
        if (known["state"], event) not in NEXT:
            with pytest.raises(IllegalTransition):
                self.ledger.append(event, part, **fields)
            return
        self.ledger.append(event, part, **fields)
        self.n_lines += 1
        self._note(part, known, event, number, cents)

    def _note(self, part: str, known: dict[str, Any], event: Event, number: int, cents: int) -> None:
        attempts = [dict(one) for one in known["attempts"]]
        if event in (E.INTENT, E.IMPORTED):
            attempts = [one for one in attempts if one["number"] != number]
            attempts.append({"number": number, "reserve": cents, "imported": event is E.IMPORTED})
        current = attempts[-1] if attempts else {}
        if event in (E.SAVED, E.IMPORTED):
            current["cost"] = cents
        current |= {"lost": event is E.LOST} if event in (E.LOST, E.INTENT) else {}
        current |= {"gone": True} if event is E.GONE else {}
        self.model[part] = {"state": NEXT[known["state"], event], "attempts": attempts}

    @rule(torn=st.binary(max_size=30).filter(lambda torn: b"\n" not in torn))
    def crash(self, torn: bytes) -> None:
        self.ledger.close()
        with self.path.open("ab") as file:
            file.write(torn)
        self.ledger = Ledger(self.path, clock=self.clock)
        assert self.ledger.dropped_bytes == len(torn)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "ledger"):
            return
        spent = in_flight = 0
        for part, known in self.model.items():
            record = self.ledger.part(part)
            assert record.state is known["state"]
            assert [a.number for a in record.attempts] == [a["number"] for a in known["attempts"]]
            for one in known["attempts"]:
                if "cost" in one:
                    spent += one["cost"]
                elif one.get("gone"):
                    spent += one["reserve"]
                elif one is known["attempts"][-1] and known["state"] in IN_FLIGHT:
                    in_flight += one["reserve"]
        assert (self.ledger.money().spent_usd, self.ledger.money().in_flight_usd) == (Decimal(spent) / 100, Decimal(in_flight) / 100)
        assert self.ledger.money() == money(self.ledger.parts.values())
        assert self.ledger.n_lines == self.n_lines
        assert fold(read(self.path).entries) == self.ledger.parts

    def teardown(self) -> None:
        with suppress(AttributeError):
            self.ledger.close()
            self.folder.cleanup()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=40, stateful_step_count=30, deadline=None, derandomize=True)


def test_who_looks_while_a_run_writes_never_reads_that_a_line_is_gone(path: Path) -> None:
    ledger, seen = Ledger(path, clock=clock()), list[LedgerRead]()
    written = 0

    def writes() -> None:
        nonlocal written
        while len(seen) < 10:
            ledger.append("drift")
            written += 1

    writer = threading.Thread(target=writes)
    writer.start()
    while writer.is_alive():
        seen.append(read(path))
    writer.join()
    ledger.close()
    assert [got for got in seen if not got.is_sound] == []
    assert len(seen) >= 10
    assert len(read(path).entries) == written
