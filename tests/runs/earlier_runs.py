"""Runs as the earlier system left them on disk, made from its description: config, requests, results, manifests v1 or v2, scores and reports."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SYSTEM = {"control": "Answer the question.", "treatment": "Answer only when you are sure."}
INSTRUCTIONS = {"open": "Use the passage.", "closed": "Use what you know."}
MODEL = "accounts/fireworks/models/llama-8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What kind of run to make. lost: (condition, item index) pairs without a result; errors: with an error row instead of an answer."""

    run_id: str = "r20240102030405"
    version: int = 1
    backend: str = "fireworks"
    prompt_sets: tuple[str, ...] = ("default",)
    temps: tuple[float, ...] = (0.0, 0.7)
    samples: int = 1
    n_items: int = 6
    lost: frozenset[tuple[str, int]] = frozenset()
    errors: frozenset[tuple[str, int]] = frozenset()
    job_state: str = "completed"
    has_lines: bool = True  # False: only predictions.csv is left of the answers


def label(temp: float) -> str:
    text = f"{temp:.1f}"
    return "0" if text == "0.0" else text.replace(".", "")


def items(n: int) -> list[dict[str, Any]]:
    """Open-book rows, every fourth unanswerable, then as many closed-book ones."""
    opened = [
        {
            "dataset": "squad_v2",
            "id": f"sq|{k}" if k == 0 else f"sq{k}",  # an id may hold the separator of custom_ids
            "context": f"Hall {k} was built in {1900 + k}.",
            "question": f"When was hall {k} built?",
            "answers": [] if k % 4 == 3 else [str(1900 + k)],
            "is_unanswerable": k % 4 == 3,
        }
        for k in range(n)
    ]
    closed = [{"dataset": "triviaqa", "id": f"tq{k}", "question": f"What is {k} plus one?", "answers": [str(k + 1)]} for k in range(n)]
    return opened + closed


def answer(row: dict[str, Any], condition: str, place: int) -> str:
    """Right for the treatment, wrong for every third control, with what breaks CSV files in some."""
    if condition == "control" and place % 3 == 0:
        return 'It was "1800", or C:\\new, or\nlater'
    return str(row["answers"][0]) if row["answers"] else "I don't know."


def custom_id(row: dict[str, Any], condition: str, temp: float, sample: int) -> str:
    kind = "open" if "context" in row else "closed"
    return f"{row['dataset']}|{row['id']}|{condition}|{temp:.1f}|{sample}|{kind}"


def user_turn(row: dict[str, Any]) -> str:
    if "context" in row:
        return f"{INSTRUCTIONS['open']}\n\nCONTEXT:\n{row['context']}\n\nQUESTION:\n{row['question']}"
    return f"{INSTRUCTIONS['closed']}\n\nQUESTION:\n{row['question']}"


def old_config(shape: Shape) -> dict[str, Any]:
    provider = {"name": shape.backend, "model": MODEL} if shape.backend in ("openai", "anthropic") else None
    return {
        "model_id": MODEL,
        "temps": list(shape.temps),
        "samples_per_item": {f"{t:.1f}": shape.samples for t in shape.temps},
        "max_new_tokens": {"closed_book": 64, "open_book": 128},
        "top_p": 1.0,
        "top_k": 50,
        "stop": [],
        "sizes": {"open_book_max_items": None},
        "paths": {"prepared_dir": "data/prepared", "experiments_dir": "experiments"},
        "pricing": {"input_per_million": 0.2, "output_per_million": 0.4, "batch_discount": 0.5},
        "use_batch_api": True,
        "provider": provider,
        "backend": "alt" if provider else "fireworks",
        "unsupported": {"strategy": "baseline", "threshold": 0.5, "min_token_overlap": 0.6, "nli_model": None},
        "optional": {"enable_mixed_effects": False, "enable_power_analysis": False},
        "stats": {"bootstrap_samples": 5000, "permutation_samples": 5000, "random_seed": 7, "enable_fdr": True},
        "prompt_sets": {name: {"control": "control_system.txt", "treatment": f"{name}.txt"} for name in shape.prompt_sets},
        "max_concurrent_requests": 1,
    }


