"""A server with OpenAI's chat API in a process of its own, for tests of `backend: local`; it notes every request and every answer in a file.

What it does is decided by words in the question: `BROKEN` is answered 500, `TOOLONG` 400, `GARBAGE` a page that is no JSON, `ENDLESS` bytes without
end, `DRIP` one byte now and then, `HUNG` nothing at all; `FREE` is answered without usage, `CUT` with thoughts alone up to the token limit where the
system prompt asks for care. An unknown model is 404. Everything else is answered, after a moment, with the question; when a file FILE.limit holds a
number, no more than so many answers are given until it holds a larger one, and while a file FILE.login is there, each question gets a proxy's page.

    python -m tests.chat_server --log FILE --ready FILE [--port N] [--seconds S]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODEL = "small-model"
CONTEXT = 2048
BUILD = "b1-test"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    log_path: Path
    seconds: float
    lock = threading.Lock()
    n_answered = 0

    def wait_for_leave(self) -> None:
        """Until one more answer may be given."""
        limit = self.log_path.with_suffix(".limit")
        while True:
            with self.lock:
                if not limit.exists() or self.n_answered < int(limit.read_text()):
                    self.n_answered += 1
                    return
            threading.Event().wait(0.005)

    def note(self, kind: str, question: str) -> None:
        with self.lock, self.log_path.open("a") as log:
            log.write(json.dumps({"kind": kind, "question": question}) + "\n")


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        elif self.path == "/props":
            self._answer(200, {"build_info": BUILD, "default_generation_settings": {"n_ctx": CONTEXT}})
        else:
            self._answer(404, {"error": {"message": "no such page"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = body["messages"][-1]["content"].rpartition("QUESTION:\n")[2]
        arm = body["messages"][0]["content"]
        row = f"{question} | {arm}"
        self.server.note("asked", row)
        if self.server.log_path.with_suffix(".login").exists():
            self._send(200, b"<html>please log in: " + question.encode())
        elif body["model"] != MODEL:
            self._answer(404, {"error": {"message": f"model '{body['model']}' not found", "type": "not_found_error"}})
        elif "BROKEN" in question:
            self._answer(500, {"error": {"message": "the engine has died"}})
        elif "TOOLONG" in question:
            self._answer(400, {"error": {"message": "the request exceeds the context size", "type": "invalid_request_error"}})
        elif "GARBAGE" in question:
            self._send(200, b"<html>not what you asked for")
        elif "ENDLESS" in question:
            self._stream(b"x" * 65536, 0.0)
        elif "DRIP" in question:
            self._stream(b" ", 0.05)
        elif "HUNG" in question:
            threading.Event().wait(60)
        else:
            threading.Event().wait(self.server.seconds)
            self.server.wait_for_leave()
            message, finish = {"role": "assistant", "content": question}, "stop"
            if "CUT" in question and "care" in arm:
                message, finish = {"role": "assistant", "content": None, "reasoning_content": "hmm, the passage ..."}, "length"
            choice = {"index": 0, "message": message, "finish_reason": finish}
            usage = None if "FREE" in question else {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
            self.server.note("answered", row)
            self._answer(200, {"id": "chatcmpl-x", "model": MODEL, "choices": [choice], "usage": usage, "seen": sorted(body)})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, json.dumps(body).encode())

    def _send(self, status: int, raw: bytes) -> None:
        with suppress(OSError):  # the asker may be dead
            self.send_response(status)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    def _stream(self, piece: bytes, pause: float) -> None:
        with suppress(OSError):
            self.send_response(200)
            self.end_headers()
            for _ in range(20_000):
                self.wfile.write(piece)
                threading.Event().wait(pause)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class ChatServer:
    """The running process, and what its log says."""

    def __init__(self, root: Path, *, seconds: float = 0.01) -> None:
        self.root, self.seconds, self.port = root, seconds, 0
        self.log_path = root / "chat_server.jsonl"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, on the port that it had before."""
        ready = self.root / "chat_server.ready"
        ready.unlink(missing_ok=True)
        flags = ["--log", str(self.log_path), "--ready", str(ready), "--port", str(self.port), "--seconds", str(self.seconds)]
        self.process = subprocess.Popen([sys.executable, "-m", "tests.chat_server", *flags, "--parent", str(os.getpid())], cwd=ROOT)
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert self.process.poll() is None
            assert time.monotonic() < deadline, "the chat server did not start"
            time.sleep(0.01)
        self.port = int(ready.read_text())

    def stop(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def limit(self, n_answers: int) -> None:
        """Give no more answers than so many, all told."""
        draft = self.log_path.with_suffix(".draft")
        draft.write_text(str(n_answers))
        draft.replace(self.log_path.with_suffix(".limit"))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self, kind: str) -> Counter[str]:
        """How often each row was asked, or answered."""
        if not self.log_path.exists():
            return Counter()
        lines = [json.loads(line) for line in self.log_path.read_text().splitlines()]
        return Counter(line["question"] for line in lines if line["kind"] == kind)


@contextmanager
def serving(root: Path, *, seconds: float = 0.01) -> Iterator[ChatServer]:
    """A running server, stopped at the end. seconds: how long an answer takes."""
    server = ChatServer(root, seconds=seconds)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def main() -> None:
    """Serve until killed, or until the parent is gone."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--log", type=Path, required=True)
    flags.add_argument("--ready", type=Path, required=True)
    flags.add_argument("--port", type=int, default=0)
    flags.add_argument("--seconds", type=float, default=0.01)
    flags.add_argument("--parent", type=int, required=True)
    given = flags.parse_args()
    server = _Server(("127.0.0.1", given.port), _Handler)
    server.log_path, server.seconds = given.log, given.seconds
    threading.Thread(target=_watch, args=(given.parent,), daemon=True).start()
    draft = given.ready.with_suffix(".tmp")
    draft.write_text(str(server.server_port))
    draft.replace(given.ready)
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
