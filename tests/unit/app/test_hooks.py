"""A command and a webhook are told how a run ended; what goes wrong there is one line, in bounded time, without the address."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from batchtrial.app.ending import Ending, body, code_of_error, outcome_of_code, outcome_of_error
from batchtrial.app.hooks import Hooks, hooks_of, post, run_command
from batchtrial.errors import AuthFailed, BudgetReached, BudgetTooSmall, ConfigError, RunLocked, Stopped
from batchtrial.state.ledger import Counts

ENDED = Ending(
    run_id="r1",
    outcome="incomplete",
    exit_code=4,
    at=datetime(2026, 1, 1, tzinfo=UTC),
    counts=Counts(succeeded=9, expired=1),
    verdicts={"m-p": "superior"},
)


class Server(ThreadingHTTPServer):
    """Answers as its `how` says, and keeps what was posted."""

    daemon_threads = True

    def __init__(self, how: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.how = how
        self.got: list[tuple[str, bytes]] = []
        self.is_over = threading.Event()


class Handler(BaseHTTPRequestHandler):
    """One answer."""

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        if server.how == "slow":  # a byte now and then, so that no read of its times out
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            while not server.is_over.wait(0.02):
                self.wfile.write(b"x")
            return
        self.send_response({"fine": 200, "broken": 500, "moved": 307}[server.how])
        if server.how == "moved":
            self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def serving(how: str) -> Iterator[Server]:
    server = Server(how)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/services/T0/secret-path?key=k"


def test_a_webhook_gets_the_whole_ending() -> None:
    with serving("fine") as server:
        assert post(url_of(server), ENDED, 5.0) == ""
        ((path, data),) = server.got
    assert path == "/services/T0/secret-path?key=k"
    told = json.loads(data)
    assert (told["schema_version"], told["run_id"], told["outcome"], told["exit_code"]) == (1, "r1", "incomplete", 4)
    assert told["requests"]["expired"] == 1
    assert told["text"].startswith("batchtrial run r1: every step is done, and some requests never succeeded; 9 requests succeeded, 1 expired")


def test_slack_gets_the_text_alone() -> None:
    assert json.loads(body(ENDED, is_slack=True)) == {"text": ENDED.text()}


@pytest.mark.parametrize(
    ("how", "words"),
    [("broken", "it answered 500"), ("moved", "it answered 307, and redirects are not followed"), ("slow", "it did not answer within 0.2 s")],
)
def test_a_webhook_that_fails_is_one_line_in_time(how: str, words: str) -> None:
    with serving(how) as server:
        began = time.monotonic()
        said = post(url_of(server), ENDED, 0.2 if how == "slow" else 5.0)
        assert time.monotonic() - began < 30.0
        assert len(server.got) == 1
    assert said == f"the webhook at 127.0.0.1 was not told: {words}"


def test_a_webhook_that_is_away_is_one_line_without_its_path() -> None:
    with serving("fine") as server:
        url = url_of(server)
    said = post(url, ENDED, 5.0)
    assert said == "the webhook at 127.0.0.1 was not told: it could not be reached (ConnectionRefusedError)"


def test_a_command_gets_the_ending_and_no_key_of_a_provider(tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "OPENAI_API_KEY": "secret", "UPSTREAM_API_KEY": "secret", "BATCHTRIAL_WEBHOOK": "secret", "MINE": "kept"}
    command = f"cat > {tmp_path}/in; env > {tmp_path}/env; echo nothing of this on standard output"
    assert run_command(command, ENDED, env, 10.0) == ""
    assert json.loads((tmp_path / "in").read_bytes()) == ENDED.as_json()
    seen = (tmp_path / "env").read_text()
    assert "secret" not in seen
    assert all(one in seen for one in ("MINE=kept", "BATCHTRIAL_RUN_ID=r1", "BATCHTRIAL_OUTCOME=incomplete", "BATCHTRIAL_EXIT_CODE=4"))


def test_a_command_that_fails_or_hangs_is_one_line(tmp_path: Path) -> None:
    assert run_command("exit 3", ENDED, {}, 10.0) == "--on_end ended with exit code 3"
    assert run_command("exec cat <&- ; :", ENDED, {"PATH": "/usr/bin:/bin"}, 10.0).startswith("--on_end")
    began = time.monotonic()
    assert run_command("sleep 60 & sleep 60", ENDED, {"PATH": "/usr/bin:/bin"}, 0.2) == "--on_end did not end within 0.2 s and was ended"
    assert time.monotonic() - began < 30.0


def test_hooks_are_called_together_and_raise_nothing() -> None:
    said = Hooks(command="exit 1", webhook="http://127.0.0.1:1/x").call(ENDED, {})
    assert [line.split()[0] for line in said] == ["the", "--on_end"]


def test_an_address_that_is_none_is_refused_without_being_quoted() -> None:
    for wrong in ("hooks.example/secret", "ftp://x/secret", "http://", "http://[secret", "https://x/a secret", "http://x:99999/secret"):
        with pytest.raises(ConfigError) as caught:
            hooks_of(None, wrong, {})
        assert "secret" not in str(caught.value)
    assert hooks_of(None, None, {"BATCHTRIAL_WEBHOOK": "https://x/y", "BATCHTRIAL_ON_END": "true"}) == Hooks(command="true", webhook="https://x/y")


def test_each_way_to_end_has_its_outcome() -> None:
    errors = [
        RunLocked("x"),
        Stopped("x"),
        KeyboardInterrupt(),
        BudgetReached("x"),
        BudgetTooSmall("x"),
        AuthFailed("x"),
        OSError(),
    ]
    assert [outcome_of_error(one) for one in errors] == ["locked", "stopped", "stopped", "budget", "budget", "needs_person", "needs_person"]
    assert [code_of_error(one) for one in errors] == [5, 130, 130, 1, 2, 1, 1]
    assert [outcome_of_code(code, is_complete=True) for code in (0, 4, 130)] == ["done", "incomplete", "stopped"]
    assert outcome_of_code(0, is_complete=False) == "steps_done"
