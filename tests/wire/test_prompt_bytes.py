"""What is declared as text reaches every wire as its file has it, whatever braces, dollars and line ends it holds."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from batchtrial.cli.main import main

ODD = "{ {{ body }} {% if x %} ${HOME} $1 %s %(a)s {0} {# c #} \\n \u65e5 \U0001f600 \u2028 \t\r\nend\n\n"
ROW = "the row's own {{ body }} {% if %} $HOME"
USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
SAID: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}], "usage": USAGE},
    "/v1/responses": {
        "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]}],
        "usage": {"input_tokens": 3, "output_tokens": 1},
    },
    "/v1/messages": {
        "role": "assistant",
        "content": [{"type": "text", "text": "ok"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 1},
    },
}


class _Handler(BaseHTTPRequestHandler):
    heard: dict[str, bytes]

    def do_GET(self) -> None:
        self._answer({"data": [{"id": "m"}]})

    def do_POST(self) -> None:
        self.heard[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(SAID[self.path])

    def _answer(self, told: dict[str, Any]) -> None:
        body = json.dumps({"id": "x"} | told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    heard: dict[str, bytes] = {}
    made = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"heard": heard}))
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}", heard
    made.shutdown()
    thread.join()
    made.server_close()


def test_declared_text_reaches_every_wire_byte_for_byte(
    server: tuple[str, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url, heard = server
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-nobody")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "another-key-of-nobody")
    (tmp_path / "odd.txt").write_bytes(ODD.encode())
    (tmp_path / "rows.jsonl").write_text(json.dumps({"id": "1", "body": ROW, "answer": "ok"}))
    turns = [{"role": "user", "text_file": "odd.txt"}, {"role": "assistant", "text": "yes {{ a }}"}, {"role": "user", "template": "{{ body }}"}]
    tree = {
        "backend": "local",
        "model_id": "m",
        "system": "odd.txt",
        "template_marks": "text",
        "provider": {"base_url": url},
        "lanes": {"openai": {"base_url": f"{url}/v1"}, "anthropic": {"base_url": url}},
        "arms": {"control": {}, "o": {"backend": "openai", "model": "gpt-4.1"}, "a": {"backend": "anthropic", "model": "claude-haiku-4-5"}},
        "datasets": [{"name": "d", "source": "file", "path": "rows.jsonl"}],
        "task": {"messages": turns},
    }
    (tmp_path / "trial.yaml").write_text(json.dumps(tree))
    assert main(["try", "--config", "trial.yaml", "--send", "1"]) == 0, capsys.readouterr().err
    assert heard.keys() == SAID.keys()
    for path, raw in heard.items():
        body = json.loads(raw)
        said = body.get("messages") or body["input"]
        if path == "/v1/messages":
            said = [{"role": "system", "content": body["system"]}, *said]
        assert [(one["role"], one["content"]) for one in said] == [
            ("system", ODD),
            ("user", ODD),
            ("assistant", "yes {{ a }}"),
            ("user", ROW),
        ], path
