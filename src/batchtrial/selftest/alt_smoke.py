"""`scripts.alt_smoke`: OpenAI and Anthropic over a few fixture questions, as dry runs and as replays of recordings, judged by bill and bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from batchtrial.app.emulator import running, spawn
from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, say
from batchtrial.errors import ConfigError
from batchtrial.selftest.drills import CONCURRENCY
from batchtrial.state.files import TrialManifest, load

MODELS: Final = {"openai": "gpt-5.4-mini", "anthropic": "claude-haiku-4-5"}
RECORDINGS: Final = ("replay_success", "replay_partial", "replay_validation", "replay_expired")
FIXTURES: Final = Path("tests/fixtures/alt_backends")
LONGEST_SECONDS: Final = 120
EXAMPLES = """examples:
  python -m scripts.alt_smoke --mode both
  python -m scripts.alt_smoke --mode replay --provider anthropic
  python -m scripts.alt_smoke --mode dry-run --workdir kept      keeps the runs for a look

No key and no network: dry runs use an emulator on this machine, replays use the recordings of the fixtures.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of the table; `problems` is empty when everything held."""

    provider: str
    what: str
    exit_code: int
    n_compared: int
    seconds: float
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bench:
    """Where the runs go and what they ask."""

    root: Path
    fixtures: Path

    def run(self, provider: str, run_id: str, *further: str) -> subprocess.CompletedProcess[str]:
        """One run in a process of its own, without any key in its environment."""
        command = [sys.executable, "-m", "batchtrial", "run", "--config", str(self.fixtures / "config.yaml"), "--backend", provider]
        command += ["--model", MODELS[provider], "--experiments_dir", str(self.root), "--run_id", run_id, *further]
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LONGEST_SECONDS, check=False)

    def dry_run(self, provider: str) -> Line:
        """A dry run of two trials: finished, provider ids in the manifests, each request paid once, the shared control sent once."""
        began, run_id = time.monotonic(), f"{provider}-dry-run"
        url, child = spawn(self.root / f"{provider}-emulator", seed=11, arguments=("--clock", "manual"))
        try:
            done = self.run(provider, run_id, "--dry_run", "--emulator_url", url)
            bill = running(url).ledger() if done.returncode == 0 else {}
        finally:
            child.terminate()
            child.wait()
        problems = [] if done.returncode == 0 else [f"exit {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"]
        problems += self._bill_problems(bill) if bill else []
        problems += self._manifest_problems(self.root / f"run_{run_id}") if done.returncode == 0 else []
        return Line(
            provider=provider,
            what="dry run",
            exit_code=done.returncode,
            n_compared=len(bill.get("batches", ())),
            seconds=time.monotonic() - began,
            problems=tuple(problems),
        )

    def _bill_problems(self, bill: dict[str, object]) -> Iterator[str]:
        if bill["paid_by_identity_max"] != 1:
            yield f"a request was paid {bill['paid_by_identity_max']} times"
        if bill["creates"] != 3:
            yield f"{bill['creates']} batches for one shared control and two treatments"

    def _manifest_problems(self, run: Path) -> Iterator[str]:
        for path in sorted(run.glob("*/results/trial_manifest.json")):
            manifest = load(TrialManifest, path)
            if manifest is None or not manifest.batches or not manifest.pricing_key:
                yield f"{path.parent.parent.name}: no provider ids or pricing key in its manifest"
            elif not any({"output_file_id", "results_uri"} & batch.ids.keys() for batch in manifest.batches):
                yield f"{path.parent.parent.name}: no output_file_id or results_uri"

    def replay(self, provider: str, recording: str) -> Line:
        """A replay gives the expected exit code and artifacts, byte for byte."""
        began, run_id = time.monotonic(), f"{provider}-{recording}"
        folder = self.fixtures / provider / recording
        done = self.run(provider, run_id, "--replay_dir", str(folder))
        expected = json.loads((folder / "expected" / "outcome.json").read_bytes())
        problems = [] if done.returncode == expected["exit_code"] else [f"exit {done.returncode}, expected {expected['exit_code']}"]
        wanted = [path for path in sorted((folder / "expected").rglob("*")) if path.is_file() and path.name != "outcome.json"]
        for path in wanted:
            name = path.relative_to(folder / "expected")
            made = self.root / f"run_{run_id}" / name
            if not made.exists() or made.read_bytes() != path.read_bytes():
                problems.append(f"{name} {'differs' if made.exists() else 'is missing'}")
        return Line(
            provider=provider,
            what=recording,
            exit_code=done.returncode,
            n_compared=len(wanted),
            seconds=time.monotonic() - began,
            problems=tuple(problems),
        )


def parser() -> flags.Parser:
    """Flags of the alt smoke."""
    p = flags.Parser(prog="alt_smoke", description="Smoke runs of OpenAI and Anthropic, without keys or network.", epilog=EXAMPLES)
    p.add_argument("--mode", choices=("dry-run", "replay", "both"), default="both", help="what to run (default: both)")
    p.add_argument("--provider", choices=tuple(MODELS), default=None, help="only this one (default: both)")
    p.add_argument("--workdir", type=flags.local_path, default=None, metavar="DIR", help="keep the runs here (default: a temporary folder)")
    p.add_argument("--fixtures", type=flags.local_path, default=FIXTURES, metavar="DIR", help=f"questions and recordings (default: {FIXTURES})")
    return p


def lines(mode: str, providers: Sequence[str], bench: Bench) -> Iterator[Line]:
    """Every drill, some at a time, told in order."""
    drills: list[Callable[[], Line]] = []
    for provider in providers:
        if mode in ("dry-run", "both"):
            drills.append(partial(bench.dry_run, provider))
        if mode in ("replay", "both"):
            drills += [partial(bench.replay, provider, recording) for recording in RECORDINGS]
    with ThreadPoolExecutor(max_workers=min(CONCURRENCY, os.cpu_count() or 1)) as pool:
        yield from pool.map(lambda drill: drill(), drills)


def _command(argv: Sequence[str] | None = None) -> int:
    """Smoke runs of OpenAI and Anthropic, without keys or network."""
    given = parser().parse_args(argv)
    if not (given.fixtures / "config.yaml").is_file():
        raise ConfigError(f"there are no fixtures in {given.fixtures}", where="--fixtures", hint="run it in a checkout of the project")
    providers = (given.provider,) if given.provider else tuple(MODELS)
    with tempfile.TemporaryDirectory(prefix="alt_smoke_") as scratch:
        root = given.workdir or Path(scratch)
        root.mkdir(parents=True, exist_ok=True)
        say(f"{'provider':<10} {'drill':<18} {'exit':>4} {'compared':>8} {'seconds':>8}")
        failed = 0
        for line in lines(given.mode, providers, Bench(root.resolve(), given.fixtures.resolve())):
            failed += bool(line.problems)
            state = "; ".join(line.problems) if line.problems else "ok"
            say(f"{line.provider:<10} {line.what:<18} {line.exit_code:>4} {line.n_compared:>8} {line.seconds:>8.1f}  {state}")
    say("all drills held" if not failed else f"{failed} drills FAILED")
    return 1 if failed else 0


main = framed(_command)
