"""batchtrial: `run`, a trial of five questions under two prompts; going on is `resume`. Its ten rows are two batches of five."""

from __future__ import annotations

import json
import subprocess
import sys

import polars as pl
from rows import MAX_TOKENS, QUESTIONS, case, number_of

import batchtrial

N = len(QUESTIONS) // 2
TEXTS = {"control.txt": "Be brief.", "treatment.txt": "Be careful.", "closed.txt": "Answer."}
now = case()
run_dir, config = now.state / "experiments" / "run_peer", now.state / "trial.yaml"
rows = [{"id": f"row-{number}", "question": question, "answers": [f"ANS {number}"]} for number, question in enumerate(QUESTIONS[:N])]
(now.state / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
for name, text in TEXTS.items():
    (now.state / name).write_text(text)
tree = {
    "backend": now.wire,
    "model_id": now.model,
    "datasets": [{"name": "sums", "source": "file", "path": "questions.jsonl"}],
    "max_new_tokens": {"open_book": MAX_TOKENS, "closed_book": MAX_TOKENS},
    "task_instructions": {"open_book": "closed.txt", "closed_book": "closed.txt"},
    "prompt_sets": {"default": {"control": "control.txt", "treatment": "treatment.txt"}},
    "submission": {"poll_seconds": 5},
}
config.write_text(json.dumps(tree))
at = ["--run_id", run_dir.name.removeprefix("run_"), "--experiments_dir", str(run_dir.parent), "--emulator_url", now.url]
words = ["resume", *at] if run_dir.exists() else ["run", "--config", str(config), "--dry_run", *at]
code = subprocess.run([sys.executable, "-m", "batchtrial", *words], stdin=subprocess.DEVNULL, check=False).returncode
lines = []
if code in (0, 4):
    answers = batchtrial.open_run(run_dir).answers().filter(pl.col("answer_state") == "complete").sort("arm")
    second = answers["arm"].max()
    for answer in answers.iter_rows(named=True):
        lines.append((number_of(answer["item_key"]) + (N if answer["arm"] == second else 0), answer["text"]))
now.hand_back_lines(lines)
sys.exit(code)
