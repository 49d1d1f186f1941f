"""batchwizard: `submit` and `watch` with its manifest. Going on is `watch`; an intent without a batch is reconciled first, never sent again."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from rows import case, native_lines, number_of, text_in

now = case()
os.environ["XDG_CONFIG_HOME"] = os.environ["HOME"] = str(now.state)
source, results = now.state / "requests.jsonl", now.state / "results"
source.write_text(native_lines(now.wire))


def batchwizard(*words: str) -> int:
    return subprocess.run([str(Path(sys.executable).with_name("batchwizard")), *words], stdin=subprocess.DEVNULL, check=False).returncode


jobs = [row for db in now.state.rglob("*.db") for row in sqlite3.connect(db).execute("SELECT intent_id, batch_id FROM jobs")]
for intent, batch in jobs:
    if not batch:
        batchwizard("reconcile", intent)
code = 0 if jobs else batchwizard("submit", "--provider", now.wire, str(source))
if code == 0:
    code = batchwizard("watch", "--output-directory", str(results), "--check-interval", "1")
found = [json.loads(line) for file in sorted(results.rglob("*.jsonl")) for line in file.read_text("utf-8").split("\n") if line]
now.hand_back_lines([(number_of(one["custom_id"]), text) for one in found if (text := text_in(one)) is not None])
sys.exit(code)
