"""Where everything lies inside a run directory: the one place that spells file names."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from batchtrial.errors import RunStateMissing, StateError
from batchtrial.keys import ARMS, arm_folder
from batchtrial.names import is_one_step
from batchtrial.state.access import check_readable, denied

PREFIX = "run_"
JUDGEMENTS = "judgements"
"""Folder of the second wave of requests."""
EXPERIMENTS = Path("experiments")
"""The folder of all runs when nothing else is said."""

STATE_FILES = frozenset(
    {
        "run_state.json",
        "run.lock",
        "ledger.jsonl",
        "run.log",
        "trial_manifest.json",
        "multi_trial_manifest.json",
        "control_registry.json",
        "answers.json",
        "scores.json",
        "judgements.json",
        "archive_manifest.json",
        "server.json",
        "STOP_REQUESTED",
        "STOP_NOW",
        "labels.jsonl",
    }
)
"""Files that hold times, pids or a provider's ids; every other file of a run is the same however often the run was stopped."""


@dataclass(frozen=True, slots=True)
class TrialLayout:
    """Files of one trial."""

    root: Path

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def manifest(self) -> Path:
        return self.results / "trial_manifest.json"

    @property
    def combined(self) -> Path:
        return self.results / "results_combined.jsonl"

    @property
    def predictions(self) -> Path:
        return self.results / "predictions.csv"

    @property
    def account(self) -> Path:
        """Outcome counts per arm and samples of what was odd in the results."""
        return self.results / "account.json"

    @property
    def scores(self) -> Path:
        return self.results / "per_item_scores.csv"

    @property
    def scoring(self) -> Path:
        """What scored: the user's metrics and their code, what they failed on, and answers that are not mainly English."""
        return self.results / "scoring.json"

    @property
    def significance(self) -> Path:
        return self.results / "significance.json"

    @property
    def costs(self) -> Path:
        return self.results / "costs.json"

    def analysis(self, name: str) -> Path:
        """File of an optional analysis."""
        return self.results / f"{'mixed_models' if name == 'mixed_effects' else name}.json"

    @property
    def report_md(self) -> Path:
        return self.reports / "report.md"

    @property
    def report_html(self) -> Path:
        return self.reports / "report.html"

    @property
    def forest_svg(self) -> Path:
        """The picture of the report; empty where nothing can be drawn."""
        return self.reports / "forest.svg"


@dataclass(frozen=True, slots=True)
class ArmLayout:
    """Tables of one arm, whatever role it plays and in however many trials."""

    root: Path

    @property
    def answers(self) -> Path:
        return self.root / "answers.parquet"

    @property
    def answers_record(self) -> Path:
        """What the table of answers was made from, and what was counted."""
        return self.root / "answers.json"

    @property
    def scores(self) -> Path:
        return self.root / "scores.parquet"

    @property
    def scores_record(self) -> Path:
        """What the table of scores was made from, and what was found on the way."""
        return self.root / "scores.json"


