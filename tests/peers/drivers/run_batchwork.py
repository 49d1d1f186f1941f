"""batchwork: its command `run text`, with a registry. Going on is `wait` and `results` of the job that the registry knows.

After "outcome unknown" (exit code 5) it says never to submit again automatically, and it cannot list what the provider has; so nothing is submitted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from rows import MAX_TOKENS, QUESTIONS, case, number_of

UNKNOWN = 5
now = case()
tool = [str(Path(sys.executable).with_name("batchwork")), "--registry", str(now.state / "registry.db")]
source, unknown = now.state / "requests.jsonl", now.state / "outcome-unknown"
source.write_text(
    "".join(json.dumps({"custom_id": f"row-{n}", "prompt": text, "max_output_tokens": MAX_TOKENS}) + "\n" for n, text in enumerate(QUESTIONS))
)


def batchwork(*words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*tool, *words], capture_output=True, text=True, encoding="utf-8", check=False)
    sys.stderr.write(f"{words} {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}\n")
    return done


def record_ids(text: str) -> list[str]:
    """Every record that the list names."""
    found, stack = [], [json.loads(text)]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            found += [one["record_id"]] if isinstance(one.get("record_id"), str) else []
            stack += one.values()
        elif isinstance(one, list):
            stack += one
    return sorted(set(found))


if unknown.exists():
    sys.exit(UNKNOWN)
known = record_ids(batchwork("--json", "list").stdout)
if known:
    batchwork("--json", "wait", known[0], "--poll-interval", "0.5")
    done = batchwork("--jsonl", "--quiet", "results", known[0])
else:
    done = batchwork("--jsonl", "--quiet", "run", "text", str(source), "--model", f"{now.wire}/{now.model}", "--poll-interval", "0.5")
    if done.returncode == UNKNOWN:
        unknown.touch()
texts = {}
for line in filter(str.strip, done.stdout.split("\n")):
    record = json.loads(line)
    result = record.get("result") or record.get("data") or record
    custom_id = result.get("custom_id") or result.get("customId") if isinstance(result, dict) else None
    if custom_id:
        texts[number_of(custom_id)] = result.get("text")
now.hand_back(texts)
sys.exit(done.returncode)
