"""A server of one's own is asked who it is as it will be asked for answers: with its key, and past the proxies of the environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from batchtrial.app.direct_lane import identity, key_for
from batchtrial.errors import AuthFailed, ProviderError
from batchtrial.providers.registry import OWN_KEY, row_of

MODELS = [{"id": "own", "told": "Bearer [key]"}]
"""As they are kept: the server says the key back."""


class Guarded(BaseHTTPRequestHandler):
    """Tells its models to whoever has the key, as vLLM with --api-key does."""

    def do_GET(self) -> None:
        is_let_in = self.headers.get("authorization") == "Bearer own-key"
        self.send_response(404 if is_let_in and self.path != "/v1/models" else 200 if is_let_in else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "own", "told": self.headers.get("authorization")}]}).encode())

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_is_asked_with_its_key_and_past_proxies(root: str) -> None:
    assert identity(root, "own", "own-key") == {"asked_model": "own", "models": MODELS}


def test_without_the_key_it_is_named(root: str) -> None:
    with pytest.raises(ProviderError, match="HTTP 401") as caught:
        identity(root, "own")
    assert OWN_KEY in caught.value.hint


def test_a_key_that_cannot_stand_in_a_header_is_refused_and_not_shown() -> None:
    assert key_for(row_of("local"), {OWN_KEY: "own-key"}) == "own-key"
    assert key_for(row_of("local"), {}) is None
    with pytest.raises(AuthFailed) as caught:
        key_for(row_of("local"), {OWN_KEY: "own-secret\n"})
    assert OWN_KEY in caught.value.hint
    assert "secret" not in str(caught.value)
