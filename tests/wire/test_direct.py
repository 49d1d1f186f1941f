"""The synchronous endpoints, and a real server behind the batch APIs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.emulator_process import Emulator, running
from tests.wire.plain import PROVIDERS, Plain, rows

from batchtrial.providers.decode.lines import decode_line


@pytest.fixture(scope="module")
def emu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("direct")) as emulator:
        yield emulator


def chat(text: str = "Who was first?", **body: Any) -> dict[str, Any]:
    return {"model": "m-1", "messages": [{"role": "user", "content": text}], **body}


def test_chat_response_and_message_answer_alike(emu: Emulator) -> None:
    client = Plain(emu, "openai")
    first = client.ok("POST", "/v1/chat/completions", chat(), x_custom_id="a1")
    assert first["object"] == "chat.completion"
    assert first == client.ok("POST", "/v1/chat/completions", chat(), x_custom_id="a1")
    response = client.ok("POST", "/v1/responses", {"model": "m-1", "input": "Who was first?"}, x_custom_id="a1")
    text = first["choices"][0]["message"]["content"]
    assert response["output"][0]["content"][0]["text"] == text
    message = Plain(emu, "anthropic").ok("POST", "/v1/messages", chat(max_tokens=50), x_custom_id="a1")
    assert (message["content"][0]["text"], message["usage"]["service_tier"]) == (text, "standard")


def test_samples_differ_by_seed(emu: Emulator) -> None:
    client = Plain(emu, "openai")
    answers = {client.ok("POST", "/v1/chat/completions", chat(seed=seed))["id"] for seed in (1, 2, 2)}
    assert len(answers) == 2


def test_every_request_is_in_the_log(emu: Emulator) -> None:
    client = Plain(emu, "openai")
    before = emu.ledger()["direct"]["answered"]
    for _ in range(2):
        client.ok("POST", "/v1/chat/completions", chat("Twice?"), x_custom_id="twice-1")
    log = [each for each in emu.call("GET", "/_emulator/direct")["requests"] if each["custom_id"] == "twice-1"]
    assert [each["body"]["messages"][0]["content"] for each in log] == ["Twice?"] * 2
    direct = emu.ledger()["direct"]
    assert (direct["answered"], direct["answered_by_body_max"] >= 2) == (before + 2, True)


def test_models_are_listed_and_unknown_ones_refused(emu: Emulator) -> None:
    client = Plain(emu, "openai")
    assert client.ok("GET", "/v1/models")["data"]
    assert client.ok("GET", "/v1/models/any/thing")["id"] == "any/thing"
    assert client.call("POST", "/v1/chat/completions", {**chat(), "model": "no-such-model"}).status == 404
    assert client.call("GET", "/v1/models/no-such-model").status == 404


def test_no_key_is_needed_and_faults_apply(emu: Emulator) -> None:
    client = Plain(emu, "openai")
    assert client.call("POST", "/v1/chat/completions", chat(), authorization="").status == 200
    emu.add_faults([{"match": {"provider": "local", "op": "answer"}, "do": {"status": 429, "retry_after": 1}}])
    reply = client.call("POST", "/v1/chat/completions", chat())
    assert (reply.status, reply.headers["retry-after"]) == (429, "1")
    assert client.call("POST", "/v1/chat/completions", chat()).status == 200


class Witness(ThreadingHTTPServer):
    """An OpenAI-compatible server that notes what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.gate = threading.Semaphore(1_000_000)
        self.most_at_once = self.at_once = 0
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    server: Witness

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.asked.append((self.path, body))
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        self.server.gate.acquire()
        with self.server.lock:
            self.server.at_once -= 1
        text = body["messages"][-1]["content"]
        status, reply = 200, json.dumps({"id": "up", "choices": [{"message": {"content": f"<{text}>"}, "finish_reason": "stop"}]})
        if "usage" in text:
            reply = json.dumps({**json.loads(reply), "usage": {"prompt_tokens": int(text.split()[-1]), "completion_tokens": 1}})
        if "NaN" in text:
            reply = reply[:-1] + ', "logprobs": [' + "NaN, " * 1_000 + "1]}"
        if "garbage" in text:
            reply = "this is no JSON"
        if "refused" in text:
            status, reply = 400, json.dumps({"error": {"message": "context too long"}})
        self.send_response(status)
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        with suppress(BrokenPipeError):  # the asker was killed
            self.wfile.write(reply.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def witness() -> Iterator[Witness]:
    server = Witness()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        for _ in range(1000):
            server.gate.release()
        server.shutdown()
        server.server_close()
        thread.join()


def upstream_flags(server: Witness, concurrency: int = 2) -> list[str]:
    return ["--upstream", f"http://127.0.0.1:{server.server_port}", "--upstream_concurrency", str(concurrency)]


def wait_until_ended(client: Plain, batch_id: str) -> str:
    for _ in range(2000):
        state = client.state(batch_id)
        if state in ("completed", "ended", "JOB_STATE_COMPLETED"):
            return state
        threading.Event().wait(0.01)
    raise AssertionError("the batch did not end")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_real_server_answers_the_rows(tmp_path: Path, provider: str) -> None:
    with witness() as server, running(tmp_path, arguments=upstream_flags(server)) as emu:
        client = Plain(emu, provider)
        asked = [
            *rows(6, cache_prompt=False, temperature=0.1),
            ("bad", {"messages": [{"role": "user", "content": "garbage"}], "max_tokens": 5}),
            ("long", {"messages": [{"role": "user", "content": "refused"}], "max_tokens": 5}),
        ]
        batch_id = client.submit(asked)
        wait_until_ended(client, batch_id)
        found = dict(client.outcomes(batch_id))
        assert found == {
            **{f"r{i}": "succeeded" for i in range(6)},
            "bad": "succeeded",
            "long": "errored",
        }  # what 200 brought is for the client to read
        texts = {client.text(line) for line in client.lines(batch_id)["output"] if client.outcome(line) in ((f"r{i}", "succeeded") for i in range(6))}
        assert texts == {f"<Who was number {i}?>" for i in range(6)}
        bodies = [body for _, body in server.asked if "cache_prompt" in body]
        assert [(body["cache_prompt"], body["temperature"]) for body in bodies] == [(False, 0.1)] * 6
        assert server.most_at_once <= 2
        assert emu.ledger()["answered_requests"] == 7


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_number_of_tokens_without_room_in_the_bill_keeps_no_batch_open(tmp_path: Path, provider: str) -> None:
    with witness() as server, running(tmp_path, arguments=upstream_flags(server)) as emu:
        client = Plain(emu, provider)
        asked = [(f"r{i}", {"messages": [{"role": "user", "content": f"usage {n}"}], "max_tokens": 5}) for i, n in enumerate((10**30, 2**63, -5, 7))]
        batch_id = client.submit(asked)
        wait_until_ended(client, batch_id)
        assert dict(client.outcomes(batch_id)) == {f"r{i}": "succeeded" for i in range(4)}


def test_an_answer_beside_what_is_no_json_arrives_whole(tmp_path: Path) -> None:
    with witness() as server, running(tmp_path, arguments=upstream_flags(server)) as emu:
        client = Plain(emu, "openai")
        batch_id = client.submit([("r0", {"messages": [{"role": "user", "content": "NaN?"}], "max_tokens": 5})])
        wait_until_ended(client, batch_id)
        (line,) = client.lines(batch_id)["output"]
        assert decode_line(line).text == "<NaN?>"


def test_a_restart_does_not_ask_again(tmp_path: Path) -> None:
    with witness() as server, running(tmp_path, arguments=upstream_flags(server)) as emu:
        for _ in range(1_000_000 - 5):
            server.gate.acquire(blocking=False)  # five answers, then silence
        client = Plain(emu, "openai")
        batch_id = client.submit(rows(20))
        emu.advance(5)
        for _ in range(2000):
            if client.get(batch_id)["request_counts"]["completed"] == 5:
                break
            threading.Event().wait(0.005)
        assert client.get(batch_id)["request_counts"]["completed"] == 5
        emu.kill()
        n_before = len(server.asked)
        for _ in range(1000):
            server.gate.release()
        emu.restart()
        wait_until_ended(client, batch_id)
        texts = [body["messages"][-1]["content"] for _, body in server.asked]
        assert n_before <= 5 + 2  # two were under way
        assert len(texts) <= 20 + 2
        assert len(set(texts)) == 20
        assert len(client.lines(batch_id)["output"]) == 20


def test_cancel_stops_asking(tmp_path: Path) -> None:
    with witness() as server, running(tmp_path, arguments=upstream_flags(server, 1)) as emu:
        for _ in range(1_000_000 - 3):
            server.gate.acquire(blocking=False)
        client = Plain(emu, "openai")
        batch_id = client.submit(rows(50))
        emu.advance(5)
        for _ in range(2000):
            if client.get(batch_id)["request_counts"]["completed"] == 3:
                break
            threading.Event().wait(0.005)
        client.cancel(batch_id)
        emu.advance(10)
        assert client.state(batch_id) == "cancelled"
        assert sorted(kind for _, kind in client.outcomes(batch_id)) == ["cancelled"] * 47 + ["succeeded"] * 3
        assert len(server.asked) <= 5


def test_an_upstream_that_is_down_errors_the_rows(tmp_path: Path) -> None:
    with running(tmp_path, arguments=["--upstream", "http://127.0.0.1:9"]) as emu:
        client = Plain(emu, "openai")
        batch_id = client.submit(rows(2))
        wait_until_ended(client, batch_id)
        assert dict(client.outcomes(batch_id)) == {"r0": "errored", "r1": "errored"}
        assert b"gave no answer" in client.lines(batch_id)["error"][0]
