"""A run that grows four times at a provider in memory, killed anywhere: more items, a third treatment, more samples, a judge.

`python -m tests.crash.growth` kills at every point of every growth; `1/8` at a share of them. The tests do a sample.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl
from tests.crash.lab import Killed
from tests.crash.looks import dying
from tests.unit.phases.world import text_of
from tests.unit.rig import Rig

from batchtrial.config.judge_arms import arm_of
from batchtrial.config.judges import ready_rubric
from batchtrial.config.model import Config
from batchtrial.keys import item_hash
from batchtrial.phases.base import View
from batchtrial.reading.view import view_of
from batchtrial.run.growth import Purchase, check_growth, grown_settings, purchases
from batchtrial.run.options import Options
from batchtrial.state.store import Hook, fingerprint, no_hook

N_FIRST, N_ALL, SAMPLES = 4, 8, 3
THIRD: Final = {"system": text_of("third", "Answer in one word.")}
JUDGE: Final[dict[str, Any]] = {"name": "right", "kind": "yes_no", "rubric": {"path": "factual", "text": ready_rubric("factual")}, "max_tokens": 64}
PLACES: Final = ("attempt", "request_id", "file", "byte", "length")
"""Columns of answers that say where a line lies and by which try it came, which is told by part."""


def config_of(rig: Rig, **changes: Any) -> Config:
    return Config.model_validate(rig.config().model_dump(mode="json") | changes)


def with_settings(config: Config, settings: dict[str, Any]) -> Config:
    """The config with dotted settings."""
    tree = config.model_dump(mode="json")
    for key, value in settings.items():
        *steps, last = key.split(".")
        inner = tree
        for step in steps:
            inner = inner[step]
        inner[last] = value
    return Config.model_validate(tree)


def third(config: Config) -> Config:
    """A third treatment beside the control that is there."""
    tree = config.model_dump(mode="json")
    sets = tree["prompt_sets"] | {"third": {"control": tree["prompt_sets"]["default"]["control"], "treatment": THIRD}}
    return Config.model_validate(tree | {"prompt_sets": sets, "sweep": {"prompt_sets": ["default", "third"]}})


Step = Callable[[View, Config], Config]
STEPS: Final[dict[str, tuple[Step, int | None]]] = {
    "items": (lambda view, config: with_settings(config, grown_settings(view, items=N_ALL)), 2 * (N_ALL - N_FIRST)),
    "a third treatment": (lambda view, config: third(config), N_ALL),
    "samples": (lambda view, config: with_settings(config, grown_settings(view, samples=SAMPLES)), 3 * N_ALL * (SAMPLES - 1)),
    "a judge": (lambda view, config: with_settings(config, {"judges": [JUDGE]}), None),
}
"""Each growth, and how many requests it may buy; None: as many as there are different answers to judge."""


@dataclass(slots=True)
class Grown:
    """A run of a few items with one treatment and one sample, which grows."""

    folder: Path
    rig: Rig = field(init=False)

    def __post_init__(self) -> None:
        self.rig = Rig(self.folder, n_items=N_ALL)
        by_mark, judge = {item_hash("reading", f"o{n}"): n for n in range(N_ALL)}, arm_of(config_of(self.rig, judges=[JUDGE]), _judge()).id_head

        def answer(custom_id: str, batch: int) -> str:
            luck = zlib.crc32(custom_id.encode()) % 4
            if custom_id.startswith(judge):
                return 'succeeded={"reason": "so", "verdict": "%s"}' % ("yes" if luck else "no")
            item = next((n for mark, n in by_mark.items() if mark in custom_id), -1)  # one that was appended has none
            return f"succeeded=answer {item}" if luck else f"succeeded=no idea number {luck}"

        self.rig.memory.answer = answer

    def view(self) -> View:
        return view_of(self.rig.folder, "r1", lambda *_: self.rig.memory.limits)

    def first(self) -> Config:
        """Carry out the run of the first items; its config."""
        config = config_of(self.rig, limit_items=N_FIRST)
        self.rig.run("report", given=config)
        return config

    def bill(self, config: Config) -> tuple[Purchase, ...]:
        return purchases(self.view(), config, self.rig.memory)

    def go_on(self, config: Config, hook: Hook = no_hook) -> None:
        self.rig.run("report", given=config, options=Options(accept_drift=True, to_step="report"), hook=hook)

    def steps(self) -> Iterator[tuple[str, Config, int | None]]:
        """Name, config and requests of each growth; the one before is carried out when the next is asked for."""
        config = self.first()
        for name, (step, n) in STEPS.items():
            before, config = config, step(self.view(), config)
            check_growth(before, config)
            yield name, config, n

    def tables(self) -> dict[str, str]:
        """sha256 of the tables of items, scores and what is exported of them, and of what answers.parquet says but for places."""
        names, found = ("scores.parquet", "per_item_scores.csv", "predictions.csv", "items.parquet"), dict[str, str]()
        for path in self.rig.layout.artifacts():
            if "earlier_scores" in path.parts:
                continue
            if path.name in names:
                found[path.relative_to(self.rig.layout.root).as_posix()] = fingerprint(path).sha256
            elif path.name in ("answers.parquet", "judgements.parquet", "asked.parquet"):
                table = pl.read_parquet(path).select(pl.exclude(*PLACES))
                found[path.relative_to(self.rig.layout.root).as_posix()] = table.write_csv() if "judge" in path.name else table.write_json()
        return found

    def is_paid_once(self) -> bool:
        return set(self.rig.memory.paid().values()) == {1}


def _judge() -> Any:
    from batchtrial.config.judges import JudgeSpec

    return JudgeSpec.model_validate(JUDGE)


def asked_at_once(folder: Path, **settings: Any) -> dict[str, str]:
    """The tables of a run that asks for all of it at the start. settings: under `submission`. Its folder is gone afterwards."""
    run = Grown(folder)
    plain = config_of(run.rig, limit_items=N_ALL, samples_per_item=SAMPLES, judges=[JUDGE])
    tree = plain.model_dump(mode="json")
    run.rig.run("report", given=third(Config.model_validate(tree | {"submission": tree["submission"] | settings})))
    found = run.tables()
    shutil.rmtree(folder)
    return found


def fault(folder: Path, at_step: str, n: int, want: dict[str, str], n_paid: int) -> str:
    """What is wrong with a run that is killed at the n-th point of a growth, goes on, and grows further; "" when nothing is."""
    run = Grown(folder)
    for name, config, _ in run.steps():
        if name == at_step:
            with suppress(Killed):
                run.go_on(config, dying(n))
        run.go_on(config)
    found = run.tables()
    faults = {
        "another bill": not run.is_paid_once() or len(run.rig.memory.paid()) != n_paid,
        f"other bytes: {[name for name in want if found.get(name) != want[name]]}": found != want,
    }
    shutil.rmtree(folder)
    return ", ".join(told for told, is_so in faults.items() if is_so)


def points_of(folder: Path) -> tuple[dict[str, list[str]], dict[str, str], int]:
    """The points of each growth when nothing disturbs it, the tables at the end, and how many requests were paid."""
    run, points = Grown(folder), dict[str, list[str]]()
    for name, config, _ in run.steps():
        run.go_on(config, dying(0, points.setdefault(name, [])))
    found, n_paid = run.tables(), len(run.rig.memory.paid())
    shutil.rmtree(folder)
    return points, found, n_paid


def main(argv: Sequence[str]) -> int:
    """Kill at every point, or at a share of them such as 1/8; 1 when a run is not as its undisturbed twin."""
    share = [int(part) for part in argv[1].split("/")] if len(argv) > 1 else [1, 1]
    n_done, n_faults = 0, 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        points, want, n_paid = points_of(folder)
        for name, met in points.items():
            for n in range(share[0], len(met) + 1, share[1]):
                n_done += 1
                if told := fault(folder, name, n, want, n_paid):
                    n_faults += 1
                    sys.stdout.write(f"  {name}, {met[n - 1]} #{n}: {told}\n")
            sys.stdout.write(f"{name}: {len(met)} points\n")
            sys.stdout.flush()
    sys.stdout.write(f"{n_done} points, {n_faults} faults\n")
    return 1 if n_faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
