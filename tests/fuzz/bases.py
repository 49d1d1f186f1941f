"""What is damaged: small sound configs, question sets, prompts, results, recordings and runs, made once for each worker."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from batchtrial.cli.main import main

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
ROWS: tuple[dict[str, Any], ...] = tuple(
    {
        "id": f"q{k}",
        "question": f"How many boats lay in harbour {k}?",
        "context": f"The master of quay {k} counted {k + 2} boats at noon.",
        "answers": [f"{k + 2} boats", str(k + 2)] if k % 3 else [],
        "is_unanswerable": not k % 3,
    }
    for k in range(6)
)


@cache
def config_trees() -> tuple[dict[str, Any], ...]:
    """Configs that use every section between them; paths are relative to the folder that the command runs in."""
    common: dict[str, Any] = {
        "datasets": [{"name": "harbours", "source": "file", "path": "questions.jsonl"}],
        "task_instructions": {"open_book": "open.txt", "closed_book": "closed.txt"},
        "prompt_sets": {"mine": {"control": "control.txt", "treatment": "treatment.txt"}},
        "submission": {"lines_per_part": 2, "max_concurrent_jobs": 2, "poll_seconds": 20.0, "budget_usd": 5.0},
        "stats": {"primary": {"metric": "em", "kind": "all", "margin": 0.05}, "confirmatory": [{"metric": "false_answer", "kind": "open"}]},
    }
    swept = {
        "backend": "openai",
        "model_id": "gpt-5.4-mini",
        "samples_per_item": {"0.7": 2},
        "sweep": {"models": ["gpt-5.4-mini", "gpt-5.4-nano"], "temps": [0.0, 0.7], "prompt_sets": ["mine"]},
        "model_aliases": {"gpt-5.4-mini": "mini"},
        "pricing": {"overrides": {"gpt-5.4-nano": {"input_per_mtok": 0.1, "output_per_mtok": 0.4}}},
    }
    listed = {
        "backend": "anthropic",
        "model_id": "claude-haiku-4-5",
        "trials": [{"id": "one", "temps": [0.0]}, {"id": "two", "prompt_set": "mine", "temps": [1.0], "max_new_tokens": {"open_book": 16}}],
        "provider": {"prompt_cache": {"enabled": True}, "request_overrides": {"metadata": {"user_id": "u"}}},
        "optional": {"subgroups": True, "cost_effectiveness": True},
        "unsupported": {"threshold": 0.4},
    }
    instruction = {"open_book": "open.txt", "closed_book": "closed.txt"}
    plain = {
        "backend": "fireworks",
        "model_id": "accounts/fireworks/models/gpt-oss-20b",
        "seed": 3,
        "limit_items": 4,
        "stop": ["END"],
        "simulation": {"seed": 1, "control": {"right": 0.5}, "by_prompt_set": {"mine": {"right": 0.6}}},
        "prompt_sets": {"mine": {"control": {"system": "control.txt"}, "treatment": {"system": "treatment.txt", "instruction": instruction}}},
    }
    return tuple(common | one for one in (swept, listed, plain))


TEXTS = {"open.txt": "Answer from the passage.", "closed.txt": "Answer.", "control.txt": "Be brief.", "treatment.txt": "Be careful."}


@cache
def data_files() -> dict[str, bytes]:
    """The same questions in every form that is read, by file name."""
    flat = [{"id": row["id"], "question": row["question"], "answers": str(row["id"]), "context": row["context"]} for row in ROWS]
    squad = {
        "version": "v2.0",
        "data": [
            {
                "title": "t",
                "paragraphs": [
                    {
                        "context": row["context"],
                        "qas": [
                            {
                                "id": row["id"],
                                "question": row["question"],
                                "is_impossible": row["is_unanswerable"],
                                "answers": [{"text": text, "answer_start": 0} for text in row["answers"]],
                            }
                        ],
                    }
                    for row in ROWS
                ],
            }
        ],
    }
    parquet = io.BytesIO()
    pl.DataFrame(flat).write_parquet(parquet)
    return {
        "set.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
        "set.json": json.dumps(list(ROWS)).encode(),
        "set.csv": pl.DataFrame(flat).write_csv().encode(),
        "set.tsv": pl.DataFrame(flat).write_csv(separator="\t").encode(),
        "squad.json": json.dumps(squad).encode(),
        "set.parquet": parquet.getvalue(),
    }


def write_inputs(folder: Path) -> None:
    """Questions, prompts and instructions of the configs above."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in TEXTS.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
    (folder / "questions.jsonl").write_bytes(data_files()["set.jsonl"])


def quiet(argv: Sequence[str]) -> int:
    """Run a command that has to succeed, its output dropped."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as told:
        code = main(argv)
    if code not in (0, 4):
        raise RuntimeError(f"{' '.join(argv)} ended with {code}: {told.getvalue()}")
    return code


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Sound runs in one folder each: `finished` and `halfway` as dry runs, `handed_out` waiting for lines that are brought by hand."""

    finished: Path
    halfway: Path
    handed_out: Path
    answers: bytes
    archive: Path


def runs_in(folder: Path) -> Runs:
    """The runs that `make_runs` has left in a folder. Each is an `experiments` that is copied into a box before it is damaged."""
    return Runs(
        finished=folder / "finished",
        halfway=folder / "halfway",
        handed_out=folder / "handed_out",
        answers=_answers(folder / "requests"),
        archive=folder / "a.zip",
    )


def make_runs(folder: Path) -> None:
    """Make them; the current folder must be this one and hold the inputs."""
    config = folder / "base.yaml"
    config.write_text(json.dumps(config_trees()[2] | {"backend": "openai", "model_id": "gpt-5.4-mini", "stop": []}), encoding="utf-8")
    finished, halfway, handed_out = (folder / name for name in ("finished", "halfway", "handed_out"))
    for run_id in ("a", "b"):
        quiet(["run", "--config", str(config), "--dry_run", "--run_id", run_id, "--experiments_dir", str(finished)])
    quiet(["archive", "--run_id", "a", "--experiments_dir", str(finished), "--output", str(folder / "a.zip")])
    quiet(["run", "--config", str(config), "--dry_run", "--run_id", "a", "--experiments_dir", str(halfway), "--to_step", "submit"])
    source = FIXTURES / "run_batch"
    for name in ("questions.jsonl", "control.txt", "treatment.txt", "instruction.txt"):
        shutil.copyfile(source / name, folder / name)
    shutil.copyfile(source / "trial.yaml", folder / "trial.yaml")
    quiet(["run", "--config", "trial.yaml", "--run_id", "a", "--experiments_dir", str(handed_out), "--to_step", "build"])
    quiet(["export_batch", "--run_id", "a", "--experiments_dir", str(handed_out), "--to", str(folder / "requests")])


def _answers(requests: Path) -> bytes:
    """One result line for each exported request, as vLLM's run-batch writes them."""
    lines: list[str] = []
    for path in sorted(requests.glob("*.jsonl")):
        for row in path.read_text(encoding="utf-8").splitlines():
            asked = json.loads(row)
            choice = {"index": 0, "message": {"role": "assistant", "content": "Lima"}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32}
            body = {"id": "chat-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
            response = {"status_code": 200, "request_id": "r-1", "body": body}
            lines.append(json.dumps({"id": f"b-{len(lines)}", "custom_id": asked["custom_id"], "response": response, "error": None}))
    return ("\n".join(lines) + "\n").encode()
