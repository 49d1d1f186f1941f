"""The tables of docs/emulator.md that say which wire has which call, and what a batch's fault makes of it there, are what the emulator does.

`python -m tests.wire.test_fault_table` prints them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.emulator_process import Emulator, running
from tests.wire.plain import Plain, multipart, rows

from batchtrial.emulator.answers.modelfile import ModelFile
from batchtrial.emulator.serve.app import make_app
from batchtrial.emulator.serve.exchange import Endpoint
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.world.faults import DOWNLOAD_OPS, OPS
from batchtrial.emulator.world.world import World

DOCS = Path(__file__).parents[2] / "docs" / "emulator.md"
WIRES = ("fireworks", "openai", "anthropic", "gemini", "mistral", "xai", "local")
BATCH_FAULTS: dict[str, dict[str, Any]] = {
    "(none)": {},
    "validation_failure": {"validation_failure": True},
    "token_limit_exceeded": {"token_limit_exceeded": True},
    "expire_after": {"expire_after": 0.5},
    "cancelled_half_way": {"cancelled_half_way": 0.5},
    "all_failed": {"all_failed": True},
    "rows.missing": {"rows": {"missing": 1}},
    "rows.errored": {"rows": {"errored": 1}},
    "stuck": {"stuck": True},
    "unknown_state": {"unknown_state": "REBALANCING"},
}
N = 4
Client = tuple[Callable[[], str], Callable[[str], str]]
"""How a wire submits N rows, and the state that it shows of a batch."""


def calls_table(folder: Path) -> str:
    """Which wire has which call; every exchange can be struck, further faults stand in the last column."""
    world = World(folder, seed=1, mode="manual", speed=1.0, wall=lambda: 0.0)
    try:
        reached = [getattr(route, "endpoint", None) for route in make_app(Service(world, ModelFile())).routes]
        ends = [end for end in reached if isinstance(end, Endpoint)]
    finally:
        world.close()
    served = {(end.op, end.wire.name) for end in ends} | {("download_error", name) for name in ("fireworks", "openai", "mistral", "xai")}
    lines = [f"| call | {' | '.join(WIRES)} | further faults |", "| --- |" + " --- |" * (len(WIRES) + 1)]
    for op in OPS[1:]:
        further = "those of a batch" if op == "create" else "`truncate_body`, `slow_body`, `file_gone`" if op in DOWNLOAD_OPS else ""
        further = "`stream`, `service_tier`" if op == "answer" else further
        lines.append(f"| `{op}` | {' | '.join('yes' if (op, name) in served else '' for name in WIRES)} | {further} |".replace("  |", " |"))
    return "\n".join(lines)


def gemini(emu: Emulator) -> Client:
    client = Plain(emu, "openai")
    key = {"x_goog_api_key": "AIza"}

    def submit() -> str:
        request = {"contents": [{"role": "user", "parts": [{"text": "Who?"}]}]}
        data = b"".join(json.dumps({"key": f"r{i}", "request": request}).encode() + b"\n" for i in range(N))
        begun = client.call("POST", "/gemini/upload/v1beta/files", {"file": {"display_name": "in"}}, x_goog_upload_command="start", **key)
        sent = client.call("POST", begun.headers["x-goog-upload-url"], data, x_goog_upload_command="upload, finalize", **key)
        batch = {"batch": {"display_name": "b", "input_config": {"file_name": sent.json()["file"]["name"]}}}
        return str(client.call("POST", "/gemini/v1beta/models/gemini-x:batchGenerateContent", batch, **key).json()["name"])

    return submit, lambda name: str(client.call("GET", f"/gemini/v1beta/{name}", **key).json()["metadata"]["state"])


def mistral(emu: Emulator) -> Client:
    client = Plain(emu, "openai")

    def submit() -> str:
        requests = [{"custom_id": name, "body": body} for name, body in rows(N)]
        asked = {"endpoint": "/v1/chat/completions", "model": "m-1", "requests": requests}
        return str(client.ok("POST", "/mistral/v1/batch/jobs", asked)["id"])

    return submit, lambda name: str(client.ok("GET", f"/mistral/v1/batch/jobs/{name}")["status"])


def xai(emu: Emulator) -> Client:
    client = Plain(emu, "openai")

    def submit() -> str:
        lines = [{"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m-1", **body}} for name, body in rows(N)]
        body, kind = multipart("file", "in.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines), purpose="batch")
        file = client.ok("POST", "/xai/v1/files", body, content_type=kind)["id"]
        return str(client.ok("POST", "/xai/v1/batches", {"name": "b", "input_file_id": file})["batch_id"])

    def state(name: str) -> str:
        counters = client.ok("GET", f"/xai/v1/batches/{name}")["state"]
        return (
            ", ".join(f"{word.removeprefix('num_')} {count}" for word, count in counters.items() if count and word != "num_requests") or "no requests"
        )

    return submit, state


def plain(emu: Emulator, provider: str, labels: list[int]) -> Client:
    client = Plain(emu, provider)

    def submit() -> str:
        labels.append(0)
        reply = client.create(client.upload(rows(N)), f"table-{len(labels)}")
        return client.id_of(reply.json()) if reply.status == 200 else f"refused: {reply.status}"

    return submit, lambda name: name if name.startswith("refused") else client.state(name)


def effects_table(emu: Emulator) -> str:
    """What each wire shows of a batch of four rows when it is over, and how many of them are on the bill."""
    labels: list[int] = []
    clients = {name: plain(emu, name, labels) for name in ("fireworks", "openai", "anthropic")}
    clients |= {"gemini": gemini(emu), "mistral": mistral(emu), "xai": xai(emu)}
    made: dict[tuple[str, str], tuple[str, str]] = {}
    for fault, do in BATCH_FAULTS.items():
        emu.remove_faults()
        if do:
            emu.add_faults([{"match": {"op": "create"}, "on": "every", "do": do}])
        for wire, (submit, state) in clients.items():
            name = submit()
            made[wire, fault] = (name, state(name) if fault == "unknown_state" else "")
    emu.remove_faults()
    emu.advance(1000)
    paid = {batch["id"]: batch["n_answered"] or 0 for batch in emu.ledger()["batches"]}
    lines = [f"| fault | {' | '.join(clients)} |", "| --- |" + " --- |" * len(clients)]
    for fault in BATCH_FAULTS:
        cells = []
        for wire, (_, state) in clients.items():
            name, early = made[wire, fault]
            n_paid = next((count for own, count in paid.items() if name.endswith(own)), 0)
            cells.append(f"{early or state(name)}: {n_paid}")
        lines.append(f"| {fault if fault == '(none)' else f'`{fault}`'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def tables(folder: Path) -> list[str]:
    with running(folder / "emulator") as emu:
        return [calls_table(folder / "world"), effects_table(emu)]


def test_the_tables_are_what_the_emulator_does(tmp_path: Path) -> None:
    text = DOCS.read_text(encoding="utf-8")
    for table in tables(tmp_path):
        assert table in text, f"`python -m tests.wire.test_fault_table` prints what docs/emulator.md has to say:\n{table}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        sys.stdout.write("\n\n".join(tables(Path(scratch))) + "\n")