def make(root: Path, shape: Shape) -> Path:
    """Write the run under root/experiments and its questions under root/data/prepared; returns the run's folder."""
    rows = items(shape.n_items)
    prepared = root / "data" / "prepared"
    prepared.mkdir(parents=True, exist_ok=True)
    _write_lines(prepared / "open_book.jsonl", [row for row in rows if "context" in row])
    _write_lines(prepared / "closed_book.jsonl", [row for row in rows if "context" not in row])
    run = root / "experiments" / f"run_{shape.run_id}"
    run.mkdir(parents=True)
    (run / ".state.lock").touch()
    (run / "effective_config.yaml").write_text(yaml.safe_dump(old_config(shape), sort_keys=True))
    phases = ("prepare", "build", "submit", "poll", "parse", "score", "stats", "costs", "report")
    record = {"status": "completed", "started_at": "2024-01-02T03:04:05Z", "updated_at": "2024-01-02T04:00:00Z", "last_error": None}
    state = {"schema_version": 1, "run_id": shape.run_id, "config_hash": "0" * 64, "phases": dict.fromkeys(phases, record)}
    (run / "run_state.json").write_text(json.dumps({**state, "last_checkpoint": None, "stop_requested": False}))
    for name in shape.prompt_sets:
        _write_requests(run, shape, name, rows)
        _write_trial(run, shape, name, rows)
    _write_shared(run, shape, rows)
    (run / "multi_trial_manifest.json").write_text(json.dumps({"created_utc": "x", "run_id": shape.run_id, "num_trials": 1, "trials": []}))
    (run / "aggregate_report.md").write_text("| Trial | EM(closed) |\n")
    return run


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _write_requests(run: Path, shape: Shape, name: str, rows: list[dict[str, Any]]) -> None:
    infix = f"_{name}" if len(shape.prompt_sets) > 1 or name != "default" else ""
    for temp in shape.temps:
        for condition, system in SYSTEM.items():
            text = system if condition == "control" else f"{system} ({name})"
            lines = [
                {"custom_id": custom_id(row, condition, temp, s), "body": {"messages": _messages(text, row)}}
                for row in sorted(rows, key=lambda one: "context" in one)
                for s in range(shape.samples)
            ]
            _write_lines(run / "batch_inputs" / f"t{label(temp)}{infix}_{condition}.jsonl", lines)


