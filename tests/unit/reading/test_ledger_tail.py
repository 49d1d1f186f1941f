"""The quick tally agrees with the ledger folded whole, at every moment of a growing file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchtrial.reading.ledger_tail import LedgerTail
from batchtrial.state.entries import Counts, Entry, encode, read
from batchtrial.state.ledger import PartRecord, fold, money
from batchtrial.state.machine import NEXT, Event, PartState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def fields_of(event: Event, part: PartRecord, price: int) -> dict[str, Any]:
    """What a line of this event carries; every third bill has no known price."""
    if event is Event.INTENT:
        return {"attempt": part.next_attempt, "reserved_usd": f"0.{price:03d}", "n_requests": price, "token": "t", "payload": "p"}
    if event is Event.IMPORTED:
        return {"attempt": part.next_attempt, "cost_usd": "0", "payload": "p"}
    if event is Event.SAVED:
        return {"cost_usd": f"1.{price:03d}"} if price % 3 else {}
    return {"counts": Counts(succeeded=price)} if event is Event.SETTLED else {}


@st.composite
def histories(draw: st.DrawFn) -> list[Entry]:
    """Legal lines of up to three parts, interleaved."""
    parts: dict[str, PartRecord] = {}
    entries: list[Entry] = []
    for _ in range(draw(st.integers(0, 30))):
        name = draw(st.sampled_from(("a_p01", "a_p02", "b_p01")))
        part = parts.get(name, PartRecord(part=name))
        legal = sorted(event for state, event in NEXT if state is part.state)
        if not legal:
            continue
        event = draw(st.sampled_from(legal))
        entry = Entry.of(seq=len(entries) + 1, at=NOW, event=event, part=name, **fields_of(event, part, draw(st.integers(1, 999))))
        parts[name] = part.with_entry(entry)
        entries.append(entry)
    return entries


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(entries=histories(), cuts=st.lists(st.integers(0, 5000), max_size=4))
def test_the_tally_of_a_growing_ledger_is_that_of_the_fold(tmp_path: Path, entries: list[Entry], cuts: list[int]) -> None:
    path = tmp_path / "ledger.jsonl"
    whole = b"".join(encode(entry) for entry in entries)
    tail = LedgerTail(path)
    for cut in (*sorted(min(cut, len(whole)) for cut in cuts), len(whole)):
        path.write_bytes(whole[:cut])
        assert tail.update()
        parts = fold(read(path).entries)
        assert tail.money == money(parts.values())
        assert tail.states == {state: sum(p.state is state for p in parts.values()) for state in PartState}
        assert tail.counts == sum((p.counts for p in parts.values() if p.counts), Counts())
    assert tail.n_damaged == 0


def test_a_ledger_that_is_replaced_or_gone_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    one = encode(Entry.of(seq=1, at=NOW, event="intent", part="a", attempt=1, reserved_usd="0.5"))
    two = encode(Entry.of(seq=1, at=NOW, event="intent", part="b", attempt=1, reserved_usd="0.25"))
    path.write_bytes(one)
    tail = LedgerTail(path)
    tail.update()
    path.with_name("new").write_bytes(two)
    path.with_name("new").replace(path)
    tail.update()
    assert set(tail.parts) == {"b"}
    path.unlink()
    assert not tail.update()
    assert tail.parts == {}


def test_a_damaged_line_is_counted_and_the_rest_still_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    good = encode(Entry.of(seq=1, at=NOW, event="intent", part="a", attempt=1, n_requests=4))
    bad = encode(Entry.of(seq=2, at=NOW, event="saved", part="a"))  # not legal for a part in doubt
    path.write_bytes(good + b"\xff\xfe{\n" + bad)
    tail = LedgerTail(path)
    tail.update()
    assert (tail.n_damaged, tail.in_flight_requests, tail.n_lines) == (2, 4, 3)


def test_reasons_that_differ_in_numbers_alone_are_one_reason_over_all_parts(tmp_path: Path) -> None:
    """The terminal and the report say so too: two places that count differently would be two answers."""
    reasons = ({"errored: no such model (10 rows before)": 19, "errored: 404": 1}, {"errored: no such model (3 rows before)": 26})
    lines = []
    for number, part in enumerate(("a_p01", "b_p01")):
        record = PartRecord(part=part)
        lines.append(Entry.of(seq=5 * number + 1, at=NOW, event=Event.INTENT, part=part, **fields_of(Event.INTENT, record, 26)))
        for place, event in enumerate((Event.RECEIPT, Event.DONE, Event.SAVED, Event.SETTLED), 2):
            why = reasons[number] if event is Event.SETTLED else None
            lines.append(Entry.of(seq=5 * number + place, at=NOW, event=event, part=part, reasons=why))
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b"".join(map(encode, lines)))
    tail = LedgerTail(path)
    assert tail.update()
    assert tail.reasons == {"errored: no such model (10 rows before)": 45, "errored: 404": 1}
