"""docs/emulate.md is true: the lines for each SDK run as they stand, and the file, and the bill is what they bought."""

from __future__ import annotations

import importlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.emulator_process import Emulator, running

PAGE = (Path(__file__).parents[2] / "docs" / "emulate.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python sdk ([a-z.]+)\n(.*?)```", PAGE, re.S)
BODY = {"messages": [{"role": "user", "content": "Who was first?"}], "max_tokens": 50}
CHAT = {"model": "gpt-4.1", **BODY}
ROWS = {
    "google.genai": {"key": "row-0", "request": {"contents": [{"parts": [{"text": "Who was first?"}]}]}},
    **{name: {"custom_id": "row-0", "method": "POST", "url": "/v1/chat/completions", "body": CHAT} for name in ("openai", "together", "httpx")},
}


@pytest.fixture(scope="module")
def emu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("page"), clock="real", speed=100.0, arguments=["--answer", "echo"]) as emulator:
        yield emulator


@pytest.mark.parametrize(("sdk", "code"), BLOCKS, ids=[sdk for sdk, _ in BLOCKS])
def test_the_lines_run(emu: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sdk: str, code: str) -> None:
    pytest.importorskip(sdk)
    monkeypatch.chdir(tmp_path)
    row = json.dumps(ROWS.get(sdk, {"custom_id": "row-0", "body": BODY})) + "\n"
    Path("rows.jsonl").write_text(row)
    before = emu.ledger()["answered_requests"]
    names: dict[str, Any] = {sdk.split(".")[0]: importlib.import_module(sdk.split(".")[0]), "time": time, "rows": row.encode()}
    exec(compile(code.replace("http://127.0.0.1:8123", emu.url), sdk, "exec"), names)
    if sdk == "httpx":
        names["client"].close()
    assert "row-0" in str(names["results"]) or sdk == "fireworks"
    assert names["results"]
    assert emu.ledger()["answered_requests"] == before + 1


def test_the_page_has_every_sdk_in_few_lines() -> None:
    assert [sdk for sdk, _ in BLOCKS] == ["openai", "anthropic", "fireworks", "google.genai", "mistralai.client", "together", "httpx"]
    assert all(len(code.splitlines()) <= 9 for _, code in BLOCKS)
