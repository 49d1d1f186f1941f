"""`--answers`: rows get what a recorded model said to the same request, over each of the three batch APIs."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.emulator_process import running
from tests.wire.plain import PROVIDERS, Plain

Pair = tuple[dict[str, Any], dict[str, Any]]


def asked(question: str, **body: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}], "max_tokens": 16, **body}


def said(text: str, status: int = 200) -> dict[str, Any]:
    """A result line's fields."""
    if status != 200:
        return {"response": {"status_code": status, "body": {"error": {"message": text}}}, "error": None}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = {"id": "x", "choices": [choice], "usage": {"prompt_tokens": 11, "completion_tokens": 2}}
    return {"response": {"status_code": 200, "body": body}, "error": None}


def recording(root: Path, pairs: Sequence[Pair], model: str = "m-1") -> Path:
    """A recording in a folder; part p01 holds every request."""
    for name in ("requests", "results"):
        (root / name).mkdir(parents=True, exist_ok=True)
    requests = [
        {"custom_id": f"r{n}", "method": "POST", "url": "/v1/chat/completions", "body": {"model": model, **ask}} for n, (ask, _) in enumerate(pairs)
    ]
    results = [{"id": f"b{n}", "custom_id": f"r{n}", **answer} for n, (_, answer) in enumerate(pairs)]
    (root / "requests" / "p01.a1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in requests))
    (root / "results" / "p01.a1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in reversed(results)))
    return root


def zipped(root: Path) -> Path:
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.jsonl")):
            archive.write(file, f"{root.name}/{file.relative_to(root).as_posix()}")
    return path


@pytest.mark.parametrize("provider", PROVIDERS)
def test_rows_get_the_recorded_answers_whatever_they_are_called(tmp_path: Path, provider: str) -> None:
    pairs = [(asked(f"Who was number {n}?"), said(f"Nobody {n}")) for n in range(5)]
    source = zipped(recording(tmp_path / "recorded", pairs))
    with running(tmp_path / "emu", arguments=["--answers", str(source)]) as emu:
        client = Plain(emu, provider)
        batch_id = client.submit([(f"other-{n}", ask) for n, (ask, _) in enumerate(pairs)])
        emu.advance(60)
        lines = client.lines(batch_id)["output"]
        assert sorted((client.outcome(line), client.text(line)) for line in lines) == [((f"other-{n}", "succeeded"), f"Nobody {n}") for n in range(5)]
        bill = emu.ledger()
        assert (bill["answered_requests"], bill["input_tokens"], bill["output_tokens"]) == (5, 55, 10)


def test_another_request_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    source = recording(tmp_path / "recorded", [(asked("Who?", seed=7), said("Anna")), (asked("Where?", seed=7), said("too long", 400))])
    with running(tmp_path / "emu", arguments=["--answers", str(source)]) as emu:
        client = Plain(emu, "openai")
        rows = [("same", asked("Who?", seed=7)), ("reordered", dict(reversed(asked("Who?", seed=7).items()))), ("other-seed", asked("Who?", seed=8))]
        batch_id = client.submit([*rows, ("failed", asked("Where?", seed=7))])
        emu.advance(60)
        assert dict(client.outcomes(batch_id)) == {"same": "succeeded", "reordered": "succeeded", "other-seed": "errored", "failed": "errored"}
        told = {line["custom_id"]: line["response"] for line in map(json.loads, client.lines(batch_id)["error"])}
        assert told["other-seed"]["status_code"] == 404
        assert "the recording has no answer to this request" in json.dumps(told["other-seed"])
        assert told["failed"]["status_code"] == 400


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        ([], "has no recorded answers"),
        ([(asked("Who?"), said("Anna")), (asked("Who?"), said("Berta"))], "answers one request in two ways"),
    ],
)
def test_a_recording_that_cannot_serve_is_refused_at_the_start(tmp_path: Path, pairs: list[Pair], why: str) -> None:
    source = recording(tmp_path / "recorded", pairs)
    command = [sys.executable, "-m", "batchtrial.emulator", "--state", str(tmp_path / "world"), "--answers", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert why in done.stderr


def test_what_is_no_recording_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "notes.zip").write_bytes(b"nothing of the kind")
    command = [sys.executable, "-m", "batchtrial.emulator", "--state", str(tmp_path / "world"), "--answers", str(tmp_path / "notes.zip")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "notes.zip is no recording" in done.stderr
