"""The form in which result lines are written: each service's own, and what a fault makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.emulator_process import Emulator, running
from tests.wire.plain import Plain, multipart, rows

ANSWER = "naïve\u2028second line 東京"
SURE = {"right": 0.999999999, "verbose": 0.0, "abstain": 0.0}


@pytest.fixture(scope="module")
def emu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Every question of the first two rows has one answer, with a line separator in it."""
    root: Path = tmp_path_factory.mktemp("lines")
    key = [{"item": f"q{i}", "kind": "closed", "question": f"Who was number {i}?", "answers": [ANSWER]} for i in range(2)]
    (root / "key.jsonl").write_text("".join(json.dumps(one) + "\n" for one in key))
    model = {"items_file": "key.jsonl", "sigma": 0.0, "default_rates": {"closed": SURE}}
    with running(root, model=model) as emulator:
        yield emulator


def test_openai_writes_its_lines_as_it_is_recorded_with_and_raw_when_told(emu: Emulator) -> None:
    client = Plain(emu, "openai")
    emu.add_faults([{"match": {"op": "create"}, "on": [2], "do": {"rows": {"raw_unicode": ["r1"]}}}])
    usual, told = client.submit(rows(2), "usual"), client.submit(rows(2), "told")
    emu.advance(60)
    for batch_id, n_raw in ((usual, 0), (told, 1)):
        lines = emu_lines(client, batch_id)
        assert [client.text(line) for line in lines] == [ANSWER] * 2
        assert all(line.startswith(b'{"id": "batch_req_') and b', "custom_id": "r' in line for line in lines)
        assert sum(not line.isascii() for line in lines) == n_raw
    emu.remove_faults()


@pytest.mark.parametrize("provider", ["anthropic", "fireworks"])
def test_the_other_wires_are_compact_and_raw(emu: Emulator, provider: str) -> None:
    client = Plain(emu, provider)
    batch_id = client.submit(rows(2), f"raw-{provider}")
    emu.advance(60)
    lines = emu_lines(client, batch_id)
    assert [client.text(line) for line in lines] == [ANSWER] * 2
    assert all(line.startswith(b'{"custom_id":"r') and ANSWER.encode() in line for line in lines)


def emu_lines(client: Plain, batch_id: str) -> list[bytes]:
    """Lines of the output as they came: a line separator of Unicode ends none."""
    raw = client.fetch(client.result_urls(batch_id)["output"]).body
    return raw.removesuffix(b"\n").split(b"\n")


def test_azure_writes_as_openai_and_other_hosts_compactly(emu: Emulator) -> None:
    client = Plain(emu, "openai")
    for host, start in (("azure", b'{"id": "'), ("groq", b'{"id":"')):
        root = f"/hosts/{host}/v1"
        row = {"custom_id": "r0", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m-1", **rows(1)[0][1]}}
        body, kind = multipart("file", "in.jsonl", json.dumps(row).encode(), purpose="batch")
        file = client.ok("POST", f"{root}/files", body, content_type=kind)["id"]
        asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = client.ok("POST", f"{root}/batches", asked)["id"]
        emu.advance(60)
        output = client.ok("GET", f"{root}/batches/{batch}")["output_file_id"]
        assert client.call("GET", f"{root}/files/{output}/content").body.startswith(start)


def test_a_batch_keeps_the_life_that_it_was_created_with(tmp_path: Path) -> None:
    """Served again with a longer life, what has ended stays ended, and what is under way ends when it was to end."""
    with running(tmp_path, arguments=["--batch_seconds", "10"]) as emu:
        client = Plain(emu, "anthropic")
        ended = client.submit(rows(2))
        emu.advance(9)
        under_way = client.submit(rows(2))
        emu.advance(1)
        assert (client.state(ended), client.state(under_way)) == ("ended", "in_progress")
        lines = client.lines(ended)
        emu.arguments[emu.arguments.index("--batch_seconds") + 1] = "60"
        emu.restart()
        assert (client.state(ended), client.lines(ended)) == ("ended", lines)
        later = client.submit(rows(2))
        emu.advance(9)
        assert (client.state(under_way), client.state(later)) == ("ended", "in_progress")
        emu.advance(50)
        assert client.state(later) == "in_progress"
        emu.advance(1)
        assert client.state(later) == "ended"
