"""Whole runs tell how they end, whatever becomes of the telling, and tell nothing that is secret or was said by anybody."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.unattended.trial import batchtrial, environment, write
from tests.unit.app.test_hooks import serving, url_of

from batchtrial.clock import real_now
from batchtrial.state.layout import RunLayout
from batchtrial.state.lock import RunLock

KEY, PROMPT = "sk-secret-key-0123456789abcdef", "the-words-of-the-treatment"


class Quoting(BaseHTTPRequestHandler):
    """A provider that refuses every call, and quotes the key and whatever it was sent."""

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        said = json.dumps({"error": {"message": f"refused {self.headers.get('Authorization')} {sent} {PROMPT}", "code": "invalid_api_key"}}).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def quoting() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Quoting)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_no_payload_has_a_key_a_prompt_or_what_a_provider_said(tmp_path: Path) -> None:
    write(tmp_path, 4)
    (tmp_path / "treatment.txt").write_text(PROMPT)
    with serving("fine") as hook, quoting() as provider:
        env = environment(OPENAI_API_KEY=KEY, BATCHTRIAL_WEBHOOK=url_of(hook))
        told_to = ("--events", "events", "--on_end", "cat > ending.json; env > env.txt", "--json")
        done = batchtrial(tmp_path, "run", "--config", "trial.yaml", "--run_id", "a", "--base_url", provider, *told_to, env=env)
        ((_, posted),) = hook.got
    assert done.returncode == 1, done.stderr
    told = [posted.decode(), (tmp_path / "ending.json").read_text(), (tmp_path / "env.txt").read_text(), done.stdout]
    told.append((tmp_path / "events").read_text().splitlines()[-1])
    assert [text for text in told if KEY in text or PROMPT in text or "refused" in text] == []
    assert KEY not in (tmp_path / "events").read_text() + done.stderr
    assert json.loads(posted)["outcome"] == "needs_person"
    assert json.loads(posted) == json.loads(told[1]) == json.loads(done.stdout) == json.loads(told[-1])


@pytest.mark.parametrize("where", ["--json > /dev/full", "--json | head -0", "2> /dev/full", ">&- 2>&-"])
def test_hooks_are_told_although_nothing_can_be_printed(where: str, tmp_path: Path) -> None:
    write(tmp_path, 4)
    with serving("fine") as hook:
        command = f"batchtrial run --config trial.yaml --run_id a --dry_run --to_step build --webhook {url_of(hook)} {where}"
        subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, timeout=120, check=False)
        ((_, posted),) = hook.got
    assert json.loads(posted)["outcome"] == "steps_done"


@pytest.mark.parametrize("how", ["broken", "moved", "down"])
def test_a_run_ends_the_same_whatever_the_webhook_does(how: str, tmp_path: Path) -> None:
    write(tmp_path, 4)
    with serving("fine" if how == "down" else how) as hook:
        url = url_of(hook)
        if how != "down":
            done = batchtrial(tmp_path, "run", "--config", "trial.yaml", "--run_id", "a", "--dry_run", "--to_step", "build", "--webhook", url)
    if how == "down":
        done = batchtrial(tmp_path, "run", "--config", "trial.yaml", "--run_id", "a", "--dry_run", "--to_step", "build", "--webhook", url)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "webhook" in line] == [done.stderr.splitlines()[-1]]
    assert "secret-path" not in done.stderr + done.stdout
    assert not any(b"secret-path" in path.read_bytes() for path in (tmp_path / "experiments").rglob("*") if path.is_file())


def test_a_run_that_another_process_has_is_exit_code_5_and_calls_no_hook(tmp_path: Path) -> None:
    write(tmp_path, 4)
    assert batchtrial(tmp_path, "run", "--config", "trial.yaml", "--run_id", "a", "--dry_run", "--to_step", "build").returncode == 0
    layout = RunLayout(tmp_path / "experiments" / "run_a")
    lock = RunLock(layout.guard, layout.lock_info)
    lock.acquire(real_now)
    try:
        refused = batchtrial(tmp_path, "resume", "--run_id", "a", "--on_end", "touch called", "--json")
    finally:
        lock.release(real_now)
    assert refused.returncode == 5
    assert json.loads(refused.stdout)["outcome"] == "locked"
    assert not (tmp_path / "called").exists()
