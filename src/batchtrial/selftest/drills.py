"""Drills: one real run interrupted at one point, resumed, and judged by what others say of it.

The judges are the provider's bill (the emulator's own count, not our ledger), the artifacts' shape, and the bytes of an uninterrupted twin.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from batchtrial.app import emulator as dryrun
from batchtrial.app.drill_pauses import SAID, VARIABLE
from batchtrial.cli.frame import INTERRUPTED
from batchtrial.errors import ManifestCorrupt, PhaseFailed, RunnerError
from batchtrial.reading.config import config_of_run
from batchtrial.state.files import BuildManifest, MultiTrialManifest, TrialManifest, load
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import fold, read
from batchtrial.state.machine import PartState
from batchtrial.state.store import fingerprint
from batchtrial.steps import STAGES

Interruption = Literal["stop_file", "SIGINT", "SIGTERM", "SIGKILL"]
INTERRUPTIONS: tuple[Interruption, ...] = ("stop_file", "SIGINT", "SIGTERM", "SIGKILL")
RUN_ID = "smoke"
CONCURRENCY = 2
LONGEST_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """Where a run is interrupted. pause: the pause points that lead there. usual: the interruption when --signal is not given."""

    name: str
    pause: str
    usual: Interruption
    is_there: Callable[[Facts], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Where a run stood after the interruption, by its files."""

    n_parts: int
    n_intents: int
    n_receipts: int
    n_saved: int
    n_settled: int
    has_predictions: bool


