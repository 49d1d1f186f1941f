"""The commands that work on a run's folder, each as a process of its own, and what each owes whoever calls it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from tests.luck.lab import RUN_ID, outputs
from tests.luck.machine import Being, Killed, Process

from batchtrial.cli.commands import archive, clean, export_batch, import_batch, repair, status
from batchtrial.state.entries import read
from batchtrial.state.layout import RunLayout

Command = Callable[[Sequence[str] | None], int]
NAMED = ("--run_id", RUN_ID)
COMMANDS: Mapping[str, tuple[Command, Sequence[str], tuple[int, ...]]] = {
    "repair": (repair.main, NAMED, (0,)),
    "check": (repair.main, (*NAMED, "--check"), (0, 3)),
    "status": (status.main, NAMED, (0,)),
    "clean": (clean.main, ("--yes",), (0,)),
    "archive": (archive.main, (*NAMED, "--allow_incomplete"), (0,)),
    "verify": (archive.main, (), (0,)),
    "restore": (archive.main, (), (0,)),
    "export": (export_batch.main, NAMED, (0, 1, 2, 3)),
    "import": (import_batch.main, NAMED, (0, 1, 3, 4)),
}
"""Name -> command, its flags, and the exit codes that it may end with on any run that its own commands have left behind.

An export refuses other forms than OpenAI's (2), what may be at the provider (1) and a run without requests (3); so does an import.
"""


NO_FILES = 2
"""How an import ends that is given a folder without a file: no batch is over yet."""


@dataclass(frozen=True, slots=True)
class Used:
    """How a command ended. code: None when it was killed."""

    code: int | None
    told: str


def use(name: str, experiments: Path, *flags: str, process: Process | None = None) -> Used:
    """Carry a command out on a folder of runs."""
    process = process or Process(RunLayout.of(experiments, RUN_ID).root)
    command, given, _ = COMMANDS[name]
    told = io.StringIO()
    try:
        with Being(process), redirect_stdout(told), redirect_stderr(told):
            return Used(command([*given, *flags, "--experiments_dir", str(experiments)]), told.getvalue())
    except Killed:
        process.bury()
        return Used(None, told.getvalue())


def wrong_with(name: str, used: Used) -> list[str]:
    """What is wrong with how a command ended."""
    if "defect" in used.told or "Traceback" in used.told:
        return [f"{name} ends in a defect: {used.told[-300:]}"]
    if used.code is not None and used.code not in COMMANDS[name][2]:
        return [f"{name} exits with {used.code}: {used.told[-300:]}"]
    return []


def repaired(experiments: Path, process: Process | None = None) -> list[str]:
    """Repair a run. A second look must find nothing that a repair could have mended."""
    used = use("repair", experiments, process=process)
    wrong = wrong_with("repair", used)
    if used.code == 0:
        again = use("repair", experiments)
        if again.code != 0 or ("nothing to repair" not in again.told and "still to do" not in again.told):
            wrong.append(f"a second repair says: {again.told[-300:]}")
    return wrong


def archived(experiments: Path, target: Path, process: Process | None = None) -> list[str]:
    """Archive a run into a file. It must verify, and what is restored from it must be the run."""
    used = use("archive", experiments, "--output", str(target), process=process)
    if used.code == 3 and "was never begun" in used.told and not read(RunLayout.of(experiments, RUN_ID).ledger).entries:
        return []  # it was killed before its first line: there is nothing to put away yet
    wrong = wrong_with("archive", used)
    if used.code == 0:
        wrong += wrong_with("verify", use("verify", experiments, "--verify", str(target)))
        elsewhere = target.with_name("unpacked")
        elsewhere.mkdir()
        wrong += restored(target, elsewhere)
        want, got = (outputs(RunLayout.of(folder, RUN_ID).root) for folder in (experiments, elsewhere))
        wrong += [f"{name} is another one in the archive" for name in sorted(want.keys() | got.keys()) if want.get(name) != got.get(name)]
        shutil.rmtree(elsewhere)
    return wrong


def restored(source: Path, experiments: Path) -> list[str]:
    """Put an archived run into a folder of runs. Where the run is there already this must be refused, and change nothing."""
    folder = RunLayout.of(experiments, RUN_ID).root
    before = outputs(folder) if folder.exists() else None
    used = use("restore", experiments, "--restore", str(source))
    if before is None:
        return wrong_with("restore", used)
    if used.code == 0 or outputs(folder) != before:
        return [f"a run was restored over another: {used.told[-300:]}"]
    return []


def exported(experiments: Path, target: Path, process: Process | None = None) -> list[str]:
    """Hand the rows that a run owes out as files."""
    return wrong_with("export", use("export", experiments, "--to", str(target), process=process))


def taken_back(experiments: Path, process: Process | None = None) -> list[str]:
    """Nobody answers what was handed out."""
    return wrong_with("import", use("import", experiments, "--take_back", process=process))


ENGINE_TOKENS = (30, 3)
"""What a row costs at the engine that exported files are carried to."""


def answered(requests: Path, answers: Path) -> None:
    """An engine answers every row of exported files, each into a file of the same name."""
    n_input, n_output = ENGINE_TOKENS
    body = {
        "choices": [{"message": {"content": "Nairobi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": n_input, "completion_tokens": n_output},
    }
    answers.mkdir(exist_ok=True)
    for path in requests.glob("*.jsonl"):
        ids = [json.loads(line)["custom_id"] for line in path.read_bytes().splitlines()]
        lines = [{"custom_id": one, "response": {"status_code": 200, "request_id": f"engine-{one}", "body": body}, "error": None} for one in ids]
        (answers / path.name).write_text("".join(json.dumps(line) + "\n" for line in lines))


def imported(experiments: Path, downloads: Path, process: Process | None = None) -> list[str]:
    """Bring result files that somebody has downloaded from the provider. The same files twice change nothing; a folder of none is refused."""
    used = use("import", experiments, str(downloads), process=process)
    if used.code == NO_FILES and not any(path.is_file() for path in downloads.rglob("*")):
        return []
    wrong = wrong_with("import", used)
    if used.code in (0, 4):
        folder = RunLayout.of(experiments, RUN_ID).root
        before = outputs(folder)
        wrong += wrong_with("import", use("import", experiments, str(downloads)))
        wrong += [] if outputs(folder) == before else ["files that were imported before changed something"]
    return wrong