def _messages(system: str, row: dict[str, Any]) -> list[dict[str, str]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": user_turn(row)}]


def slug_of(shape: Shape, name: str) -> str:
    return f"llama-8b-{name}"


def _result(shape: Shape, row: dict[str, Any], condition: str, temp: float, sample: int, place: int) -> dict[str, Any] | None:
    one = custom_id(row, condition, temp, sample)
    if (condition, place) in shape.lost:
        return None
    if (condition, place) in shape.errors:
        return {"custom_id": one, "error": {"code": "server_error", "message": "try again"}}
    body = {
        "id": f"cmpl-{place}",
        "choices": [{"message": {"content": answer(row, condition, place)}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25},
    }
    wrapped = place % 2 == 0
    return {"custom_id": one, "response": {"request_id": f"req-{place}", "body": body} if wrapped else body}


def _write_trial(run: Path, shape: Shape, name: str, rows: list[dict[str, Any]]) -> None:
    results = run / slug_of(shape, name) / "results"
    reports = run / slug_of(shape, name) / "reports"
    reports.mkdir(parents=True)
    (reports / "report.md").write_text("# Old report\n")
    combined: list[dict[str, Any]] = []
    jobs, status = {}, {}
    shares = name != shape.prompt_sets[0]
    for temp in shape.temps:
        for condition in SYSTEM:
            stem = f"t{label(temp)}_{condition}"
            lines = [
                line
                for place, row in enumerate(rows)
                for sample in range(shape.samples)
                if (line := _result(shape, row, condition, temp, sample, place)) is not None
            ]
            combined += lines
            if condition == "control" and shares:
                continue  # reused from the shared control: no job of its own
            jobs[stem] = [f"accounts/x/batchInferenceJobs/{stem}-1"]
            status[f"{stem}_p01"] = shape.job_state if shape.lost else "completed"
            if shape.has_lines:
                _write_lines(results / f"{stem}_p01" / "results.jsonl", lines)
    results.mkdir(parents=True, exist_ok=True)
    if shape.has_lines:
        _write_lines(results / "results_combined.jsonl", combined)
    (results / "predictions.csv").write_text(_predictions(combined), newline="")
    for other in ("per_item_scores.csv", "significance.json", "costs.json"):
        (results / other).write_text("{}")
    (results / "trial_manifest.json").write_text(json.dumps(_manifest(shape, name, jobs, status)))


def _manifest(shape: Shape, name: str, jobs: dict[str, list[str]], status: dict[str, str]) -> dict[str, Any]:
    prompts = {c: {"sha256": hashlib.sha256((SYSTEM[c] if c == "control" else f"{SYSTEM[c]} ({name})").encode()).hexdigest()} for c in SYSTEM}
    samples = {f"{t:.1f}": shape.samples for t in shape.temps}
    both = {"run_id": shape.run_id, "temps": list(shape.temps), "samples_per_item": samples, "prompts": prompts, "jobs": jobs, "job_status": status}
    if shape.version == 1:
        return {"created_utc": "2024-01-02T03:04:05Z", "trial": {"model_id": MODEL, "prompt_set": name}, **both}
    stages = ("downloaded", "parsed", "scored", "stats", "costs", "report")
    return {
        "schema_version": 2,
        "timestamps": {"created_at": "2024-01-02T03:04:05Z", "updated_at": "2024-01-02T04:04:05Z"},
        "trial": {"model_id": MODEL, "prompt_set": name, "top_p": 1.0, "top_k": 50, "max_new_tokens": {"open_book": 128, "closed_book": 64}},
        "datasets": {"t0_control": ["ex-1"]},
        "control_registry": {
            f"t{label(t)}": {"key": "abc123", "temp": t, "shared_rel": "shared_controls/abc123", "mode": "reuse", "status": "completed"}
            for t in shape.temps
        },
        "stage_status": {stage: {"status": "completed", "updated_at": "2024-01-02T04:00:00Z", "artifacts": {}} for stage in stages},
        **both,
    }


def _predictions(lines: Sequence[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_MINIMAL, escapechar="\\")
    names = "custom_id,dataset,item_id,condition,temp,sample_index,type,request_id,finish_reason,response_text,prompt_tokens,completion_tokens"
    writer.writerow([*names.split(","), "total_tokens"])
    for line in lines:
        head, condition, temp, sample, kind = line["custom_id"].rsplit("|", 4)
        dataset, _, item_id = head.partition("|")
        response = line.get("response") or {}
        body = response.get("body", response)
        choice = (body.get("choices") or [{"message": {"content": ""}, "finish_reason": ""}])[0]
        usage = body.get("usage") or {}
        tokens = [usage.get(key, "") for key in ("prompt_tokens", "completion_tokens", "total_tokens")]
        text = choice["message"]["content"]
        writer.writerow(
            [line["custom_id"], dataset, item_id, condition, temp, sample, kind, body.get("id", ""), choice["finish_reason"], text, *tokens]
        )
    return out.getvalue()


def _write_shared(run: Path, shape: Shape, rows: list[dict[str, Any]]) -> None:
    """The first trial's control, exported; later trials had none of their own."""
    lines = [
        line
        for temp in shape.temps
        for place, row in enumerate(rows)
        for sample in range(shape.samples)
        if (line := _result(shape, row, "control", temp, sample, place)) is not None
    ]
    folder = run / "shared_controls" / "abc123"
    if shape.has_lines:
        _write_lines(folder / "control_results.jsonl", lines)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "control_metadata.json").write_text(json.dumps({"temp": 0.0, "counts": {"results_jsonl": len(lines)}}))
    entry = {"status": "completed", "shared_rel": "shared_controls/abc123", "producer_trial": slug_of(shape, shape.prompt_sets[0])}
    (run / "control_registry.json").write_text(json.dumps({"schema_version": 1, "controls": {"abc123": entry}}))
