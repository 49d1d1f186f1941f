"""What a response means: which are a last word, which pass, which were spoken in whose dialect."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

import msgspec
import pytest
from tests.contract.own_host import served

from batchtrial.direct.asking import Asker, Host, is_of_the_account, is_spent, reply_of, wait_of
from batchtrial.direct.records import Answer, Reply, Row, error_of, json_line
from batchtrial.direct.wires import WireName, headers_of, path_of


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, "answer"), (400, "answer"), (404, "answer"), (429, "busy"), (503, "busy"), (529, "busy"), (500, "failed"), (408, "failed"), (504, "lost")],
)
def test_statuses(status: int, kind: str) -> None:
    assert reply_of(status, {}, b'{"a":1}').kind == kind


def test_an_account_without_money_is_a_last_word() -> None:
    reply = reply_of(429, {}, b'{"error":{"message":"pay","code":"insufficient_quota"}}')
    assert (reply.kind, is_spent(reply.answer)) == ("answer", True)
    assert not is_spent(Answer(429, b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}'))


@pytest.mark.parametrize(
    ("status", "body", "is_account"),
    [
        (401, {"error": {"message": "no"}}, True),
        (402, {}, True),
        (403, {"error": {"message": "The API key you provided is invalid.", "code": "UNAUTHORIZED"}}, True),  # Fireworks
        (412, {"code": 9, "message": "Account is suspended because its spending limit was reached."}, True),  # Fireworks
        (400, {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}}, True),  # Gemini
        (429, {"error": {"code": 429, "message": "check your plan (spend limit)", "status": "RESOURCE_EXHAUSTED"}}, True),  # Gemini
        (429, {"type": "error", "error": {"type": "rate_limit_error", "message": "reached its monthly spend limit."}}, True),  # Anthropic
        (400, {"code": "x", "error": "Incorrect API key provided: xa***."}, True),  # xAI
        (403, {"error": {"message": "Your team has used all available credits."}}, True),
        (403, {"error": {"message": "this model is not for you", "code": "permission_error"}}, False),
        (400, {"error": {"message": "cannot read 'Incorrect API key, spending limit'", "code": "invalid_request_error"}}, False),
        (412, {"code": 9, "message": "not now"}, False),
        (429, {"error": {"message": "slow down"}}, False),
    ],
)
def test_a_refusal_of_the_account_is_told_from_one_of_the_row_on_every_wire(status: int, body: Any, is_account: bool) -> None:
    reply = reply_of(status, {}, json.dumps(body).encode())
    assert is_of_the_account(reply.answer) is is_account


async def asked(host: Host, path: str) -> Reply:
    """What came of one row there."""
    asker = Asker(host, 1)
    try:
        return await asker.ask(Row(0, "r", path, b"{}"))
    finally:
        await asker.close()


class Echo(BaseHTTPRequestHandler):
    """A server that says back what it was sent."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"error": {"message": f"cannot read {self.headers.items()}"}}).encode()
        self.send_response(int(self.path.rsplit("/", 1)[-1]))
        self.send_header("content-length", str(len(body)))
        self.send_header("x-request-id", str(self.headers.items()))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("wire", ["chat", "messages", "generate_content"])
def test_a_key_that_the_server_says_back_is_kept_nowhere(wire: WireName, status: int) -> None:
    with served(Echo) as url:
        host = Host(url=url, headers=headers_of(wire, "fw-very-secret-1"), past_proxies=True)
        answer = asyncio.run(asked(host, f"/{status}")).answer
    assert answer.status == status
    assert b"secret" not in answer.body
    assert b"[key]" in answer.body
    assert "secret" not in answer.request_id


@pytest.mark.parametrize("told", ["text/event-stream", "Text/Event-Stream; charset=utf-8", "application/json", "text/plain", ""])
def test_a_stream_is_one_whatever_the_server_calls_it(told: str) -> None:
    raw = b'data: {"choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    reply = reply_of(200, {"content-type": told} if told else {}, raw)
    assert json.loads(reply.answer.body)["choices"][0]["message"]["content"] == "yes"


@pytest.mark.parametrize(("body", "tier"), [(b'{"candidates": []}', "standard"), (b"{}", "standard"), (b'{"service_tier":"flex"}', "flex")])
def test_a_tier_that_a_header_alone_tells_is_kept_with_the_answer(body: bytes, tier: str) -> None:
    """Gemini serves a flex request at the standard price when it has no room, and says so there."""
    kept = reply_of(200, {"x-gemini-service-tier": "Standard"}, body).answer.body
    assert json.loads(kept) == {**json.loads(body), "service_tier": tier}
    assert kept.count(b"service_tier") == 1, "what the body says itself is not said twice"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_refusal_that_says_where_the_api_lies(status: int) -> None:
    """It was told as HTTP 502 with a page of HTML, and every row was asked in every attempt."""
    reply = reply_of(status, {"location": "https://elsewhere/v1/chat/completions"}, b"<html>moved</html>")
    assert (reply.kind, reply.answer.status) == ("answer", 404)
    assert "https://elsewhere/v1/chat/completions" in str(error_of(reply.answer))


