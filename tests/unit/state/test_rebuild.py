"""A ledger rebuilt from whatever is left never lets a part be sent that may have been sent before."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.runs.rundir import config

from batchtrial.config.expand import arms_of, expand
from batchtrial.state.entries import Counts, Entry, LedgerRead
from batchtrial.state.files import BatchRecord, RunState
from batchtrial.state.ledger import PartRecord, fold
from batchtrial.state.machine import NEXT, Event, PartState
from batchtrial.state.rebuild import LONG_AGO, Rebuilt, Remnants, Source, folder_of, rebuild, symptoms

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARTS = ("m-set_t0_treatment_p01", "m-set_t0_treatment_p02", "shared-00ff00ff00ff00ff_t0_control_p01")
SAVED = {"path": "x", "sha256": "s", "size": 1, "counts": Counts(succeeded=1), "odd": {}, "usage": {}, "cost_usd": "0.5"}
OPENED = {"run_nonce": "00ff", "config_hash": "c", "detail": {"config": {}}}


@dataclass(frozen=True, slots=True)
class History:
    """A run's true ledger, and what its folder holds at that moment."""

    entries: tuple[Entry, ...]
    remnants: Remnants

    @property
    def sent(self) -> dict[str, int]:
        """Part -> the last attempt that was, or may have been, sent."""
        return {name: max((a.number for a in part.attempts if not a.is_lost), default=0) for name, part in fold(self.entries).items()}


def fields_of(event: Event, part: PartRecord) -> dict[str, Any]:
    mark = f"{part.part}/{part.next_attempt}"
    by_event: dict[Event, dict[str, Any]] = {
        Event.INTENT: {"attempt": part.next_attempt, "token": "t", "payload": "p", "n_requests": 1, "reserved_usd": "1"},
        Event.RECEIPT: {"batch_id": mark, "adopted": False},
        Event.DONE: {"wire_state": "COMPLETED", "ids": {}},
        Event.SAVED: SAVED,
        Event.SETTLED: {"counts": Counts(succeeded=1)},
        Event.REJECTED: {"reason": "r", "retryable": True},
    }
    return by_event.get(event, {})


@st.composite
def histories(draw: st.DrawFn) -> History:
    parts = {name: PartRecord(part=name) for name in PARTS}
    entries = [Entry.of(seq=1, at=NOW, event="opened", **OPENED)]
    retries: set[tuple[str, int]] = set()
    for _ in range(draw(st.integers(0, 40))):
        part = parts[draw(st.sampled_from(PARTS))]
        legal = sorted(event for state, event in NEXT if state is part.state and event is not Event.IMPORTED)
        if not legal:
            continue
        event = draw(st.sampled_from(legal))
        if event is Event.INTENT and part.next_attempt > 1:
            retries.add((part.part, part.next_attempt))  # its rows are written out before the intent is
        entry = Entry.of(seq=len(entries) + 1, at=NOW + timedelta(minutes=len(entries)), event=event, part=part.part, **fields_of(event, part))
        parts[part.part] = part.with_entry(entry)
        entries.append(entry)
    known = [(name, a.number, a.batch_id) for name, part in parts.items() for a in part.attempts if a.batch_id]
    manifest = draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    return History(
        tuple(entries),
        Remnants(
            parts=PARTS,
            batches={(name, n): BatchRecord(part=name, attempt=n, batch_id=batch, wire_state="COMPLETED") for name, n, batch in manifest},
            results=frozenset((name, a.number) for name, part in parts.items() for a in part.attempts if a.is_saved),
            payloads=frozenset({(name, 1) for name in PARTS} | retries),
        ),
    )


SOURCE = Source(nonce="00ff", intent=lambda part, n: {"payload": "p"}, saved=lambda part, n, state: dict(SAVED), now=NOW)


def left(history: History, lost: set[int], cut: int) -> LedgerRead:
    """The ledger without some lines in the middle and without everything from `cut` on."""
    kept = tuple(entry for entry in history.entries[:cut] if entry.seq not in lost)
    met = {entry.seq for entry in kept}
    absent = tuple(seq for seq in range(1, max(met, default=0)) if seq not in met)
    return LedgerRead(entries=kept, whole_bytes=1, torn=0, foreign=(), absent=absent)


def rebuilt_from(history: History, lost: set[int], cut: int) -> tuple[LedgerRead, Rebuilt]:
    got = left(history, lost, cut)
    is_cut = cut < len(history.entries) or not got.entries or max(lost, default=0) >= len(history.entries)
    return got, rebuild(got, OPENED, history.remnants, SOURCE, is_cut=is_cut)


