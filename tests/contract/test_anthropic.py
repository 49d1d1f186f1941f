"""What only Anthropic has: everything inside one call, a token in every custom_id, and API versions that disagree about sampling."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.contract.own_host import answering
from tests.contract.wires import KEY, TIMEOUTS, WIRES, World
from tests.emulator_process import Emulator, running

from batchtrial.errors import ConfigError, ProviderError, Unsure
from batchtrial.providers.anthropic.adapter import AnthropicProvider, AnthropicSettings, wire_body, wire_size
from batchtrial.providers.base import Intent
from batchtrial.records import Outcome

TOKEN = "0123456789abcdef"
MEGABYTES = 400

BIG_SUBMIT = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from batchtrial.providers.anthropic.adapter import AnthropicProvider, AnthropicSettings
from batchtrial.providers.base import Intent
from batchtrial.records import Request
url, payload, n = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
provider = AnthropicProvider(AnthropicSettings(base_url=url), "key")
def peak_bytes():
    # Not ru_maxrss: that keeps what the process was before exec, a fork of whatever started it.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


with payload.open("wb") as file:
    for i in range(n):
        custom_id = f"c-t0-01234567-{i:016x}-s0"
        request = Request(custom_id=custom_id, model="claude-haiku-4-5", system="", user="word " * 200, max_tokens=8, temperature=0)
        file.write(provider.encode(request))
intent = Intent(part="p", attempt=1, token="a" * 16, payload_sha256="", n_requests=n, created_at=datetime.now(UTC), model="m")
print(provider.submit(intent, payload, print), payload.stat().st_size, peak_bytes())
"""


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    wire = WIRES["anthropic"]
    provider = wire.make(emulator, KEY, {})
    emulator.remove_faults()
    yield World(wire, emulator, provider, tmp_path)
    emulator.remove_faults()
    provider.close()


@pytest.mark.parametrize("n", [0, 1, 2, 3000])
def test_the_body_is_one_json_object_of_the_announced_length(world: World, n: int) -> None:
    requests = world.requests(n, user="Où ? \U0001f600")
    payload = world.payload(requests)
    pieces = list(wire_body(payload, TOKEN))
    body = b"".join(pieces)
    assert len(body) == wire_size(payload)
    found = json.loads(body)["requests"]
    assert [each["custom_id"] for each in found] == [f"{TOKEN}-{request.custom_id}" for request in requests]
    assert [each["params"]["messages"][0]["content"] for each in found] == ["Où ? \U0001f600"] * n
    assert max(map(len, pieces)) < 1_000_000


@pytest.mark.parametrize("line", [b'{"params":{},"custom_id":"a"}\n', b'{"custom_id":"' + b"a" * 48 + b'"}\n', b'{"custom_id":"a b"}\n', b"\n"])
def test_a_line_that_cannot_carry_the_token_is_refused(tmp_path: Path, line: bytes) -> None:
    payload = tmp_path / "part.jsonl"
    payload.write_bytes(b'{"custom_id":"fine"}\n' + line)
    with pytest.raises(ConfigError) as caught:
        list(wire_body(payload, TOKEN))
    assert "line 2" in caught.value.where


def test_the_wire_sees_the_token_and_the_results_do_not(world: World) -> None:
    payload = world.payload(world.requests(3))
    intent = world.intent(payload)
    batch_id = world.provider.submit(intent, payload, lambda file_id: None)
    seq = world.batches()[-1]["seq"]
    received = world.emu.call("GET", f"/_emulator/requests?batch={seq}")["requests"]
    assert {each["custom_id"] for each in received} == {f"{intent.token}-{request.custom_id}" for request in world.requests(3)}
    world.finish()
    assert all(intent.token.encode() not in line for line in world.provider.fetch(batch_id))


