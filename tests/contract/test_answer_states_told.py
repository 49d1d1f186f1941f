"""Answers that were cut off in one arm alone, from a server to the verdict: counted by arm and reason in every place, and no claim."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chat_server import MODEL, serving

pytest.importorskip("openai")
SHARED = Path(__file__).resolve().parents[3] / "shared" / "cases"
N = 40


def run(cwd: Path, *flags: str) -> tuple[int, str]:
    """The command line in a process of its own: exit code and output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATCHTRIAL_") and not name.endswith("_API_KEY")}
    command = [sys.executable, "-m", "batchtrial", "run", "--run_id", "cut", *flags]
    done = subprocess.run(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=240)
    return done.returncode, done.stdout


def one(folder: Path, name: str) -> str:
    (path,) = folder.glob(f"run_cut/*/*/{name}")
    return path.read_text()


def is_no_claim(experiments: Path, output: str, *, n_lost: int, n_of_primary: int) -> None:
    """Nothing is concluded, and every place says of whom how many were lost to what. n_of_primary: lost ones that the primary endpoint is about."""
    assert f"{n_lost} cut" in output, output
    account = json.loads(one(experiments, "account.json"))["answers"]["arms"]
    assert (account["t0_treatment"]["states"]["cut"], account["t0_treatment"]["states"]["complete"]) == (n_lost, N - n_lost)
    assert (account["t0_control"]["states"]["cut"], account["t0_control"]["states"]["complete"]) == (0, N)
    found: Mapping[str, Any] = json.loads(one(experiments, "significance.json"))
    (primary,) = [test for test in found["tests"] if test["family"] == "primary"]
    assert primary["pairs"]["lost_answers"] == {"control": {}, "treatment": {"cut": n_of_primary}}
    sentence = found["headline"]["sentence"]
    for word in ("superior to the control on", "fewer false answers", "p < 0.001"):
        assert word not in sentence
    assert "cut off" in sentence, sentence
    assert sentence in " ".join(output.split())  # the terminal wraps it
    report = one(experiments, "report.md")
    assert sentence in report
    assert "| cut |" in report or f"{n_lost} cut" in report


@pytest.mark.parametrize("n_lost", [N, N // 2])
def test_answers_cut_off_in_the_treatment_alone_make_no_claim(tmp_path: Path, n_lost: int) -> None:
    rows = [
        {
            "id": f"i{n}",
            "question": f"Who opened gate {n}? " + ("CUT" if n < n_lost else ""),
            "context": f"Gate {n} is green and stands near the river.",
            "answers": [],
            "is_unanswerable": True,
        }
        for n in range(N)
    ]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, text in (("control", "Answer."), ("treatment", "Answer with care."), ("open", "Be short.")):
        (tmp_path / f"{name}.txt").write_text(text)
    config = {
        "backend": "local",
        "model_id": MODEL,
        "datasets": [{"name": "caps", "source": "file", "path": "questions.jsonl", "kind": "open"}],
        "task_instructions": {"open_book": "open.txt", "closed_book": "open.txt"},
        "prompt_sets": {"mine": {"control": "control.txt", "treatment": "treatment.txt"}},
        "max_new_tokens": {"open_book": 64, "closed_book": 64},
        "provider": {"max_concurrent_requests": 4},
        "submission": {"max_attempts": 2, "poll_seconds": 0.1},
        "stats": {"primary": {"metric": "false_answer", "kind": "open"}},
    }
    (tmp_path / "trial.yaml").write_text(yaml.safe_dump(config))
    with serving(tmp_path, seconds=0.0) as server:
        code, output = run(tmp_path, "--config", "trial.yaml", "--base_url", server.url)
    assert code == 0, output
    is_no_claim(tmp_path / "experiments", output, n_lost=n_lost, n_of_primary=n_lost)


@contextmanager
def shared_server(port_file: Path, flags: Sequence[str]) -> Iterator[str]:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(SHARED / "server.py"), str(port), str(port_file), *flags])
    try:
        while True:
            assert process.poll() is None
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def test_the_shared_case_of_answers_that_were_cut_off(tmp_path: Path) -> None:
    if not (SHARED / "truncated.yaml").exists():
        pytest.skip("the shared folder is not beside the checkout")
    with shared_server(tmp_path / "log", ()) as url:
        code, output = run(
            tmp_path, "--config", str(SHARED / "truncated.yaml"), "--base_url", url, "--experiments_dir", str(tmp_path / "experiments")
        )
    assert code == 0, output
    is_no_claim(tmp_path / "experiments", output, n_lost=N, n_of_primary=20)  # half of the questions have no answer