@settings(max_examples=400, deadline=None)
@given(history=histories(), lost=st.sets(st.integers(1, 41), max_size=6), cut=st.integers(0, 41))
def test_nothing_that_may_have_been_sent_can_be_sent_again_unasked(history: History, lost: set[int], cut: int) -> None:
    lost = {seq for seq in lost if seq <= len(history.entries)}
    _, got = rebuilt_from(history, lost, min(cut, len(history.entries)))
    parts = fold(got.entries)
    for name, attempt in history.sent.items():
        part = parts.get(name, PartRecord(part=name))
        free = part.state is PartState.PENDING and part.next_attempt <= attempt
        undecided = part.state in (PartState.DOWNLOADED, PartState.FAILED) and part.next_attempt <= attempt
        assert not free, f"{name} would be sent as attempt {part.next_attempt}, and attempt {attempt} may be out there"
        assert not undecided, f"{name} would be decided upon and sent as attempt {part.next_attempt} of {attempt}"


def told(*events: str) -> History:
    """The history of one part, of these events."""
    part, entries = PartRecord(part=PARTS[1]), [Entry.of(seq=1, at=NOW, event="opened", **OPENED)]
    retries = set()
    for event in map(Event, events):
        if event is Event.INTENT and part.next_attempt > 1:
            retries.add((part.part, part.next_attempt))
        seq = len(entries) + 1
        entries.append(Entry.of(seq=seq, at=NOW + timedelta(minutes=seq), event=event, part=part.part, **fields_of(event, part)))
        part = part.with_entry(entries[-1])
    results = frozenset((part.part, one.number) for one in part.attempts if one.is_saved)
    return History(tuple(entries), Remnants(parts=PARTS, results=results, payloads=frozenset({(name, 1) for name in PARTS} | retries)))


REFUSED_AND_FOUND = told("intent", "rejected", "found", "done", "gone", "found", "done", "saved", "settled")
FOUND_BEFORE_A_RETRY = told(
    "intent", "receipt", "gone", "settled", "found", "done", "gone", "found", "done", "saved", "retry", "intent", "receipt", "done"
)


@settings(max_examples=200, deadline=None)
@example(history=REFUSED_AND_FOUND, lost={4, 8})
@example(history=REFUSED_AND_FOUND, lost={4, 5})
@example(history=FOUND_BEFORE_A_RETRY, lost={6, 9})
@example(history=FOUND_BEFORE_A_RETRY, lost={5, 6, 9, 10})
@given(history=histories(), lost=st.sets(st.integers(2, 41), max_size=4))
def test_what_is_left_is_kept_and_the_rest_can_be_folded(history: History, lost: set[int]) -> None:
    got, made = rebuilt_from(history, {seq for seq in lost if seq < len(history.entries)}, len(history.entries))
    texts = [entry.but(seq=0, check=None) for entry in made.entries]
    assert [entry.seq for entry in made.entries] == list(range(1, len(made.entries) + 1))
    assert all(entry.but(seq=0, check=None) in texts for entry in got.entries)
    fold(made.entries)
    assert made.entries[-1].event == "repaired"


@settings(max_examples=100, deadline=None)
@given(history=histories())
def test_a_whole_ledger_shows_no_symptoms_and_comes_back_as_it_was(history: History) -> None:
    whole = left(history, set(), len(history.entries))
    state = RunState(run_id="r", config_hash="c", ledger_lines=len(history.entries))
    assert symptoms(whole, state, history.remnants.batches.values()) == ()
    made = rebuild(whole, OPENED, Remnants(parts=PARTS), SOURCE, is_cut=False)
    assert fold(made.entries) == fold(history.entries)
    assert (made.in_doubt, made.filled) == ((), 0)


def entry(seq: int, event: str, **fields: Any) -> Entry:
    return Entry.of(seq=seq, at=NOW, event=event, part=None if event == "opened" else PARTS[0], **fields)


LIFE = (
    entry(1, "opened", **OPENED),
    entry(2, "intent", attempt=1, token="t", payload="p"),
    entry(3, "receipt", batch_id="b1"),
    entry(4, "done", wire_state="W", ids={}),
    entry(5, "saved", **SAVED),
    entry(6, "retry", n_requests=1),
    entry(7, "intent", attempt=2, token="t", payload="p2"),
    entry(8, "receipt", batch_id="b2"),
    entry(9, "done", wire_state="W", ids={}),
    entry(10, "saved", **SAVED),
    entry(11, "settled", counts=Counts(succeeded=1)),
)


@pytest.mark.parametrize("seq", range(1, 12))
def test_any_single_lost_line_of_a_settled_part_is_filled_in(seq: int) -> None:
    remnants = Remnants(
        parts=PARTS[:1],
        batches={(PARTS[0], n): BatchRecord(part=PARTS[0], attempt=n, batch_id=f"b{n}", wire_state="W") for n in (1, 2)},
        results=frozenset({(PARTS[0], 1), (PARTS[0], 2)}),
        payloads=frozenset({(PARTS[0], 1), (PARTS[0], 2)}),
    )
    kept = tuple(one for one in LIFE if one.seq != seq)
    got = LedgerRead(entries=kept, whole_bytes=1, torn=0, foreign=(), absent=(seq,) if seq < 11 else ())
    made = rebuild(got, OPENED, remnants, SOURCE, is_cut=seq == 11)
    part = fold(made.entries)[PARTS[0]]
    want = fold(LIFE)[PARTS[0]]
    assert part.state is (PartState.SETTLED if seq < 11 else PartState.DOWNLOADED)  # what follows a download is decided again, the same way
    assert [(a.number, a.batch_id, a.is_saved, a.sha256) for a in part.attempts] == [
        (a.number, a.batch_id, a.is_saved, a.sha256) for a in want.attempts
    ]
    assert made.in_doubt == ()


