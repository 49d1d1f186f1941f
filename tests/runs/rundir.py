"""A small finished or half-finished run directory, put together from the project's own state files; nothing is sent anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from batchtrial.config.load import config_hash, decode, encode
from batchtrial.config.model import Config
from batchtrial.state.entries import Counts
from batchtrial.state.files import (
    Artifact,
    BuildManifest,
    MultiTrialManifest,
    PhaseRecord,
    RunState,
    Shard,
    StageRecord,
    TrialEntry,
    TrialManifest,
    artifact,
    save,
)
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import Ledger
from batchtrial.state.store import fingerprint
from batchtrial.steps import STEPS

SLUG = "model-default"
START = datetime(2026, 1, 1, tzinfo=UTC)
YAML = """
backend: fireworks
mode: {mode}
model_id: accounts/x/models/model
datasets: [{{name: facts, source: file, path: {data}}}]
task_instructions: {{open_book: {{path: ob.txt, text: "Read.\\n"}}, closed_book: {{path: cb.txt, text: "Answer.\\n"}}}}
prompt_sets:
  default: {{control: {{system: {{path: c.txt, text: "Be brief.\\n"}}}}, treatment: {{system: {{path: t.txt, text: "Be sure.\\n"}}}}}}
"""


def config(*, mode: str = "live", data: str = "facts.jsonl", arm_form: int = 1) -> Config:
    """A config that names one data file, of a run that exists."""
    return decode(YAML.format(mode=mode, data=data), where="test", folder=Path(), flags={"arm_form": arm_form}, env={}).config


def ticking(step: timedelta = timedelta(seconds=1)) -> Callable[[], datetime]:
    """A clock that moves by `step` at each look."""
    ticks = count()
    return lambda: START + step * next(ticks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The run that was made."""

    layout: RunLayout
    config: Config
    parts: tuple[str, ...]


def make_run(
    experiments: Path,
    run_id: str = "r1",
    *,
    n_parts: int = 3,
    n_settled: int | None = None,
    mode: str = "live",
    data: str = "f.jsonl",
    nonce: str = "00ff00ff00ff00ff",
) -> Made:
    """A run of so many parts of two requests each; the first `n_settled` are settled, one more is in flight (default: all are settled)."""
    settled = n_parts if n_settled is None else n_settled
    settings = config(mode=mode, data=data)
    layout = RunLayout(experiments / f"run_{run_id}")
    layout.batch_inputs.mkdir(parents=True)
    layout.effective_config.write_bytes(encode(settings))
    ledger = Ledger(layout.ledger, clock=ticking())
    detail = {"config": settings.model_dump(mode="json"), "overrides": {"mode": mode}}
    ledger.append("opened", run_nonce=nonce, config_hash=config_hash(settings), detail=detail)
    parts = tuple(f"{SLUG}_t0_treatment_p{k:02d}" for k in range(1, n_parts + 1))
    shards = {part: _shard(layout, part, k) for k, part in enumerate(parts, 1)}
    for part in parts[: settled + 1]:
        _send(layout, ledger, part, is_settled=part in parts[:settled])
    ledger.close()
    layout.index.write_text("item_hash,dataset,item_id,kind,cluster\n")
    index = artifact(layout.root, layout.index, fingerprint(layout.index))
    save(layout.build_manifest, BuildManifest(inputs="i", index=index, shards=shards, temps=(0.0,), prompt_sets=("default",)))
    _snapshots(layout, settings, run_id, is_done=settled == n_parts, n_lines=ledger.n_lines)
    return Made(layout=layout, config=settings, parts=parts)


def _shard(layout: RunLayout, part: str, index: int) -> Shard:
    path = layout.part_input(part)
    path.write_text("".join(f'{{"custom_id":"t-{index}-{k}"}}\n' for k in range(2)))
    got = fingerprint(path)
    return Shard(
        part=part,
        arm=f"{SLUG}_t0_treatment",
        condition="treatment",
        temp=0.0,
        part_index=index,
        first_item=2 * (index - 1),
        n_items=2,
        lines=2,
        input_tokens=20,
        max_output_tokens=128,
        path=path.relative_to(layout.root).as_posix(),
        size=got.size,
        sha256=got.sha256,
    )


def _send(layout: RunLayout, ledger: Ledger, part: str, *, is_settled: bool) -> None:
    payload = layout.part_input(part)
    name = payload.relative_to(layout.root).as_posix()
    sha = fingerprint(payload).sha256
    ledger.append("intent", part, attempt=1, token="0" * 16, payload=name, payload_sha256=sha, n_requests=2, reserved_usd="0.5")
    ledger.append("receipt", part, batch_id=f"bt-{part[-3:]}", adopted=False)
    if not is_settled:
        return
    ledger.append("done", part, wire_state="COMPLETED", ids={})
    result = layout.root / SLUG / "results" / part.removeprefix(f"{SLUG}_") / "results.jsonl"
    result.parent.mkdir(parents=True)
    result.write_text('{"custom_id":"a"}\n{"custom_id":"b"}\n')
    got = fingerprint(result)
    counts = Counts(succeeded=1, expired=1)
    where = result.relative_to(layout.root).as_posix()
    ledger.append("saved", part, path=where, sha256=got.sha256, size=got.size, counts=counts, usage={"input_tokens": 9}, cost_usd="0.25")
    ledger.append("settled", part, counts=counts)


def _snapshots(layout: RunLayout, settings: Config, run_id: str, *, is_done: bool, n_lines: int) -> None:
    trial = layout.trial(SLUG)
    trial.reports.mkdir(parents=True)
    trial.results.mkdir(parents=True, exist_ok=True)
    trial.report_md.write_text("# Report\n")
    got = artifact(layout.root, trial.report_md, fingerprint(trial.report_md))
    stages: dict[str, StageRecord] = {"report": StageRecord(status="completed", updated_at=START, inputs="x", artifacts={"report.md": got})}
    manifest = TrialManifest(
        timestamps={"created_at": START, "updated_at": START},
        run_id=run_id,
        trial={"slug": SLUG, "model_id": settings.model_id, "prompt_set": "default"},
        temps=(0.0,),
        samples_per_item={"0.0": 1},
        prompts={},
        mode=settings.mode,
        stage_status=stages if is_done else {},
    )
    save(trial.manifest, manifest)
    entry = TrialEntry(slug=SLUG, model_id="m", prompt_set="default", temps=(0.0,), results_dir=f"{SLUG}/results", reports_dir=f"{SLUG}/reports")
    listed = MultiTrialManifest(created_utc=START, updated_utc=START, run_id=run_id, num_trials=1, trials=(entry,))
    save(layout.multi_trial_manifest, listed)
    done = STEPS if is_done else STEPS[:2]
    phases = {name: PhaseRecord(status="completed", started_at=START, updated_at=START + timedelta(minutes=1)) for name in done}
    if not is_done:
        phases["submit"] = PhaseRecord(status="in_progress", started_at=START, updated_at=START)
    digest = config_hash(settings)
    state = RunState(run_id=run_id, config_hash=digest, mode=settings.mode, phases=phases, run_nonce="00ff00ff00ff00ff", ledger_lines=n_lines)
    save(layout.run_state, state)


def tree(root: Path) -> dict[str, bytes]:
    """Every file under `root` with its bytes."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


__all__ = ["SLUG", "START", "Artifact", "Made", "config", "make_run", "ticking", "tree"]