@pytest.mark.parametrize(("version", "outcome"), [("2023-06-01", Outcome.SUCCEEDED), ("2026-10-21", Outcome.ERRORED)])
def test_the_api_version_is_ours_and_not_the_sdks(world: World, version: str, outcome: Outcome) -> None:
    payload = world.payload(world.requests(2))  # with a temperature, as version 2023-06-01 takes it
    chosen = world.wire.make(world.emu, KEY, {"api_version": version})
    batch_id = chosen.submit(world.intent(payload), payload, lambda file_id: None)
    world.finish()
    assert {chosen.decode(line).outcome for line in chosen.fetch(batch_id)} == {outcome}
    chosen.close()


def test_what_the_newer_version_can_honour_succeeds_there(world: World) -> None:
    world.provider = world.wire.make(world.emu, KEY, {"api_version": "2026-10-21", "cache": "1h"})
    batch_id = world.submit(2, temperature=1.0)
    world.finish()
    assert {world.provider.decode(line).outcome for line in world.provider.fetch(batch_id)} == {Outcome.SUCCEEDED}
    world.provider.close()


@pytest.mark.slow
def test_a_batch_of_100000_requests_is_sent_in_little_memory(tmp_path: Path) -> None:
    with running(tmp_path / "emulator") as emu:
        command = [sys.executable, "-c", BIG_SUBMIT, emu.anthropic_base_url, str(tmp_path / "big.jsonl"), "100000"]
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=280)
        _, n_bytes, peak_bytes = run.stdout.split()
        assert int(n_bytes) > 100_000_000
        assert int(peak_bytes) < MEGABYTES * 10**6 / 2
        assert emu.batches()[-1]["n_requests"] == 100_000


def test_batches_whose_results_are_gone_leave_no_doubt_about_a_young_intent(world: World) -> None:
    new = world.submit(5)
    world.finish()
    world.emu.advance(40 * 86_400.0)
    payload = world.payload(world.requests(5))
    silent = AnthropicProvider(AnthropicSettings(base_url=world.emu.anthropic_base_url), KEY)  # its clock is not the emulator's
    assert world.provider.find(world.intent(payload), frozenset()) == ()
    young = replace(world.intent(payload), created_at=datetime.now(UTC))
    assert silent.find(young, frozenset()) == ()
    assert new
    silent.close()


def listed(number: int) -> Mapping[str, object]:
    """A batch of one request that has ended, and whose results are of somebody else."""
    made, counts = "2026-11-30T00:00:00Z", {"processing": 0, "succeeded": 1, "errored": 0, "canceled": 0, "expired": 0}
    told: dict[str, object] = {"id": f"msgbatch_{number}", "type": "message_batch", "processing_status": "ended", "request_counts": counts}
    return told | {"created_at": made, "expires_at": made, "ended_at": made, "results_url": "http://127.0.0.1:9/"}


TROUBLES: Mapping[str, object] = {
    "an empty page": {"data": [], "has_more": False},
    "an empty page for ever": {"data": [], "has_more": True},
    "the first page again": {"data": [listed(0)], "has_more": True},
    "the first page again, as the last": {"data": [listed(0)], "has_more": False},
    "a page that fails": None,
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_list_in_trouble_never_proves_an_absence(trouble: str) -> None:
    def answer(path: str, query: Mapping[str, str]) -> object:
        if path.endswith("/results"):
            return {"custom_id": "other-r"}
        return TROUBLES[trouble] if "after_id" in query else {"data": [listed(0)], "has_more": True}

    made = datetime(2026, 11, 30, tzinfo=UTC)
    intent = Intent(part="p", attempt=1, token="0" * 16, payload_sha256="", n_requests=1, created_at=made, model="m")
    with answering(answer) as url:
        provider = AnthropicProvider(AnthropicSettings(base_url=url, timeouts=TIMEOUTS), KEY)
        with pytest.raises(ProviderError) as caught:
            provider.find(intent, frozenset())
        provider.close()
    assert caught.value.retryable
    assert isinstance(caught.value, Unsure) or "fails" in trouble
