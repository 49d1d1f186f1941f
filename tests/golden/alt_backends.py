"""Makes what a replay of each recording of tests/fixtures/alt_backends must give. Run only on purpose: `nox -s golden -- --update`.

Each recording is a dry run of the six fixture questions against the emulator, with the faults that its name says. A recording that is there stays as
it is, since those of earlier versions have to replay; one whose folder was removed is made anew. `expected/` holds the artifacts of a replay and, in
outcome.json, its exit code.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.emulator_process import running

from batchtrial.app import emulator as dryrun
from batchtrial.config.expand import expand
from batchtrial.config.load import load
from batchtrial.phases.prepare.phase import choose
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import write_bytes

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "alt_backends"
MODELS = {"openai": "gpt-5.4-mini", "anthropic": "claude-haiku-4-5"}
ARTIFACTS = ("predictions.csv", "results_combined.jsonl", "per_item_scores.csv", "account.json")
FAULTS: dict[str, list[dict[str, Any]]] = {
    "replay_success": [],
    "replay_partial": [{"match": {"op": "create"}, "on": "every", "do": {"rows": {"missing": 1, "errored": {"count": 1, "status": 500}}}}],
    "replay_expired": [{"match": {"op": "create"}, "on": "every", "do": {"expire_after": 0.5}}],
    "replay_validation": [{"match": {"op": "create"}, "on": "every", "do": {"validation_failure": True}}],
}


def command(provider: str, root: Path, *further: str) -> list[str]:
    """One run of the fixture questions."""
    config = FIXTURES / "config.yaml"
    base = [sys.executable, "-m", "batchtrial", "run", "--config", str(config), "--backend", provider, "--model", MODELS[provider]]
    return [*base, "--experiments_dir", str(root), *further]


def run(provider: str, root: Path, *further: str) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own, without any key."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return subprocess.run(command(provider, root, *further), cwd=FIXTURES, env=environment, capture_output=True, text=True, timeout=120, check=False)


def artifacts(run_folder: Path) -> dict[str, bytes]:
    """The compared artifacts of every trial, by path inside the run."""
    return {path.relative_to(run_folder).as_posix(): path.read_bytes() for name in ARTIFACTS for path in sorted(run_folder.glob(f"*/results/{name}"))}


def _model(provider: str, root: Path) -> dict[str, Any]:
    """The simulated model of a usual dry run of these questions."""
    config = load(FIXTURES / "config.yaml", flags={"backend": provider, "model_id": MODELS[provider]}).config
    layout = RunLayout(root / "answer_key")
    chosen = choose(config)
    write_bytes(layout.open_book, b"".join(chosen.lines("open_book")))
    write_bytes(layout.closed_book, b"".join(chosen.lines("closed_book")))
    made = dryrun.write_world(layout, config, expand(config, chosen.sha256))
    return {**json.loads(made.read_bytes()), "items_file": str(made.parent / "items.jsonl")}


def make(provider: str, name: str) -> None:
    """Record what is not there, replay, keep both."""
    target = FIXTURES / provider / name
    told = target / "expected" / "outcome.json"
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        recorded = json.loads(told.read_bytes())["recorded_exit_code"] if told.exists() else _record(provider, name, root)
        replayed = run(provider, root, "--run_id", "replayed", "--replay_dir", str(target))
        shutil.rmtree(target / "expected", ignore_errors=True)
        for path, data in artifacts(root / "run_replayed").items():
            (target / "expected" / path).parent.mkdir(parents=True, exist_ok=True)
            (target / "expected" / path).write_bytes(data)
        outcome = {"exit_code": replayed.returncode, "recorded_exit_code": recorded}
        told.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
        sys.stdout.write(f"{provider} {name}: recorded {recorded}, replayed {replayed.returncode}\n")
        if replayed.returncode not in (0, 4):
            sys.stdout.write(replayed.stderr[-1500:])


def _record(provider: str, name: str, root: Path) -> int:
    """Make the recording; the exit code of the run that made it."""
    target = FIXTURES / provider / name
    with running(root / "emulator", seed=11, model=_model(provider, root)) as emulator:
        emulator.add_faults(FAULTS[name])
        done = run(provider, root, "--dry_run", "--emulator_url", emulator.url, "--run_id", "recorded", "--record_dir", str(target))
    if done.returncode not in (0, 4):
        sys.stdout.write(done.stderr[-1500:])
    return done.returncode


def main(argv: list[str] | None = None) -> int:
    """Rewrite what replays give; refuses without --update."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", required=True, help="yes, rewrite the golden files, and make recordings that are not there")
    parser.parse_args(argv)
    for provider in MODELS:
        for name in FAULTS:
            make(provider, name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