def test_a_lost_intent_is_dated_early_enough_to_be_found() -> None:
    got = LedgerRead(entries=(), whole_bytes=0, torn=0, foreign=())
    made = rebuild(got, OPENED, Remnants(parts=PARTS, payloads=frozenset({(PARTS[0], 1)})), SOURCE, is_cut=True)
    assert made.in_doubt == PARTS[:1]
    (attempt,) = fold(made.entries)[PARTS[0]].attempts
    assert attempt.created_at == LONG_AGO
    assert len(attempt.token) == 16


def test_taken_over_parts_are_not_looked_for_at_the_provider() -> None:
    control = PARTS[2]
    remnants = Remnants(parts=(control,), payloads=frozenset({(control, 1)}), imported=frozenset({control}))
    empty = LedgerRead(entries=LIFE[:1], whole_bytes=1, torn=0, foreign=())
    assert rebuild(empty, OPENED, remnants, SOURCE, is_cut=True).in_doubt == ()
    settled = Entry.of(seq=3, at=NOW, event="settled", part=control, counts=Counts(succeeded=1))
    got = LedgerRead(entries=(LIFE[0], settled), whole_bytes=1, torn=0, foreign=(), absent=(2,))
    have = Remnants(parts=(control,), results=frozenset({(control, 1)}), imported=frozenset({control}))
    (attempt,) = fold(rebuild(got, OPENED, have, SOURCE, is_cut=False).entries)[control].attempts
    assert (attempt.is_saved, str(attempt.cost_usd)) == (True, "0")


@pytest.mark.parametrize("form", [1, 2])
def test_a_parts_name_tells_its_folder(form: int) -> None:
    arms = arms_of(expand(config(arm_form=form), "items"))
    assert len(arms) > 1
    for arm in arms:
        assert folder_of(arm.part(7)) == arm.part_folder(7)


@pytest.mark.parametrize("name", ["", "x", "../../a_t0_control_p01", ".._t0_control_p01", "a/b_t0_control_p01", "t0_control", "results"])
def test_other_names_are_none_of_ours(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(name)}$"):
        folder_of(name)


def test_rebuilding_needs_no_folder(tmp_path: Path) -> None:
    rebuild(LedgerRead(entries=(), whole_bytes=0, torn=0, foreign=()), OPENED, Remnants(parts=()), SOURCE, is_cut=True)
    assert list(tmp_path.iterdir()) == []


def test_a_line_made_anew_too_many_hides_no_lost_intent() -> None:
    """A refusal without a receipt is one line; a receipt and a refusal take its place, and must not count for the intent that is lost as well."""
    first, second, third = PARTS
    told = (
        (Event.INTENT, first),
        (Event.INTENT, second),
        (Event.LOST, second),
        (Event.REJECTED, first),
        (Event.SETTLED, first),
        (Event.INTENT, second),
        (Event.INTENT, third),
    )
    parts = {name: PartRecord(part=name) for name in PARTS}
    entries = [Entry.of(seq=1, at=NOW, event="opened", **OPENED)]
    for event, name in told:
        entries.append(Entry.of(seq=len(entries) + 1, at=NOW, event=event, part=name, **fields_of(event, parts[name])))
        parts[name] = parts[name].with_entry(entries[-1])
    history = History(tuple(entries), Remnants(parts=PARTS, payloads=frozenset((name, 1) for name in PARTS)))
    _, got = rebuilt_from(history, lost={5, 7}, cut=len(entries))
    assert second in got.in_doubt
    assert fold(got.entries)[second].state is PartState.SUBMITTING


def test_the_first_line_alone_puts_no_part_in_doubt() -> None:
    """Its loss explains the gap: every part that had been sent is still known."""
    history = History((Entry.of(seq=1, at=NOW, event="opened", **OPENED),), Remnants(parts=PARTS, payloads=frozenset((name, 1) for name in PARTS)))
    part = PartRecord(part=PARTS[0])
    for seq, event in enumerate((Event.INTENT, Event.RECEIPT), 2):
        entry = Entry.of(seq=seq, at=NOW, event=event, part=part.part, **fields_of(event, part))
        part = part.with_entry(entry)
        history = History((*history.entries, entry), history.remnants)
    _, got = rebuilt_from(history, lost={1}, cut=3)
    assert got.in_doubt == ()
    assert fold(got.entries)[PARTS[0]].state is PartState.SUBMITTED
