"""Damage done on purpose: each file of a run deleted, cut, or with a bit flipped, then `repair` and `--resume`, and the result held against a twin.

`python -m tests.runs.damage` does it for every file of a finished and of a half-finished run and prints the table of all cases; the tests do
a seeded sample.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash.lab import FINISHED, RUN_ID, Lab, World, killed_at, rough
from tests.crash.several_lanes import lab_of_lanes

from batchtrial.cli.commands.repair import main as repair
from batchtrial.cli.commands.resume import main as resume
from batchtrial.cli.frame import INTERRUPTED

Damage = Callable[[Path, random.Random], None]


def delete(path: Path, dice: random.Random) -> None:
    path.unlink()


def cut(path: Path, dice: random.Random) -> None:
    size = path.stat().st_size
    os.truncate(path, dice.randrange(size) if size else 0)


def empty(path: Path, dice: random.Random) -> None:
    os.truncate(path, 0)


def flip(path: Path, dice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def rot(path: Path, dice: random.Random) -> None:
    """A flipped bit that the file's times do not show."""
    stat = path.stat()
    flip(path, dice)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


DAMAGES: dict[str, Damage] = {"delete": delete, "cut": cut, "empty": empty, "flip": flip, "rot": rot}


@dataclass(frozen=True, slots=True)
class Case:
    """One file of one template, damaged in one way."""

    template: str
    path: str
    damage: str


@dataclass(frozen=True, slots=True)
class Result:
    """How a case ended. kind: same (as the twin in bytes and bill), said (refused with a message, nothing paid), wrong."""

    case: Case
    kind: str
    repair_code: int
    told: str


class Template:
    """A run in a certain state with its provider, copied for each case."""

    def __init__(self, name: str, lab: Lab, root: Path) -> None:
        self.name, self.lab, self.root = name, lab, root
        self.run = root / "experiments" / f"run_{RUN_ID}"

    @property
    def files(self) -> list[str]:
        return sorted(path.relative_to(self.run).as_posix() for path in self.run.rglob("*") if path.is_file())

    def copy(self, to: Path) -> World:
        shutil.copytree(self.root, to)
        world = World.__new__(World)
        World.__init__(world, self.lab, to)
        return world


def templates(root: Path, provider: str = "fireworks") -> dict[str, Template]:
    """A finished run, one stopped between two phases, and one killed with parts in flight; each against a provider on a bad day."""
    lab = lab_of_lanes(root / "lab") if provider == "lanes" else Lab(root / "lab", provider=provider, faults=rough)
    return templates_of(lab, root)


def templates_of(lab: Lab, root: Path) -> dict[str, Template]:
    """The same of any run."""
    found = {}
    for name, make in {"finished": _finish, "stopped": _stop, "killed": _kill}.items():
        world = World(lab, root / name)
        make(world)
        world.emulator.kill()
        found[name] = Template(name, lab, root / name)
    return found


def _finish(world: World) -> None:
    assert world.start() in FINISHED


def _stop(world: World) -> None:
    """Stopped in order while polling."""
    n_saved = 0

    def ask(point: str) -> None:
        nonlocal n_saved
        n_saved += point == "ledger:saved:after"
        if n_saved == 4:
            world.layout.stop_requested.touch()

    assert world.start(ask) == INTERRUPTED
    assert not (world.layout.root / "aggregate_report.md").exists()


def _kill(world: World) -> None:
    """Killed between an intent and its receipt, with other parts in flight and some of them in their second attempt."""
    points = [n for n, point in enumerate(world.lab.points, 1) if point == "ledger:intent:after"]
    assert killed_at(world, points[-2], first=True)


def place(world: World) -> list[str]:
    """The flags that name the world's run."""
    return ["--run_id", RUN_ID, "--experiments_dir", str(world.experiments)]


def run_case(template: Template, case: Case, folder: Path, *, seed: int) -> Result:
    """Copy, damage, repair, resume, compare."""
    world = template.copy(folder)
    try:
        DAMAGES[case.damage](world.layout.root / case.path, random.Random(f"{seed} {case}"))
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = repair(place(world))
            if code == 0:
                resume([*place(world), "--emulator_url", world.emulator.url])
        told = "".join(line for line in err.getvalue().splitlines() if line.startswith("error: "))
        problems = world.problems()
        if code == 0 and not problems:
            return Result(case, "same", code, "")
        is_paid_once = world.bill()["n_paid_more_than_once"] == 0
        if told and is_paid_once:
            return Result(case, "said", code, told)
        return Result(case, "wrong", code, "; ".join(problems) or told)
    finally:
        world.close()


def all_cases(found: dict[str, Template]) -> Iterator[Case]:
    for name, template in found.items():
        for path in template.files:
            for damage in DAMAGES:
                yield Case(name, path, damage)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cases and print their table; 1 when a case went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int, default=None, help="only so many cases, chosen by the seed")
    parser.add_argument("--only", default="", help="only files whose path holds this")
    parser.add_argument("--provider", choices=("fireworks", "openai", "anthropic", "lanes"), default="fireworks")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        found = templates(root / "templates", given.provider)
        cases = [case for case in all_cases(found) if given.only in case.path]
        if given.sample is not None:
            cases = random.Random(given.seed).sample(cases, min(given.sample, len(cases)))
        results = []
        for number, case in enumerate(cases):
            results.append(run_case(found[case.template], case, root / f"case{number}", seed=given.seed))
            result = results[-1]
            sys.stdout.write(f"| {case.template} | {case.path} | {case.damage} | {result.kind} | {result.told} |\n")
            sys.stdout.flush()
    n_wrong = sum(result.kind == "wrong" for result in results)
    n_said = sum(result.kind == "said" for result in results)
    sys.stdout.write(f"{len(results)} cases: {len(results) - n_wrong - n_said} same as the twin, {n_said} refused with a message, {n_wrong} wrong\n")
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
