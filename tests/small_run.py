"""The small run that tests of kills, of luck and of folders are about: its questions, its prompts and its config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MODELS: Mapping[str, str] = {
    "fireworks": "accounts/fireworks/models/gpt-oss-20b",
    "openai": "gpt-4.1",
    "anthropic": "claude-haiku-4-5",
}
OF_HOSTS = "gpt-4.1"
"""What hosts that speak OpenAI's API are asked for."""
PRICE = {"input_per_mtok": 1.0, "output_per_mtok": 2.0}

LINES_PER_PART = 2
TEXTS = {"open.txt": "Answer from the passage.", "closed.txt": "Answer.", "control.txt": "Be brief.", "treatment.txt": "Be careful."}


def questions(n: int) -> list[dict[str, Any]]:
    """Open-book rows, every third without an answer in its passage."""
    return [
        {
            "id": f"q{k}",
            "question": f"How many boats lay in harbour {k}?",
            "context": f"The harbour master of quay {k} counted {k + 2} boats at noon and {k + 5} carts beside them.",
            "answers": [] if k % 3 == 2 else [f"{k + 2} boats", str(k + 2)],
            "is_unanswerable": k % 3 == 2,
        }
        for k in range(n)
    ]


def write_inputs(root: Path, n: int) -> None:
    """Questions, prompts and instructions, as the config names them."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions(n)))
    for name, text in TEXTS.items():
        (root / name).write_text(text)


def config_tree(backend: str, *, poll_seconds: float, **changes: Any) -> dict[str, Any]:
    """The config as a tree; JSON of it is YAML too. changes: further top-level keys."""
    return {
        "backend": backend,
        "model_id": MODELS.get(backend, OF_HOSTS),
        "datasets": [{"name": "harbours", "source": "file", "path": "questions.jsonl"}],
        "max_new_tokens": {"open_book": 32, "closed_book": 32},
        "task_instructions": {"open_book": "open.txt", "closed_book": "closed.txt"},
        "prompt_sets": {"default": {"control": "control.txt", "treatment": "treatment.txt"}},
        "submission": {"lines_per_part": LINES_PER_PART, "max_concurrent_jobs": 2, "poll_seconds": poll_seconds},
        "stats": {"permutation_samples": 999},
        "report": {"answers_page": False},  # made of what is held against other runs anyway, and a tenth of a second in each of thousands
        **changes,
    }
