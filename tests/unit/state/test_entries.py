"""A damaged ledger is never mistaken for a sound one."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec
import pytest

from batchtrial.errors import StateError
from batchtrial.state.entries import Entry, decode, encode, is_intact, latest_config, mark_of, read
from batchtrial.state.ledger import Ledger

PART = "model-set_t0_treatment_p01"


def clock() -> Callable[[], datetime]:
    seconds = count()
    return lambda: datetime(2026, 1, 1, 0, 0, next(seconds) % 60, tzinfo=UTC)


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, clock=clock())
    ledger.append("opened", run_nonce="00ff", config_hash="ab", detail={"config": {"seed": 1}})
    ledger.append("intent", PART, attempt=1, token="0123456789abcdef", payload="batch_inputs/x.jsonl", payload_sha256="cd", n_requests=3)
    ledger.append("receipt", PART, batch_id="bt-0123456789abcdef", adopted=False)
    ledger.append("done", PART, wire_state="JOB_STATE_COMPLETED", ids={"output_dataset_id": "bt-out"})
    ledger.close()
    return path


def test_a_flipped_bit_in_any_byte_is_noticed(ledger_path: Path) -> None:
    whole = ledger_path.read_bytes()
    entries = read(ledger_path).entries
    end_of_last = len(whole) - 1
    random_bit = random.Random(3)
    for place in range(len(whole)):
        bit = random_bit.randrange(8)
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        ledger_path.write_bytes(damaged)
        got = read(ledger_path)
        torn_only = place == end_of_last and got.torn > 0  # the newline of the last line: the line counts as torn
        assert not got.is_sound or torn_only, f"bit {bit} of byte {place}"
        assert all(entry in entries for entry in got.entries), f"bit {bit} of byte {place} changed what a line says"


def test_a_line_taken_out_of_the_middle_is_noticed_and_nothing_is_appended(ledger_path: Path) -> None:
    lines = ledger_path.read_bytes().splitlines(keepends=True)
    ledger_path.write_bytes(b"".join([*lines[:1], *lines[2:]]))
    assert read(ledger_path).absent == (2,)
    before = ledger_path.read_bytes()
    with pytest.raises(StateError, match="line 2 of the ledger is gone") as caught:
        Ledger(ledger_path, clock=clock())
    assert "repair" in caught.value.hint
    assert ledger_path.read_bytes() == before


def test_repeated_and_foreign_lines_are_not_ours(ledger_path: Path) -> None:
    lines = ledger_path.read_bytes().splitlines(keepends=True)
    ledger_path.write_bytes(b"".join([*lines[:2], lines[1], b"hello\n", b'{"seq":99999999999,"at":"2026-01-01T00:00:00Z","event":"x"}\n']))
    got = read(ledger_path)
    assert got.foreign == (3, 4)
    assert 0 < len(got.absent) < 10_000  # a number that was never counted up to is not counted up to here


def test_a_torn_end_at_any_byte_keeps_every_whole_line(ledger_path: Path) -> None:
    whole = ledger_path.read_bytes()
    mark_of(ledger_path).unlink()  # a line that is being written was never counted
    for cut in random.Random(5).sample(range(len(whole)), 60):
        ledger_path.write_bytes(whole[:cut])
        got = read(ledger_path)
        assert got.is_sound
        assert len(got.entries) == whole[:cut].count(b"\n")
        assert got.torn == cut - (whole[:cut].rfind(b"\n") + 1)


def test_a_line_written_by_hand_needs_no_checksum_but_a_wrong_one_is_refused() -> None:
    entry = Entry.of(seq=1, at=datetime(2026, 1, 1, tzinfo=UTC), event="note", reason="naïve")
    line = encode(entry).rstrip(b"\n")
    assert decode(line) == entry.but(check=line[-10:-2].decode())
    assert decode(b'{"seq":1,"at":"2026-01-01T00:00:00Z","event":"note"}') is not None
    assert not is_intact(line.replace(b"note", b"Note"))


def test_the_latest_config_is_the_one_that_counts(ledger_path: Path) -> None:
    ledger = Ledger(ledger_path, clock=clock())
    ledger.append("drift", config_hash="ef", detail={"config": {"seed": 2}, "changed": {"seed": "1 -> 2"}})
    ledger.close()
    assert latest_config(ledger_path) == ({"seed": 2}, "ef")
    assert latest_config(ledger_path.with_name("none")) is None


UNKNOWN_FIELD = '{"seq":1,"at":"2026-01-01T00:00:00Z","event":"x","colour":"red"}'


@pytest.mark.parametrize("text", ["5", "null", "[]", "{}", '["seq"]', "[" * 100_000, UNKNOWN_FIELD])
def test_what_is_json_and_no_entry_is_not_ours(text: str) -> None:
    assert decode(text.encode()) is None


@pytest.mark.parametrize("usd", ["NaN", "Infinity", "-Infinity"])
def test_a_sum_that_compares_with_no_budget_is_not_ours_and_is_not_written(usd: str) -> None:
    assert decode(f'{{"seq":1,"at":"2026-01-01T00:00:00Z","event":"x","cost_usd":"{usd}"}}'.encode()) is None
    with pytest.raises(ValueError, match=usd):
        Entry.of(seq=1, at=datetime(2026, 1, 1, tzinfo=UTC), event="x", cost_usd=usd)


def test_a_config_may_hold_an_infinite_number() -> None:
    entry = Entry.of(seq=1, at=datetime(2026, 1, 1, tzinfo=UTC), event="opened", detail={"config": {"budget_usd": float("inf")}})
    again = decode(encode(entry).rstrip(b"\n"))
    assert again is not None
    assert again.detail == entry.detail


def test_a_field_that_no_line_may_have_is_not_written(ledger_path: Path) -> None:
    before = ledger_path.read_bytes()
    ledger = Ledger(ledger_path, clock=clock())
    for fields in ({"colour": "red"}, {"attempt": 0}, {"counts": {"succeeded": -1}}, {"ids": {"a": 1}}):
        with pytest.raises(msgspec.ValidationError):
            ledger.append("note", **fields)
    ledger.close()
    assert ledger_path.read_bytes() == before
