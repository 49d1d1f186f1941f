"""The world: the same bytes for the same seed, nothing lost by a kill, one bill."""

from __future__ import annotations

import http.client
import json
import random
import re
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.emulator_process import running
from tests.wire.plain import PROVIDERS, Plain, rows

DOCS = Path(__file__).parents[2] / "docs" / "emulator.md"
PATTERN = "^(?P<item>[a-z]+[0-9]+)-(?P<condition>[ct])-(?P<sample>[0-9]+)"


def history(root: Path, provider: str, seed: int) -> tuple[Any, ...]:
    """Everything a client sees of one batch, byte for byte, and the bill."""
    with running(root, seed=seed) as emu:
        client = Plain(emu, provider)
        batch_id = client.submit(rows(20, temperature=0.7))
        emu.advance(30)
        shown = json.dumps(client.get(batch_id)).replace(emu.url, "")
        return batch_id, shown, client.lines(batch_id), emu.ledger()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_same_seed_same_bytes(tmp_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.wire.plain.UPLOADS", iter([1, 1, 1]))
    first, again = history(tmp_path / "a", provider, 7), history(tmp_path / "b", provider, 7)
    assert first == again
    other = history(tmp_path / "c", provider, 8)
    assert other[2] != first[2]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_depends_on_item_arm_and_sample_alone(tmp_path: Path, provider: str) -> None:
    """Other batch, other order, other attempt, other time, other nonce in the custom_id: the same line."""
    with running(tmp_path, model={"identity_pattern": PATTERN}) as emu:
        client = Plain(emu, provider)
        asked = [(f"q{i}-c-0-nonce1", body) for i, (_, body) in enumerate(rows(10))]
        emu.advance(12.5)
        first = client.submit(asked, "one")
        emu.advance(100)
        again = client.submit([(custom_id.replace("nonce1", "nonce2"), body) for custom_id, body in reversed(asked)] + rows(7), "two")
        emu.advance(100)
        lines = {line.replace(b"nonce1", b"nonce2") for line in client.lines(first)["output"]}
        assert lines < set(client.lines(again)["output"])
        bill = emu.ledger()
        # The custom_ids differ, so only the identity shows that these were paid for twice.
        assert (bill["answered_by_custom_id_max"], bill["paid_by_identity_max"], bill["n_paid_more_than_once"]) == (1, 2, 10)
        twice = bill["paid_more_than_once"][0]
        assert (twice["times"], twice["provider"], twice["sample"]) == (2, provider, "0")
        assert sorted(twice["batches"]) == sorted([first, again])


def test_other_parameters_are_not_the_same_request(tmp_path: Path) -> None:
    with running(tmp_path, model={"identity_pattern": PATTERN}) as emu:
        client = Plain(emu, "openai")
        variants: tuple[dict[str, Any], ...] = ({}, {"temperature": 0.5}, {"temperature": 1.0}, {"top_p": 0.5}, {"max_tokens": 9})
        for number, body in enumerate(variants):
            client.submit([("q1-c-0", {**rows(1)[0][1], **body})], f"n{number}")
        system = [{"role": "system", "content": "Think."}, *rows(1)[0][1]["messages"]]
        client.submit([("q1-c-0", {"messages": system})], "system")
        emu.advance(30)
        bill = emu.ledger()
        assert (bill["answered_requests"], bill["paid_by_identity_max"], bill["answered_by_custom_id_max"]) == (6, 1, 6)


def test_the_bill_at_the_end_counts_what_is_in_flight(tmp_path: Path) -> None:
    with running(tmp_path) as emu:
        client = Plain(emu, "anthropic")
        client.submit(rows(4))
        client.submit(rows(4))
        now, end = emu.ledger(), emu.ledger(at_end=True)
        assert (now["answered_requests"], now["in_flight_requests"], now["paid_by_identity_max"]) == (0, 8, 0)
        assert (end["answered_requests"], end["paid_by_identity_max"], end["duplicates"]) == (8, 2, ["r0", "r1", "r2", "r3"])
        assert emu.ledger() == now  # asking changes nothing
        shown = json.loads(re.findall(r"```json\n(.*?)```", DOCS.read_text(), re.S)[0])
        assert (set(shown), set(shown["batches"][0])) == (set(now), set(now["batches"][0]))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_restart_goes_on_in_the_same_world(tmp_path: Path, provider: str) -> None:
    with running(tmp_path) as emu:
        client = Plain(emu, provider)
        emu.advance(100)
        batch_id = client.submit(rows(5))
        emu.advance(10)
        before, clock = client.get(batch_id), emu.call("GET", "/_emulator/clock")
        emu.kill()
        emu.restart()
        assert client.get(batch_id) == before
        assert emu.call("GET", "/_emulator/clock") == clock
        emu.advance(20)
        lines, bill = client.lines(batch_id), emu.ledger()
        emu.kill()
        emu.restart()
        assert client.lines(batch_id) == lines
        assert emu.ledger() == bill


def hammer(client: Plain, accepted: list[str], stop: threading.Event, thread: int) -> None:
    """Submit small batches until told to stop; note only what was answered with 200."""
    for number in range(10_000):
        if stop.is_set():
            return
        try:
            accepted.append(client.submit([(f"t{thread}-{number}", rows(1)[0][1])], f"t{thread}-{number}"))
        except (OSError, http.client.HTTPException, AssertionError, ValueError):  # the server is being killed: not acknowledged
            stop.wait(0.005)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_killed_at_random_what_was_acknowledged_is_there(tmp_path: Path, provider: str) -> None:
    moments = random.Random(4)
    with running(tmp_path) as emu:
        accepted: list[str] = []
        for _ in range(4):
            stop, n_before = threading.Event(), len(accepted)
            threads = [threading.Thread(target=hammer, args=(Plain(emu, provider), accepted, stop, len(accepted) * 10 + i)) for i in range(3)]
            for thread in threads:
                thread.start()
            # Wait for work to be under way, then strike somewhere inside it.
            deadline = time.monotonic() + 20
            while len(accepted) < n_before + moments.randrange(2, 12) and time.monotonic() < deadline:
                stop.wait(moments.random() / 200)
            emu.kill()
            stop.set()
            for thread in threads:
                thread.join()
            emu.restart()
        there = {batch["id"] for batch in emu.batches()}
        assert len(accepted) >= 8
        assert set(accepted) <= there
        emu.advance(60)
        bill = emu.ledger()
        assert bill["answered_requests"] == bill["accepted_requests"] == len(there)
        assert "Traceback" not in emu.log()


def test_kill_while_a_batch_is_being_closed_bills_each_row_once(tmp_path: Path) -> None:
    with running(tmp_path) as emu:
        client = Plain(emu, "openai")
        batch_id = client.submit(rows(20_000))
        emu.advance(30)
        for delay in (0.05, 0.3, 0.6):
            asker = threading.Thread(target=lambda: _ignore_loss(client, batch_id))
            asker.start()
            asker.join(delay)
            emu.kill()
            asker.join()
            emu.restart()
        counts = client.get(batch_id)["request_counts"]
        assert counts == {"total": 20_000, "completed": 20_000, "failed": 0}
        bill = emu.ledger()
        assert (bill["answered_requests"], bill["answered_by_custom_id_max"]) == (20_000, 1)
        assert len(client.lines(batch_id)["output"]) == 20_000


def _ignore_loss(client: Plain, batch_id: str) -> None:
    with suppress(OSError, http.client.HTTPException):
        client.get(batch_id)


def test_real_clock_runs_at_its_speed_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, clock="real", speed=1000.0) as emu:
        client = Plain(emu, "openai")
        batch_id = client.submit(rows(2))
        deadline = time.monotonic() + 20
        while client.state(batch_id) != "completed" and time.monotonic() < deadline:
            threading.Event().wait(0.005)
        assert client.state(batch_id) == "completed"
        before = emu.call("GET", "/_emulator/clock")["now"]
        emu.kill()
        emu.restart()
        assert emu.call("GET", "/_emulator/clock")["now"] > before


def test_no_key_is_kept_anywhere(tmp_path: Path) -> None:
    key = "sk-very-secret-key-0123456789"
    with running(tmp_path) as emu:
        for provider in PROVIDERS:
            client = Plain(emu, provider, key)
            client.create(client.upload(rows(2), name="k"), label="k-1")
        client = Plain(emu, "openai", key)
        client.call("POST", "/v1/chat/completions", {"model": "m", **rows(1)[0][1]})
        client.call("GET", "/v1/batches", authorization=f"Bearer {key}-invalid")
        assert emu.ledger()["accepted_requests"] == 6
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if key.encode() in path.read_bytes()]
    assert "Traceback" not in emu.log()
