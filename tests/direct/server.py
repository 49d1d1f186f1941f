"""A chat server in a process of its own that counts what it carried out, and meets a share of the rows with a fault at their first request.

    python -m tests.direct.server --ready FILE [--share 0.05] [--seconds S] [--parent PID]

The kinds, by a hash of the row's name: 429 and 503 with a moment to wait, a reset, a connection dropped after the answer was made, a stream that
nobody asked for, an answer that takes longer, one that is cut. `GET /counts` says how often each row was carried out.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

FAULTS: Final = ("429", "503", "reset", "drop", "stream", "slow", "cut")
PAID: Final = frozenset({"drop", "stream", "slow", "cut"})
"""Faults after the answer was made."""
ROOT: Final = Path(__file__).resolve().parents[2]


def fault_of(name: str, share: float) -> str | None:
    """What the first request of a row meets."""
    drawn = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return FAULTS[int(drawn / share * len(FAULTS))] if drawn < share else None


class Rows:
    """Answers requests, and counts them."""

    def __init__(self, share: float, seconds: float) -> None:
        self.share, self.seconds = share, seconds
        self.seen: Counter[str] = Counter()
        self.carried_out: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        if head.startswith("GET"):
            counts = {"carried_out": self.carried_out, "seen": self.seen.total(), "most_at_once": self.most_at_once}
            return await self.send(writer, 200, json.dumps(counts).encode())
        name = fields.get("x-client-request-id", "")
        self.seen[name] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.answer(writer, name, body, fault_of(name, self.share) if self.seen[name] == 1 else None)
        finally:
            self.at_once -= 1

    async def answer(self, writer: asyncio.StreamWriter, name: str, body: bytes, fault: str | None) -> bool:
        if fault in ("429", "503"):
            return await self.send(writer, int(fault), b'{"error":{"message":"busy"}}', "retry-after: 0.02\r\n")
        if fault == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        await asyncio.sleep(self.seconds + (0.2 if fault == "slow" else 0.0))
        self.carried_out[name] += 1
        text = f"<{json.loads(body)['messages'][-1]['content']}>"
        if fault == "stream":
            pieces = [{"choices": [{"index": 0, "delta": {"content": text}}]}, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
            events = "".join(f"data: {json.dumps({'id': name, **piece})}\n\n" for piece in pieces) + "data: [DONE]\n\n"
            return await self.send(writer, 200, events.encode(), "content-type: text/event-stream\r\n")
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        raw = json.dumps({"id": name, "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}).encode()
        if fault == "drop":
            return False
        if fault == "cut":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(raw) + raw[: len(raw) // 2])
            await writer.drain()
            return False
        return await self.send(writer, 200, raw)

    async def send(self, writer: asyncio.StreamWriter, status: int, raw: bytes, more: str = "content-type: application/json\r\n") -> bool:
        writer.write(f"HTTP/1.1 {status} X\r\n{more}content-length: {len(raw)}\r\n\r\n".encode() + raw)
        await writer.drain()
        return True


@contextmanager
def serving(folder: Path, *, share: float = 0.0, seconds: float = 0.0) -> Iterator[str]:
    """The URL of a running server, ended afterwards."""
    ready = folder / "row_server.ready"
    ready.unlink(missing_ok=True)
    flags = ["--ready", str(ready), "--share", str(share), "--seconds", str(seconds), "--parent", str(os.getpid())]
    process = subprocess.Popen([sys.executable, "-m", "tests.direct.server", *flags], cwd=ROOT)
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{ready.read_text()}"
    finally:
        process.kill()
        process.wait()


def counts(url: str) -> dict[str, Any]:
    """What the server counted."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/counts", timeout=60) as answer:
        return dict(json.load(answer))


async def serve(ready: Path, share: float, seconds: float, parent: int) -> None:
    server = await asyncio.start_server(Rows(share, seconds).connected, "127.0.0.1", 0, backlog=512)
    draft = ready.with_suffix(".tmp")
    draft.write_text(str(server.sockets[0].getsockname()[1]))
    draft.replace(ready)
    while os.getppid() == parent:
        await asyncio.sleep(0.5)


def main() -> None:
    """Serve until killed, or until the parent is gone."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--ready", type=Path, required=True)
    flags.add_argument("--share", type=float, default=0.0)
    flags.add_argument("--seconds", type=float, default=0.0)
    flags.add_argument("--parent", type=int, required=True)
    given = flags.parse_args()
    asyncio.run(serve(given.ready, given.share, given.seconds, given.parent))


if __name__ == "__main__":
    main()
