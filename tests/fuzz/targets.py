"""What is tried: for each kind of file that a user can touch, a sound one, a seeded damage of it, and the commands that read it."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.bases import FIXTURES, Runs, config_trees, data_files, make_runs, quiet, runs_in, write_inputs
from tests.fuzz.mutations import ODD_TEXTS, dumped, json_lines, raw, tree

import batchtrial

Commands = Iterator[list[str]]


@dataclass(frozen=True, slots=True)
class Bench:
    """One worker's sound files. box: the folder of one input, emptied before each; the commands run inside it."""

    runs: Runs
    box: Path

    def place(self, name: str, data: bytes) -> Path:
        """Write a file into the box."""
        path = self.box / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


def make_sound(folder: Path) -> None:
    """Make the sound files that all workers share."""
    write_inputs(folder)
    os.chdir(folder)
    make_runs(folder)


def bench(sound: Path, folder: Path) -> Bench:
    """The shared sound files, and a box of one's own below `folder`."""
    return Bench(runs_in(sound), folder / "box")


def warm(at: Bench) -> None:
    """Import everything that a command may import: no input pays for it, and none is cut off in the middle of it."""
    for module in pkgutil.walk_packages(batchtrial.__path__, "batchtrial."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    fresh(at)
    shutil.copytree(at.runs.finished, at.box / "experiments")
    quiet(["run", "--resume", "--run_id", "a", "--from_step", "parse"])
    quiet(["compare", "a", "b"])
    quiet(["plan_trial", "--run_id", "a"])


def fresh(at: Bench) -> None:
    """Empty the box, put the inputs of the configs in, and go there."""
    os.chdir(at.box.parent)
    if at.box.exists():
        shutil.rmtree(at.box)
    write_inputs(at.box)
    os.chdir(at.box)


def config(at: Bench, rng: random.Random) -> Commands:
    """A config with damaged values or damaged bytes."""
    sound = rng.choice(config_trees())
    data = dumped(tree(rng, sound)) if rng.random() < 0.75 else raw(rng, json.dumps(sound, indent=1).encode())
    at.place("c.yaml", data)
    if rng.random() < 0.8:
        yield ["run", "--config", "c.yaml", "--plan_only"]
    else:
        yield ["run", "--config", "c.yaml", "--dry_run", "--run_id", "r", "--to_step", "build"]
        yield ["status"]


def data(at: Bench, rng: random.Random) -> Commands:
    """A question set of any form with damaged rows or bytes."""
    name, sound = rng.choice(list(data_files().items()))
    if name.endswith(".jsonl"):
        broken = json_lines(rng, sound)
    elif name.endswith(".json") and rng.random() < 0.7:
        broken = dumped(tree(rng, json.loads(sound)))
    else:
        broken = raw(rng, sound)
    at.place(name, broken)
    settings = config_trees()[2] | {"datasets": [{"name": "set", "source": "file", "path": name}], "limit_items": None}
    settings["skip_bad_rows"] = rng.random() < 0.3
    at.place("c.yaml", json.dumps(settings).encode())
    yield ["run", "--config", "c.yaml", "--dry_run", "--run_id", "r", "--to_step", "build"]


def texts(at: Bench, rng: random.Random) -> Commands:
    """A prompt or an instruction with damaged bytes."""
    name = rng.choice(("open.txt", "control.txt", "treatment.txt"))
    at.place(name, raw(rng, (at.box / name).read_bytes()))
    at.place("c.yaml", json.dumps(config_trees()[2]).encode())
    yield ["run", "--config", "c.yaml", "--dry_run", "--run_id", "r", "--to_step", "build"]


def results(at: Bench, rng: random.Random) -> Commands:
    """Result lines that somebody brings, damaged."""
    shutil.copytree(at.runs.handed_out, at.box / "experiments")
    at.place("answers.jsonl", json_lines(rng, at.runs.answers))
    yield ["import_batch", "--run_id", "a", "answers.jsonl", *(["--allow_incomplete"] if rng.random() < 0.7 else [])]
    yield ["run", "--resume", "--run_id", "a", "--from_step", "parse", "--to_step", rng.choice(("parse", "score", "report"))]


def recording(at: Bench, rng: random.Random) -> Commands:
    """A recording with one damaged file, played back."""
    provider = rng.choice(("openai", "anthropic"))
    folder = FIXTURES / "alt_backends" / provider / rng.choice(("replay_success", "replay_partial"))
    shutil.copytree(folder, at.box / "cassette", ignore=shutil.ignore_patterns("expected"))
    victim = rng.choice(sorted(path for path in (at.box / "cassette").rglob("*") if path.is_file()))
    victim.write_bytes(json_lines(rng, victim.read_bytes()))
    model = {"openai": "gpt-5.4-mini", "anthropic": "claude-haiku-4-5"}[provider]
    asked = ["--config", str(FIXTURES / "alt_backends" / "config.yaml"), "--backend", provider, "--model", model]
    yield ["run", *asked, "--replay_dir", "cassette", "--run_id", "r", "--to_step", "parse"]


def state(at: Bench, rng: random.Random) -> Commands:
    """A run with one damaged file of its state, looked at and gone on with."""
    is_finished = rng.random() < 0.7
    shutil.copytree(at.runs.finished if is_finished else at.runs.halfway, at.box / "experiments", ignore=shutil.ignore_patterns("emulator"))
    run = at.box / "experiments" / "run_a"
    victim = rng.choice(sorted(path for path in run.rglob("*") if path.is_file() and "emulator" not in path.parts))
    sound = victim.read_bytes()
    victim.write_bytes(json_lines(rng, sound) if victim.suffix in (".json", ".jsonl") else raw(rng, sound))
    looks = [
        ["status"], ["status", "--run_id", "a", "--json"], ["repair", "--check", "--run_id", "a"], ["resume", "--plan_only", "--run_id", "a"],
        ["stop", "--run_id", "a"], ["clean"], ["archive", "--run_id", "a", "--dry_run"],
        ["archive", "--verify", "experiments/run_a"], ["export_batch", "--run_id", "a", "--to", "out"],
    ]  # fmt: skip
    looks += [["compare", "a", "b"], ["run", "--resume", "--run_id", "a", "--from_step", "parse"]] if is_finished else []
    looks += [["export", "--run_id", "a", "--jsonl", "rows.jsonl"], ["gate", "--run_id", "a"], ["label", "--run_id", "a", "--export", "labels.jsonl"]]
    looks += [["plan_trial", "--run_id", "a"]] if rng.random() < 0.2 else []  # what it computes from a sound run takes as long as ten other looks
    yield from rng.sample(looks, 2)
    yield ["repair", "--run_id", "a"]


def archive(at: Bench, rng: random.Random) -> Commands:
    """An archive with damaged bytes, verified and restored."""
    at.place("a.zip", raw(rng, at.runs.archive.read_bytes()))
    yield ["archive", "--verify", "a.zip"]
    yield ["archive", "--restore", "a.zip", "--experiments_dir", "experiments"]


_FLAGS = (
    "--config", "c.yaml", "--run_id", "--resume", "--plan_only", "--temps", "--models", "--limit_items", "--budget_usd", "--to_step", "--from_step",
    "--only_step", "--condition", "--lines_per_part", "--backend", "--trial_filter", "--control_from", "--experiments_dir", "build", "0", "openai",
    "--base_url", "--replay_dir", "--json", "--check", "--yes", "--dry_run", "a",
)  # fmt: skip
_COMMANDS = ("run", "resume", "status", "repair", "compare", "archive", "clean", "plan_trial", "analyze", "stop", "export_batch", "import_batch")


def flags(at: Bench, rng: random.Random) -> Commands:
    """Any flags in any order, with any values; never for real: every run is a plan or dry and stops before it submits."""
    at.place("c.yaml", json.dumps(config_trees()[2]).encode())
    command = rng.choice(_COMMANDS)
    words = [rng.choice(_FLAGS) if rng.random() < 0.7 else rng.choice(ODD_TEXTS) for _ in range(rng.randrange(1, 9))]
    words = [word for word in words if "\x00" not in word and "\ud800" not in word]
    yield [command, *words, *(["--dry_run", "--to_step", "build"] if command in ("run", "resume") else [])]


Target = Callable[[Bench, random.Random], Commands]
TARGETS: dict[str, tuple[Target, int]] = {
    "config": (config, 44), "data": (data, 16), "texts": (texts, 5), "results": (results, 6), "recording": (recording, 4), "state": (state, 8),
    "archive": (archive, 7), "flags": (flags, 10),
}  # fmt: skip
"""Each target with its share of the inputs: the more its commands cost, the less often it is drawn."""


def chosen(rng: random.Random, only: str | None) -> str:
    """The target of one input."""
    return only or rng.choices(list(TARGETS), weights=[weight for _, weight in TARGETS.values()])[0]