@pytest.mark.parametrize(("status", "kind"), [(200, "answer"), (500, "failed")])
def test_an_answer_whose_compression_is_none_is_not_asked_for_again(status: int, kind: str) -> None:
    """It may have been paid for; it was asked three times in every attempt."""

    class Lying(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-encoding", "gzip")
            self.end_headers()
            self.wfile.write(b'{"choices": []}')

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    with served(Lying) as url:
        reply = asyncio.run(asked(Host(url=url, past_proxies=True), "/x"))
    assert (reply.kind, reply.answer.status) == (kind, status)
    assert b"compression" in reply.answer.body


WHOLE = 'data: {"id": "a", "choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}]}\n\n'


@pytest.mark.parametrize(
    ("sent", "stays", "kind"),
    [
        ('{"choices": [{"index": 0, "message": {"content": "yes"}}]}', False, "answer"),
        ('{"choices": [{"index": 0, "message": {"content": "yes"}}]', False, "lost"),
        (WHOLE + "data: [DONE]\n\n", True, "answer"),
        (WHOLE + "data: [DONE]\n\n", False, "answer"),
        (WHOLE, False, "answer"),
        (WHOLE.replace('"stop"', "null"), False, "lost"),
    ],
)
def test_what_was_told_to_its_end_is_an_answer_however_the_connection_ends(
    monkeypatch: pytest.MonkeyPatch, sent: str, stays: bool, kind: str
) -> None:
    """A server that leaves the connection open behind the end of its answer, or drops it there, has answered: asking again would be paid again."""
    monkeypatch.setattr("batchtrial.direct.asking.AFTER_END_SECONDS", 0.05)
    is_over = threading.Event()

    class Streaming(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.wfile.write(f"{len(sent):x}\r\n{sent}\r\n".encode())
            self.wfile.flush()
            if stays:
                is_over.wait(60)
            self.close_connection = True

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    with served(Streaming) as url:
        reply = asyncio.run(asked(Host(url=url, past_proxies=True, seconds=30), "/x"))
        is_over.set()
    assert reply.kind == kind
    assert kind == "lost" or json.loads(reply.answer.body)["choices"][0]["message"]["content"] == "yes"


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "no such model", "type": "not_found_error"}}, "no such model", "not_found_error"),  # OpenAI, Ollama
        ({"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}}, "too long", "exceed_context_size_error"),  # llama.cpp
        ({"error": "Model is overloaded", "error_type": "overloaded"}, "Model is overloaded", "overloaded"),  # TGI
        ({"object": "error", "message": "bad request", "code": 400, "type": "BadRequestError"}, "bad request", "BadRequestError"),  # vLLM
        ({"detail": "Not Found"}, "Not Found", None),
        ({"detail": [{"loc": ["body", "n"], "msg": "Field required", "input": {"q": 1}}]}, "body.n: Field required", None),  # FastAPI
        (
            {"object": "error", "message": {"detail": [{"msg": "Input should be at least 1", "input": 0}]}},
            "Input should be at least 1",
            None,
        ),  # Mistral
        ({"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}, "bad", "INVALID_ARGUMENT"),  # Gemini
        ("nginx", "nginx", None),
    ],
)
def test_shapes_of_errors(body: Any, message: str, code: str | None) -> None:
    assert error_of(Answer(400, json.dumps(body).encode())) == {"message": message, "code": code}


def test_an_error_that_calls_itself_a_success_is_seen_and_an_answer_is_none() -> None:
    assert error_of(Answer(200, b'{"error":{"message":"died"}}')) == {"message": "died", "code": None}
    assert error_of(Answer(200, b'{"object":"error","message":"died"}')) == {"message": "died", "code": None}
    assert error_of(Answer(200, b'{"choices":[]}')) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "2", "retry-after-ms": "150"}, 0.15),
        ({"retry-after": "Sun, 29 Nov 2026 10:00:05 GMT", "date": "Sun, 29 Nov 2026 10:00:00 GMT"}, 5.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_what_the_server_asks_to_wait(headers: Mapping[str, str], seconds: float | None) -> None:
    assert wait_of(headers) == seconds


def test_an_answer_is_one_line_with_its_meaning_kept() -> None:
    raw = '{\r\n "a": 123456789012345678901234567890,\n "b": "ä"}'
    assert json_line(raw.encode()) == '{"a":123456789012345678901234567890,"b":"ä"}'.encode()
    assert json_line(b'{"a":1}\n') == b'{"a":1}' or json.loads(json_line(b'{"a":1}\n') or b"") == {"a": 1}
    assert json_line(b"<html>") is None


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b'{"a":"x\\ud83d"}', {"a": "x\ufffd"}),
        (b'{"a":"\\ud83d\\ude00","b":"\\ude00"}', {"a": "\U0001f600", "b": "\ufffd"}),
        (b'{"a":NaN,"b":[-Infinity]}', {"a": None, "b": [None]}),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
    ],
)
def test_an_answer_that_only_lenient_readers_take_is_one_all_the_same(raw: bytes, kept: Any) -> None:
    found = json_line(raw)
    assert found is not None
    assert msgspec.json.decode(found) == json.loads(found) == kept
    assert json_line(b'{"a":1e999}') is None


def test_paths_and_keys_of_the_wires() -> None:
    assert path_of("chat") == "/chat/completions"
    assert path_of("generate_content", "gemini-3/x") == "/models/gemini-3%2Fx:generateContent"
    assert headers_of("responses", "k")["authorization"] == "Bearer k"
    assert headers_of("messages", "k")["x-api-key"] == headers_of("generate_content", "k")["x-goog-api-key"] == "k"
    assert "authorization" not in headers_of("chat", None)