@dataclass(frozen=True, slots=True)
class RunLayout:
    """Files of one run. wave: "" for the answers, else the name of a later wave of requests, which has items, an index and parts of its own."""

    root: Path
    wave: str = ""

    @classmethod
    def of(cls, experiments: Path, run_id: str) -> RunLayout:
        """The layout of a run by its name."""
        return cls(experiments / f"{PREFIX}{run_id}")

    @property
    def run_id(self) -> str:
        return self.root.name.removeprefix(PREFIX)

    @property
    def flags(self) -> str:
        """What names the run on a command line."""
        folder = self.root.parent
        return f"--run_id {self.run_id}" + ("" if folder == EXPERIMENTS else f" --experiments_dir {shlex.quote(str(folder))}")

    def check_there(self) -> None:
        """Raises RunStateMissing when there is no such run, StateError when it may not be read."""
        check_readable(self._needed, f"run {self.run_id}")
        if not self.root.is_dir():
            raise RunStateMissing(f"there is no run {self.run_id}", where=str(self.root.parent), hint="`batchtrial status` lists the runs there are")

    def denied(self) -> str | None:
        """Why the run may not be read, and as whom; None when it may, or is not there."""
        return denied(self._needed)

    @property
    def _needed(self) -> tuple[Path, ...]:
        return self.root.parent, self.root, self.ledger, self.run_state, self.effective_config

    def has_traces(self) -> bool:
        """Whether a file lies here that is written after the ledger's first line, so that the run was begun whatever became of the ledger."""
        later = (self.effective_config, self.prepared, self.batch_inputs, self.direct, self.arms)
        return any(path.exists() for path in later) or any(
            any(self.root.glob(name)) for name in (f"{self.run_state.name}*", "*/*/*/results*.jsonl", "*/results/trial_manifest.json*")
        )

    @property
    def effective_config(self) -> Path:
        return self.root / "effective_config.yaml"

    @property
    def run_state(self) -> Path:
        return self.root / "run_state.json"

    @property
    def lock_info(self) -> Path:
        """Who is writing: pid, host, start time."""
        return self.root / "run.lock"

    @property
    def guard(self) -> Path:
        """What the kernel locks; empty. Apart from run.lock, which a second process must be able to read and never truncate."""
        return self.root / ".guard"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.jsonl"

    @property
    def stamps(self) -> Path:
        """Cache of (size, mtime, sha256) per file; may be deleted at any time."""
        return self.root / ".stamps.json"

    @property
    def control_registry(self) -> Path:
        return self.root / "control_registry.json"

    @property
    def stop_requested(self) -> Path:
        return self.root / "STOP_REQUESTED"

    @property
    def stop_now(self) -> Path:
        return self.root / "STOP_NOW"

    @property
    def prepared(self) -> Path:
        return self.root / (self.wave or "prepared")

    @property
    def open_book(self) -> Path:
        return self.prepared / "open_book.jsonl"

    @property
    def closed_book(self) -> Path:
        return self.prepared / "closed_book.jsonl"

    @property
    def items(self) -> Path:
        """The items in the run's order."""
        return self.prepared / "items.parquet"

    @property
    def prepared_manifest(self) -> Path:
        return self.prepared / "prepared_manifest.json"

    @property
    def batch_inputs(self) -> Path:
        return self.root / "batch_inputs"

    @property
    def build_manifest(self) -> Path:
        return self.batch_inputs / f"{self._of_wave}build_manifest.json"

    @property
    def _of_wave(self) -> str:
        return f"{self.wave}_" if self.wave else ""

    @property
    def judging(self) -> RunLayout:
        """The same run, as the wave of judgements has it."""
        return replace(self, wave=JUDGEMENTS)

    @property
    def asked(self) -> Path:
        """Which judgement is about which answers."""
        return self.root / JUDGEMENTS / "asked.parquet"

    @property
    def judgements(self) -> Path:
        """What the judges said."""
        return self.root / JUDGEMENTS / "judgements.parquet"

    @property
    def judgements_record(self) -> Path:
        """What the table of judgements was made from, and what was counted."""
        return self.root / JUDGEMENTS / "judgements.json"

    @property
    def index(self) -> Path:
        """custom_id halves to items: item hash, dataset, item_id, kind, place in the order."""
        return self.batch_inputs / f"{self._of_wave}index.csv"

    def part_input(self, part: str) -> Path:
        return self.batch_inputs / f"{part}.jsonl"

    def retry_input(self, part: str, attempt: int) -> Path:
        """Rows sent again by attempt 2 and later."""
        return self.batch_inputs / "retries" / f"{part}_a{attempt}.jsonl"

    @property
    def shared_controls(self) -> Path:
        return self.root / "shared_controls"

    @property
    def multi_trial_manifest(self) -> Path:
        return self.root / "multi_trial_manifest.json"

    @property
    def aggregate_report(self) -> Path:
        return self.root / "aggregate_report.md"

    @property
    def aggregate_json(self) -> Path:
        """The correction across trials behind aggregate_report.md."""
        return self.root / "aggregate.json"

    @property
    def archive_manifest(self) -> Path:
        return self.root / "archive_manifest.json"

    @property
    def emulator(self) -> Path:
        """World of the dry run's emulator."""
        return self.root / "emulator"

    @property
    def emulator_at(self) -> Path:
        """Where the emulator is that somebody else started for this run."""
        return self.emulator / "at.json"

    @property
    def server(self) -> Path:
        """What a `local` run's server said it is."""
        return self.root / "server.json"

    @property
    def direct(self) -> Path:
        """Journals of rows that were asked one by one."""
        return self.root / "direct"

    @property
    def arrivals(self) -> Path:
        """Result lines of batches that were carried, as they were brought: what such a batch is fetched from."""
        return self.root / "arrivals"

    @property
    def provenance(self) -> Path:
        """Which model gave the answers of the recording that this run takes them from, and when."""
        return self.root / "provenance.json"

    @property
    def earlier_scores(self) -> Path:
        """Scores that were there before answers were scored again, a folder each."""
        return self.root / "earlier_scores"

    @property
    def labels(self) -> Path:
        """People's judgements of answers, append-only."""
        return self.root / "labels.jsonl"

    @property
    def index_page(self) -> Path:
        """All trials as a page, with the ways to their reports."""
        return self.root / "index.html"

    @property
    def answers_page(self) -> Path:
        """Every answer in one page."""
        return self.root / "answers.html"

    @property
    def log(self) -> Path:
        return self.root / "run.log"

    def artifacts(self) -> Iterator[Path]:
        """Every published file: no state, no hidden file, nothing of the emulator's world, no journal, nothing that was set aside."""
        for path in sorted(self.root.rglob("*")):
            steps = path.relative_to(self.root).parts
            is_ours = steps[0] not in (self.emulator.name, self.direct.name) and not any(step.startswith(".") for step in steps)
            if is_ours and path.name not in STATE_FILES and not {".corrupt", ".backup"} & set(path.suffixes) and path.is_file():
                yield path

    def trial(self, slug: str) -> TrialLayout:
        return TrialLayout(self.root / slug)

    @property
    def arms(self) -> Path:
        """What belongs to an arm rather than to a trial."""
        return self.root / ARMS

    def arm(self, name: str) -> ArmLayout:
        """Files of an arm by its name. Raises StateError for a name that would lie elsewhere."""
        if not is_one_step(name):
            raise StateError(f"{name[:80]!r} cannot name an arm's folder", where=str(self.arms), hint="use letters, digits, '_', '-' and '.'")
        return ArmLayout(self.root / arm_folder(name))


def run_around(path: Path) -> RunLayout | None:
    """The run whose folder it is, or lies in; None when it is outside of every run, or nobody can tell."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError):
        return None
    around = (RunLayout(one) for one in (real, *real.parents) if one.name.startswith(PREFIX))
    return next((run for run in around if run.has_traces() or run.ledger.exists()), None)


def result_name(attempt: int) -> str:
    """Name of the result lines of one attempt: results.jsonl for the first, results_a2.jsonl and so on for later ones."""
    return "results.jsonl" if attempt == 1 else f"results_a{attempt}.jsonl"


def result_file(part_folder: Path, attempt: int) -> Path:
    """Result lines of one attempt as received."""
    return part_folder / result_name(attempt)
