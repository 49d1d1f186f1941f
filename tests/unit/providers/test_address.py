"""An address that leads beside the API is told as such where a call that names no object is not found."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from batchtrial.errors import NotFound
from batchtrial.providers.anthropic.adapter import AnthropicProvider, AnthropicSettings
from batchtrial.providers.base import Intent, Provider
from batchtrial.providers.openai.adapter import OpenAIProvider, OpenAISettings
from batchtrial.records import Request


class _Nowhere(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def nowhere() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Nowhere)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def adapter(name: str, url: str) -> Provider:
    if name == "openai":
        return OpenAIProvider(OpenAISettings(base_url=url), "k-1234567890")
    return AnthropicProvider(AnthropicSettings(base_url=url), "k-1234567890")


@pytest.mark.parametrize(("name", "hint"), [("openai", "OpenAI's lies under /v1"), ("anthropic", "adds /v1 itself")])
def test_what_names_no_object_and_is_not_found_points_at_the_address(tmp_path: Path, nowhere: str, name: str, hint: str) -> None:
    payload = tmp_path / "p.jsonl"
    intent = Intent(part="p", attempt=1, token="0" * 16, payload_sha256="0", n_requests=1, created_at=datetime(2026, 1, 1, tzinfo=UTC), model="m")
    provider = adapter(name, nowhere)
    asked = Request(custom_id="c-t00-01234567-0123456789abcdef-s0", model="m", system="", user="u", max_tokens=16, temperature=0.0)
    try:
        payload.write_bytes(provider.encode(asked))
        with pytest.raises(NotFound) as found:
            provider.submit(intent, payload, lambda _: None)
        assert hint in found.value.hint
        with pytest.raises(NotFound) as found:
            provider.check("batch_1")
        assert hint not in found.value.hint, "a batch may be unknown at the right address"
    finally:
        provider.close()