DRILLS: tuple[Drill, ...] = (
    Drill(
        name="after_build",
        pause="write:build_manifest.json:after",
        usual="stop_file",
        is_there=lambda facts: facts.n_parts > 0 and facts.n_intents == 0,
    ),
    Drill(
        # The provider has accepted the batch and the run does not know it yet: where a careless runner pays twice.
        name="mid_submission",
        pause="call:submit:after:2",
        usual="SIGKILL",
        is_there=lambda facts: 0 < facts.n_intents < facts.n_parts,
    ),
    Drill(
        name="mid_polling",
        pause="phase:poll:before,ledger:saved:after",
        usual="SIGTERM",
        is_there=lambda facts: facts.n_receipts == facts.n_parts and facts.n_saved > 0 and facts.n_settled < facts.n_parts,
    ),
    Drill(
        name="before_parse",
        pause="phase:parse:before",
        usual="SIGINT",
        is_there=lambda facts: facts.n_settled == facts.n_parts and not facts.has_predictions,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What every run of the test asks. config: the config file. n: items."""

    config: Path
    provider: str
    n: int
    prompt_set: str
    root: Path

    def layout(self, name: str) -> RunLayout:
        return RunLayout(self.root / name / f"run_{RUN_ID}")

    def start(self, name: str) -> list[str]:
        """The command that starts a run."""
        asked = ["--config", str(self.config), "--backend", self.provider, "--dry_run", "--prompt_sets", self.prompt_set]
        asked += ["--limit_items", str(self.n), "--lines_per_part", "1", "--max_concurrent_jobs", str(CONCURRENCY)]
        return [*self._command(name), *asked]

    def resume(self, name: str) -> list[str]:
        """The command that goes on with it."""
        return [*self._command(name), "--resume"]

    def _command(self, name: str) -> list[str]:
        return [sys.executable, "-m", "batchtrial", "run", "--run_id", RUN_ID, "--experiments_dir", str(self.root / name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a drill went; `problems` is empty when everything held. n_lost: requests that the provider answered and no result file has."""

    name: str
    interruption: str
    stopped: str
    resumed: str
    n_creates: int
    n_paid_twice: int
    n_lost: int
    n_artifacts: int
    n_different: int
    seconds: float
    problems: tuple[str, ...]


class Child:
    """One run in a process of its own; its output goes to a file beside the run."""

    def __init__(self, command: Sequence[str], output: Path, **variables: str) -> None:
        self.output = output
        self._deadline = time.monotonic() + LONGEST_SECONDS
        output.parent.mkdir(parents=True, exist_ok=True)
        environment = {key: value for key, value in dryrun.environment().items() if key != VARIABLE}
        with output.open("ab") as sink:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env={**environment, **variables})

    def wait_until_paused(self) -> bool:
        """Whether the run reached its pause point; False when it ended before."""
        while SAID not in self.output.read_text(errors="replace"):
            if self.process.poll() is not None:
                return SAID in self.output.read_text(errors="replace")
            self._check_time()
            time.sleep(0.02)
        return True

    def end(self) -> int:
        """Wait for its exit code; negative for a signal."""
        while self.process.poll() is None:
            self._check_time()
            time.sleep(0.02)
        return int(self.process.returncode)

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            self.process.kill()
            self.process.wait()
            raise PhaseFailed(f"a run did not end within {LONGEST_SECONDS:g} seconds", where=str(self.output))


def interrupt(child: Child, layout: RunLayout, how: Interruption) -> None:
    """Stop the run as `how` says."""
    if how == "stop_file":
        layout.stop_requested.touch()
    else:
        child.process.send_signal(signal.Signals[how])


def facts(layout: RunLayout) -> Facts:
    """Where the run stands, by its files."""
    build = load(BuildManifest, layout.build_manifest)
    parts = fold(read(layout.ledger).entries)
    attempts = [attempt for part in parts.values() for attempt in part.attempts]
    return Facts(
        n_parts=len(build.shards) if build is not None else 0,
        n_intents=len(attempts),
        n_receipts=sum(attempt.batch_id is not None for attempt in attempts),
        n_saved=sum(attempt.is_saved for attempt in attempts),
        n_settled=sum(part.state is PartState.SETTLED for part in parts.values()),
        has_predictions=any(layout.arms.glob("*/answers.parquet")),
    )


def bill(layout: RunLayout) -> dict[str, Any]:
    """What the provider counted: the emulator is started once more on the run's world and asked."""
    seed = config_of_run(layout).simulation.seed
    url, child = dryrun.spawn(layout.emulator, seed=seed, arguments=("--clock", "manual", "--model", str(layout.emulator / "model.json")))
    try:
        with dryrun.DIRECT.open(f"{url}/_emulator/ledger?at=end", timeout=60) as answer:
            return dict(json.load(answer))
    finally:
        child.terminate()
        child.wait()


def prints(layout: RunLayout) -> dict[str, str]:
    """sha256 of every artifact, by its path inside the run."""
    return {path.relative_to(layout.root).as_posix(): fingerprint(path).sha256 for path in layout.artifacts()}


def shape_problems(layout: RunLayout, n_requests: int) -> list[str]:
    """What is missing from a finished run, or is not what it should be."""
    try:
        listed = load(MultiTrialManifest, layout.multi_trial_manifest)
        manifests = [load(TrialManifest, layout.trial(trial.slug).manifest) for trial in listed.trials] if listed is not None else []
    except ManifestCorrupt as error:
        return [error.what]
    if listed is None or None in manifests:
        return ["a manifest is missing"]
    found = []
    for trial, manifest in zip(listed.trials, manifests, strict=True):
        assert manifest is not None
        here = layout.trial(trial.slug)
        # `optional` is recorded only when the config switches an analysis on.
        wanted = [stage for stage in STAGES[:-1] if stage != "optional" or stage in manifest.stage_status]
        stages = {stage: manifest.stage_status[stage].status if stage in manifest.stage_status else "absent" for stage in wanted}
        found += [f"stage {stage} is {status}" for stage, status in stages.items() if status != "completed"]
        found += [f"{part} is {status}" for part, status in manifest.job_status.items() if status != "completed"]
        n_succeeded = sum(counts.succeeded for counts in manifest.job_counts.values())
        found += [f"{n_succeeded} of {n_requests} requests succeeded"] * (n_succeeded != n_requests)
        n_rows = _lines(here.predictions) - 1
        found += [f"predictions.csv has {n_rows} rows, not {n_requests}"] * (n_rows != n_requests)
        found += [f"{path.name} is missing or empty" for path in (here.scores, here.report_md, here.report_html) if _lines(path) < 1]
        found += [f"{path.name} holds no JSON object" for path in (here.significance, here.costs) if not _is_object(path)]
    return found


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _is_object(path: Path) -> bool:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and bool(value)


def n_result_rows(layout: RunLayout) -> int:
    """Result lines on disk, over all parts and attempts."""
    return sum(map(_lines, layout.arms.glob("*/*/results*.jsonl")))


def twin(plan: Plan) -> dict[str, str]:
    """The run that is never stopped; its artifacts. Raises PhaseFailed when it does not finish as it should."""
    child = Child(plan.start("twin"), plan.root / "twin" / "start.log")
    code = child.end()
    problems = [f"exit code {code}"] * (code != 0) + shape_problems(plan.layout("twin"), 2 * plan.n)
    if problems:
        raise PhaseFailed(f"the uninterrupted run failed: {'; '.join(problems)}", where=str(child.output))
    return prints(plan.layout("twin"))


def drilled(plan: Plan, drill: Drill, how: Interruption) -> tuple[str, str, list[str]]:
    """Start, interrupt, resume. Returns how it stopped and how it was resumed, and what was wrong."""
    layout, folder = plan.layout(drill.name), plan.root / drill.name
    problems = []
    child = Child(plan.start(drill.name), folder / "start.log", **{VARIABLE: drill.pause})
    if child.wait_until_paused():
        interrupt(child, layout, how)
    else:
        problems.append("it ended before the stop point")
    code = child.end()
    expected = -signal.SIGKILL if how == "SIGKILL" else INTERRUPTED
    problems += [f"it left with {code}, not {expected}"] * (code != expected)
    there = facts(layout)
    problems += [f"it was not stopped at {drill.name}: {there}"] * (not drill.is_there(there))
    resumed = Child(plan.resume(drill.name), folder / "resume.log").end()
    problems += [f"the resumed run left with {resumed}"] * (resumed != 0)
    return ("killed" if code < 0 else f"exit {code}"), f"exit {resumed}", problems


def judged(plan: Plan, drill: Drill, how: Interruption, want: Callable[[], dict[str, str]]) -> Outcome:
    """One drill from start to verdict; whatever goes wrong is part of the verdict."""
    began = time.monotonic()
    layout = plan.layout(drill.name)
    stopped = resumed = "-"
    owed: dict[str, Any] = {}
    ours: dict[str, str] = {}
    different: list[str] = []
    n_rows = 0
    try:
        stopped, resumed, problems = drilled(plan, drill, how)
        owed, n_rows, ours, theirs = bill(layout), n_result_rows(layout), prints(layout), want()
        different = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        problems += bill_problems(owed, n_rows, 2 * plan.n) + shape_problems(layout, 2 * plan.n)
        problems += [f"{name} differs from the uninterrupted run" for name in different]
    except RunnerError as error:
        problems = [str(error)]
    return Outcome(
        name=drill.name,
        interruption=how,
        stopped=stopped,
        resumed=resumed,
        n_creates=int(owed.get("creates", 0)),
        n_paid_twice=int(owed.get("n_paid_more_than_once", 0)),
        n_lost=max(0, int(owed.get("answered_requests", 0)) - n_rows),
        n_artifacts=len(ours),
        n_different=len(different),
        seconds=time.monotonic() - began,
        problems=tuple(problems),
    )


def bill_problems(owed: Mapping[str, Any], n_rows: int, n_requests: int) -> list[str]:
    """What the provider's count says against the run; every request is a part of its own here."""
    n_twice, n_paid, n_creates = owed["n_paid_more_than_once"], owed["answered_requests"], owed["creates"]
    problems = [f"{n_twice} requests were paid more than once"] * (n_twice != 0)
    problems += [f"{n_paid} requests were paid, {n_requests} asked"] * (n_paid != n_requests)
    problems += [f"{n_creates} batches were created for {n_requests} parts"] * (n_creates != n_requests)
    problems += [f"{n_rows} result rows are on disk, not {n_requests}"] * (n_rows != n_requests)
    return problems
