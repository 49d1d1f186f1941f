"""What data, servers and files say gives a terminal no orders: control characters are shown as what they are, and are escapes in JSON."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path

import pytest
from tests.runs.test_try import ROWS, TREE

from batchtrial.app.run_log import logged
from batchtrial.cli.main import main
from batchtrial.cli.screens.progress import Lines

ORDERS = "\x1b]0;yours\x07\x1b[2J\x9b31m\u202eback\rOK"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Items, prompts and a config full of orders."""
    monkeypatch.chdir(tmp_path)
    rows = [row | {"id": f"{row['id']}{ORDERS}", "subject": ORDERS, f"o{ORDERS}": "x"} for row in ROWS]
    (tmp_path / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "ask.txt").write_text("Sort this: {{ subject }}")
    for name in ("control", "short"):
        (tmp_path / f"{name}.txt").write_text(f"{name} {ORDERS}")
    (tmp_path / "trial.yaml").write_text(json.dumps(TREE))
    return tmp_path


def test_items_and_prompts_give_a_terminal_no_orders(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["try"], ["try", "--item", f"t1{ORDERS}"], ["run", "--dry_run", "--plan_only"]):
        assert main([*command, "--config", "trial.yaml"]) == 0
        out, err = capsys.readouterr()
        assert "<U+001B>]0;yours<U+0007>" in out
        assert CONTROLS.search(out + err) is None


def test_in_json_they_are_escapes_that_read_as_what_was_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["try", "--config", "trial.yaml", "--json", "--item", f"t1{ORDERS}"]) == 0
    out = capsys.readouterr().out
    assert CONTROLS.search(out) is None
    assert json.loads(out)["item"] == f"tickets|t1{ORDERS}"


def test_nor_do_errors_notes_and_logs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["try", "--config", f"{ORDERS}.yaml"]) == 2
    assert main(["try", "--config", "trial.yaml", "--item", f"none{ORDERS}"]) == 2
    (folder / "tickets.jsonl").write_text(f"{{{ORDERS}")
    assert main(["run", "--config", "trial.yaml", "--dry_run", "--plan_only"]) == 2
    err = capsys.readouterr().err
    assert err.count("<U+001B>") >= 3
    assert CONTROLS.search(err) is None
    stream = io.StringIO()
    Lines(stream).note(f"the server said {ORDERS}\r\nand more")
    assert "<U+202E>back<U+000D>OK\nand more" in stream.getvalue()
    with logged(folder / "run.log"):
        logging.getLogger("batchtrial").warning("the server said %s", ORDERS)
    assert CONTROLS.search((folder / "run.log").read_text()) is None
